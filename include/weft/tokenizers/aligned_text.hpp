#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/formats/utf8.hpp>
#include <weft/tokenizers/encoding.hpp>
#include <weft/tokenizers/unicode.hpp>

namespace weft::inline v0 {

/// One character of a rewritten text, and what becomes of the characters it stands for: 0 where it replaces the next
/// old character, -n where n more vanish after that, 1 where it is inserted before the next.
struct CharacterChange {
  char32_t character = 0;
  std::int32_t change = 0;
};

/// A text that is being rewritten and knows, for each of its bytes, which bytes of the original text it stands for
/// (NormalizedString of the tokenizers library). Always well-formed UTF-8.
class AlignedText {
 public:
  AlignedText() = default;
  /// Every byte that belongs to no character becomes U+FFFD. `base` is where in the original text `text` begins. Throws
  /// TokenizerError for a text too long to be counted in 32 bits.
  explicit AlignedText(std::string_view text, std::uint32_t base = 0) : base_(base) {
    if (text.size() > max_bytes || base > max_bytes)
      raise<TokenizerError>("a text of ", text.size(), " bytes, at most ", max_bytes, " can be encoded at once");
    verbatim_ = is_utf8(text);
    if (verbatim_) {
      text_ = text;
      return;
    }
    text_.reserve(text.size());
    origins_.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
      const Utf8Character character = first_character(text.substr(at));
      const bool valid = character.kind == Utf8Character::Kind::complete;
      const std::size_t bytes = valid ? character.bytes : 1;
      const auto begin = static_cast<std::uint32_t>(base + at);
      push(valid ? text.substr(at, bytes) : replacement_character, {begin, begin + static_cast<std::uint32_t>(bytes)});
      at += bytes;
    }
  }

  const std::string& text() const noexcept { return text_; }
  std::string_view view(TextRange range) const noexcept {
    return std::string_view(text_).substr(range.begin, range.end - range.begin);
  }
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(text_.size()); }
  bool empty() const noexcept { return text_.empty(); }

  /// The part of the original text that a byte stands for.
  TextRange origin(std::uint32_t byte) const noexcept { return verbatim_ ? character_at(byte) : origins_[byte]; }
  /// The part of the original text that a range which is not empty stands for.
  TextRange origin(TextRange range) const noexcept { return {origin(range.begin).begin, origin(range.end - 1).end}; }

  /// A part as a text of its own, of the same original; the range is not empty.
  AlignedText slice(TextRange part) const {
    AlignedText out;
    out.base_ = origin(part.begin).begin;
    out.verbatim_ = verbatim_;
    out.text_ = view(part);
    if (!verbatim_) out.origins_.assign(origins_.begin() + part.begin, origins_.begin() + part.end);
    return out;
  }
  /// Appends bytes that all stand for one part of the original.
  void push(std::string_view bytes, TextRange origin) {
    note_origins();
    text_ += bytes;
    origins_.insert(origins_.end(), bytes.size(), origin);
  }
  /// Appends a part of another text of the same original.
  void append(const AlignedText& other, TextRange part) {
    if (empty() && part == TextRange{0, other.size()}) return void(*this = other);
    note_origins();
    text_ += other.view(part);
    if (other.verbatim_) {
      other.note_origins(part, origins_);
    } else {
      origins_.insert(origins_.end(), other.origins_.begin() + part.begin, other.origins_.begin() + part.end);
    }
    check_size();
  }

  /// Puts text in front, which stands for what the first character stands for; an empty text stays empty.
  void prepend(std::string_view front) {
    if (empty()) return;
    note_origins();
    text_.insert(0, front);
    origins_.insert(origins_.begin(), front.size(), TextRange(origins_.front()));
    check_size();
  }

  /// Replaces bytes of ASCII one for one by others, from `begin` on; `map` leaves all else as it is.
  template <class Map>
  void map_bytes(Map&& map, std::uint32_t begin = 0) {
    for (std::size_t i = begin; i < text_.size(); ++i) text_[i] = map(text_[i]);
  }

  /// Replaces ranges of the text, in order and without overlap, by `content`, which stands for the last character of
  /// what it replaces, or for the character before where that is empty.
  void replace(std::span<const TextRange> ranges, std::string_view content) {
    if (ranges.empty()) return;
    note_origins();
    AlignedText out = emptied();
    std::uint32_t done = 0;
    for (const TextRange range : ranges) {
      out.append(*this, {done, range.begin});
      out.check_size();
      out.push(content, range.end > 0 ? origins_[range.end - 1] : TextRange{base_, base_});
      done = range.end;
    }
    out.append(*this, {done, size()});
    *this = std::move(out);
  }

  /// Rewrites the whole text; its first `removed` characters vanish. The changes account for every character.
  void rewrite(std::span<const CharacterChange> changes, std::size_t removed = 0) {
    note_origins();
    AlignedText out = emptied();
    std::uint32_t at = 0;
    const auto skip = [&](std::size_t characters) {
      for (; characters > 0 && at < size(); --characters)
        at += static_cast<std::uint32_t>(first_code_point(std::string_view(text_).substr(at)).bytes);
    };
    skip(removed);
    for (const CharacterChange& change : changes) {
      const bool inserted = change.change > 0 || at >= size();
      const TextRange origin = !inserted ? origins_[at] : at > 0 ? origins_[at - 1] : TextRange{base_, base_};
      for (std::size_t bytes = append_code_point(change.character, out.text_); bytes > 0; --bytes)
        out.origins_.push_back(origin);
      if (change.change <= 0) skip(1 + static_cast<std::size_t>(-change.change));
    }
    out.check_size();
    *this = std::move(out);
  }

 private:
  static constexpr std::size_t max_bytes = std::size_t{1} << 29;

  AlignedText emptied() const {
    AlignedText out;
    out.base_ = base_;
    out.text_.reserve(text_.size());
    out.origins_.reserve(text_.size());
    return out;
  }
  void check_size() const {
    if (text_.size() > 2 * max_bytes)
      raise<TokenizerError>("a text grew to ", text_.size(), " bytes when it was normalized");
  }

  /// Where the character of a byte lies in the original of a verbatim text.
  TextRange character_at(std::uint32_t byte) const noexcept {
    while ((static_cast<unsigned char>(text_[byte]) & 0xC0u) == 0x80u) --byte;
    const auto bytes = static_cast<std::uint32_t>(first_code_point(std::string_view(text_).substr(byte)).bytes);
    return {base_ + byte, base_ + byte + bytes};
  }
  void note_origins(TextRange part, std::vector<TextRange>& out) const {
    for (std::uint32_t at = part.begin; at < part.end;) {
      const TextRange character = character_at(at);
      for (; character.end > base_ + at; ++at) out.push_back(character);
    }
  }
  /// Before the first change of a verbatim text.
  void note_origins() {
    if (!verbatim_) return;
    origins_.reserve(text_.size());
    note_origins({0, size()}, origins_);
    verbatim_ = false;
  }

  std::string text_;
  std::vector<TextRange> origins_;  // none where the text is verbatim
  std::uint32_t base_ = 0;
  bool verbatim_ = false;  // every character stands for itself, from base_ on
};

}  // namespace weft::inline v0
