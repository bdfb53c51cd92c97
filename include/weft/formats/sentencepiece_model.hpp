#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/formats/utf8.hpp>

namespace weft::inline v0 {

/// What a SentencePiece model file (tokenizer.model, a Protocol Buffers message) says, as far as tokenizing needs it.
/// Reading it checks everything that the SentencePiece library takes for granted.
struct SentencePieceModel {
  enum class Algorithm : std::uint8_t { unigram = 1, bpe = 2, word = 3, character = 4 };
  enum class Kind : std::uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

  struct Piece {
    std::string text;
    float score = 0;
    Kind kind = Kind::normal;
  };

  std::vector<Piece> pieces;  ///< by token id
  Algorithm algorithm = Algorithm::unigram;
  bool byte_fallback = false;
  bool whitespace_as_suffix = false;
  std::string unknown_surface = " \xE2\x81\x87 ";  ///< what an unknown token decodes to
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  std::string charsmap;       ///< the compiled normalisation rules
  bool denormalizes = false;  ///< whether there are rules for decoded text
  std::string message;        ///< the file for the library, without its self test
};

namespace detail {

/// Reads the fields of one Protocol Buffers message. Throws FormatError naming the file and the byte.
class ProtobufReader {
 public:
  struct Field {
    std::uint32_t number = 0;
    std::uint32_t wire_type = 0;
    std::uint64_t integer = 0;  // varint and fixed-width fields
    std::string_view bytes;     // length-delimited fields
    std::string_view whole;     // with the key before it
    std::size_t offset = 0;
  };

  ProtobufReader(std::string_view message, std::string_view source, std::size_t origin) noexcept
      : message_(message), source_(source), origin_(origin) {}

  /// The next field, or nothing at the end.
  std::optional<Field> next() {
    if (position_ == message_.size()) return std::nullopt;
    const std::size_t begin = position_;
    const std::uint64_t key = varint();
    Field field;
    field.offset = origin_ + begin;
    field.wire_type = static_cast<std::uint32_t>(key & 7u);
    if (key >> 3 == 0 || key >> 3 > 0x1fffffff) fail("a field number out of range");
    field.number = static_cast<std::uint32_t>(key >> 3);
    switch (field.wire_type) {
      case 0: field.integer = varint(); break;
      case 1: field.integer = fixed(8); break;
      case 2: field.bytes = take(varint()); break;
      case 5: field.integer = fixed(4); break;
      default: fail("an unknown wire type");
    }
    field.whole = message_.substr(begin, position_ - begin);
    return field;
  }

  [[noreturn]] void fail(std::string_view what) const {
    raise<FormatError>(source_, ": byte ", origin_ + position_, ": not a SentencePiece model: ", what);
  }
  /// Throws unless the field has the type its number calls for.
  void require(const Field& field, std::uint32_t wire_type) const {
    if (field.wire_type != wire_type)
      raise<FormatError>(source_, ": byte ", field.offset, ": not a SentencePiece model: field ", field.number,
                         " has wire type ", field.wire_type, ", expected ", wire_type);
  }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (position_ == message_.size()) fail("truncated");
      const auto byte = static_cast<unsigned char>(message_[position_++]);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    fail("a number of more than 64 bits");
  }
  std::uint64_t fixed(std::size_t bytes) {
    const std::string_view raw = take(bytes);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) value |= std::uint64_t{static_cast<unsigned char>(raw[i])} << (8 * i);
    return value;
  }
  std::string_view take(std::uint64_t bytes) {
    if (bytes > message_.size() - position_) fail("truncated");
    const std::string_view taken = message_.substr(position_, static_cast<std::size_t>(bytes));
    position_ += taken.size();
    return taken;
  }

  std::string_view message_;
  std::string_view source_;
  std::size_t origin_;
  std::size_t position_ = 0;
};

inline std::size_t offset_in(std::string_view whole, std::string_view part) noexcept {
  return static_cast<std::size_t>(part.data() - whole.data());
}

