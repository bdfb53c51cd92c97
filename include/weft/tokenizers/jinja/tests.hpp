#pragma once

#include <string_view>

#include <weft/tokenizers/jinja/arithmetic.hpp>
#include <weft/tokenizers/jinja/methods.hpp>
#include <weft/tokenizers/jinja/operators.hpp>
#include <weft/tokenizers/jinja/run.hpp>
#include <weft/tokenizers/jinja/value.hpp>

// What "value is name(argument)" asks (jinja2/tests.py).
namespace weft::inline v0::detail::jinja {

bool is_filter(std::string_view name) noexcept;

inline constexpr auto test_names = std::to_array<std::string_view>(
    {"odd",     "even",   "divisibleby", "defined",  "undefined", "filter", "test",    "none",
     "boolean", "false",  "true",        "integer",  "float",     "lower",  "upper",   "string",
     "mapping", "number", "sequence",    "iterable", "callable",  "sameas", "escaped", "in",
     "==",      "eq",     "equalto",     "!=",       "ne",        ">",      "gt",      "greaterthan",
     "ge",      ">=",     "<",           "lt",       "lessthan",  "<=",     "le"});

inline bool is_same(const Value& a, const Value& b) noexcept {
  if (a.kind() != b.kind()) return false;
  if (a.is(Kind::none)) return true;
  if (a.is_integral()) return a.integer() == b.integer();
  return a.identity() != nullptr && a.identity() == b.identity();
}

/// The tests that look at the value alone; `known` tells whether the name is one of theirs.
inline bool call_plain_test(Run& run, std::string_view name, const Value& value, bool& known) {
  known = true;
  if (name == "defined") return !value.is(Kind::undefined);
  if (name == "undefined") return value.is(Kind::undefined);
  if (name == "none") return value.is(Kind::none);
  if (name == "string") return value.is_string();
  if (name == "mapping") return value.is(Kind::dict);
  if (name == "sequence")
    return value.is_string() || value.is(Kind::dict) || value.is(Kind::undefined) || value.is(Kind::list) ||
           value.is(Kind::tuple) || value.is(Kind::range);
  if (name == "iterable") return is_iterable(value);
  if (name == "boolean") return value.is(Kind::boolean);
  if (name == "true") return value.is(Kind::boolean) && value.boolean();
  if (name == "false") return value.is(Kind::boolean) && !value.boolean();
  if (name == "integer") return value.is(Kind::integer);
  if (name == "float") return value.is(Kind::number);
  if (name == "number") return value.is_numeric();
  if (name == "callable") return value.is(Kind::callable) || value.is(Kind::undefined) || value.is(Kind::loop);
  if (name == "escaped") return value.is_string() && value.text()->markup;
  if (name == "lower") return all_characters_are(to_text(run, value), "islower");
  if (name == "upper") return all_characters_are(to_text(run, value), "isupper");
  if (name == "filter") return value.is_string() && is_filter(value.characters());
  if (name == "test") return value.is_string() && is_among(test_names, value.characters());
  if (name == "odd" || name == "even")
    return equal(run, modulo(run, value, Value::integer(2)), Value::integer(name == "odd" ? 1 : 0));
  return known = false;
}

/// value is name(arguments). Throws FormatError for a name that is no test.
inline bool call_test(Run& run, std::string_view name, const Value& value, const Arguments& arguments) {
  run.step();
  bool known = false;
  const bool plain = call_plain_test(run, name, value, known);
  if (known) {
    const Bound none(run, name, arguments, "");
    return plain;
  }
  if (!is_among(test_names, name)) run.fail("there is no test named ", name);
  const Bound given(run, name, arguments, name == "divisibleby" ? "num" : name == "in" ? "seq" : "other", 1);
  const Value& other = given[0];
  if (name == "divisibleby") return equal(run, modulo(run, value, other), Value::integer(0));
  if (name == "in") return contains_value(run, other, value);
  if (name == "sameas") return is_same(value, other);
  if (name == "==" || name == "eq" || name == "equalto") return equal(run, value, other);
  if (name == "!=" || name == "ne") return !equal(run, value, other);
  if (name == ">" || name == "gt" || name == "greaterthan") return less(run, other, value);
  if (name == ">=" || name == "ge") return less_or_equal(run, other, value);
  if (name == "<" || name == "lt" || name == "lessthan") return less(run, value, other);
  return less_or_equal(run, value, other);
}

}  // namespace weft::inline v0::detail::jinja
