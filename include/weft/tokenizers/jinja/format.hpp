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

#include <weft/tokenizers/jinja/operators.hpp>
#include <weft/tokenizers/jinja/run.hpp>
#include <weft/tokenizers/jinja/text.hpp>
#include <weft/tokenizers/jinja/value.hpp>

// "%s" % value, "{}".format(value), and how both write numbers.
namespace weft::inline v0::detail::jinja {

/// How one value is written into a string.
struct FormatSpec {
  std::string fill = " ";
  char align = '\0';  // < > ^ =
  char sign = '-';    // + - or a space
  bool alternate = false;
  char grouping = '\0';  // , or _
  std::size_t width = 0;
  std::optional<std::size_t> precision{};
  char type = '\0';
};

inline constexpr std::size_t max_format_width = 10000;

/// Reads the digits at `at`, up to the largest width there may be.
inline std::size_t read_width(Run& run, std::string_view text, std::size_t& at) {
  std::size_t value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    value = 10 * value + static_cast<std::size_t>(text[at] - '0');
    if (value > max_format_width) run.fail("a format wider than ", max_format_width, " characters");
  }
  return value;
}

inline std::string whole_digits(std::uint64_t magnitude, int base, bool upper_digits) {
  std::array<char, 66> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), magnitude, base).ptr;
  std::string out(buffer.data(), end);
  return upper_digits ? upper(out) : out;
}

inline std::string real_digits(double magnitude, char type, std::size_t precision, bool alternate) {
  if (std::isnan(magnitude)) return "nan";
  if (std::isinf(magnitude)) return "inf";
  const char kind = static_cast<char>(type | 0x20);
  const auto format = kind == 'e'   ? std::chars_format::scientific
                      : kind == 'f' ? std::chars_format::fixed
                                    : std::chars_format::general;
  std::string out(precision + 350, '\0');
  const auto end =
      std::to_chars(out.data(), out.data() + out.size(), magnitude, format, static_cast<int>(precision)).ptr;
  out.resize(static_cast<std::size_t>(end - out.data()));
  if (alternate && out.find('.') == out.npos) out.insert(std::min(out.find('e'), out.size()), ".");
  return out;
}

