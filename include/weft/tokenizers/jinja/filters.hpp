#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/tokenizers/jinja/access.hpp>
#include <weft/tokenizers/jinja/arithmetic.hpp>
#include <weft/tokenizers/jinja/format.hpp>
#include <weft/tokenizers/jinja/json_dump.hpp>
#include <weft/tokenizers/jinja/methods.hpp>
#include <weft/tokenizers/jinja/operators.hpp>
#include <weft/tokenizers/jinja/run.hpp>
#include <weft/tokenizers/jinja/sequence_filters.hpp>
#include <weft/tokenizers/jinja/text.hpp>
#include <weft/tokenizers/jinja/value.hpp>
#include <weft/tokenizers/unicode.hpp>

// The filters of Jinja (jinja2/filters.py), without autoescaping.
namespace weft::inline v0::detail::jinja {

inline Value filter_int(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "int", arguments, "default base");
  const Value fallback = given.value_or(0, Value::integer(0));
  std::optional<double> number;
  if (value.is(Kind::undefined)) run.fail_undefined(value);
  if (value.is_integral()) return Value::integer(value.integer());
  if (value.is(Kind::number)) {
    if (std::isinf(value.number())) run.fail("int: infinity is no integer");
    number = value.number();
  } else if (value.is_string()) {
    const std::int64_t base = given.has(1) ? expect_integer(run, given[1], "the base") : 10;
    if (base != 0 && (base < 2 || base > 36)) return fallback;
    bool overflows = false;
    if (const auto read = read_integer(value.characters(), static_cast<int>(base), overflows))
      return Value::integer(*read);
    if (overflows) fail_overflow(run, "int");
    number = read_number(value.characters());
  }
  if (!number || std::isnan(*number) || std::isinf(*number)) return fallback;
  if (!(std::abs(*number) < 9.2e18)) fail_overflow(run, "int");
  return Value::integer(static_cast<std::int64_t>(*number));
}

inline Value filter_float(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "float", arguments, "default");
  if (value.is(Kind::undefined)) run.fail_undefined(value);
  if (value.is_numeric()) return Value::number(value.number());
  const auto number = value.is_string() ? read_number(value.characters()) : std::nullopt;
  return number ? Value::number(*number) : given.value_or(0, Value::number(0.0));
}

/// The nearest number with so many decimals, of two the one whose last digit is even, decided exactly.
inline double round_decimals(double value, int decimals) {
  if (!std::isfinite(value) || decimals > 300) return value;
  if (decimals < 0) {
    const double unit = std::pow(10.0, -decimals);
    return std::isinf(unit) ? std::copysign(0.0, value) : std::nearbyint(value / unit) * unit;
  }
  std::array<char, 700> buffer;
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed, decimals).ptr;
  double rounded = value;
  std::from_chars(buffer.data(), end, rounded);
  return rounded;
}

