#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weft::inline v0 {

/// U+FFFD in UTF-8: what stands for bytes that are no text.
inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

/// What a piece of text starts with.
struct Utf8Character {
  enum class Kind {
    complete,   ///< a well-formed character of `bytes` bytes
    truncated,  ///< a well-formed beginning: the text ends inside the character
    invalid     ///< what starts no character, with the well-formed beginning of one that it may be
  };
  Kind kind;
  std::size_t bytes;  ///< 1 to 4 where complete; the bytes there are where truncated; 1 to 3 where invalid
};

/// The first character of a text that is not empty, by the Unicode definition of well-formed UTF-8: no overlong forms,
/// no surrogates, nothing past U+10FFFF.
constexpr Utf8Character first_character(std::string_view text) noexcept {
  using Kind = Utf8Character::Kind;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {Kind::complete, 1};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4) return {Kind::invalid, 1};
  for (std::size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {Kind::truncated, i};
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (i == 1 && lead == 0xE0) low = 0xA0;
    if (i == 1 && lead == 0xED) high = 0x9F;
    if (i == 1 && lead == 0xF0) low = 0x90;
    if (i == 1 && lead == 0xF4) high = 0x8F;
    if (byte(i) < low || byte(i) > high) return {Kind::invalid, i};
  }
  return {Kind::complete, length};
}

/// The offset of the first byte that is not part of a well-formed character; text.size() where there is none.
constexpr std::size_t first_invalid_byte(std::string_view text) noexcept {
  constexpr std::size_t block = 16;
  const auto starts_ascii = [](std::string_view rest) {
    unsigned char all = 0;
    for (std::size_t i = 0; i < block; ++i) all |= static_cast<unsigned char>(rest[i]);
    return all < 0x80;
  };
  std::size_t offset = 0;
  while (offset < text.size()) {
    if (text.size() - offset >= block && starts_ascii(text.substr(offset))) {
      offset += block;
      continue;
    }
    const Utf8Character character = first_character(text.substr(offset));
    if (character.kind != Utf8Character::Kind::complete) break;
    offset += character.bytes;
  }
  return offset;
}

constexpr bool is_utf8(std::string_view text) noexcept { return first_invalid_byte(text) == text.size(); }

/// What one U+FFFD stands for in text that is no UTF-8.
enum class Utf8Repair : unsigned char {
  bytes,      ///< every byte that belongs to no character
  beginnings  ///< the well-formed beginning of a character that ends too early, as in Rust, Python and browsers
};

/// Appends `bytes` to `out` with what belongs to no character replaced by U+FFFD, and returns how many bytes it took.
/// Unless `last`, a character that the end cuts off is left for the next call.
inline std::size_t append_repaired(std::string_view bytes, bool last, std::string& out,
                                   Utf8Repair repair = Utf8Repair::bytes) {
  std::size_t offset = 0;
  while (offset < bytes.size()) {
    const Utf8Character character = first_character(bytes.substr(offset));
    if (character.kind == Utf8Character::Kind::complete) {
      out += bytes.substr(offset, character.bytes);
      offset += character.bytes;
    } else {
      if (character.kind == Utf8Character::Kind::truncated && !last) break;
      out += replacement_character;
      offset += repair == Utf8Repair::bytes ? 1 : character.bytes;
    }
  }
  return offset;
}

}  // namespace weft::inline v0
