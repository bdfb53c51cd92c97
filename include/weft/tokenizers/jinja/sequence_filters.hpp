#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/tokenizers/jinja/access.hpp>
#include <weft/tokenizers/jinja/arithmetic.hpp>
#include <weft/tokenizers/jinja/methods.hpp>
#include <weft/tokenizers/jinja/operators.hpp>
#include <weft/tokenizers/jinja/run.hpp>
#include <weft/tokenizers/jinja/tests.hpp>
#include <weft/tokenizers/jinja/value.hpp>

// The filters of Jinja that take something apart into its elements (jinja2/filters.py).
namespace weft::inline v0::detail::jinja {

Value call_filter(Run& run, std::string_view name, const Value& value, const Arguments& arguments);

/// What "a.b.0" finds in an element; with it the filters sort, group and select.
class AttributePath {
 public:
  AttributePath(Run& run, std::optional<Value> attribute, bool fold_case, Value fallback = {})
      : run_(run), fold_case_(fold_case), fallback_(std::move(fallback)) {
    if (!attribute || attribute->is(Kind::none)) return;
    if (!attribute->is_string()) {
      parts_.push_back(*attribute);
      return;
    }
    for (const std::string_view part : split_at(attribute->characters(), ".", -1)) {
      bool overflows = false;
      const bool digits = all_characters_are(part, "isdigit");
      const auto index = digits ? read_integer(part, 10, overflows) : std::nullopt;
      parts_.push_back(index ? Value::integer(*index) : run.string(part));
    }
  }

  Value operator()(const Value& element) const {
    Value value = element;
    for (const Value& part : parts_) {
      value = get_item(run_, value, part);
      if (value.is(Kind::undefined) && !fallback_.is(Kind::undefined)) value = fallback_;
    }
    return fold_case_ && value.is_string() ? run_.string(lower(value.characters())) : value;
  }

 private:
  Run& run_;
  std::vector<Value> parts_;
  bool fold_case_;
  Value fallback_;  // none where undefined
};

inline Value select_positions(Run& run, const std::vector<Value>& items, const std::vector<std::uint32_t>& order) {
  std::vector<Value> out;
  out.reserve(order.size());
  for (const std::uint32_t position : order) out.push_back(items[position]);
  return run.list(std::move(out));
}

/// The positions of elements by these keys, ascending or descending, those of equal keys in their order.
inline std::vector<std::uint32_t> order_of(Run& run, const std::vector<Value>& keys, bool descending) {
  return sorted_positions(keys.size(), [&](std::uint32_t a, std::uint32_t b) {
    return descending ? less(run, keys[b], keys[a]) : less(run, keys[a], keys[b]);
  });
}

inline Value filter_sort(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "sort", arguments, "reverse case_sensitive attribute");
  const bool fold = !given.has(1) || !truth(given[1]);
  std::vector<AttributePath> paths;
  if (given.given(2) && given[2].is_string()) {
    for (const std::string_view one : split_at(given[2].characters(), ",", -1))
      paths.emplace_back(run, run.string(one), fold);
  } else {
    paths.emplace_back(run, given.has(2) ? std::optional(given[2]) : std::nullopt, fold);
  }
  const std::vector<Value> items = elements_of(run, value);
  std::vector<Value> keys;
  for (const Value& item : items) {
    std::vector<Value> key;
    for (const AttributePath& path : paths) key.push_back(path(item));
    keys.push_back(run.list(std::move(key)));
  }
  return select_positions(run, items, order_of(run, keys, given.has(0) && truth(given[0])));
}

inline Value filter_dictsort(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "dictsort", arguments, "case_sensitive by reverse");
  if (value.is(Kind::undefined)) run.fail_undefined(value);
  if (!value.is(Kind::dict)) run.fail("dictsort takes a dict, found ", type_name(value));
  const std::string by = given.has(1) ? expect_string(run, given[1], "what to sort by") : "key";
  if (by != "key" && by != "value") run.fail("dictsort sorts by \"key\" or \"value\", found \"", by, "\"");
  const AttributePath folded(run, std::nullopt, !given.has(0) || !truth(given[0]));
  std::vector<Value> items, keys;
  for (const auto& [key, entry] : value.dict().entries) {
    items.push_back(run.pair(key, entry));
    keys.push_back(folded(by == "key" ? key : entry));
  }
  return select_positions(run, items, order_of(run, keys, given.has(2) && truth(given[2])));
}

