#pragma once

#include <array>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include <weft/core/error.hpp>
#include <weft/tokenizers/unicode_tables.hpp>

namespace weft::inline v0 {

namespace detail {

/// Rewrites a pattern of Oniguruma (Ruby's syntax, which the tokenizers library reads) into one of PCRE2 that means the
/// same. They differ in the classes \s \w \h, long names of properties, \uHHHH, {,n} and sets inside sets. Categories
/// hold the characters of Unicode 16 even where PCRE2 is older, but for \P{Name} in a set.
class RegexTranslator {
 public:
  RegexTranslator(std::string_view pattern, std::string_view where) : rest_(pattern), where_(where) {}

  std::string translate() {
    while (!rest_.empty()) {
      const char c = rest_[0];
      if (c == '\\') {
        escape(false);
      } else if (c == '[') {
        set();
      } else if (rest_.starts_with("{,")) {
        take(2);
        out_ += "{0,";
      } else {
        out_ += take(1);
      }
    }
    return std::move(out_);
  }

 private:
  // White_Space, and every character that is not.
  static constexpr std::string_view spaces =
      "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}";
  static constexpr std::string_view no_spaces =
      "\\x{0}-\\x{8}\\x{E}-\\x{1F}!-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}\\x{200B}-\\x{2027}"
      "\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{10FFFF}";
  // Oniguruma counts the numbers of Latin-1 among the characters of words.
  static constexpr std::string_view word = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}";

  std::string_view take(std::size_t bytes) {
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  void escape(bool inside_set) {
    if (rest_.size() < 2) raise<FormatError>(where_, ": the pattern ends in a backslash");
    const char kind = rest_[1];
    if (kind == 'p' || kind == 'P') return property(inside_set);
    if (kind == 'u' && rest_.size() >= 6) {
      take(2);
      out_.append("\\x{").append(take(4)).append("}");
      return;
    }
    take(2);
    switch (kind) {
      case 's': return put_class(spaces, "[", inside_set);
      case 'S': return inside_set ? void(out_ += no_spaces) : put_class(spaces, "[^", false);
      case 'w': return put_class(word_class(), "[", inside_set);
      case 'h': return put_class("0-9A-Fa-f", "[", inside_set);
      case 'W':
      case 'H':
        if (inside_set) raise<UnsupportedError>(where_, ": \\", kind, " inside a set is not supported");
        return put_class(kind == 'W' ? word_class() : "0-9A-Fa-f", "[^", false);
      default: out_.append("\\").append(1, kind);
    }
  }
  void put_class(std::string_view characters, std::string_view open, bool inside_set) {
    if (inside_set) {
      out_ += characters;
    } else {
      out_.append(open).append(characters).append("]");
    }
  }

  /// \p{Name}, \p{^Name}, \P{Name}: long names of general categories become the short ones.
  void property(bool inside_set) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 18> names{{{"letter", "L"},
                                                                                   {"uppercaseletter", "Lu"},
                                                                                   {"lowercaseletter", "Ll"},
                                                                                   {"titlecaseletter", "Lt"},
                                                                                   {"modifierletter", "Lm"},
                                                                                   {"otherletter", "Lo"},
                                                                                   {"mark", "M"},
                                                                                   {"nonspacingmark", "Mn"},
                                                                                   {"number", "N"},
                                                                                   {"decimalnumber", "Nd"},
                                                                                   {"letternumber", "Nl"},
                                                                                   {"othernumber", "No"},
                                                                                   {"punctuation", "P"},
                                                                                   {"punct", "P"},
                                                                                   {"symbol", "S"},
                                                                                   {"separator", "Z"},
                                                                                   {"control", "Cc"},
                                                                                   {"other", "C"}}};
    const std::string_view escape = take(2);
    const std::size_t close = rest_.find('}');
    if (!rest_.starts_with('{') || close == rest_.npos) return void(out_ += escape);
    std::string_view name = take(close + 1).substr(1, close - 1);
    bool negated = escape == "\\P";
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    std::string plain;
    for (const char c : name)
      if (c != '_' && c != ' ' && c != '-') plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    for (const auto& [long_name, short_name] : names)
      if (plain == long_name) name = short_name;
    const std::string members = "\\p{" + std::string(name) + "}" + later_members(name);
    if (!negated) return put_class(members, "[", inside_set);
    if (inside_set) return void(out_.append("\\P{").append(name).append("}"));
    put_class(members, "[^", false);
  }

  /// The characters of a general category that Unicode 14 does not have.
  static std::string later_members(std::string_view category) {
    std::string out;
    std::array<char, 32> spelled{};
    for (const CategoryRange& later : later_categories) {
      if (category.empty() || category.size() > 2 || !later.category.starts_with(category)) continue;
      const auto [first, last] = later.range;
      std::snprintf(spelled.data(), spelled.size(), "\\x{%X}-\\x{%X}", static_cast<unsigned>(first),
                    static_cast<unsigned>(last));
      out += spelled.data();
    }
    return out;
  }
  static std::string word_class() {
    return std::string(word) + later_members("L") + later_members("M") + later_members("Nd");
  }

  void set() {
    out_ += take(1);
    if (rest_.starts_with('^')) out_ += take(1);
    set_members();
    out_ += ']';
  }

  /// The members of a set and its closing bracket. Those of a set inside it are members too.
  void set_members() {
    if (rest_.starts_with(']')) {
      take(1);
      out_ += "\\]";
    }
    while (!rest_.starts_with(']')) {
      if (rest_.empty()) raise<FormatError>(where_, ": the pattern has a [ without its ]");
      if (rest_.starts_with("&&")) raise<UnsupportedError>(where_, ": && in a set is not supported");
      if (rest_[0] == '\\') {
        escape(true);
      } else if (rest_.starts_with("[:")) {
        const std::size_t close = rest_.find(":]");
        if (close == rest_.npos) raise<FormatError>(where_, ": the pattern has a [: without its :]");
        out_ += take(close + 2);
      } else if (rest_[0] == '[') {
        if (rest_.starts_with("[^")) raise<UnsupportedError>(where_, ": [^ inside a set is not supported");
        if (++depth_ > 64) raise<FormatError>(where_, ": the pattern nests too many sets");
        take(1);
        set_members();
        --depth_;
      } else {
        out_ += take(1);
      }
    }
    take(1);
  }

  std::string_view rest_;
  std::string_view where_;
  std::string out_;
  int depth_ = 0;
};

}  // namespace detail

}  // namespace weft::inline v0
