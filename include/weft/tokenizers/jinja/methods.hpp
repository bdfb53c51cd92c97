#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/tokenizers/jinja/operators.hpp>
#include <weft/tokenizers/jinja/run.hpp>
#include <weft/tokenizers/jinja/string_methods.hpp>
#include <weft/tokenizers/jinja/value.hpp>

// The methods of Python's list, tuple and dict that do not change them, and of what Jinja adds.
namespace weft::inline v0::detail::jinja {

inline Value view_of(Run& run, const Dict& dict, std::string_view name) {
  run.take_values(dict.entries.size());
  run.step(dict.entries.size());
  std::vector<Value> items;
  for (const auto& [key, value] : dict.entries)
    items.push_back(name == "keys" ? key : name == "values" ? value : run.pair(key, value));
  return run.sequence(Kind::view, std::move(items),
                      name == "keys"     ? "dict_keys"
                      : name == "values" ? "dict_values"
                                         : "dict_items");
}

inline Value call_dict_method(Run& run, const Value& self, std::string_view name, const Arguments& arguments) {
  if (name == "get") {
    if (!arguments.named.empty()) run.fail("get() takes no named arguments");
    const Bound given(run, name, arguments, "key default", 1);
    const Value* found = find_entry(run, self.dict(), given[0]);
    return found ? *found : given.value_or(1, Value::none());
  }
  if (name == "fromkeys") run.fail("the method fromkeys() of dicts is not supported");
  const Bound given(run, name, arguments, "");
  return name == "copy" ? self : view_of(run, self.dict(), name);
}

/// Of lists, tuples and ranges.
inline Value call_list_method(Run& run, const Value& self, std::string_view name, const Arguments& arguments) {
  if (name == "copy") {
    const Bound given(run, name, arguments, "");
    return run.list(self.items());
  }
  const Bound given(run, name, arguments, "value start stop", 1);
  const std::vector<Value>& items = self.items();
  if (name == "count") {
    if (given.has(1)) run.fail("count() takes one argument");
    std::int64_t count = 0;
    for (const Value& item : items) count += equal(run, item, given[0]) ? 1 : 0;
    return Value::integer(count);
  }
  const SliceRange range =
      slice_range(run, given.value_or(1, Value::none()), given.value_or(2, Value::none()), Value::none(), items.size());
  for (std::int64_t i = range.begin; i < range.begin + range.count; ++i)
    if (equal(run, items[static_cast<std::size_t>(i)], given[0])) return Value::integer(i);
  run.fail("index(): the value is not in the ", type_name(self));
}

inline Value call_loop_method(Run& run, const Value& self, std::string_view name, const Arguments& arguments) {
  Loop& loop = self.loop();
  if (!arguments.named.empty()) run.fail("loop.", name, "() takes no named arguments");
  if (name == "cycle") {
    if (arguments.positional.empty()) run.fail("loop.cycle() needs something to cycle through");
    return arguments.positional[loop.index % arguments.positional.size()];
  }
  if (loop.over) run.fail("loop.changed() is called after the loop");
  bool same = loop.has_changed && loop.changed.size() == arguments.positional.size();
  for (std::size_t i = 0; same && i < loop.changed.size(); ++i)
    same = equal(run, loop.changed[i], arguments.positional[i]);
  loop.changed = arguments.positional;
  loop.has_changed = true;
  return Value::boolean(!same);
}

/// Calls a bound method of one of the built-in types.
inline Value call_method(Run& run, const Value& self, std::string_view name, const Arguments& arguments) {
  switch (self.kind()) {
    case Kind::string: return call_string_method(run, self, name, arguments);
    case Kind::dict: return call_dict_method(run, self, name, arguments);
    case Kind::loop: return call_loop_method(run, self, name, arguments);
    case Kind::callable: {  // a cycler
      Callable& cycler = self.callable();
      const std::size_t now = cycler.position;
      cycler.position = name == "reset" ? 0 : (now + 1) % cycler.self.items().size();
      return name == "reset" ? Value::none() : cycler.self.items()[now];
    }
    default: return call_list_method(run, self, name, arguments);
  }
}

}  // namespace weft::inline v0::detail::jinja
