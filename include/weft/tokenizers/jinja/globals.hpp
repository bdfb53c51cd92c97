#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/tokenizers/jinja/access.hpp>
#include <weft/tokenizers/jinja/methods.hpp>
#include <weft/tokenizers/jinja/operators.hpp>
#include <weft/tokenizers/jinja/run.hpp>
#include <weft/tokenizers/jinja/strftime.hpp>
#include <weft/tokenizers/jinja/value.hpp>

// The functions that templates find without being given them: those of Jinja and of transformers.
namespace weft::inline v0::detail::jinja {

inline constexpr auto global_names = std::to_array<std::string_view>(
    {"range", "dict", "namespace", "cycler", "joiner", "lipsum", "raise_exception", "strftime_now"});

inline Value global_range(Run& run, const Arguments& arguments) {
  constexpr std::int64_t most = 100'000;  // as in the sandbox
  const Bound given(run, "range", arguments, "start stop step", 1);
  std::int64_t start = 0, stop = expect_integer(run, given[0], "an argument of range()"), step = 1;
  if (given.has(1)) start = std::exchange(stop, expect_integer(run, given[1], "an argument of range()"));
  if (given.has(2)) step = expect_integer(run, given[2], "an argument of range()");
  if (step == 0) run.fail("the step of range() is zero");
  std::vector<Value> items;
  for (std::int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (static_cast<std::int64_t>(items.size()) == most) run.fail("range() of more than ", most, " numbers");
    run.take_values(1);
    items.push_back(Value::integer(at));
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  std::string label = concat("range(", start, ", ", stop);
  if (step != 1) label += concat(", ", step);
  return run.sequence(Kind::range, std::move(items), label + ")");
}

/// The entries of dict(*args, **kwargs).
inline std::vector<std::pair<Value, Value>> dict_entries(Run& run, const Arguments& arguments) {
  std::vector<std::pair<Value, Value>> entries;
  if (arguments.positional.size() > 1) run.fail("dict() takes at most 1 value, found ", arguments.positional.size());
  if (!arguments.positional.empty()) {
    const Value& first = arguments.positional.front();
    if (first.is(Kind::dict)) {
      run.take_values(2 * first.dict().entries.size());
      entries = first.dict().entries;
    } else {
      for (const Value& item : elements_of(run, first)) {
        std::vector<Value> pair = elements_of(run, item);
        if (pair.size() != 2) run.fail("dict() takes pairs, found ", pair.size(), " values");
        entries.emplace_back(std::move(pair[0]), std::move(pair[1]));
      }
    }
  }
  for (const auto& [name, value] : arguments.named) entries.emplace_back(run.string(name), value);
  return entries;
}

inline void check_attribute(Run& run, std::string_view name) {
  if (name.starts_with('_'))
    run.fail("namespaces have no attributes that begin with an underscore, found \"", name, "\"");
}

inline Value global_namespace(Run& run, const Arguments& arguments) {
  const Value entries = make_dict(run, dict_entries(run, arguments));
  Value made = run.name_space();
  for (const auto& [key, value] : entries.dict().entries) {
    const std::string& name = expect_string(run, key, "an attribute of a namespace");
    check_attribute(run, name);
    made.name_space().entries.emplace_back(name, value);
  }
  return made;
}

inline std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm out{};
  localtime_r(&now, &out);
  return out;
}

inline Value call_global(Run& run, std::string_view name, const Arguments& arguments) {
  if (name == "range") return global_range(run, arguments);
  if (name == "dict") return make_dict(run, dict_entries(run, arguments));
  if (name == "namespace") return global_namespace(run, arguments);
  if (name == "cycler") {
    if (arguments.positional.empty() || !arguments.named.empty()) run.fail("cycler() needs values to cycle through");
    return run.callable({.type = Callable::Type::cycler, .name = "cycler", .self = run.list(arguments.positional)});
  }
  if (name == "joiner") {
    const Bound given(run, name, arguments, "sep");
    return run.callable(
        {.type = Callable::Type::joiner, .name = "joiner", .self = given.value_or(0, run.string(", "))});
  }
  if (name == "raise_exception") {
    const Bound given(run, name, arguments, "message", 1);
    raise<TokenizerError>(run.source(), ": line ", run.line,
                          ": the chat template does not take these messages: ", to_text(run, given[0]));
  }
  if (name == "strftime_now") {
    const Bound given(run, name, arguments, "format", 1);
    const std::string& format = expect_string(run, given[0], "the format of strftime_now()");
    run.step(format.size() / 16);
    return run.string(DateFormat(run, run.now ? *run.now : local_time()).write(format));
  }
  raise<UnsupportedError>(run.source(), ": line ", run.line, ": the function ", name, "() is not supported");
}

}  // namespace weft::inline v0::detail::jinja
