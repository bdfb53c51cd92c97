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
  TextRange origin(std::uint32_t byte) const noexcept { return origins_[byte]; }
  /// The part of the original text that a range which is not empty stands for.
  TextRange origin(TextRange range) const noexcept {
    return {origins_[range.begin].begin, origins_[range.end - 1].end};
  }

  /// A part as a text of its own, of the same original; the range is not empty.
  AlignedText slice(TextRange part) const {
    AlignedText out;
    out.base_ = origins_[part.begin].begin;
    out.append(*this, part);
    return out;
  }
  /// Appends bytes that all stand for one part of the original.
  void push(std::string_view bytes, TextRange origin) {
    text_ += bytes;
    origins_.insert(origins_.end(), bytes.size(), origin);
  }
  /// Appends a part of another text of the same original.
  void append(const AlignedText& other, TextRange part) {
    text_ += other.view(part);
    origins_.insert(origins_.end(), other.origins_.begin() + part.begin, other.origins_.begin() + part.end);
    check_size();
  }

  /// Puts text in front, which stands for what the first character stands for; an empty text stays empty.
  void prepend(std::string_view front) {
    if (empty()) return;
    text_.insert(0, front);
    origins_.insert(origins_.begin(), front.size(), TextRange(origins_.front()));
    check_size();
  }

  /// Replaces bytes one for one; `map` keeps the text well formed.
  template <class Map>
  void map_bytes(Map&& map) {
    for (char& byte : text_) byte = map(byte);
  }

  /// Replaces ranges of the text, in order and without overlap, by `content`, which stands for the last character of
  /// what it replaces, or for the character before where that is empty.
  void replace(std::span<const TextRange> ranges, std::string_view content) {
    if (ranges.empty()) return;
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
      out.origins_.insert(out.origins_.end(), append_code_point(change.character, out.text_), origin);
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

  std::string text_;
  std::vector<TextRange> origins_;
  std::uint32_t base_ = 0;
};

}  // namespace weft::inline v0