inline Value filter_round(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "round", arguments, "precision method");
  const std::string method = given.has(1) ? expect_string(run, given[1], "the method of round") : "common";
  if (method != "common" && method != "ceil" && method != "floor")
    run.fail("round: the method must be common, ceil or floor, found \"", method, "\"");
  const std::int64_t precision = given.has(0) ? expect_integer(run, given[0], "the precision of round") : 0;
  if (precision < -300 || precision > 300) run.fail("round: the precision ", precision, " is out of range");
  if (value.is(Kind::undefined)) run.fail_undefined(value);
  if (!value.is_numeric()) run.fail("round takes a number, found ", type_name(value));
  const int decimals = static_cast<int>(precision);
  if (method == "common") {
    if (value.is(Kind::number)) return Value::number(round_decimals(value.number(), decimals));
    if (decimals >= 0) return Value::integer(value.integer());
    const double rounded = round_decimals(value.number(), decimals);
    if (!(std::abs(rounded) < 9.2e18)) fail_overflow(run, "round");
    return Value::integer(static_cast<std::int64_t>(rounded));
  }
  const double unit = std::pow(10.0, decimals);
  const double scaled = value.number() * unit;
  if (!std::isfinite(scaled)) run.fail("round: ", number_text(scaled), " cannot be rounded");
  return Value::number((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
}

inline Value filter_abs(Run& run, const Value& value) {
  if (value.is(Kind::number)) return Value::number(std::abs(value.number()));
  if (value.is(Kind::undefined)) run.fail_undefined(value);
  if (!value.is_integral()) run.fail("abs takes a number, found ", type_name(value));
  return value.integer() < 0 ? negate(run, value) : Value::integer(value.integer());
}

/// Words after white space and after - ( { [ < begin with upper case.
inline std::string title_words(std::string_view text) {
  std::string out;
  bool begins = true;
  for_each_character(text, [&](std::string_view c) {
    const bool separates = leading_white_space(c) != 0 || std::string_view("-({[<").find(c) != std::string_view::npos;
    out += separates ? std::string(c) : begins ? upper(c) : lower(c);
    begins = separates;
  });
  return out;
}

inline Value filter_indent(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "indent", arguments, "width first blank");
  std::string indent(4, ' ');
  if (given.has(0) && given[0].is_string()) {
    indent = given[0].characters();
  } else if (given.has(0)) {
    const std::int64_t width = expect_integer(run, given[0], "the width of indent");
    if (width > 10000) run.fail("indent: ", width, " spaces");
    indent.assign(width > 0 ? static_cast<std::size_t>(width) : 0, ' ');
  }
  const bool first = given.has(1) && truth(given[1]), blank = given.has(2) && truth(given[2]);
  const std::string text = expect_string(run, value, "what to indent") + "\n";
  run.take(text.size() * sizeof(std::string_view));
  std::string out;
  const std::vector<std::string_view> lines = split_lines(text, false);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    run.take(indent.size() + lines[i].size() + 1);
    if (i > 0) out += '\n';
    if (i == 0 ? first : blank || !lines[i].empty()) out += indent;
    out += lines[i];
  }
  return run.string(std::move(out), value.text()->markup);
}

inline Value filter_truncate(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "truncate", arguments, "length killwords end leeway");
  const std::int64_t length = given.has(0) ? expect_integer(run, given[0], "the length") : 255;
  const std::string end = given.has(2) ? expect_string(run, given[2], "the end") : "...";
  const std::int64_t leeway = given.given(3) ? expect_integer(run, given[3], "the leeway") : 5;
  const auto tail = static_cast<std::int64_t>(count_characters(end));
  if (length < tail || leeway < 0) run.fail("truncate: the length ", length, " is too short");
  if (static_cast<std::int64_t>(length_of(run, value)) - leeway <= length) return value;
  const std::string& text = expect_string(run, value, "what to truncate");
  std::string_view kept =
      std::string_view(text).substr(0, byte_of(text, static_cast<std::size_t>(length - tail), false));
  const std::size_t space = kept.rfind(' ');
  if (!(given.has(1) && truth(given[1])) && space != kept.npos) kept = kept.substr(0, space);
  return run.string(std::string(kept) + end, value.text()->markup);
}

/// Bytes that may stand in a URL, and "%XX" for the others; a slash may, but not within a query.
inline std::string url_quoted(std::string_view text, bool query) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("_.-~").find(c) != std::string_view::npos || (c == '/' && !query);
    if (plain) {
      out += c;
    } else if (query && c == ' ') {
      out += '+';
    } else {
      out += '%';
      out += digits[byte >> 4];
      out += digits[byte & 15u];
    }
  }
  return out;
}

inline Value filter_urlencode(Run& run, const Value& value) {
  if (value.is_string() || !is_iterable(value)) return run.string(url_quoted(to_text(run, value), false));
  std::string out;
  const Value items = value.is(Kind::dict) ? view_of(run, value.dict(), "items") : value;
  for (const Value& item : elements_of(run, items)) {
    const std::vector<Value> pair = elements_of(run, item);
    if (pair.size() != 2) run.fail("urlencode takes pairs, found ", pair.size(), " values");
    out += (out.empty() ? "" : "&") + url_quoted(to_text(run, pair[0]), true) + "=" +
           url_quoted(to_text(run, pair[1]), true);
  }
  return run.string(std::move(out));
}

inline Value filter_wordcount(Run& run, const Value& value) {
  std::int64_t count = 0;
  bool inside = false;
  for_each_character(to_text(run, value), [&](std::string_view c) {
    const bool word = is_word_character(first_code_point(c).value);
    count += word && !inside ? 1 : 0;
    inside = word;
  });
  return Value::integer(count);
}

