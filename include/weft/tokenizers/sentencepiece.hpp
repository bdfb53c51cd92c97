#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <sentencepiece_processor.h>

#include <weft/core/error.hpp>
#include <weft/core/source.hpp>
#include <weft/core/token_id.hpp>
#include <weft/formats/sentencepiece_model.hpp>
#include <weft/tokenizers/added_tokens.hpp>
#include <weft/tokenizers/tokenizer.hpp>
#include <weft/tokenizers/tokenizer_config.hpp>

namespace weft::inline v0 {

namespace detail {

/// Reads and checks a SentencePiece model file. Throws FormatError, UnsupportedError for what is not built.
inline SentencePieceModel read_sentencepiece_file(const Source& file) {
  const std::string& source = file.name();
  SentencePieceModel model = read_sentencepiece_model(file.bytes().text(), source);
  if (model.whitespace_as_suffix) raise<UnsupportedError>(source, ": white space as a suffix is not supported");
  if (model.denormalizes) raise<UnsupportedError>(source, ": rules for decoded text are not supported");
  return model;
}

/// Gives a model to the library. Throws FormatError where it refuses it.
inline void load_processor(const std::string& message, const std::string& source,
                           sentencepiece::SentencePieceProcessor& processor) {
  try {
    const sentencepiece::util::Status status = processor.LoadFromSerializedProto(message);
    if (!status.ok()) raise<FormatError>(source, ": not a SentencePiece model: ", status.message());
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    raise<FormatError>(source, ": not a SentencePiece model: ", error.what());
  }
}

}  // namespace detail

/// A tokenizer.model file through the SentencePiece library, with the rules that Hugging Face's LlamaTokenizer lays
/// around it (transformers, tokenization_llama.py):
/// - Added and special tokens are cut out of the text first; each part between them is encoded by itself.
/// - `legacy` (the default where the files do not say): every part gets the model's dummy prefix, a leading space.
///   Otherwise only the beginning of the text does, unless a special token stands there, and a leading space in a part
///   is kept as it is.
/// - BOS in front (add_bos_token, default true), EOS behind (add_eos_token, default false).
/// - Special tokens that the model file does not have get the ids after its last.
///
/// Text that is not UTF-8: every byte that belongs to no character is encoded as U+FFFD, which is what the library
/// does. Decoding puts a space for U+2581, joins byte tokens, and removes one space from the beginning of the text
/// where encoding puts one there. Nothing is printed and no global state of the library is touched.
class SentencePieceTokenizer final : public Tokenizer {
 public:
  /// Throws FormatError naming the file where the model is malformed or contradicts the configuration, ConfigError
  /// where BOS or EOS is to be added and there is none, UnsupportedError for what is not built.
  SentencePieceTokenizer(const std::filesystem::path& model_file, const TokenizerConfig& config)
      : SentencePieceTokenizer(Source::file(model_file.string()), config) {}
  SentencePieceTokenizer(const Source& model_file, const TokenizerConfig& config) : source_(model_file.name()) {
    check_class(config.tokenizer_class);
    SentencePieceModel model = detail::read_sentencepiece_file(model_file);
    legacy_ = config.legacy.value_or(true);
    prefix_space_ = legacy_ ? model.add_dummy_prefix : config.add_prefix_space.value_or(true);
    removes_extra_spaces_ = model.remove_extra_whitespaces;
    split_special_tokens_ = config.split_special_tokens;
    unknown_surface_ = model.unknown_surface;
    load(model);
    pieces_ = std::move(model.pieces);
    add_tokens(config);
    if (!legacy_) guard_tokens_ = encode_part(guard_).size();
  }

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const override {
    if (text.size() > max_text_bytes)
      raise<TokenizerError>("a text of ", text.size(), " bytes, at most ", max_text_bytes, " can be encoded at once");
    std::vector<TokenId> ids;
    if (options.add_special_tokens && add_bos_) ids.push_back(*bos_);
    if (!text.empty()) {
      const bool parse_special = options.parse_special_tokens && !split_special_tokens_;
      if (legacy_) {
        for (const AddedTokens::Part& part : added_.split(text, parse_special)) append_part(part, ids);
      } else {
        append_with_prefix(added_.split(with_plain_spaces(text), parse_special), ids);
      }
    }
    if (options.add_special_tokens && add_eos_) ids.push_back(*eos_);
    return ids;
  }

