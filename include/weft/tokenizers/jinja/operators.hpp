#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/tokenizers/jinja/run.hpp>
#include <weft/tokenizers/jinja/text.hpp>
#include <weft/tokenizers/jinja/value.hpp>

// What Python's operators do with the values of templates. Integers have 64 bits: where Python's would be larger, the
// rendering fails.
namespace weft::inline v0::detail::jinja {

inline bool truth(const Value& value) noexcept {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::none: return false;
    case Kind::boolean: return value.boolean();
    case Kind::integer: return value.integer() != 0;
    case Kind::number: return value.number() != 0;
    case Kind::string: return !value.characters().empty();
    case Kind::list:
    case Kind::tuple:
    case Kind::range:
    case Kind::view: return !value.items().empty();
    case Kind::dict: return !value.dict().entries.empty();
    case Kind::iterator:
    case Kind::name_space:
    case Kind::loop:
    case Kind::callable: break;
  }
  return true;
}

/// -1, 0 or 1 for numbers of any types; 2 where one is not a number.
inline int compare_numbers(const Value& a, const Value& b) noexcept {
  if (a.is_integral() && b.is_integral()) return a.integer() < b.integer() ? -1 : a.integer() > b.integer() ? 1 : 0;
  const auto wide = [](const Value& v) {
    return v.is(Kind::number) ? static_cast<long double>(v.number()) : static_cast<long double>(v.integer());
  };
  const long double x = wide(a), y = wide(b);
  return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
}

bool equal(Run& run, const Value& a, const Value& b);

/// The value of a key, or null. Throws for keys that cannot be hashed.
const Value* find_entry(Run& run, const Dict& dict, const Value& key);

inline bool equal_dicts(Run& run, const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = find_entry(run, b, key);
    if (!other || !equal(run, value, *other)) return false;
  }
  return true;
}

inline bool equal(Run& run, const Value& a, const Value& b) {
  run.step();
  if (a.is_numeric() && b.is_numeric()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  if (a.is(Kind::undefined) || a.is(Kind::none)) return true;
  if (a.identity() == b.identity()) return true;
  if (a.is_string()) {
    run.step(a.characters().size() / 256);
    return a.characters() == b.characters();
  }
  if (a.is(Kind::dict)) return equal_dicts(run, a.dict(), b.dict());
  if (!a.is_sequence() || a.is(Kind::iterator) || (a.is(Kind::view) && a.sequence().label == "dict_values"))
    return false;
  const std::vector<Value>& x = a.items();
  const std::vector<Value>& y = b.items();
  if (x.size() != y.size()) return false;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!equal(run, x[i], y[i])) return false;
  return true;
}

/// a < b, and with it the order of sorting. Throws for what has no order.
inline bool less(Run& run, const Value& a, const Value& b) {
  run.step();
  if (a.is_numeric() && b.is_numeric()) return compare_numbers(a, b) == -1;
  if (a.is_string() && b.is_string()) {
    run.step(std::min(a.characters().size(), b.characters().size()) / 256);
    return a.characters() < b.characters();
  }
  if (a.kind() == b.kind() && (a.is(Kind::list) || a.is(Kind::tuple))) {
    const std::vector<Value>& x = a.items();
    const std::vector<Value>& y = b.items();
    for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i)
      if (!equal(run, x[i], y[i])) return less(run, x[i], y[i]);
    return x.size() < y.size();
  }
  for (const Value* side : {&a, &b})
    if (side->is(Kind::undefined)) run.fail_undefined(*side);
  run.fail("values of the types ", type_name(a), " and ", type_name(b), " have no order");
}

inline bool less_or_equal(Run& run, const Value& a, const Value& b) {
  if (a.is_numeric() && b.is_numeric()) return compare_numbers(a, b) <= 0;
  return !less(run, b, a);
}

/// Keys of dicts in an order that only lookups know: 1, 1.0 and true are one key, as in Python.
inline int compare_keys(Run& run, const Value& a, const Value& b) {
  run.step();
  const auto rank = [](const Value& v) { return v.is_numeric() ? 0 : static_cast<int>(v.kind()); };
  if (rank(a) != rank(b)) return rank(a) < rank(b) ? -1 : 1;
  if (a.is_numeric()) {
    const int order = compare_numbers(a, b);
    if (order != 2) return order;
    return static_cast<int>(std::isnan(a.number())) - static_cast<int>(std::isnan(b.number()));
  }
  if (a.is_string()) {
    run.step(std::min(a.characters().size(), b.characters().size()) / 256);
    const int order = a.characters().compare(b.characters());
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }
  if (a.is(Kind::tuple)) {
    const std::vector<Value>& x = a.items();
    const std::vector<Value>& y = b.items();
    for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i)
      if (const int order = compare_keys(run, x[i], y[i]); order != 0) return order;
    return x.size() < y.size() ? -1 : x.size() > y.size() ? 1 : 0;
  }
  return a.identity() < b.identity() ? -1 : a.identity() > b.identity() ? 1 : 0;
}

