#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <utf8proc.h>

#include <weft/tokenizers/unicode_tables.hpp>

namespace weft::inline v0 {

/// A character of a text and how many bytes it takes there.
struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 0;
};

/// The character that a well-formed UTF-8 text begins with; the text is not empty.
constexpr CodePoint first_code_point(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1Fu) << 6 | (byte(1) & 0x3Fu), 2};
  if (lead < 0xF0) return {(lead & 0x0Fu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu), 3};
  return {(lead & 0x07u) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 | (byte(3) & 0x3Fu), 4};
}

/// The character that a well-formed UTF-8 text ends with; the text is not empty.
constexpr CodePoint last_code_point(std::string_view text) noexcept {
  std::size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0u) == 0x80u) --begin;
  return first_code_point(text.substr(begin));
}

/// Appends a character in UTF-8 and returns its bytes.
inline std::size_t append_code_point(char32_t c, std::string& out) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (c < 0x80) return put(c), 1;
  if (c < 0x800) return put(0xC0u | c >> 6), put(0x80u | (c & 0x3Fu)), 2;
  if (c < 0x10000) return put(0xE0u | c >> 12), put(0x80u | (c >> 6 & 0x3Fu)), put(0x80u | (c & 0x3Fu)), 3;
  put(0xF0u | c >> 18);
  return put(0x80u | (c >> 12 & 0x3Fu)), put(0x80u | (c >> 6 & 0x3Fu)), put(0x80u | (c & 0x3Fu)), 4;
}

/// How many characters a well-formed UTF-8 text has.
constexpr std::size_t count_characters(std::string_view text) noexcept {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0u) != 0x80u;
  return count;
}

namespace detail {

inline const utf8proc_property_t& unicode_property(char32_t c) noexcept {
  return *utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
}
/// The category of a character that utf8proc may be too old to know.
inline utf8proc_category_t later_category(char32_t c) noexcept {
  constexpr std::string_view names = "CnLuLlLtLmLoMnMcMeNdNlNoPcPdPsPePiPfPoSmScSkSoZsZlZpCcCfCsCo";
  const auto found = std::partition_point(later_categories.begin(), later_categories.end(),
                                          [&](const CategoryRange& later) { return later.range.last < c; });
  if (found == later_categories.end() || c < found->range.first) return UTF8PROC_CATEGORY_CN;
  return static_cast<utf8proc_category_t>(names.find(found->category) / 2);
}
inline utf8proc_category_t unicode_category(char32_t c) noexcept {
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category != UTF8PROC_CATEGORY_CN ? category : later_category(c);
}

}  // namespace detail

