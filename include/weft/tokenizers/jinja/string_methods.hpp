#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/tokenizers/jinja/access.hpp>
#include <weft/tokenizers/jinja/field_format.hpp>
#include <weft/tokenizers/jinja/operators.hpp>
#include <weft/tokenizers/jinja/run.hpp>
#include <weft/tokenizers/jinja/text.hpp>
#include <weft/tokenizers/jinja/value.hpp>
#include <weft/tokenizers/unicode.hpp>

// The methods of Python's str.
namespace weft::inline v0::detail::jinja {

inline const std::string& expect_string(Run& run, const Value& value, std::string_view what) {
  if (value.is(Kind::undefined)) run.fail_undefined(value);
  if (!value.is_string()) run.fail(what, " must be a string, found ", type_name(value));
  return value.characters();
}
inline std::int64_t expect_integer(Run& run, const Value& value, std::string_view what) {
  if (value.is(Kind::undefined)) run.fail_undefined(value);
  if (!value.is_integral()) run.fail(what, " must be an integer, found ", type_name(value));
  return value.integer();
}

inline Value list_of_strings(Run& run, const std::vector<std::string_view>& parts, bool markup) {
  run.take_values(parts.size());
  std::vector<Value> items;
  for (const std::string_view part : parts) items.push_back(run.string(part, markup));
  return run.list(std::move(items));
}

/// text.replace(old, new, count); a negative count is all.
inline std::string replace_text(Run& run, std::string_view text, std::string_view old, std::string_view fresh,
                                std::int64_t count) {
  step_search(run, text, old);
  std::string out;
  const auto append = [&](std::string_view part) {
    run.take(part.size());
    out += part;
  };
  if (old.empty()) {
    for (std::size_t at = 0;; --count) {
      if (count != 0) append(fresh);
      if (at == text.size()) break;
      const std::size_t bytes = count == 0 ? text.size() - at : first_code_point(text.substr(at)).bytes;
      append(text.substr(at, bytes));
      at += bytes;
      if (count == 0) break;
    }
    return out;
  }
  for (std::size_t found = text.find(old); count != 0 && found != text.npos; found = text.find(old), --count) {
    append(text.substr(0, found));
    append(fresh);
    text.remove_prefix(found + old.size());
    run.step();
  }
  append(text);
  return out;
}

inline std::string join_values(Run& run, std::string_view separator, const std::vector<Value>& items,
                               bool only_strings) {
  std::string out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (only_strings && !items[i].is_string())
      run.fail("join() takes strings, found ", type_name(items[i]), " at position ", i);
    const std::string text = to_text(run, items[i]);
    run.take(separator.size() + text.size());
    if (i > 0) out += separator;
    out += text;
  }
  return out;
}

/// The part of a string that optional bounds leave, and the position it begins at.
inline std::pair<std::string_view, std::size_t> bounded(Run& run, const Value& self, const Bound& given,
                                                        std::size_t first) {
  const SliceRange range = slice_range(run, given.value_or(first, Value::none()),
                                       given.value_or(first + 1, Value::none()), Value::none(), length_of(run, self));
  const std::string_view text = self.characters();
  run.step(text.size() / 256);
  const auto begin = static_cast<std::size_t>(range.begin);
  const std::string_view rest = text.substr(byte_of(text, begin, self.text()->ascii));
  return {rest.substr(0, byte_of(rest, static_cast<std::size_t>(range.count), self.text()->ascii)), begin};
}

inline Value find_in_string(Run& run, const Value& self, std::string_view name, const Arguments& arguments) {
  const Bound given(run, name, arguments, "sub start end", 1);
  const std::string& wanted = expect_string(run, given[0], "what to look for");
  const auto [text, begin] = bounded(run, self, given, 1);
  step_search(run, text, wanted);
  const bool past = given.given(1) && given[1].integer() > static_cast<std::int64_t>(length_of(run, self));
  if (name == "count") {
    if (past) return Value::integer(0);
    if (wanted.empty()) return Value::integer(static_cast<std::int64_t>(count_characters(text)) + 1);
    std::int64_t count = 0;
    for (std::size_t at = text.find(wanted); at != text.npos; at = text.find(wanted, at + wanted.size())) ++count;
    return Value::integer(count);
  }
  const std::size_t found = past ? text.npos : name[0] == 'r' ? text.rfind(wanted) : text.find(wanted);
  if (found != text.npos)
    return Value::integer(static_cast<std::int64_t>(begin + count_characters(text.substr(0, found))));
  if (name.ends_with("index")) run.fail(name, "(): the string is not found");
  return Value::integer(-1);
}