/// Throws for what cannot be a key.
inline void check_hashable(Run& run, const Value& key) {
  if (key.is(Kind::list) || key.is(Kind::dict)) run.fail("unhashable type: '", type_name(key), "'");
  if (!key.is(Kind::tuple)) return;
  run.step(key.items().size());
  for (const Value& item : key.items()) check_hashable(run, item);
}

inline const Value* find_entry(Run& run, const Dict& dict, const Value& key) {
  check_hashable(run, key);
  std::size_t first = 0, last = dict.order.size();
  while (first < last) {
    const std::size_t middle = first + (last - first) / 2;
    const int order = compare_keys(run, dict.entries[dict.order[middle]].first, key);
    if (order == 0) return &dict.entries[dict.order[middle]].second;
    (order < 0 ? first : last) = order < 0 ? middle + 1 : middle;
  }
  return nullptr;
}

inline const Value* find_entry(const Dict& dict, std::string_view key) noexcept {
  for (const auto& [name, value] : dict.entries)
    if (name.is_string() && name.characters() == key) return &value;
  return nullptr;
}

/// A stable merge sort: the positions of the elements in the order that `before` gives them. It compares no more than
/// that order needs, whatever `before` says.
template <class Before>
std::vector<std::uint32_t> sorted_positions(std::size_t count, Before&& before) {
  std::vector<std::uint32_t> order(count), merged(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = static_cast<std::uint32_t>(i);
  for (std::size_t width = 1; width < count; width *= 2) {
    for (std::size_t begin = 0; begin < count; begin += 2 * width) {
      const std::size_t middle = std::min(begin + width, count), end = std::min(begin + 2 * width, count);
      std::size_t left = begin, right = middle;
      for (std::size_t at = begin; at < end; ++at)
        merged[at] =
            right < end && (left == middle || before(order[right], order[left])) ? order[right++] : order[left++];
    }
    order.swap(merged);
  }
  return order;
}

/// A dict of these entries; of several with one key the value of the last stands at the place of the first.
inline Value make_dict(Run& run, std::vector<std::pair<Value, Value>> entries) {
  run.take_values(2 * entries.size() + 2);
  auto made = std::make_shared<Dict>();
  const auto before = [&](std::uint32_t a, std::uint32_t b) {
    return compare_keys(run, entries[a].first, entries[b].first) < 0;
  };
  for (const auto& entry : entries) check_hashable(run, entry.first);
  const std::vector<std::uint32_t> order = sorted_positions(entries.size(), before);
  std::vector<std::uint32_t> first_of_key;
  std::vector<bool> repeated(entries.size());
  for (const std::uint32_t position : order) {
    if (!first_of_key.empty() && compare_keys(run, entries[first_of_key.back()].first, entries[position].first) == 0) {
      entries[first_of_key.back()].second = entries[position].second;
      repeated[position] = true;
    } else {
      first_of_key.push_back(position);
    }
  }
  std::vector<std::uint32_t> place(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (repeated[i]) continue;
    place[i] = static_cast<std::uint32_t>(made->entries.size());
    made->depth = std::max({made->depth, 1 + depth_of(entries[i].first), 1 + depth_of(entries[i].second)});
    made->entries.push_back(std::move(entries[i]));
  }
  for (const std::uint32_t position : first_of_key) made->order.push_back(place[position]);
  run.check_depth(made->depth);
  return {Kind::dict, std::move(made)};
}

/// The elements that iterating gives; of an iterator those that are left, and then none are. Throws for what is not
/// iterable.
inline std::vector<Value> elements_of(Run& run, const Value& value) {
  std::vector<Value> out;
  if (value.is(Kind::iterator)) {
    Sequence& sequence = value.sequence();
    run.take_values(sequence.items.size() - sequence.taken);
    out.assign(sequence.items.begin() + static_cast<std::ptrdiff_t>(sequence.taken), sequence.items.end());
    sequence.taken = sequence.items.size();
  } else if (value.is_sequence()) {
    run.take_values(value.items().size());
    out = value.items();
  } else if (value.is(Kind::dict)) {
    run.take_values(value.dict().entries.size());
    for (const auto& entry : value.dict().entries) out.push_back(entry.first);
  } else if (value.is_string()) {
    for_each_character(value.characters(), [&](std::string_view c) {
      run.take_values(1);
      out.push_back(run.string(c));
    });
  } else if (!value.is(Kind::undefined)) {
    run.fail("a value of the type ", type_name(value), " is not iterable");
  }
  run.step(out.size());
  return out;
}

/// Whether iterating is possible.
inline bool is_iterable(const Value& value) noexcept {
  return value.is_sequence() || value.is(Kind::dict) || value.is_string() || value.is(Kind::undefined) ||
         value.is(Kind::loop);
}

inline std::size_t length_of(Run& run, const Value& value) {
  if (value.is_string()) {
    run.step(value.characters().size() / 256);
    return value.text()->ascii ? value.characters().size() : count_characters(value.characters());
  }
  if (value.is_sequence() && !value.is(Kind::iterator)) return value.items().size();
  if (value.is(Kind::dict)) return value.dict().entries.size();
  if (value.is(Kind::undefined)) return 0;
  run.fail("a value of the type ", type_name(value), " has no length");
}

/// Looking for one string in another may compare every character with every other.
inline void step_search(Run& run, std::string_view text, std::string_view wanted) {
  run.step(text.size() / 256 + text.size() / 64 * (wanted.size() / 64));
}

inline bool contains_value(Run& run, const Value& container, const Value& wanted) {
  if (container.is_string()) {
    if (wanted.is(Kind::undefined)) run.fail_undefined(wanted);
    if (!wanted.is_string()) run.fail("'in <string>' needs a string at its left, found ", type_name(wanted));
    step_search(run, container.characters(), wanted.characters());
    return container.characters().find(wanted.characters()) != std::string::npos;
  }
  if (container.is(Kind::dict)) return find_entry(run, container.dict(), wanted) != nullptr;
  if (container.is(Kind::iterator)) {
    for (Sequence& sequence = container.sequence(); sequence.taken < sequence.items.size();)
      if (equal(run, sequence.items[sequence.taken++], wanted)) return true;
    return false;
  }
  if (container.is_sequence()) {
    for (const Value& item : container.items())
      if (equal(run, item, wanted)) return true;
    return false;
  }
  if (container.is(Kind::undefined)) return false;
  run.fail("a value of the type ", type_name(container), " contains nothing");
}

/// str(value) and repr(value).
void append_repr(Run& run, const Value& value, std::string& out);

inline void append_items(Run& run, const std::vector<Value>& items, std::string& out) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    append_repr(run, items[i], out);
  }
}

