#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/formats/utf8.hpp>
#include <weft/tokenizers/jinja/text.hpp>
#include <weft/tokenizers/unicode.hpp>

namespace weft::inline v0::detail::jinja {

struct Token {
  enum class Type : std::uint8_t {
    data,  // text outside of tags
    variable_begin,
    variable_end,
    block_begin,
    block_end,
    name,
    string,
    integer,
    number,
    symbol,  // an operator, a bracket, a comma
    end
  };
  Type type = Type::end;
  std::string text{};
  std::size_t line = 1;
  std::int64_t integer = 0;
  double number = 0;
};

/// Cuts a template into tokens as Jinja 3 does with trim_blocks and lstrip_blocks (jinja2/lexer.py). Throws FormatError
/// naming the template and the line.
class Lexer {
 public:
  Lexer(std::string_view source, std::string_view name) : name_(name) {
    if (!is_utf8(source)) raise<FormatError>(name_, ": the template is not UTF-8");
    text_ = with_newlines(source);
    if (text_.ends_with('\n')) text_.pop_back();
  }

  std::vector<Token> tokens() {
    while (at_ < text_.size()) root();
    add(Token::Type::end, {});
    return std::move(tokens_);
  }

 private:
  enum class Tag : std::uint8_t { none, comment, block, variable, raw };

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    raise<FormatError>(name_, ": line ", line_, ": ", parts...);
  }