inline Value starts_or_ends(Run& run, const Value& self, std::string_view name, const Arguments& arguments) {
  const Bound given(run, name, arguments, "prefix start end", 1);
  const std::string_view text = bounded(run, self, given, 1).first;
  const bool past = given.given(1) && given[1].integer() > static_cast<std::int64_t>(length_of(run, self));
  const std::vector<Value> wanted = given[0].is(Kind::tuple) ? given[0].items() : std::vector<Value>(1, given[0]);
  for (const Value& one : wanted) {
    const std::string& affix = expect_string(run, one, concat("the argument of ", name, "()"));
    run.step(1 + affix.size() / 256);
    if (!past && (name == "startswith" ? text.starts_with(affix) : text.ends_with(affix))) return Value::boolean(true);
  }
  return Value::boolean(false);
}

inline Value split_string(Run& run, const Value& self, bool right, const Arguments& arguments) {
  const Bound given(run, right ? "rsplit" : "split", arguments, "sep maxsplit");
  const std::int64_t most = given.has(1) ? expect_integer(run, given[1], "maxsplit") : -1;
  const std::int64_t cuts = most < 0 ? std::numeric_limits<std::int64_t>::max() : most;
  const std::string& text = self.characters();
  // No text has more parts than this, which bounds the memory that they take.
  const auto take_parts = [&](std::size_t shortest) { run.take(text.size() / shortest * sizeof(std::string_view)); };
  if (!given.given(0)) take_parts(2);
  if (!given.given(0))
    return list_of_strings(run, right ? split_words_right(text, cuts) : split_words(text, cuts), self.text()->markup);
  const std::string& separator = expect_string(run, given[0], "the separator");
  if (separator.empty()) run.fail("the separator of split() is empty");
  step_search(run, text, separator);
  take_parts(separator.size());
  return list_of_strings(run, right ? split_at_right(text, separator, cuts) : split_at(text, separator, cuts),
                         self.text()->markup);
}

inline Value strip_string(Run& run, const Value& self, std::string_view name, const Arguments& arguments) {
  const Bound given(run, name, arguments, "chars");
  const bool left = name != "rstrip", right = name != "lstrip";
  const std::string& text = self.characters();
  run.step(text.size() / 256);
  if (!given.given(0)) return run.string(strip(text, left, right), self.text()->markup);
  const std::string& characters = expect_string(run, given[0], "the characters to strip");
  step_search(run, text, characters);
  return run.string(strip(text, characters, left, right), self.text()->markup);
}

inline Value partition_string(Run& run, const Value& self, bool right, const Arguments& arguments) {
  const Bound given(run, "partition", arguments, "sep", 1);
  const std::string& separator = expect_string(run, given[0], "the separator");
  if (separator.empty()) run.fail("the separator of partition() is empty");
  const std::string_view text = self.characters();
  step_search(run, text, separator);
  const std::size_t found = right ? text.rfind(separator) : text.find(separator);
  std::vector<std::string_view> parts{text.substr(0, found), separator};
  if (found == text.npos) {
    parts = right ? std::vector<std::string_view>{"", "", text} : std::vector<std::string_view>{text, "", ""};
  } else {
    parts.push_back(text.substr(found + separator.size()));
  }
  std::vector<Value> items;
  for (const std::string_view part : parts) items.push_back(run.string(part, self.text()->markup));
  return run.tuple(std::move(items));
}

inline Value pad_string(Run& run, const Value& self, std::string_view name, const Arguments& arguments) {
  const bool zeros = name == "zfill";
  const Bound given(run, name, arguments, zeros ? "width" : "width fillchar", 1);
  const std::int64_t width = expect_integer(run, given[0], "the width");
  const std::string fill = zeros ? "0" : given.has(1) ? expect_string(run, given[1], "the fill character") : " ";
  if (count_characters(fill) != 1) run.fail(name, "(): the fill character must be one character");
  const auto size = static_cast<std::int64_t>(length_of(run, self));
  if (width <= size) return self;
  const std::int64_t total = width - size;
  run.take(std::min<std::size_t>(static_cast<std::size_t>(total), run.limits().bytes) * fill.size());
  std::int64_t left = name == "ljust" ? 0 : total;
  if (name == "center") left = total / 2 + (total & width & 1);
  std::string before, after;
  for (std::int64_t i = 0; i < total; ++i) (i < left ? before : after) += fill;
  const std::string& text = self.characters();
  if (zeros && (text.starts_with('+') || text.starts_with('-')))
    return run.string(text.substr(0, 1) + before + text.substr(1), self.text()->markup);
  return run.string(before + text + after, self.text()->markup);
}

