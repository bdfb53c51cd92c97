#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/tokenizers/jinja/operators.hpp>
#include <weft/tokenizers/jinja/run.hpp>
#include <weft/tokenizers/jinja/text.hpp>
#include <weft/tokenizers/jinja/value.hpp>

// value.name, value[key] and value[a:b:c] as in Jinja's immutable sandbox (jinja2/sandbox.py): attributes are Python's
// methods of the type, then items; what would change a value, and whatever begins with an underscore, is refused.
namespace weft::inline v0::detail::jinja {

inline constexpr auto string_methods = std::to_array<std::string_view>(
    {"capitalize", "casefold",     "center",       "count",   "encode",     "endswith",    "expandtabs",
     "find",       "format",       "format_map",   "index",   "isalnum",    "isalpha",     "isascii",
     "isdecimal",  "isdigit",      "isidentifier", "islower", "isnumeric",  "isprintable", "isspace",
     "istitle",    "isupper",      "join",         "ljust",   "lower",      "lstrip",      "maketrans",
     "partition",  "removeprefix", "removesuffix", "replace", "rfind",      "rindex",      "rjust",
     "rpartition", "rsplit",       "rstrip",       "split",   "splitlines", "startswith",  "strip",
     "swapcase",   "title",        "translate",    "upper",   "zfill"});
inline constexpr auto dict_methods =
    std::to_array<std::string_view>({"copy", "fromkeys", "get", "items", "keys", "values"});
inline constexpr auto dict_changes =
    std::to_array<std::string_view>({"clear", "pop", "popitem", "setdefault", "update"});
inline constexpr auto list_methods = std::to_array<std::string_view>({"copy", "count", "index"});
inline constexpr auto list_changes =
    std::to_array<std::string_view>({"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"});
inline constexpr auto tuple_methods = std::to_array<std::string_view>({"count", "index"});

inline bool is_among(std::span<const std::string_view> names, std::string_view name) noexcept {
  return std::find(names.begin(), names.end(), name) != names.end();
}

inline std::string object_name(const Value& value) {
  return value.is(Kind::none) ? std::string("None") : std::string(type_name(value)) + " object";
}

inline Value unsafe(Run& run, const Value& object, std::string_view name) {
  return run.undefined(concat("access to attribute '", name, "' of '", type_name(object), "' object is unsafe"));
}

inline std::size_t loop_length(Run& run, Loop& loop) {
  std::size_t count = loop.items.size();
  while (run.evaluator && run.evaluator->has_element(loop, count)) ++count;
  return count;
}

inline std::optional<Value> loop_attribute(Run& run, const Value& value, std::string_view name) {
  Loop& loop = value.loop();
  const auto count = [](std::size_t n) { return Value::integer(static_cast<std::int64_t>(n)); };
  const auto has = [&](std::size_t index) { return run.evaluator && run.evaluator->has_element(loop, index); };
  if (name == "index0") return count(loop.index);
  if (name == "index") return count(loop.index + 1);
  if (name == "first") return Value::boolean(loop.index == 0);
  if (name == "last") return Value::boolean(!has(loop.index + 1));
  if (name == "length") return count(loop_length(run, loop));
  if (name == "revindex0" || name == "revindex") {
    const auto left = static_cast<std::int64_t>(loop_length(run, loop)) - static_cast<std::int64_t>(loop.index);
    return Value::integer(name == "revindex" ? left : left - 1);
  }
  if (name == "depth0") return count(loop.depth);
  if (name == "depth") return count(loop.depth + 1);
  if (name == "previtem")
    return loop.index > 0 && loop.index <= loop.items.size() ? loop.items[loop.index - 1]
                                                             : run.undefined("there is no previous item");
  if (name == "nextitem")
    return has(loop.index + 1) ? loop.items[loop.index + 1] : run.undefined("there is no next item");
  if (name == "cycle" || name == "changed") return run.method(value, name);
  return std::nullopt;
}

inline std::optional<Value> callable_attribute(Run& run, const Value& value, std::string_view name) {
  const Callable& callable = value.callable();
  if (callable.type == Callable::Type::macro && name == "name") return run.string(callable.name);
  if (callable.type != Callable::Type::cycler) return std::nullopt;
  if (name == "next" || name == "reset") return run.method(value, name);
  if (name == "current") return callable.self.items()[callable.position % callable.self.items().size()];
  return std::nullopt;
}

/// What Python's getattr gives; nothing where the type has no such attribute.
inline std::optional<Value> python_attribute(Run& run, const Value& object, std::string_view name) {
  if (name.starts_with("__") && name.ends_with("__") && name.size() > 4) return unsafe(run, object, name);
  const auto method = [&](std::span<const std::string_view> methods, std::span<const std::string_view> changes) {
    if (is_among(methods, name)) return std::optional(run.method(object, name));
    return is_among(changes, name) ? std::optional(unsafe(run, object, name)) : std::nullopt;
  };
  switch (object.kind()) {
    case Kind::undefined: run.fail_undefined(object);
    case Kind::string: return method(string_methods, {});
    case Kind::dict: return method(dict_methods, dict_changes);
    case Kind::list: return method(list_methods, list_changes);
    case Kind::tuple:
      if (object.sequence().label == "group" && name == "grouper") return object.items()[0];
      if (object.sequence().label == "group" && name == "list") return object.items()[1];
      return method(tuple_methods, {});
    case Kind::range: return method(tuple_methods, {});
    case Kind::name_space:
      if (const Value* found = object.name_space().find(name)) return *found;
      return std::nullopt;
    case Kind::loop: return loop_attribute(run, object, name);
    case Kind::callable: return callable_attribute(run, object, name);
    default: return std::nullopt;
  }
}

/// The element at an index, which may count from the end; nothing outside.
inline std::optional<Value> element_at(Run& run, const Value& object, std::int64_t index) {
  const auto length = static_cast<std::int64_t>(length_of(run, object));
  if (index < 0) index += length;
  if (index < 0 || index >= length) return std::nullopt;
  const auto position = static_cast<std::size_t>(index);
  if (!object.is_string()) return object.items()[position];
  const std::string& text = object.characters();
  const std::size_t byte = byte_of(text, position, object.text()->ascii);
  run.step(object.text()->ascii ? 0 : byte / 64);
  return run.string(std::string_view(text).substr(byte, first_code_point(std::string_view(text).substr(byte)).bytes),
                    object.text()->markup);
}

/// What object[key] gives in Python; nothing where that fails.
inline std::optional<Value> python_item(Run& run, const Value& object, const Value& key) {
  if (object.is(Kind::undefined)) run.fail_undefined(object);
  if (object.is(Kind::dict)) {
    if (key.is(Kind::list) || key.is(Kind::dict)) return std::nullopt;
    const Value* found = find_entry(run, object.dict(), key);
    return found ? std::optional(*found) : std::nullopt;
  }
  const bool indexed = object.is_string() || object.is(Kind::list) || object.is(Kind::tuple) || object.is(Kind::range);
  return indexed && key.is_integral() ? element_at(run, object, key.integer()) : std::nullopt;
}

inline Value missing_item(Run& run, const Value& object, const Value& key) {
  if (key.is_string())
    return run.undefined(concat("'", object_name(object), "' has no attribute '", key.characters(), "'"));
  std::string shown;
  append_repr(run, key, shown);
  return run.undefined(concat(object_name(object), " has no element ", shown));
}

/// object.name
inline Value get_attribute(Run& run, const Value& object, std::string_view name) {
  if (std::optional<Value> found = python_attribute(run, object, name)) return *std::move(found);
  if (object.is(Kind::dict))
    if (const Value* found = find_entry(run, object.dict(), run.string(name))) return *found;
  return run.undefined(concat("'", object_name(object), "' has no attribute '", name, "'"));
}

/// object[key]
inline Value get_item(Run& run, const Value& object, const Value& key) {
  if (std::optional<Value> found = python_item(run, object, key)) return *std::move(found);
  if (key.is_string())
    if (std::optional<Value> found = python_attribute(run, object, key.characters())) return *std::move(found);
  return missing_item(run, object, key);
}

/// What a slice takes of `length` elements: the first position, how many, and the distance between two.
struct SliceRange {
  std::int64_t begin = 0;
  std::int64_t count = 0;
  std::int64_t step = 1;
};
inline SliceRange slice_range(Run& run, const Value& start, const Value& stop, const Value& step, std::size_t size) {
  const auto length = static_cast<std::int64_t>(size);
  for (const Value* bound : {&start, &stop, &step})
    if (!bound->is(Kind::none) && !bound->is_integral()) {
      if (bound->is(Kind::undefined)) run.fail_undefined(*bound);
      run.fail("a slice takes integers, found ", type_name(*bound));
    }
  SliceRange range;
  if (!step.is(Kind::none))
    range.step = std::clamp<std::int64_t>(step.integer(), -(std::int64_t{1} << 62), std::int64_t{1} << 62);
  if (range.step == 0) run.fail("the step of a slice is zero");
  const bool down = range.step < 0;
  const auto bound = [&](const Value& value, std::int64_t fallback) {
    if (value.is(Kind::none)) return fallback;
    std::int64_t at = std::clamp(value.integer(), -length - 1, length);
    if (at < 0) at += length;
    return std::clamp<std::int64_t>(at, down ? -1 : 0, down ? length - 1 : length);
  };
  range.begin = bound(start, down ? length - 1 : 0);
  const std::int64_t end = bound(stop, down ? -1 : length);
  const std::int64_t distance = down ? range.begin - end : end - range.begin;
  const std::int64_t stride = down ? -range.step : range.step;
  range.count = distance > 0 ? (distance - 1) / stride + 1 : 0;
  return range;
}

/// object[start:stop:step]
inline Value get_slice(Run& run, const Value& object, const Value& start, const Value& stop, const Value& step) {
  if (object.is(Kind::undefined)) run.fail_undefined(object);
  const bool indexed = object.is_string() || object.is(Kind::list) || object.is(Kind::tuple) || object.is(Kind::range);
  if (!indexed) run.fail("a value of the type ", type_name(object), " cannot be sliced");
  const SliceRange range = slice_range(run, start, stop, step, length_of(run, object));
  if (!object.is_string()) {
    run.take_values(static_cast<std::size_t>(range.count));
    std::vector<Value> items;
    for (std::int64_t i = 0; i < range.count; ++i)
      items.push_back(object.items()[static_cast<std::size_t>(range.begin + i * range.step)]);
    return run.sequence(object.kind(), std::move(items), object.is(Kind::range) ? "range" : "");
  }
  const std::string& text = object.characters();
  run.step(text.size() / 64);
  const bool ascii = object.text()->ascii;
  if (range.step == 1 || range.count <= 1) {
    const auto begin = byte_of(text, static_cast<std::size_t>(std::max<std::int64_t>(range.begin, 0)), ascii);
    const std::string_view rest = std::string_view(text).substr(begin);
    return run.string(rest.substr(0, byte_of(rest, static_cast<std::size_t>(range.count), ascii)),
                      object.text()->markup);
  }
  std::vector<std::string_view> characters;
  run.take(text.size() * sizeof(std::string_view));
  for_each_character(text, [&](std::string_view c) { characters.push_back(c); });
  std::string out;
  for (std::int64_t i = 0; i < range.count; ++i)
    out += characters[static_cast<std::size_t>(range.begin + i * range.step)];
  return run.string(std::move(out), object.text()->markup);
}

}  // namespace weft::inline v0::detail::jinja