inline Value filter_groupby(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "groupby", arguments, "attribute default case_sensitive", 1);
  const Value fallback = given.given(1) ? given[1] : Value();
  const bool fold = !given.has(2) || !truth(given[2]);
  const AttributePath path(run, given[0], fold, fallback), exact(run, given[0], false, fallback);
  const std::vector<Value> items = elements_of(run, value);
  std::vector<Value> keys;
  for (const Value& item : items) keys.push_back(path(item));
  const std::vector<std::uint32_t> order = order_of(run, keys, false);
  std::vector<Value> groups;
  for (std::size_t i = 0; i < order.size();) {
    std::vector<Value> members;
    const std::uint32_t first = order[i];
    for (; i < order.size() && equal(run, keys[order[i]], keys[first]); ++i) members.push_back(items[order[i]]);
    if (members.empty()) members.push_back(items[order[i++]]);  // not equal to itself: nan
    std::vector<Value> group;
    group.push_back(exact(items[first]));
    group.push_back(run.list(std::move(members)));
    groups.push_back(run.sequence(Kind::tuple, std::move(group), "group"));
  }
  return run.list(std::move(groups));
}

inline Value filter_unique(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "unique", arguments, "case_sensitive attribute");
  const AttributePath path(run, given.has(1) ? std::optional(given[1]) : std::nullopt,
                           !given.has(0) || !truth(given[0]));
  const std::vector<Value> items = elements_of(run, value);
  std::vector<Value> keys;
  for (const Value& item : items) {
    keys.push_back(path(item));
    check_hashable(run, keys.back());
  }
  const auto order = sorted_positions(
      keys.size(), [&](std::uint32_t a, std::uint32_t b) { return compare_keys(run, keys[a], keys[b]) < 0; });
  std::vector<bool> repeated(items.size());
  for (std::size_t i = 1; i < order.size(); ++i)
    repeated[order[i]] = compare_keys(run, keys[order[i - 1]], keys[order[i]]) == 0;
  std::vector<Value> out;
  for (std::size_t i = 0; i < items.size(); ++i)
    if (!repeated[i]) out.push_back(items[i]);
  return run.iterator(std::move(out));
}

inline Value filter_extreme(Run& run, std::string_view name, const Value& value, const Arguments& arguments) {
  const Bound given(run, name, arguments, "case_sensitive attribute");
  const AttributePath path(run, given.has(1) ? std::optional(given[1]) : std::nullopt,
                           !given.has(0) || !truth(given[0]));
  const std::vector<Value> items = elements_of(run, value);
  if (items.empty()) return run.undefined("No aggregated item, sequence was empty.");
  std::size_t best = 0;
  Value key = path(items[0]);
  for (std::size_t i = 1; i < items.size(); ++i) {
    Value other = path(items[i]);
    if (!(name == "min" ? less(run, other, key) : less(run, key, other))) continue;
    best = i;
    key = std::move(other);
  }
  return items[best];
}

inline Value filter_sum(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "sum", arguments, "attribute start");
  const AttributePath path(run, given.has(0) ? std::optional(given[0]) : std::nullopt, false);
  Value total = given.value_or(1, Value::integer(0));
  if (total.is_string()) run.fail("sum does not add strings; join does");
  for (const Value& item : elements_of(run, value)) total = add(run, total, path(item));
  return total;
}

inline Value filter_join(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "join", arguments, "d attribute");
  const AttributePath path(run, given.has(1) ? std::optional(given[1]) : std::nullopt, false);
  std::vector<Value> items = elements_of(run, value);
  for (Value& item : items) item = path(item);
  return run.string(join_values(run, given.has(0) ? to_text(run, given[0]) : std::string(), items, false));
}

inline Value filter_first(Run& run, const Value& value) {
  if (value.is(Kind::iterator)) {
    Sequence& sequence = value.sequence();
    if (sequence.taken < sequence.items.size()) return sequence.items[sequence.taken++];
  } else if (value.is_sequence() && !value.items().empty()) {
    return value.items().front();
  } else if (value.is_string() && !value.characters().empty()) {
    const std::string_view text = value.characters();
    return run.string(text.substr(0, first_code_point(text).bytes));
  } else if (const std::vector<Value> items = elements_of(run, value); !items.empty()) {
    return items.front();
  }
  return run.undefined("No first item, sequence was empty.");
}