/// str.isalpha and its like: whether there are characters, and all are of that class.
inline bool all_characters_are(std::string_view text, std::string_view name) {
  if (name == "isascii") return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
  if (text.empty()) return name == "isprintable";
  bool all = true, cased = false, after_cased = false;
  for_each_character(text, [&](std::string_view character) {
    const char32_t c = first_code_point(character).value;
    const bool is_upper = lower_case(c)[0] != c, is_lower = !is_upper && upper_case(c) != c;
    const bool decimal = c >= '0' && c <= '9';
    if (name == "isalpha") all = all && is_letter(c);
    if (name == "isdigit" || name == "isdecimal") all = all && (decimal || (c >= 0x80 && is_number(c)));
    if (name == "isnumeric") all = all && is_number(c);
    if (name == "isalnum") all = all && (is_letter(c) || is_number(c));
    if (name == "isspace") all = all && leading_white_space(character) != 0;
    if (name == "isprintable") all = all && is_printable(c);
    if (name == "islower") all = all && !is_upper;
    if (name == "isupper") all = all && !is_lower;
    if (name == "isidentifier") all = all && is_word_character(c) && (character.data() != text.data() || !decimal);
    if (name == "istitle") all = all && (after_cased ? !is_upper : !is_lower);
    after_cased = is_upper || is_lower;
    cased = cased || after_cased;
  });
  const bool needs_cased = name == "islower" || name == "isupper" || name == "istitle";
  return all && (cased || !needs_cased);
}

inline Value format_string(Run& run, const Value& self, std::string_view name, const Arguments& arguments) {
  if (name == "format")
    return run.string(FieldFormatter(run, arguments).format(self.characters()), self.text()->markup);
  const Bound given(run, name, arguments, "mapping", 1);
  if (!given[0].is(Kind::dict)) run.fail("format_map() takes a dict, found ", type_name(given[0]));
  Arguments named;
  for (const auto& [key, value] : given[0].dict().entries)
    if (key.is_string()) named.named.emplace_back(key.characters(), value);
  return run.string(FieldFormatter(run, named).format(self.characters()), self.text()->markup);
}

/// self.name(arguments) of a string.
inline Value call_string_method(Run& run, const Value& self, std::string_view name, const Arguments& arguments) {
  const std::string& text = self.characters();
  const bool markup = self.text()->markup;
  const auto none = [&] { Bound(run, name, arguments, ""); };
  run.step(1 + text.size() / 64);
  if (name == "strip" || name == "lstrip" || name == "rstrip") return strip_string(run, self, name, arguments);
  if (name == "split" || name == "rsplit") return split_string(run, self, name == "rsplit", arguments);
  if (name == "startswith" || name == "endswith") return starts_or_ends(run, self, name, arguments);
  if (name == "replace") {
    const Bound given(run, name, arguments, "old new count", 2);
    const std::int64_t count = given.has(2) ? expect_integer(run, given[2], "the count") : -1;
    return run.string(replace_text(run, text, expect_string(run, given[0], "what to replace"),
                                   expect_string(run, given[1], "the replacement"), count),
                      markup);
  }
  if (name == "find" || name == "rfind" || name == "index" || name == "rindex" || name == "count")
    return find_in_string(run, self, name, arguments);
  if (name == "join") {
    const Bound given(run, name, arguments, "iterable", 1);
    return run.string(join_values(run, text, elements_of(run, given[0]), true), markup);
  }
  if (name == "format" || name == "format_map") return format_string(run, self, name, arguments);
  if (name == "partition" || name == "rpartition") return partition_string(run, self, name[0] == 'r', arguments);
  if (name == "removeprefix" || name == "removesuffix") {
    const Bound given(run, name, arguments, "affix", 1);
    const std::string& affix = expect_string(run, given[0], "the argument");
    const bool prefix = name == "removeprefix";
    if (!(prefix ? text.starts_with(affix) : text.ends_with(affix))) return self;
    const std::string_view rest = std::string_view(text).substr(prefix ? affix.size() : 0, text.size() - affix.size());
    return run.string(rest, markup);
  }
  if (name == "splitlines") {
    const Bound given(run, name, arguments, "keepends");
    run.take(text.size() * sizeof(std::string_view));
    return list_of_strings(run, split_lines(text, given.has(0) && truth(given[0])), markup);
  }
  if (name == "center" || name == "ljust" || name == "rjust" || name == "zfill")
    return pad_string(run, self, name, arguments);
  none();
  if (name == "upper") return run.string(upper(text), markup);
  if (name == "lower" || name == "casefold") return run.string(lower(text), markup);
  if (name == "title") return run.string(title(text), markup);
  if (name == "capitalize") return run.string(capitalize(text), markup);
  if (name == "swapcase") {
    std::string out;
    for_each_character(text, [&](std::string_view c) { out += lower(c) != c ? lower(c) : upper(c); });
    return run.string(std::move(out), markup);
  }
  if (name.starts_with("is")) return Value::boolean(all_characters_are(text, name));
  run.fail("the method ", name, "() of strings is not supported");
}

}  // namespace weft::inline v0::detail::jinja
