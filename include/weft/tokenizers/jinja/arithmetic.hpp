#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/tokenizers/jinja/format.hpp>
#include <weft/tokenizers/jinja/operators.hpp>
#include <weft/tokenizers/jinja/run.hpp>
#include <weft/tokenizers/jinja/text.hpp>
#include <weft/tokenizers/jinja/value.hpp>

namespace weft::inline v0::detail::jinja {

[[noreturn]] inline void fail_operands(Run& run, std::string_view operation, const Value& a, const Value& b) {
  for (const Value* side : {&a, &b})
    if (side->is(Kind::undefined)) run.fail_undefined(*side);
  run.fail("\"", operation, "\" does not take values of the types ", type_name(a), " and ", type_name(b));
}

[[noreturn]] inline void fail_overflow(Run& run, std::string_view operation) {
  run.fail("the result of \"", operation, "\" is outside of the integers of 64 bits");
}

inline Value add(Run& run, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) {
    std::int64_t sum = 0;
    if (__builtin_add_overflow(a.integer(), b.integer(), &sum)) fail_overflow(run, "+");
    return Value::integer(sum);
  }
  if (a.is_numeric() && b.is_numeric()) return Value::number(a.number() + b.number());
  if (a.is_string() && b.is_string()) {
    const bool markup = a.text()->markup || b.text()->markup;
    if (a.text()->markup == b.text()->markup) {
      run.take(a.characters().size() + b.characters().size());
      return run.string(a.characters() + b.characters(), markup);
    }
    run.take(6 * (a.characters().size() + b.characters().size()));
    return run.string(
        a.text()->markup ? a.characters() + escape_html(b.characters()) : escape_html(a.characters()) + b.characters(),
        true);
  }
  if (a.kind() == b.kind() && (a.is(Kind::list) || a.is(Kind::tuple))) {
    run.take_values(a.items().size() + b.items().size());
    std::vector<Value> items = a.items();
    items.insert(items.end(), b.items().begin(), b.items().end());
    return run.sequence(a.kind(), std::move(items));
  }
  fail_operands(run, "+", a, b);
}

inline Value subtract(Run& run, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) {
    std::int64_t difference = 0;
    if (__builtin_sub_overflow(a.integer(), b.integer(), &difference)) fail_overflow(run, "-");
    return Value::integer(difference);
  }
  if (a.is_numeric() && b.is_numeric()) return Value::number(a.number() - b.number());
  fail_operands(run, "-", a, b);
}

/// A string, list or tuple, so many times.
inline Value repeat(Run& run, const Value& value, std::int64_t times) {
  const std::size_t count = times > 0 ? static_cast<std::size_t>(times) : 0;
  const std::size_t size = value.is_string() ? value.characters().size() : value.items().size();
  std::size_t total = 0;
  if (__builtin_mul_overflow(size, count, &total) || total > run.limits().bytes) run.take(run.limits().bytes + 1);
  if (value.is_string()) {
    run.take(total);
    std::string out;
    out.reserve(total);
    for (std::size_t i = 0; size != 0 && i < count; ++i) out += value.characters();
    return run.string(std::move(out), value.text()->markup);
  }
  run.take_values(total);
  std::vector<Value> items;
  items.reserve(total);
  for (std::size_t i = 0; size != 0 && i < count; ++i)
    items.insert(items.end(), value.items().begin(), value.items().end());
  return run.sequence(value.kind(), std::move(items));
}

inline Value multiply(Run& run, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) {
    std::int64_t product = 0;
    if (__builtin_mul_overflow(a.integer(), b.integer(), &product)) fail_overflow(run, "*");
    return Value::integer(product);
  }
  if (a.is_numeric() && b.is_numeric()) return Value::number(a.number() * b.number());
  const auto repeats = [](const Value& v) { return v.is_string() || v.is(Kind::list) || v.is(Kind::tuple); };
  if (repeats(a) && b.is_integral()) return repeat(run, a, b.integer());
  if (repeats(b) && a.is_integral()) return repeat(run, b, a.integer());
  fail_operands(run, "*", a, b);
}