/// The byte of a byte piece, "<0x0A>", or nothing.
inline std::optional<unsigned char> byte_of_piece(std::string_view piece) noexcept {
  constexpr std::string_view digits = "0123456789ABCDEF";
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return std::nullopt;
  const std::size_t high = digits.find(piece[3]);
  const std::size_t low = digits.find(piece[4]);
  if (high == digits.npos || low == digits.npos) return std::nullopt;
  return static_cast<unsigned char>(high * 16 + low);
}

inline SentencePieceModel::Piece read_piece(std::string_view message, std::string_view source, std::size_t origin) {
  ProtobufReader reader(message, source, origin);
  SentencePieceModel::Piece piece;
  while (const auto field = reader.next()) {
    if (field->number == 1) {
      reader.require(*field, 2);
      piece.text = field->bytes;
    } else if (field->number == 2) {
      reader.require(*field, 5);
      piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(field->integer));
    } else if (field->number == 3) {
      reader.require(*field, 0);
      if (field->integer < 1 || field->integer > 6) reader.fail("a piece of unknown type");
      piece.kind = static_cast<SentencePieceModel::Kind>(field->integer);
    }
  }
  if (piece.text.empty()) reader.fail("an empty piece");
  if (!is_utf8(piece.text)) reader.fail("a piece that is not UTF-8");
  if (piece.text.find('\0') != piece.text.npos && piece.kind == SentencePieceModel::Kind::user_defined)
    reader.fail("a user-defined piece with a zero byte");
  if (std::isnan(piece.score)) reader.fail("a piece whose score is not a number");
  return piece;
}

inline void read_trainer(std::string_view message, std::string_view source, std::size_t origin,
                         SentencePieceModel& model) {
  ProtobufReader reader(message, source, origin);
  while (const auto field = reader.next()) {
    if (field->number == 3) {
      reader.require(*field, 0);
      if (field->integer < 1 || field->integer > 4) reader.fail("an unknown algorithm");
      model.algorithm = static_cast<SentencePieceModel::Algorithm>(field->integer);
    } else if (field->number == 24) {
      reader.require(*field, 0);
      model.whitespace_as_suffix = field->integer != 0;
    } else if (field->number == 35) {
      reader.require(*field, 0);
      model.byte_fallback = field->integer != 0;
    } else if (field->number == 44) {
      reader.require(*field, 2);
      model.unknown_surface = field->bytes;
      if (!is_utf8(field->bytes)) reader.fail("an unknown-token text that is not UTF-8");
    }
  }
}

inline void read_normalizer(std::string_view message, std::string_view source, std::size_t origin,
                            SentencePieceModel& model) {
  ProtobufReader reader(message, source, origin);
  while (const auto field = reader.next()) {
    if (field->number == 2) {
      reader.require(*field, 2);
      model.charsmap = field->bytes;
    } else if (field->number == 3) {
      reader.require(*field, 0);
      model.add_dummy_prefix = field->integer != 0;
    } else if (field->number == 4) {
      reader.require(*field, 0);
      model.remove_extra_whitespaces = field->integer != 0;
    }
  }
}

/// Walks the double array of the normalisation rules: every step a lookup can take must stay inside it, every rule must
/// point at a text, and no text may match more rules than the library has room for.
inline void check_charsmap(std::string_view charsmap, std::string_view source) {
  const auto fail = [&] { raise<FormatError>(source, ": not a SentencePiece model: malformed normalisation rules"); };
  constexpr std::size_t max_matches = 32;
  std::uint32_t trie_bytes = 0;
  if (charsmap.size() <= sizeof trie_bytes) fail();
  std::memcpy(&trie_bytes, charsmap.data(), sizeof trie_bytes);
  if (trie_bytes % 4 != 0 || trie_bytes < 1024 || trie_bytes >= charsmap.size() - sizeof trie_bytes) fail();
  std::vector<std::uint32_t> units(trie_bytes / 4);
  std::memcpy(units.data(), charsmap.data() + sizeof trie_bytes, trie_bytes);
  const std::string_view texts = charsmap.substr(sizeof trie_bytes + trie_bytes);
  if (texts.back() != '\0') fail();

  const auto offset_of = [](std::uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); };
  constexpr std::uint8_t unseen = 0xff;
  std::vector<std::uint8_t> matches(units.size(), unseen);  // on the way to the children at a position, at most
  std::vector<std::uint32_t> open{offset_of(units[0])};
  if (open[0] >= units.size()) fail();
  matches[open[0]] = 0;
  while (!open.empty()) {
    const std::uint32_t base = open.back();
    open.pop_back();
    if ((base | 0xffu) >= units.size()) fail();
    for (std::uint32_t label = 0; label < 256; ++label) {
      const std::uint32_t unit = units[base ^ label];
      if ((unit & (0x80000000u | 0xffu)) != label) continue;
      const std::uint32_t child = base ^ label ^ offset_of(unit);
      if (child >= units.size()) fail();
      const bool is_rule = (unit >> 8) & 1u;
      if (is_rule && (units[child] & 0x7fffffffu) >= texts.size()) fail();
      const auto count = static_cast<std::uint8_t>(matches[base] + (is_rule ? 1 : 0));
      if (count > max_matches) fail();
      if (matches[child] != unseen && matches[child] >= count) continue;
      matches[child] = count;
      open.push_back(child);
    }
  }
}