inline void append_sequence(Run& run, const Value& value, std::string& out) {
  const std::vector<Value>& items = value.items();
  switch (value.kind()) {
    case Kind::list:
      out += '[';
      append_items(run, items, out);
      out += ']';
      break;
    case Kind::tuple:
      out += '(';
      append_items(run, items, out);
      out += items.size() == 1 ? ",)" : ")";
      break;
    case Kind::view:
      out += value.sequence().label;
      out += "([";
      append_items(run, items, out);
      out += "])";
      break;
    case Kind::range: out += value.sequence().label; break;
    default: out += "<" + value.sequence().label + " object>"; break;
  }
}

inline void append_repr(Run& run, const Value& value, std::string& out) {
  const Run::Level level(run);
  run.step();
  const std::size_t before = out.size();
  switch (value.kind()) {
    case Kind::undefined: out += "Undefined"; break;
    case Kind::none: out += "None"; break;
    case Kind::boolean: out += value.boolean() ? "True" : "False"; break;
    case Kind::integer: out += std::to_string(value.integer()); break;
    case Kind::number: out += number_text(value.number()); break;
    case Kind::string:
      if (value.text()->markup) out += "Markup(";
      append_quoted(out, value.characters());
      if (value.text()->markup) out += ')';
      break;
    case Kind::dict: {
      out += '{';
      std::string_view separator;
      for (const auto& [key, entry] : value.dict().entries) {
        out += separator;
        append_repr(run, key, out);
        out += ": ";
        append_repr(run, entry, out);
        separator = ", ";
      }
      out += '}';
      break;
    }
    case Kind::name_space: {
      out += "<Namespace {";
      std::string_view separator;
      for (const auto& [key, entry] : value.name_space().entries) {
        out += separator;
        append_quoted(out, key);
        out += ": ";
        append_repr(run, entry, out);
        separator = ", ";
      }
      out += "}>";
      break;
    }
    case Kind::loop: out += "<LoopContext>"; break;
    case Kind::callable: out += "<function " + value.callable().name + ">"; break;
    default: append_sequence(run, value, out);
  }
  if (!value.is_sequence() && !value.is(Kind::dict)) run.take(out.size() - before);
}

inline std::string to_text(Run& run, const Value& value) {
  if (value.is_string()) return value.characters();
  std::string out;
  if (!value.is(Kind::undefined)) append_repr(run, value, out);
  return out;
}

/// str(value), or the value itself where it is a string.
inline Value to_string(Run& run, const Value& value) {
  return value.is_string() ? value : run.string(to_text(run, value));
}

}  // namespace weft::inline v0::detail::jinja