inline Value filter_last(Run& run, const Value& value) {
  if (value.is(Kind::iterator)) run.fail("a value of the type ", type_name(value), " has no last element");
  if (value.is_string() && !value.characters().empty()) return *element_at(run, value, -1);
  if (value.is_sequence() && !value.items().empty()) return value.items().back();
  if (const std::vector<Value> items = elements_of(run, value); !items.empty()) return items.back();
  return run.undefined("No last item, sequence was empty.");
}

inline Value filter_reverse(Run& run, const Value& value) {
  if (value.is_string()) return get_slice(run, value, Value::none(), Value::none(), Value::integer(-1));
  std::vector<Value> items = elements_of(run, value);
  std::reverse(items.begin(), items.end());
  if (value.is(Kind::iterator) || value.is(Kind::undefined)) return run.list(std::move(items));
  return run.iterator(std::move(items), "list_reverseiterator");
}

/// Elements in lists of so many.
inline Value filter_batch(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "batch", arguments, "linecount fill_with", 1);
  const std::int64_t count = expect_integer(run, given[0], "the size of a batch");
  std::vector<Value> batches, batch;
  for (const Value& item : elements_of(run, value)) {
    if (static_cast<std::int64_t>(batch.size()) == count) batches.push_back(run.list(std::exchange(batch, {})));
    batch.push_back(item);
  }
  if (!batch.empty()) {
    if (given.given(1) && count > static_cast<std::int64_t>(batch.size())) {
      run.take_values(static_cast<std::size_t>(count));
      batch.resize(static_cast<std::size_t>(count), given[1]);
    }
    batches.push_back(run.list(std::move(batch)));
  }
  return run.iterator(std::move(batches));
}

/// Elements in so many lists.
inline Value filter_slice(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "slice", arguments, "slices fill_with", 1);
  const std::int64_t slices = expect_integer(run, given[0], "the number of slices");
  const std::vector<Value> items = elements_of(run, value);
  if (slices == 0) run.fail("slice into no slices");
  const std::size_t count = slices > 0 ? static_cast<std::size_t>(slices) : 0;
  std::vector<Value> out;
  std::size_t at = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t size = items.size() / count + (i < items.size() % count ? 1 : 0);
    std::vector<Value> part;
    for (std::size_t k = 0; k < size; ++k) part.push_back(items[at++]);
    if (given.given(1) && i >= items.size() % count) part.push_back(given[1]);
    out.push_back(run.list(std::move(part)));
  }
  return run.iterator(std::move(out));
}

/// map("filter", arguments) or map(attribute="a.b", default=...).
inline Value filter_map(Run& run, const Value& value, Arguments arguments) {
  if (!truth(value)) return run.iterator({});
  std::vector<Value> out;
  if (arguments.positional.empty()) {
    const Bound given(run, "map", arguments, "attribute default");
    if (!given.has(0)) run.fail("map needs a filter or an attribute");
    const AttributePath path(run, given[0], false, given.given(1) ? given[1] : Value());
    for (const Value& item : elements_of(run, value)) out.push_back(path(item));
    return run.iterator(std::move(out));
  }
  const Value name = arguments.positional.front();
  expect_string(run, name, "the filter of map");
  arguments.positional.erase(arguments.positional.begin());
  const Run::Level level(run);
  for (const Value& item : elements_of(run, value)) out.push_back(call_filter(run, name.characters(), item, arguments));
  return run.iterator(std::move(out));
}

/// select, reject, selectattr and rejectattr.
inline Value filter_select(Run& run, std::string_view name, const Value& value, Arguments arguments) {
  if (!truth(value)) return run.iterator({});
  const bool keeps = name.starts_with("select");
  std::optional<Value> attribute;
  const auto next = [&](std::string_view what) {
    if (arguments.positional.empty()) run.fail(name, " needs ", what);
    Value first = std::move(arguments.positional.front());
    arguments.positional.erase(arguments.positional.begin());
    return first;
  };
  if (name.ends_with("attr")) attribute = next("the name of an attribute");
  const AttributePath path(run, attribute, false);
  std::optional<Value> test;
  if (!arguments.positional.empty()) test = next("a test");
  if (test) expect_string(run, *test, "the test");
  std::vector<Value> out;
  for (Value& item : elements_of(run, value)) {
    const Value looked_at = path(item);
    if ((test ? call_test(run, test->characters(), looked_at, arguments) : truth(looked_at)) == keeps)
      out.push_back(std::move(item));
  }
  return run.iterator(std::move(out));
}

}  // namespace weft::inline v0::detail::jinja