  void append_bytes(TokenId id, const DecodeOptions& options, DecodeState& state, std::string& out) const override {
    const std::size_t index = checked(id);
    const std::size_t before = out.size();
    bool removed_space = false;
    if (const AddedToken* token = added_.find(id)) {
      if (!token->special || !options.skip_special_tokens) out += token->content;
    } else if (index < pieces_.size()) {
      removed_space = append_piece(pieces_[index], state.at_start, out);
    }
    state.at_start = state.at_start && !removed_space && out.size() == before;
  }

  std::size_t vocab_size() const noexcept override { return vocab_size_; }
  std::optional<TokenId> bos() const noexcept override { return bos_; }
  std::optional<TokenId> eos() const noexcept override { return eos_; }
  std::optional<TokenId> unk() const noexcept override { return unk_; }
  std::optional<TokenId> pad() const noexcept override { return pad_; }

  std::optional<TokenId> id_of(std::string_view token) const override {
    if (const AddedToken* added = added_.find(token)) return added->id;
    const int id = processor_.PieceToId(token);
    if (id >= 0 && pieces_[static_cast<std::size_t>(id)].text == token) return id;
    return std::nullopt;
  }
  std::string token_of(TokenId id) const override {
    const std::size_t index = checked(id);
    if (const AddedToken* added = added_.find(id)) return added->content;
    return index < pieces_.size() ? pieces_[index].text : std::string();
  }
  bool is_special(TokenId id) const override {
    const std::size_t index = checked(id);
    if (const AddedToken* added = added_.find(id)) return added->special;
    return index < pieces_.size() && pieces_[index].kind == SentencePieceModel::Kind::control;
  }

 private:
  static constexpr std::size_t max_text_bytes = std::size_t{1} << 29;  // the library counts bytes in int
  static constexpr std::string_view space_symbol = "\xE2\x96\x81";     // U+2581, a space in pieces

  void check_class(std::string_view tokenizer_class) const {
    for (const std::string_view known : {"", "LlamaTokenizer", "LlamaTokenizerFast", "LLaMATokenizer"})
      if (tokenizer_class == known) return;
    raise<UnsupportedError>(source_, ": the tokenizer class ", tokenizer_class, " is not supported");
  }

  void load(const SentencePieceModel& model) {
    std::string message = model.message;
    // A second normalizer message is merged into the first: add_dummy_prefix = false.
    if (!legacy_) message += std::string_view("\x1A\x02\x18\x00", 4);
    detail::load_processor(message, source_, processor_);
  }

  void add_tokens(const TokenizerConfig& config) {
    for (const AddedToken& token : config.added) added_.add(token);
    std::unordered_set<std::string_view> outside;
    for (const AddedToken& token : config.added)
      if (!piece_id(token.content)) outside.insert(token.content);
    std::size_t next = pieces_.size() + outside.size();
    const auto place = [&](AddedToken token) {
      if (token.content.empty()) return;
      if (const AddedToken* known = added_.find(token.content)) {
        token = *known;
        token.special = true;
      } else if (const auto id = piece_id(token.content)) {
        token.id = *id;
      } else {
        while (added_.find(static_cast<TokenId>(next))) ++next;
        token.id = static_cast<TokenId>(next++);
      }
      added_.add(std::move(token));
    };
    for (const auto* role :
         {&config.bos, &config.eos, &config.unk, &config.sep, &config.pad, &config.cls, &config.mask})
      if (*role) place(**role);
    for (const AddedToken& token : config.additional) place(token);

    vocab_size_ = pieces_.size();
    for (const AddedToken& token : added_.all())
      vocab_size_ = std::max(vocab_size_, static_cast<std::size_t>(token.id) + 1);
    const auto id = [&](const std::optional<AddedToken>& token) -> std::optional<TokenId> {
      return token && !token->content.empty() ? std::optional(added_.find(token->content)->id) : std::nullopt;
    };
    bos_ = id(config.bos);
    eos_ = id(config.eos);
    unk_ = id(config.unk);
    pad_ = id(config.pad);
    add_bos_ = config.add_bos.value_or(true);
    add_eos_ = config.add_eos.value_or(false);
    if (add_bos_ && !bos_) raise<ConfigError>(source_, ": add_bos_token is true, but bos_token is null");
    if (add_eos_ && !eos_) raise<ConfigError>(source_, ": add_eos_token is true, but eos_token is null");
    guard_ = unk_ ? config.unk->content : "<unk>";
  }