inline Value filter_items(Run& run, const Value& value) {
  if (value.is(Kind::undefined)) return run.iterator({});
  if (!value.is(Kind::dict)) run.fail("items takes a dict, found ", type_name(value));
  return run.iterator(view_of(run, value.dict(), "items").items());
}

inline Value filter_default(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "default", arguments, "default_value boolean");
  const bool falls_back = value.is(Kind::undefined) || (given.has(1) && truth(given[1]) && !truth(value));
  return falls_back ? given.value_or(0, run.string("")) : value;
}

inline Value filter_replace(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "replace", arguments, "old new count", 2);
  const std::int64_t count = given.given(2) ? expect_integer(run, given[2], "the count") : -1;
  return run.string(replace_text(run, to_text(run, value), to_text(run, given[0]), to_text(run, given[1]), count));
}

/// Filters whose arguments are those of a method of the string that the value is, or becomes.
inline Value filter_as_method(Run& run, std::string_view name, const Value& value, const Arguments& arguments) {
  const Value text = to_string(run, value);
  if (name == "title") {
    const Bound none(run, name, arguments, "");
    return run.string(title_words(text.characters()));
  }
  if (name == "center") {
    const Bound given(run, name, arguments, "width");
    return pad_string(run, text, name, {.positional = {given.value_or(0, Value::integer(80))}, .named = {}});
  }
  return call_string_method(run, text, name == "trim" ? "strip" : name, arguments);
}

inline Value filter_format(Run& run, const Value& value, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty())
    run.fail("format takes arguments by position or by name, found both");
  if (arguments.named.empty()) return format_percent(run, to_string(run, value), run.tuple(arguments.positional));
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [name, argument] : arguments.named) entries.emplace_back(run.string(name), argument);
  return format_percent(run, to_string(run, value), make_dict(run, std::move(entries)));
}

/// Filters without arguments.
inline Value filter_plain(Run& run, std::string_view name, const Value& value, const Arguments& arguments) {
  const Bound none(run, name, arguments, "");
  if (name == "length" || name == "count") return Value::integer(static_cast<std::int64_t>(length_of(run, value)));
  if (name == "list") return run.list(elements_of(run, value));
  if (name == "string") return to_string(run, value);
  if (name == "safe") return run.string(to_text(run, value), true);
  if (name == "first") return filter_first(run, value);
  if (name == "last") return filter_last(run, value);
  if (name == "reverse") return filter_reverse(run, value);
  if (name == "abs") return filter_abs(run, value);
  if (name == "items") return filter_items(run, value);
  if (name == "urlencode") return filter_urlencode(run, value);
  if (name == "wordcount") return filter_wordcount(run, value);
  // escape, e, forceescape
  if (value.is_string() && value.text()->markup && name != "forceescape") return value;
  const std::string text = to_text(run, value);
  run.take(6 * text.size());
  return run.string(escape_html(text), true);
}

enum class FilterGroup : std::uint8_t { plain, as_method, select, own, unsupported };

struct FilterName {
  std::string_view name;
  FilterGroup group;
};