/// What the library demands of the pieces together, and what it would overrun a buffer on.
inline void check_pieces(const SentencePieceModel& model, std::string_view source) {
  using Kind = SentencePieceModel::Kind;
  constexpr std::size_t max_nested = 64;
  std::size_t unknown = 0;
  std::array<bool, 256> bytes{};
  std::vector<std::string_view> user_defined;
  for (const SentencePieceModel::Piece& piece : model.pieces) {
    if (piece.kind == Kind::unknown) ++unknown;
    if (piece.kind == Kind::user_defined) user_defined.push_back(piece.text);
    if (piece.kind != Kind::byte) continue;
    const auto byte = byte_of_piece(piece.text);
    if (!byte) raise<FormatError>(source, ": the byte piece ", piece.text, " names no byte");
    bytes[*byte] = true;
  }
  if (unknown != 1) raise<FormatError>(source, ": expected one unknown piece, found ", unknown);
  if (model.byte_fallback && std::find(bytes.begin(), bytes.end(), false) != bytes.end())
    raise<FormatError>(source, ": the model falls back to bytes but has no piece for some of them");

  std::sort(user_defined.begin(), user_defined.end());
  std::vector<std::string_view> prefixes;
  for (const std::string_view piece : user_defined) {
    while (!prefixes.empty() && !piece.starts_with(prefixes.back())) prefixes.pop_back();
    prefixes.push_back(piece);
    if (prefixes.size() > max_nested)
      raise<UnsupportedError>(source, ": more than ", max_nested, " user-defined pieces begin with one another");
  }
}

}  // namespace detail

/// Reads a SentencePiece model; `source` names it in errors. Throws FormatError for anything that is not one.
inline SentencePieceModel read_sentencepiece_model(std::string_view bytes, std::string_view source) {
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
    raise<FormatError>(source, ": ", bytes.size(), " bytes are too many for a SentencePiece model");
  SentencePieceModel model;
  bool has_trainer = false;
  bool has_normalizer = false;
  detail::ProtobufReader reader(bytes, source, 0);
  while (const auto field = reader.next()) {
    const std::size_t origin = detail::offset_in(bytes, field->bytes);
    if (field->number <= 5) reader.require(*field, 2);
    switch (field->number) {
      case 1: model.pieces.push_back(detail::read_piece(field->bytes, source, origin)); break;
      case 2:
        has_trainer = true;
        detail::read_trainer(field->bytes, source, origin, model);
        break;
      case 3:
        has_normalizer = true;
        detail::read_normalizer(field->bytes, source, origin, model);
        break;
      case 5: {
        SentencePieceModel rules;
        detail::read_normalizer(field->bytes, source, origin, rules);
        model.denormalizes = !rules.charsmap.empty();
        break;
      }
      default: break;
    }
    if (field->number != 4) model.message += field->whole;
  }
  if (model.pieces.empty()) reader.fail("it has no pieces");
  if (!has_trainer || !has_normalizer) reader.fail("truncated: it has no settings");
  if (!model.charsmap.empty()) detail::check_charsmap(model.charsmap, source);
  detail::check_pieces(model, source);
  return model;
}

}  // namespace weft::inline v0