  std::optional<TokenId> piece_id(std::string_view piece) const {
    const int id = processor_.PieceToId(piece);
    if (id >= 0 && pieces_[static_cast<std::size_t>(id)].text == piece) return id;
    return std::nullopt;
  }

  /// U+2581 in a text reads as the space it stands for; the prefix goes in front.
  std::string with_plain_spaces(std::string_view text) const {
    std::string out(prefix_space_ ? space_symbol : std::string_view());
    for (std::size_t at = text.find(space_symbol); at != text.npos; at = text.find(space_symbol)) {
      out += text.substr(0, at);
      out += ' ';
      text.remove_prefix(at + space_symbol.size());
    }
    return out += text;
  }

  void append_with_prefix(const std::vector<AddedTokens::Part>& parts, std::vector<TokenId>& ids) const {
    std::size_t first = 0;
    // A prefix that stands alone before a special token is none.
    if (parts.size() > 1 && !parts[0].token && parts[1].token && parts[1].token->special) {
      const std::vector<TokenId> only = encode_part(parts[0].text);
      if (only.size() == 1 && pieces_[static_cast<std::size_t>(only[0])].text == space_symbol) first = 1;
    }
    for (; first < parts.size(); ++first) append_part(parts[first], ids);
  }

  void append_part(const AddedTokens::Part& part, std::vector<TokenId>& ids) const {
    if (part.token) {
      ids.push_back(part.token->id);
    } else {
      const std::vector<TokenId> encoded = encode_part(part.text);
      ids.insert(ids.end(), encoded.begin(), encoded.end());
    }
  }

  /// Without the dummy prefix the library drops leading spaces; a guard in front keeps them and is cut off again.
  std::vector<TokenId> encode_part(std::string_view text) const {
    const bool guarded = !legacy_ && (text.starts_with(space_symbol) || text.starts_with(' '));
    std::vector<TokenId> ids;
    const sentencepiece::util::Status status =
        guarded ? processor_.Encode(guard_ + std::string(text), &ids) : processor_.Encode(text, &ids);
    if (!status.ok()) raise<TokenizerError>(source_, ": the text cannot be encoded: ", status.message());
    if (guarded && ids.size() >= guard_tokens_)
      ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(guard_tokens_));
    return ids;
  }

  /// Appends what a piece stands for; returns whether a leading space of it was removed that must be the only one.
  bool append_piece(const SentencePieceModel::Piece& piece, bool at_start, std::string& out) const {
    using Kind = SentencePieceModel::Kind;
    if (piece.kind == Kind::control) return false;
    if (piece.kind == Kind::unknown) return out += unknown_surface_, false;
    if (piece.kind == Kind::byte) return out += static_cast<char>(*detail::byte_of_piece(piece.text)), false;
    std::string_view text = piece.text;
    bool removed = false;
    if (at_start && (prefix_space_ || removes_extra_spaces_) && text.starts_with(space_symbol)) {
      text.remove_prefix(space_symbol.size());
      removed = !removes_extra_spaces_;
    }
    while (!text.empty()) {
      const std::size_t space = std::min(text.find(space_symbol), text.size());
      out += text.substr(0, space);
      text.remove_prefix(space);
      if (text.empty()) break;
      out += ' ';
      text.remove_prefix(space_symbol.size());
    }
    return removed;
  }

  std::string source_;
  sentencepiece::SentencePieceProcessor processor_;
  std::vector<SentencePieceModel::Piece> pieces_;
  AddedTokens added_;
  std::string unknown_surface_;
  std::string guard_;
  std::size_t guard_tokens_ = 0;
  std::size_t vocab_size_ = 0;
  std::optional<TokenId> bos_, eos_, unk_, pad_;
  bool legacy_ = true;
  bool prefix_space_ = true;
  bool removes_extra_spaces_ = false;
  bool split_special_tokens_ = false;
  bool add_bos_ = true;
  bool add_eos_ = false;
};

}  // namespace weft::inline v0