  std::string_view rest() const noexcept { return std::string_view(text_).substr(at_); }
  void add(Token::Type type, std::string text) {
    tokens_.push_back({.type = type, .text = std::move(text), .line = line_});
  }
  void advance(std::size_t bytes) {
    line_ += static_cast<std::size_t>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                                 text_.begin() + static_cast<std::ptrdiff_t>(at_ + bytes), '\n'));
    at_ += bytes;
  }
  /// The bytes of the white space that begins at an offset.
  std::size_t spaces_at(std::size_t offset) const noexcept {
    std::size_t end = offset;
    while (const std::size_t bytes = leading_white_space(std::string_view(text_).substr(end))) end += bytes;
    return end - offset;
  }

  /// Where the "%}" ends that closes the tag "{% word" at `begin`; 0 where that is none. `sign` is what follows "{%".
  std::size_t end_of_word_tag(std::size_t begin, std::string_view word, bool plus, bool trims, char& sign) const {
    std::size_t at = begin + 2;
    sign = at < text_.size() && (text_[at] == '-' || text_[at] == '+') ? text_[at] : '\0';
    if (sign != '\0') ++at;
    at += spaces_at(at);
    if (!std::string_view(text_).substr(at).starts_with(word)) return 0;
    at += word.size();
    at += spaces_at(at);
    const std::string_view close = std::string_view(text_).substr(at);
    if (close.starts_with("-%}")) return at + 3 + spaces_at(at + 3);
    if (plus && close.starts_with("+%}")) return at + 3;
    if (!close.starts_with("%}")) return 0;
    return at + 2 + (trims && close.substr(2).starts_with('\n') ? 1 : 0);
  }

  /// Text up to the next tag, and the tag's beginning.
  void root() {
    std::size_t begin = at_;
    Tag tag = Tag::none;
    for (; begin + 1 < text_.size(); ++begin) {
      if (text_[begin] != '{') continue;
      const char kind = text_[begin + 1];
      tag = kind == '#' ? Tag::comment : kind == '%' ? Tag::block : kind == '{' ? Tag::variable : Tag::none;
      if (tag != Tag::none) break;
    }
    if (tag == Tag::none) begin = text_.size();
    char sign =
        begin + 2 < text_.size() && (text_[begin + 2] == '-' || text_[begin + 2] == '+') ? text_[begin + 2] : '\0';
    std::size_t end = std::min(begin + (sign == '\0' ? 2 : 3), text_.size());
    if (tag == Tag::block)
      if (const std::size_t raw = end_of_word_tag(begin, "raw", false, false, sign)) {
        tag = Tag::raw;
        end = raw;
      }
    data(begin, tag == Tag::none ? '+' : sign, tag != Tag::variable);
    advance(begin - at_);
    if (tag == Tag::block) add(Token::Type::block_begin, {});
    if (tag == Tag::variable) add(Token::Type::variable_begin, {});
    advance(end - at_);
    line_starting_ = at_ > 0 && text_[at_ - 1] == '\n';
    switch (tag) {
      case Tag::none: break;
      case Tag::comment: return comment();
      case Tag::raw: return raw();
      case Tag::block:
      case Tag::variable: return inside(tag == Tag::block);
    }
  }

  /// The text before a tag, with the white space taken off that the tag's sign says.
  void data(std::size_t end, char sign, bool may_strip_line) {
    std::string_view text = std::string_view(text_).substr(at_, end - at_);
    if (sign == '-') {
      text = strip(text, false, true);
    } else if (sign == '\0' && may_strip_line) {
      const std::size_t newline = text.rfind('\n');
      const std::size_t line = newline == text.npos ? 0 : newline + 1;
      if ((line > 0 || line_starting_) && strip(text.substr(line), true, false).empty()) text = text.substr(0, line);
    }
    if (!text.empty()) add(Token::Type::data, std::string(text));
  }

  void comment() {
    const std::size_t close = text_.find("#}", at_);
    if (close == text_.npos) fail("a comment has no end");
    const char sign = close > at_ ? text_[close - 1] : '\0';
    std::size_t end = close + 2;
    if (sign == '-') {
      end += spaces_at(end);
    } else if (sign != '+' && end < text_.size() && text_[end] == '\n') {
      ++end;
    }
    leave(end);
  }

  void raw() {
    for (std::size_t begin = text_.find("{%", at_); begin != text_.npos; begin = text_.find("{%", begin + 2)) {
      char sign = '\0';
      const std::size_t end = end_of_word_tag(begin, "endraw", true, true, sign);
      if (end == 0) continue;
      data(begin, sign, true);
      return leave(end);
    }
    fail("a raw block has no end");
  }

  void leave(std::size_t end) {
    advance(end - at_);
    line_starting_ = text_[at_ - 1] == '\n';
  }

  /// The tokens of a tag.
  void inside(bool block) {
    std::string open;  // the brackets that are to come
    for (;;) {
      if (open.empty() && ends(block)) return;
      advance(spaces_at(at_));
      if (open.empty() && ends(block)) return;
      if (at_ >= text_.size()) return;  // the parser misses the end
      const char c = text_[at_];
      if (c >= '0' && c <= '9') {
        number();
      } else if (c == '\'' || c == '"') {
        string();
      } else if (is_name(c)) {
        std::size_t end = at_;
        while (end < text_.size() && is_name(text_[end])) ++end;
        add(Token::Type::name, text_.substr(at_, end - at_));
        advance(end - at_);
      } else {
        symbol(open);
      }
    }
  }

  static bool is_name(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || byte >= 0x80;
  }

  bool ends(bool block) {
    const std::string_view close = block ? "%}" : "}}";
    const bool sign = rest().size() > 2 && rest().substr(1).starts_with(close);
    const bool minus = sign && text_[at_] == '-';
    const bool plus = sign && text_[at_] == '+' && block;
    if (!minus && !plus && !rest().starts_with(close)) return false;
    add(block ? Token::Type::block_end : Token::Type::variable_end, {});
    std::size_t end = at_ + close.size() + (minus || plus ? 1 : 0);
    if (minus) {
      end += spaces_at(end);
    } else if (!plus && block && end < text_.size() && text_[end] == '\n') {
      ++end;
    }
    leave(end);
    return true;
  }

  void symbol(std::string& open) {
    static constexpr std::string_view longer[] = {"//", "**", "==", "!=", ">=", "<="};
    std::size_t bytes = 1;
    for (const std::string_view two : longer)
      if (rest().starts_with(two)) bytes = 2;
    const char c = text_[at_];
    if (bytes == 1 && std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos) {
      const Utf8Character character = first_character(rest());
      fail("found the character \"", rest().substr(0, character.bytes), "\", which begins nothing");
    }
    if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c)
        fail("found \"", c, "\", expected ",
             open.empty() ? std::string("what it closes") : '"' + open.substr(open.size() - 1) + '"');
      open.pop_back();
    }
    add(Token::Type::symbol, text_.substr(at_, bytes));
    advance(bytes);
  }

  static bool is_digit(char c, int base) noexcept {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    const int value = lower >= '0' && lower <= '9' ? lower - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
    return value < base;
  }
  /// Appends digits that may have single "_" between them, from an offset on; returns where they end.
  std::size_t digits(std::size_t at, int base, std::string& out) const {
    while (at < text_.size()) {
      const bool separated = text_[at] == '_' && at + 1 < text_.size() && !out.empty();
      const std::size_t digit = separated ? at + 1 : at;
      if (!is_digit(text_[digit], base)) break;
      out += text_[digit];
      at = digit + 1;
    }
    return at;
  }

  void number() {
    std::string text;
    int base = 10;
    std::size_t at = at_;
    if (rest().size() > 2 && text_[at_] == '0') {
      const char kind = static_cast<char>(text_[at_ + 1] | 0x20);
      const int other = kind == 'b' ? 2 : kind == 'o' ? 8 : kind == 'x' ? 16 : 10;
      if (other != 10 && is_digit(text_[at_ + 2], other)) {
        base = other;
        at += 2;
      }
    }
    at = digits(at, base, text);
    bool whole = true;
    if (base == 10 && (at_ == 0 || text_[at_ - 1] != '.')) {
      std::string fraction, exponent;
      if (at < text_.size() && text_[at] == '.') {
        const std::size_t end = digits(at + 1, 10, fraction);
        if (!fraction.empty()) {
          at = end;
          text += "." + fraction;
          whole = false;
        }
      }
      if (at < text_.size() && (text_[at] | 0x20) == 'e') {
        const bool sign = at + 1 < text_.size() && (text_[at + 1] == '+' || text_[at + 1] == '-');
        const std::size_t end = digits(at + (sign ? 2 : 1), 10, exponent);
        if (!exponent.empty()) {
          text += sign && text_[at + 1] == '-' ? "e-" : "e";
          text += exponent;
          at = end;
          whole = false;
        }
      }
    }
    // A leading zero makes a number of its own.
    if (whole && base == 10 && text.size() > 1 && text[0] == '0') {
      text = "0";
      at = at_;
      while (at < text_.size() && text_[at] == '0') ++at;
    }
    Token token{
        .type = whole ? Token::Type::integer : Token::Type::number, .text = text_.substr(at_, at - at_), .line = line_};
    const char* last = text.data() + text.size();
    const std::from_chars_result read = whole ? std::from_chars(text.data(), last, token.integer, base)
                                              : std::from_chars(text.data(), last, token.number);
    if (read.ec != std::errc()) fail("the number ", token.text, " is out of range");
    tokens_.push_back(std::move(token));
    advance(at - at_);
  }

  void string() {
    const char quote = text_[at_];
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) fail("found a string without end");
    std::string out;
    for (std::size_t i = at_ + 1; i < end; ++i) {
      if (text_[i] == '\\') {
        i = escape(i + 1, end, out);
      } else {
        out += text_[i];
      }
    }
    add(Token::Type::string, std::move(out));
    advance(end + 1 - at_);
  }

  /// Appends what the escape stands for whose "\" is before `at`; returns its last byte.
  std::size_t escape(std::size_t at, std::size_t end, std::string& out) const {
    const char c = text_[at];
    constexpr std::string_view plain = "\\'\"abfnrtv";
    constexpr std::string_view meant = "\\'\"\a\b\f\n\r\t\v";
    if (c == '\n') return at;
    if (const std::size_t found = plain.find(c); found != plain.npos) {
      out += meant[found];
      return at;
    }
    int base = 16;
    std::size_t length = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    std::size_t begin = at + 1;
    if (c >= '0' && c <= '7') {
      base = 8;
      begin = at;
      while (length < 3 && begin + length < end && is_digit(text_[begin + length], 8)) ++length;
    } else if (length == 0) {
      if (c == 'N') fail("escapes by the name of a character (\\N{...}) are not supported");
      out += '\\';
      out += c;
      return at;
    }
    std::uint32_t code = 0;
    const char* first = text_.data() + begin;
    const char* last = text_.data() + std::min(begin + length, end);
    const auto read = std::from_chars(first, last, code, base);
    if (read.ec != std::errc() || read.ptr != first + length || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
      fail("the escape \\", c, " in a string names no character");
    append_code_point(code, out);
    return begin + length - 1;
  }

  std::string name_;
  std::string text_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace weft::inline v0::detail::jinja