inline std::string grouped(const std::string& digits, char separator) {
  std::size_t whole = 0;
  while (whole < digits.size() && digits[whole] >= '0' && digits[whole] <= '9') ++whole;
  std::string out;
  for (std::size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % 3 == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(whole);
}

/// Between fill characters; `prefix` is the sign, which "=" leaves in front.
inline std::string padded(const FormatSpec& spec, const std::string& prefix, const std::string& text, char align) {
  const std::size_t size = count_characters(prefix) + count_characters(text);
  if (size >= spec.width) return prefix + text;
  const std::size_t total = spec.width - size;
  const std::size_t left = align == '<' ? 0 : align == '^' ? total / 2 : total;
  std::string before, after;
  for (std::size_t i = 0; i < total; ++i) (i < left ? before : after) += spec.fill;
  return align == '=' ? prefix + before + text : before + prefix + text + after;
}

inline std::string format_number(Run& run, const Value& value, FormatSpec spec) {
  const bool whole_type =
      spec.type == 'd' || spec.type == 'x' || spec.type == 'X' || spec.type == 'o' || spec.type == 'b';
  const bool whole = whole_type || (spec.type == '\0' && value.is_integral() && !spec.precision) ||
                     (spec.type == 'n' && value.is_integral());
  std::string digits, prefix;
  bool negative = false;
  if (whole) {
    if (!value.is_integral()) run.fail("the format code '", spec.type, "' is for integers, found ", type_name(value));
    negative = value.integer() < 0;
    const std::uint64_t magnitude =
        negative ? 0 - static_cast<std::uint64_t>(value.integer()) : static_cast<std::uint64_t>(value.integer());
    const int base = spec.type == 'x' || spec.type == 'X' ? 16 : spec.type == 'o' ? 8 : spec.type == 'b' ? 2 : 10;
    digits = whole_digits(magnitude, base, spec.type == 'X');
    if (spec.alternate && base != 10) prefix = std::string("0") + spec.type;
  } else {
    double number = value.number();
    negative = std::signbit(number) && !std::isnan(number);
    number = std::abs(number);
    const char kind = static_cast<char>(spec.type | 0x20);
    if (spec.type == '\0' && !spec.precision) {
      digits = number_text(number);
    } else if (spec.type == '\0') {
      digits = real_digits(number, 'g', std::max<std::size_t>(*spec.precision, 1), false);
      if (digits.find_first_of(".en") == digits.npos) digits += ".0";
    } else if (spec.type == '%') {
      digits = real_digits(number * 100, 'f', spec.precision.value_or(6), spec.alternate) + "%";
    } else if (kind == 'e' || kind == 'f' || kind == 'g' || kind == 'n') {
      const std::size_t precision = spec.precision.value_or(6);
      digits = real_digits(number, kind == 'n' ? 'g' : kind,
                           kind == 'g' ? std::max<std::size_t>(precision, 1) : precision, spec.alternate);
      if (spec.type == 'E' || spec.type == 'F' || spec.type == 'G') digits = upper(digits);
    } else {
      run.fail("the format code '", spec.type, "' is not one for numbers");
    }
  }
  if (spec.grouping != '\0') digits = grouped(digits, spec.grouping);
  if (negative) {
    prefix.insert(0, "-");
  } else if (spec.sign != '-') {
    prefix.insert(0, 1, spec.sign);
  }
  return padded(spec, prefix, digits, spec.align != '\0' ? spec.align : '>');
}

inline std::string format_text(const FormatSpec& spec, std::string_view text) {
  if (spec.precision) text = text.substr(0, byte_of(text, *spec.precision, false));
  return padded(spec, {}, std::string(text), spec.align != '\0' ? spec.align : '<');
}

/// The mini-language of format(): [[fill]align][sign][#][0][width][,][.precision][type].
inline FormatSpec read_format_spec(Run& run, std::string_view text) {
  FormatSpec spec;
  constexpr std::string_view aligns = "<>^=";
  std::size_t at = 0;
  const std::size_t first = text.empty() ? 0 : first_code_point(text).bytes;
  if (first < text.size() && aligns.find(text[first]) != aligns.npos) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    at = first + 1;
  } else if (!text.empty() && aligns.find(text[0]) != aligns.npos) {
    spec.align = text[0];
    at = 1;
  }
  const auto next = [&](std::string_view characters) {
    return at < text.size() && characters.find(text[at]) != characters.npos ? text[at++] : '\0';
  };
  if (const char sign = next("+- ")) spec.sign = sign;
  spec.alternate = next("#") != '\0';
  if (next("0") != '\0' && spec.align == '\0') {
    spec.fill = "0";
    spec.align = '=';
  }
  spec.width = read_width(run, text, at);
  spec.grouping = next(",_");
  if (next(".") != '\0') spec.precision = read_width(run, text, at);
  spec.type = next("sdxXobeEfFgGn%");
  if (at != text.size()) run.fail("the format \"", text, "\" is not supported");
  return spec;
}

/// format(value, spec).
inline std::string format_value(Run& run, const Value& value, std::string_view text) {
  if (text.empty()) return to_text(run, value);
  const FormatSpec spec = read_format_spec(run, text);
  run.take(4 * spec.width + spec.precision.value_or(0));
  if (value.is_string() && (spec.type == '\0' || spec.type == 's') && spec.align != '=')
    return format_text(spec, value.characters());
  if (value.is_numeric() && spec.type != 's') return format_number(run, value, spec);
  run.fail("the format \"", text, "\" is not one for a value of the type ", type_name(value));
}

