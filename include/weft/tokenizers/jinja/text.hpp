#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weft/tokenizers/added_tokens.hpp>
#include <weft/tokenizers/unicode.hpp>

// What Python's strings and numbers do, on well-formed UTF-8; positions and lengths count characters.
namespace weft::inline v0::detail::jinja {

/// Line ends of all kinds as "\n".
inline std::string with_newlines(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      out += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// The first byte of the last character of a text that is not empty.
inline std::size_t last_character(std::string_view text) noexcept {
  std::size_t last = text.size() - 1;
  while (last > 0 && (static_cast<unsigned char>(text[last]) & 0xC0u) == 0x80u) --last;
  return last;
}

/// Without white space at either end.
inline std::string_view strip(std::string_view text, bool left = true, bool right = true) noexcept {
  while (left && !text.empty()) {
    const std::size_t bytes = leading_white_space(text);
    if (bytes == 0) break;
    text.remove_prefix(bytes);
  }
  while (right && !text.empty()) {
    const std::size_t last = last_character(text);
    if (leading_white_space(text.substr(last)) == 0) break;
    text = text.substr(0, last);
  }
  return text;
}

/// Without any of these characters at either end.
inline std::string_view strip(std::string_view text, std::string_view characters, bool left, bool right) {
  const auto is_one = [&](std::string_view character) { return characters.find(character) != characters.npos; };
  while (left && !text.empty() && is_one(text.substr(0, first_code_point(text).bytes)))
    text.remove_prefix(first_code_point(text).bytes);
  while (right && !text.empty() && is_one(text.substr(last_character(text))))
    text = text.substr(0, last_character(text));
  return text;
}

/// The byte that a character begins at, text.size() past the end.
inline std::size_t byte_of(std::string_view text, std::size_t character, bool ascii) noexcept {
  if (ascii) return std::min(character, text.size());
  std::size_t at = 0;
  for (; character > 0 && at < text.size(); --character) at += first_code_point(text.substr(at)).bytes;
  return at;
}

/// Calls f with each character of a text.
template <class F>
void for_each_character(std::string_view text, F&& f) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = first_code_point(text.substr(at)).bytes;
    f(text.substr(at, bytes));
    at += bytes;
  }
}

inline std::string upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = first_code_point(text.substr(at));
    at += c.bytes;
    if (c.value == 0xDF) {
      out += "SS";
    } else {
      append_code_point(upper_case(c.value), out);
    }
  }
  return out;
}

inline std::string lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = first_code_point(text.substr(at));
    at += c.bytes;
    const auto [first, second] = lower_case(c.value);
    append_code_point(first, out);
    if (second != 0) append_code_point(second, out);
  }
  return out;
}

/// The first character in upper case, the others in lower case.
inline std::string capitalize(std::string_view text) {
  if (text.empty()) return {};
  const std::size_t first = first_code_point(text).bytes;
  return upper(text.substr(0, first)) + lower(text.substr(first));
}

inline bool is_cased(char32_t c) noexcept { return upper_case(c) != c || lower_case(c)[0] != c; }

/// str.title: every letter after what is none in upper case, the others in lower case.
inline std::string title(std::string_view text) {
  std::string out;
  bool inside = false;
  for_each_character(text, [&](std::string_view character) {
    out += inside ? lower(character) : upper(character);
    inside = is_cased(first_code_point(character).value);
  });
  return out;
}

/// The bytes of the line end that a text begins with, as str.splitlines knows them; 0 for all else.
inline std::size_t leading_line_end(std::string_view text) noexcept {
  if (text.starts_with("\r\n")) return 2;
  const char c = text[0];
  if ((c >= '\n' && c <= '\r') || (c >= '\x1C' && c <= '\x1E')) return 1;
  if (text.starts_with("\u0085")) return 2;
  return text.starts_with("\u2028") || text.starts_with("\u2029") ? 3 : 0;
}

inline std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = leading_line_end(text.substr(at));
    if (bytes != 0) {
      lines.push_back(text.substr(begin, at - begin + (keep_ends ? bytes : 0)));
      begin = at + bytes;
    }
    at += bytes != 0 ? bytes : 1;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

/// The words between white space, `most` cuts from the left.
inline std::vector<std::string_view> split_words(std::string_view text, std::int64_t most) {
  std::vector<std::string_view> words;
  text = strip(text, true, false);
  while (!text.empty()) {
    if (most == 0) {
      words.push_back(text);
      break;
    }
    std::size_t end = 0;
    while (end < text.size() && leading_white_space(text.substr(end)) == 0)
      end += first_code_point(text.substr(end)).bytes;
    words.push_back(text.substr(0, end));
    text = strip(text.substr(end), true, false);
    --most;
  }
  return words;
}