/// The Unicode property White_Space.
constexpr bool is_white_space(char32_t c) noexcept {
  return c == ' ' || (c >= 0x09 && c <= 0x0D) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

// The tokenizers library has tables of several versions of Unicode. Where models were trained with them, newer ones
// would cut text otherwise; the comments name the version where it is not the newest.

/// The general category is P in Unicode 8, or the character is punctuation of ASCII, which takes in its symbols
/// ($ + < = > ^ ` | ~).
inline bool is_punctuation(char32_t c) noexcept {
  if (c < 0x80) return (c > 0x20 && c < '0') || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') || (c > 'z' && c < 0x7F);
  const utf8proc_category_t category = detail::unicode_category(c);
  if (category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO)
    return !detail::contains(detail::later_punctuation, c);
  return c == 0x166D || c == 0x111C9;  // a symbol and a mark in later versions
}

/// What \p{L} and \p{N} mean in patterns: the general category is L, or N.
inline bool is_letter(char32_t c) noexcept {
  const utf8proc_category_t category = detail::unicode_category(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}
inline bool is_number(char32_t c) noexcept {
  const utf8proc_category_t category = detail::unicode_category(c);
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

/// The general category is N: digits, letters that are numbers, fractions and others.
inline bool is_numeric(char32_t c) noexcept {
  if (c < 0x80) return c >= '0' && c <= '9';
  const utf8proc_category_t category = detail::unicode_category(c);
  return (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) ||
         detail::contains(detail::later_numbers, c);
}

/// The general category is M in Unicode 9: marks that combine with the character before them.
inline bool is_mark(char32_t c) noexcept {
  if (c < 0x300) return false;
  const utf8proc_category_t category = detail::unicode_category(c);
  if (category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME)
    return !detail::contains(detail::later_marks, c);
  return c == 0x1CF2 || c == 0x1CF3;  // letters in later versions
}
/// The general category is Mn in Unicode 8.
inline bool is_nonspacing_mark(char32_t c) noexcept {
  if (c < 0x300) return false;
  if (detail::unicode_category(c) == UTF8PROC_CATEGORY_MN) return !detail::contains(detail::later_nonspacing_marks, c);
  return c == 0x1734;  // a spacing mark in later versions
}

/// What \w means in Unicode (UTS 18): letters, marks, decimal digits, connectors, joiners.
inline bool is_word_character(char32_t c) noexcept {
  if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
  const utf8proc_category_t category = detail::unicode_category(c);
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_ND) return true;
  if (category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_PC) return true;
  return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
         (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

/// The general category is Cc, Cf, Cs or Co in Unicode 8: controls, formats, surrogates, private use.
inline bool is_control(char32_t c) noexcept {
  if (c < 0x80) return c < 0x20 || c == 0x7F;
  return detail::unicode_category(c) >= UTF8PROC_CATEGORY_CC && !detail::contains(detail::later_controls, c);
}

/// The lower case of a character, of one or two characters; the second is 0 where there is none.
inline std::array<char32_t, 2> lower_case(char32_t c) noexcept {
  if (c < 0x80) return {c >= 'A' && c <= 'Z' ? c + 32 : c, 0};
  if (c == 0x130) return {'i', 0x307};
  for (const auto& [range, distance] : detail::later_lower_cases)
    if (c >= range.first && c <= range.last) return {c + static_cast<char32_t>(distance), 0};
  return {static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), 0};
}

/// The upper case of a character where that is one character; the character itself where it is none.
inline char32_t upper_case(char32_t c) noexcept {
  if (c < 0x80) return c >= 'a' && c <= 'z' ? c - 32 : c;
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}

/// What Python's str.isprintable says of a character: no control, no format, no separator but the space.
inline bool is_printable(char32_t c) noexcept {
  if (c < 0x80) return c >= 0x20 && c < 0x7F;
  const utf8proc_category_t category = detail::unicode_category(c);
  return category != UTF8PROC_CATEGORY_CN && category < UTF8PROC_CATEGORY_ZS;
}

/// The combining class in Unicode 9.
inline int combining_class(char32_t c) noexcept {
  if (c < 0x300) return 0;
  const int combining = detail::unicode_property(c).combining_class;
  return combining == 0 || detail::contains(detail::later_marks, c) ? 0 : combining;
}

/// The full decomposition of a character in Unicode 9, canonical or for compatibility: the characters and how many.
struct CharacterDecomposition {
  std::array<utf8proc_int32_t, 32> characters{};
  std::size_t size = 0;
};
inline CharacterDecomposition decompose_character(char32_t c, bool compatibility) noexcept {
  if (detail::contains(detail::later_decompositions, c)) return {{static_cast<utf8proc_int32_t>(c)}, 1};
  CharacterDecomposition out;
  int boundary = 0;
  const auto options = static_cast<utf8proc_option_t>(compatibility ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT
                                                                    : UTF8PROC_DECOMPOSE | UTF8PROC_STABLE);
  const utf8proc_ssize_t size =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), out.characters.data(),
                              static_cast<utf8proc_ssize_t>(out.characters.size()), options, &boundary);
  if (size < 1 || size > static_cast<utf8proc_ssize_t>(out.characters.size()))
    return {{static_cast<utf8proc_int32_t>(c)}, 1};
  out.size = static_cast<std::size_t>(size);
  return out;
}

/// The character that two canonically compose to in Unicode 9.
inline std::optional<char32_t> compose_characters(char32_t first, char32_t second) noexcept {
  std::array<utf8proc_int32_t, 2> pair{static_cast<utf8proc_int32_t>(first), static_cast<utf8proc_int32_t>(second)};
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  if (utf8proc_normalize_utf32(pair.data(), 2, options) != 1) return std::nullopt;
  const auto composed = static_cast<char32_t>(pair[0]);
  return detail::contains(detail::later_decompositions, composed) ? std::nullopt : std::optional(composed);
}

/// Whether no normalization form changes the character, whatever stands beside it.
inline bool is_inert_in_nfc(char32_t c) noexcept {
  if (c < 0x300 || (c >= 0xAC00 && c <= 0xD7A3)) return true;
  if (c >= 0x1100 && c <= 0x11FF) return false;
  const utf8proc_property_t& property = detail::unicode_property(c);
  return property.combining_class == 0 && property.decomp_seqindex == UINT16_MAX && property.comb_index == UINT16_MAX;
}

/// The bytes of the extended grapheme cluster (UAX 29) that a well-formed UTF-8 text begins with; the text is not
/// empty.
inline std::size_t first_grapheme(std::string_view text) noexcept {
  CodePoint character = first_code_point(text);
  std::size_t bytes = character.bytes;
  utf8proc_int32_t state = 0;
  while (bytes < text.size()) {
    const CodePoint next = first_code_point(text.substr(bytes));
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(character.value),
                                         static_cast<utf8proc_int32_t>(next.value), &state))
      break;
    bytes += next.bytes;
    character = next;
  }
  return bytes;
}

}  // namespace weft::inline v0