/// One conversion of a "%" format.
inline std::string format_conversion(Run& run, const Value& value, FormatSpec spec) {
  run.take(4 * spec.width + spec.precision.value_or(0));
  std::string text;
  switch (spec.type) {
    case 's': text = to_text(run, value); break;
    case 'r':
    case 'a': append_repr(run, value, text); break;
    case 'c':
      if (value.is_string() && length_of(run, value) == 1) {
        text = value.characters();
      } else if (value.is_integral() && value.integer() >= 0 && value.integer() < 0xD800) {
        append_code_point(static_cast<char32_t>(value.integer()), text);
      } else {
        run.fail("%c needs a character, found ", type_name(value));
      }
      break;
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G': {
      if (!value.is_numeric()) {
        if (value.is(Kind::undefined)) run.fail_undefined(value);
        run.fail("%", spec.type, " needs a number, found ", type_name(value));
      }
      Value number = value;
      if (spec.type == 'd' || spec.type == 'i' || spec.type == 'u') {
        spec.type = 'd';
        const double cut = std::trunc(value.number());
        if (value.is(Kind::number) && !(std::abs(cut) < 9.2e18)) run.fail("%d does not take ", number_text(cut));
        if (value.is(Kind::number)) number = Value::integer(static_cast<std::int64_t>(cut));
      }
      return format_number(run, number, spec);
    }
    default: run.fail("the format character '", std::string(1, spec.type), "' is not supported");
  }
  if (spec.align == '=') spec.align = '\0';
  spec.fill = " ";
  return format_text(spec, text) == text
             ? text
             : padded(spec, {}, format_text({.precision = spec.precision}, text), spec.align == '<' ? '<' : '>');
}

/// "..." % values: a tuple gives one value for each conversion, a dict those that conversions name.
inline Value format_percent(Run& run, const Value& format, const Value& values) {
  const std::string& text = format.characters();
  const bool tuple = values.is(Kind::tuple);
  std::size_t used = 0;
  const auto next_value = [&]() -> Value {
    const std::size_t count = tuple ? values.items().size() : 1;
    if (used >= count) run.fail("not enough values for the format \"", text.substr(0, 100), "\"");
    return tuple ? values.items()[used++] : (++used, values);
  };
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '%') {
      const std::size_t end = std::min(text.find('%', at), text.size());
      out.append(text, at, end - at);
      at = end;
      continue;
    }
    if (++at == text.size()) run.fail("a format ends in \"%\"");
    std::optional<Value> named;
    if (text[at] == '(') {
      const std::size_t close = text.find(')', at);
      if (close == text.npos || !values.is(Kind::dict)) run.fail("a format names a value, which needs a dict");
      const Value* found = find_entry(values.dict(), std::string_view(text).substr(at + 1, close - at - 1));
      if (!found) run.fail("a format names \"", text.substr(at + 1, close - at - 1), "\", which is not given");
      named = *found;
      at = close + 1;
    }
    FormatSpec spec;
    for (; at < text.size() && std::string_view("-+ #0").find(text[at]) != std::string_view::npos; ++at) {
      if (text[at] == '-') spec.align = '<';
      if (text[at] == '+' || (text[at] == ' ' && spec.sign != '+')) spec.sign = text[at];
      if (text[at] == '#') spec.alternate = true;
      if (text[at] == '0' && spec.align == '\0') {
        spec.align = '=';
        spec.fill = "0";
      }
    }
    if (spec.align == '<') spec.fill = " ";
    spec.width = read_width(run, text, at);
    if (at < text.size() && text[at] == '.') spec.precision = read_width(run, text, ++at);
    if (at == text.size()) run.fail("a format ends within a conversion");
    spec.type = text[at++];
    if (spec.type == '%') {
      out += '%';
    } else {
      out += format_conversion(run, named ? *named : next_value(), spec);
    }
    run.take(16);
  }
  const bool takes_all = values.is(Kind::dict) || values.is_sequence() || values.is(Kind::undefined);
  if (tuple ? used < values.items().size() : used == 0 && !takes_all)
    run.fail("not all values are used by the format \"", text.substr(0, 100), "\"");
  return run.string(std::move(out), format.text()->markup);
}

}  // namespace weft::inline v0::detail::jinja