inline void check_divisor(Run& run, const Value& divisor) {
  if (divisor.number() == 0) run.fail("a division by zero");
}

inline Value divide(Run& run, const Value& a, const Value& b) {
  if (!a.is_numeric() || !b.is_numeric()) fail_operands(run, "/", a, b);
  check_divisor(run, b);
  return Value::number(a.number() / b.number());
}

/// The remainder that has the sign of the divisor.
inline double floor_remainder(double a, double b) {
  double rest = std::fmod(a, b);
  if (rest != 0 && (b < 0) != (rest < 0)) rest += b;
  return rest == 0 ? std::copysign(0.0, b) : rest;
}

inline Value floor_divide(Run& run, const Value& a, const Value& b) {
  if (!a.is_numeric() || !b.is_numeric()) fail_operands(run, "//", a, b);
  check_divisor(run, b);
  if (a.is_integral() && b.is_integral()) {
    const std::int64_t x = a.integer(), y = b.integer();
    if (y == -1) return subtract(run, Value::integer(0), a);
    return Value::integer(x / y - (x % y != 0 && (x % y < 0) != (y < 0) ? 1 : 0));
  }
  const double x = a.number(), y = b.number();
  const double rest = std::fmod(x, y);
  double quotient = (x - rest) / y;
  if (rest != 0 && (y < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return Value::number(std::copysign(0.0, x / y));
  const double down = std::floor(quotient);
  return Value::number(quotient - down > 0.5 ? down + 1 : down);
}

inline Value modulo(Run& run, const Value& a, const Value& b) {
  if (a.is_string()) return format_percent(run, a, b);
  if (!a.is_numeric() || !b.is_numeric()) fail_operands(run, "%", a, b);
  check_divisor(run, b);
  if (!a.is_integral() || !b.is_integral()) return Value::number(floor_remainder(a.number(), b.number()));
  const std::int64_t y = b.integer();
  if (y == -1) return Value::integer(0);
  const std::int64_t rest = a.integer() % y;
  return Value::integer(rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest);
}

inline Value power(Run& run, const Value& a, const Value& b) {
  if (!a.is_numeric() || !b.is_numeric()) fail_operands(run, "**", a, b);
  if (a.is_integral() && b.is_integral() && b.integer() >= 0) {
    std::int64_t result = 1, base = a.integer();
    for (std::int64_t exponent = b.integer(); exponent > 0; exponent >>= 1) {
      if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) fail_overflow(run, "**");
      if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) fail_overflow(run, "**");
    }
    return Value::integer(result);
  }
  if (a.number() == 0 && b.number() < 0) run.fail("zero to a negative power");
  const double result = std::pow(a.number(), b.number());
  if (std::isnan(result) && !std::isnan(a.number()) && !std::isnan(b.number()))
    run.fail("a negative number to a fractional power");
  if (std::isinf(result) && !std::isinf(a.number()) && !std::isinf(b.number()))
    run.fail("the result of \"**\" is too large");
  return Value::number(result);
}

inline Value negate(Run& run, const Value& value) {
  if (value.is(Kind::number)) return Value::number(-value.number());
  if (value.is_integral()) return subtract(run, Value::integer(0), value);
  if (value.is(Kind::undefined)) run.fail_undefined(value);
  run.fail("\"-\" does not take a value of the type ", type_name(value));
}

inline Value identity_of_number(Run& run, const Value& value) {
  if (value.is(Kind::number)) return value;
  if (value.is_integral()) return Value::integer(value.integer());
  if (value.is(Kind::undefined)) run.fail_undefined(value);
  run.fail("\"+\" does not take a value of the type ", type_name(value));
}

}  // namespace weft::inline v0::detail::jinja