/// The same from the right.
inline std::vector<std::string_view> split_words_right(std::string_view text, std::int64_t most) {
  std::vector<std::string_view> words;
  text = strip(text, false, true);
  while (!text.empty()) {
    if (most == 0) {
      words.push_back(text);
      break;
    }
    std::size_t begin = text.size();
    while (begin > 0) {
      const std::size_t last = last_character(text.substr(0, begin));
      if (leading_white_space(text.substr(last)) != 0) break;
      begin = last;
    }
    words.push_back(text.substr(begin));
    text = strip(text.substr(0, begin), false, true);
    --most;
  }
  std::reverse(words.begin(), words.end());
  return words;
}

inline std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, std::int64_t most) {
  std::vector<std::string_view> parts;
  for (std::size_t found = text.find(separator); most != 0 && found != text.npos;
       found = text.find(separator), --most) {
    parts.push_back(text.substr(0, found));
    text.remove_prefix(found + separator.size());
  }
  parts.push_back(text);
  return parts;
}

inline std::vector<std::string_view> split_at_right(std::string_view text, std::string_view separator,
                                                    std::int64_t most) {
  std::vector<std::string_view> parts;
  for (; most != 0; --most) {
    const std::size_t found = text.rfind(separator);
    if (found == text.npos) break;
    parts.push_back(text.substr(found + separator.size()));
    text = text.substr(0, found);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

/// A string as Python writes it in code.
inline void append_quoted(std::string& out, std::string_view text) {
  const char quote = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  constexpr std::string_view digits = "0123456789abcdef";
  out += quote;
  for_each_character(text, [&](std::string_view character) {
    const char32_t c = first_code_point(character).value;
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      out += '\\';
      out += character;
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (is_printable(c)) {
      out += character;
    } else {
      const int length = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
      out += length == 2 ? "\\x" : length == 4 ? "\\u" : "\\U";
      for (int i = length - 1; i >= 0; --i) out += digits[c >> (4 * i) & 15u];
    }
  });
  out += quote;
}

/// A number as Python writes it: the fewest digits that read back as the same.
inline std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 32> buffer;
  const auto scientific =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<std::size_t>(scientific.ptr - buffer.data()));
  const std::size_t mark = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + mark + (text[mark + 1] == '+' ? 2 : 1), text.data() + text.size(), exponent);
  if (exponent < -4 || exponent >= 16) return std::string(text);
  std::array<char, 48> plain;
  const auto fixed = std::to_chars(plain.data(), plain.data() + plain.size(), value, std::chars_format::fixed);
  std::string out(plain.data(), fixed.ptr);
  if (out.find('.') == out.npos) out += ".0";
  return out;
}

/// Digits with single "_" between them, without these; nothing where they are placed otherwise.
inline std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  const auto digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || i + 1 == text.size() || !digit(text[i - 1]) || !digit(text[i + 1])) {
      return std::nullopt;
    }
  }
  return out;
}

/// What int(text, base) reads; nothing where that fails. `overflows` where the number is too large.
inline std::optional<std::int64_t> read_integer(std::string_view text, int base, bool& overflows) {
  overflows = false;
  text = strip(text);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.size() > 2 && text[0] == '0') {
    const char kind = static_cast<char>(text[1] | 0x20);
    const int stated = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    if (stated != 0 && (base == stated || base == 0)) {
      base = stated;
      text.remove_prefix(text[2] == '_' ? 3 : 2);
    }
  }
  if (base == 0) base = 10;
  const std::optional<std::string> digits = without_underscores(text);
  if (!digits || digits->empty() || digits->front() == '-') return std::nullopt;
  const std::string all = (negative ? "-" : "") + *digits;
  std::int64_t value = 0;
  const auto read = std::from_chars(all.data(), all.data() + all.size(), value, base);
  if (read.ptr != all.data() + all.size()) return std::nullopt;
  overflows = read.ec == std::errc::result_out_of_range;
  return read.ec == std::errc() ? std::optional(value) : std::nullopt;
}

/// What float(text) reads; nothing where that fails.
inline std::optional<double> read_number(std::string_view text) {
  text = strip(text);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const double sign = negative ? -1.0 : 1.0;
  const std::string word = lower(text);
  if (word == "inf" || word == "infinity") return sign * std::numeric_limits<double>::infinity();
  if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  const std::optional<std::string> digits = without_underscores(word);
  if (!digits || digits->find_first_not_of("0123456789.e+-") != std::string::npos || digits->starts_with('-'))
    return std::nullopt;
  double value = 0;
  const auto read = std::from_chars(digits->data(), digits->data() + digits->size(), value);
  if (read.ptr != digits->data() + digits->size() || read.ec == std::errc::invalid_argument) return std::nullopt;
  // Out of range: the exponent says to which side.
  if (read.ec != std::errc())
    value = digits->find("e-") != std::string::npos ? 0.0 : std::numeric_limits<double>::infinity();
  return sign * value;
}

/// Text for HTML, as the package MarkupSafe writes it.
inline std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '\'': out += "&#39;"; break;
      case '"': out += "&#34;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace weft::inline v0::detail::jinja
