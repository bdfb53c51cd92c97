#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

#include <weft/tokenizers/unicode.hpp>

namespace weft::inline v0 {

/// The patterns that most byte-level tokenizers cut text with, matched without a regular expression. Every character of
/// a text is in a match.
class WordPattern {
 public:
  /// GPT-2.
  static constexpr std::string_view gpt2 =
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  /// Llama 3.
  static constexpr std::string_view llama3 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)"
      R"(|\s+(?!\S)|\s+)";
  /// Qwen 2.
  static constexpr std::string_view qwen2 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)"
      R"(|\s+(?!\S)|\s+)";

  /// Nothing for a pattern that is none of these.
  static std::optional<WordPattern> find(std::string_view pattern) noexcept {
    if (pattern == gpt2) return WordPattern(0);
    if (pattern == llama3) return WordPattern(3);
    if (pattern == qwen2) return WordPattern(1);
    return std::nullopt;
  }

  /// Calls `visit(begin, end)` for every match in a well-formed UTF-8 text, from left to right.
  template <class Visit>
  void for_each_match(std::string_view text, Visit&& visit) const {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = digits_ == 0 ? gpt2_end(text, at) : llama3_end(text, at);
      visit(at, end);
      at = end;
    }
  }

 private:
  enum class Kind : unsigned char { space, line_end, letter, number, other };
  struct Character {
    Kind kind;
    std::size_t end;
  };

  explicit constexpr WordPattern(std::size_t digits) noexcept : digits_(digits) {}

  static constexpr std::array<Kind, 128> ascii_kinds() noexcept {
    std::array<Kind, 128> kinds{};
    for (std::size_t c = 0; c < kinds.size(); ++c) {
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      kinds[c] = letter                                     ? Kind::letter
                 : c >= '0' && c <= '9'                     ? Kind::number
                 : c == '\n' || c == '\r'                   ? Kind::line_end
                 : is_white_space(static_cast<char32_t>(c)) ? Kind::space
                                                            : Kind::other;
    }
    return kinds;
  }
  static Kind kind_beyond_ascii(char32_t c) noexcept {
    if (is_white_space(c)) return Kind::space;
    if (is_letter(c)) return Kind::letter;
    return is_number(c) ? Kind::number : Kind::other;
  }
  static Character character(std::string_view text, std::size_t at) noexcept {
    static constexpr std::array<Kind, 128> kinds = ascii_kinds();
    if (const auto byte = static_cast<unsigned char>(text[at]); byte < 0x80) return {kinds[byte], at + 1};
    const CodePoint c = first_code_point(text.substr(at));
    return {kind_beyond_ascii(c.value), at + c.bytes};
  }
  static bool is_space(Kind kind) noexcept { return kind <= Kind::line_end; }

  static std::size_t run_end(std::string_view text, std::size_t at, Kind kind) noexcept {
    while (at < text.size()) {
      const Character c = character(text, at);
      if (c.kind != kind) break;
      at = c.end;
    }
    return at;
  }
  static std::size_t line_ends(std::string_view text, std::size_t at) noexcept {
    while (at < text.size() && (text[at] == '\n' || text[at] == '\r')) ++at;
    return at;
  }

  /// Where 's, 't, 're, 've, 'm, 'll or 'd ends; `at` where there is none.
  static std::size_t contraction_end(std::string_view text, std::size_t at, bool any_case) noexcept {
    const auto letter = [&](std::size_t i) {
      const char c = i < text.size() ? text[i] : ' ';
      return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    };
    const char first = letter(at + 1);
    const char second = letter(at + 2);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
    if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l'))
      return at + 3;
    const bool long_s = any_case && text.substr(at + 1).starts_with("\u017F");  // a small s in any case
    return long_s ? at + 3 : at;
  }

  /// \s+(?!\S)|\s+ behind white space that ends at `end`: all but the last, unless the text ends or there is one alone.
  static std::size_t space_end(std::string_view text, std::size_t begin) noexcept {
    std::size_t last = begin;
    std::size_t end = begin;
    while (end < text.size()) {
      const Character c = character(text, end);
      if (!is_space(c.kind)) break;
      last = end;
      end = c.end;
    }
    return end == text.size() || last == begin ? end : last;
  }

  static std::size_t gpt2_end(std::string_view text, std::size_t at) noexcept {
    if (text[at] == '\'')
      if (const std::size_t end = contraction_end(text, at, false); end != at) return end;
    Character c = character(text, at);
    if (text[at] == ' ' && c.end < text.size()) c = character(text, c.end);
    return is_space(c.kind) ? space_end(text, at) : run_end(text, c.end, c.kind);
  }

  std::size_t llama3_end(std::string_view text, std::size_t at) const noexcept {
    if (text[at] == '\'')
      if (const std::size_t end = contraction_end(text, at, true); end != at) return end;
    const Character c = character(text, at);
    if (c.kind == Kind::letter) return run_end(text, c.end, Kind::letter);
    if (c.kind == Kind::number) return numbers_end(text, c.end);
    const Character next = c.end < text.size() ? character(text, c.end) : Character{Kind::space, c.end};
    if (next.kind == Kind::letter && c.kind != Kind::line_end) return run_end(text, next.end, Kind::letter);
    if (c.kind == Kind::other) return line_ends(text, run_end(text, c.end, Kind::other));
    if (text[at] == ' ' && next.kind == Kind::other) return line_ends(text, run_end(text, next.end, Kind::other));
    return lines_end(text, at);
  }

  std::size_t numbers_end(std::string_view text, std::size_t at) const noexcept {
    for (std::size_t count = 1; count < digits_ && at < text.size(); ++count) {
      const Character c = character(text, at);
      if (c.kind != Kind::number) break;
      at = c.end;
    }
    return at;
  }

  /// \s*[\r\n]+|\s+(?!\S)|\s+
  static std::size_t lines_end(std::string_view text, std::size_t at) noexcept {
    std::size_t line = at;
    for (std::size_t end = at; end < text.size();) {
      const Character c = character(text, end);
      if (!is_space(c.kind)) break;
      end = c.end;
      if (c.kind == Kind::line_end) line = end;
    }
    return line != at ? line : space_end(text, at);
  }

  std::size_t digits_;  // of a number that stand together; 0 for GPT-2
};

}  // namespace weft::inline v0