inline constexpr auto filter_names = std::to_array<FilterName>({
    {"abs", FilterGroup::plain},
    {"attr", FilterGroup::own},
    {"batch", FilterGroup::own},
    {"capitalize", FilterGroup::as_method},
    {"center", FilterGroup::as_method},
    {"count", FilterGroup::plain},
    {"d", FilterGroup::own},
    {"default", FilterGroup::own},
    {"dictsort", FilterGroup::own},
    {"e", FilterGroup::plain},
    {"escape", FilterGroup::plain},
    {"filesizeformat", FilterGroup::unsupported},
    {"first", FilterGroup::plain},
    {"float", FilterGroup::own},
    {"forceescape", FilterGroup::plain},
    {"format", FilterGroup::own},
    {"groupby", FilterGroup::own},
    {"indent", FilterGroup::own},
    {"int", FilterGroup::own},
    {"items", FilterGroup::plain},
    {"join", FilterGroup::own},
    {"last", FilterGroup::plain},
    {"length", FilterGroup::plain},
    {"list", FilterGroup::plain},
    {"lower", FilterGroup::as_method},
    {"map", FilterGroup::own},
    {"max", FilterGroup::own},
    {"min", FilterGroup::own},
    {"pprint", FilterGroup::unsupported},
    {"random", FilterGroup::unsupported},
    {"reject", FilterGroup::select},
    {"rejectattr", FilterGroup::select},
    {"replace", FilterGroup::own},
    {"reverse", FilterGroup::plain},
    {"round", FilterGroup::own},
    {"safe", FilterGroup::plain},
    {"select", FilterGroup::select},
    {"selectattr", FilterGroup::select},
    {"slice", FilterGroup::own},
    {"sort", FilterGroup::own},
    {"string", FilterGroup::plain},
    {"striptags", FilterGroup::unsupported},
    {"sum", FilterGroup::own},
    {"title", FilterGroup::as_method},
    {"tojson", FilterGroup::own},
    {"trim", FilterGroup::as_method},
    {"truncate", FilterGroup::own},
    {"unique", FilterGroup::own},
    {"upper", FilterGroup::as_method},
    {"urlencode", FilterGroup::plain},
    {"urlize", FilterGroup::unsupported},
    {"wordcount", FilterGroup::plain},
    {"wordwrap", FilterGroup::unsupported},
    {"xmlattr", FilterGroup::unsupported},
});

inline const FilterName* find_filter(std::string_view name) noexcept {
  for (const FilterName& filter : filter_names)
    if (filter.name == name) return &filter;
  return nullptr;
}
inline bool is_filter(std::string_view name) noexcept { return find_filter(name) != nullptr; }

inline Value call_own_filter(Run& run, std::string_view name, const Value& value, const Arguments& arguments) {
  if (name == "tojson") return filter_tojson(run, value, arguments);
  if (name == "default" || name == "d") return filter_default(run, value, arguments);
  if (name == "join") return filter_join(run, value, arguments);
  if (name == "map") return filter_map(run, value, arguments);
  if (name == "replace") return filter_replace(run, value, arguments);
  if (name == "indent") return filter_indent(run, value, arguments);
  if (name == "int") return filter_int(run, value, arguments);
  if (name == "float") return filter_float(run, value, arguments);
  if (name == "round") return filter_round(run, value, arguments);
  if (name == "sort") return filter_sort(run, value, arguments);
  if (name == "dictsort") return filter_dictsort(run, value, arguments);
  if (name == "groupby") return filter_groupby(run, value, arguments);
  if (name == "unique") return filter_unique(run, value, arguments);
  if (name == "min" || name == "max") return filter_extreme(run, name, value, arguments);
  if (name == "sum") return filter_sum(run, value, arguments);
  if (name == "batch") return filter_batch(run, value, arguments);
  if (name == "slice") return filter_slice(run, value, arguments);
  if (name == "truncate") return filter_truncate(run, value, arguments);
  if (name == "format") return filter_format(run, value, arguments);
  const Bound given(run, "attr", arguments, "name", 1);
  const std::string& attribute = expect_string(run, given[0], "the name of the attribute");
  if (std::optional<Value> found = python_attribute(run, value, attribute)) return *std::move(found);
  return run.undefined(concat("'", object_name(value), "' has no attribute '", attribute, "'"));
}

/// value | name(arguments). Throws FormatError for a name that is no filter, UnsupportedError for those that weft does
/// not have.
inline Value call_filter(Run& run, std::string_view name, const Value& value, const Arguments& arguments) {
  run.step();
  const FilterName* filter = find_filter(name);
  if (!filter) run.fail("there is no filter named ", name);
  switch (filter->group) {
    case FilterGroup::plain: return filter_plain(run, name, value, arguments);
    case FilterGroup::as_method: return filter_as_method(run, name, value, arguments);
    case FilterGroup::select: return filter_select(run, name, value, arguments);
    case FilterGroup::own: return call_own_filter(run, name, value, arguments);
    case FilterGroup::unsupported: break;
  }
  raise<UnsupportedError>(run.source(), ": line ", run.line, ": the filter ", name, " is not supported");
}

}  // namespace weft::inline v0::detail::jinja
