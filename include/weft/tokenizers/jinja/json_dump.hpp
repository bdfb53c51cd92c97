#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/formats/json_value.hpp>
#include <weft/tokenizers/jinja/operators.hpp>
#include <weft/tokenizers/jinja/run.hpp>
#include <weft/tokenizers/jinja/text.hpp>
#include <weft/tokenizers/jinja/value.hpp>

namespace weft::inline v0::detail::jinja {

/// The value that a JSON value is in Python.
inline Value from_json(Run& run, const Json& json) {
  switch (json.type()) {
    case JsonType::null: break;
    case JsonType::boolean: return Value::boolean(json.as_bool());
    case JsonType::integer: return Value::integer(json.as_int());
    case JsonType::number: return Value::number(json.as_double());
    case JsonType::string: return run.string(json.as_string());
    case JsonType::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const Json& element : json) items.push_back(from_json(run, element));
      return run.list(std::move(items));
    }
    case JsonType::object: {
      std::vector<std::pair<Value, Value>> entries;
      entries.reserve(json.size());
      for (const Json& member : json) entries.emplace_back(run.string(member.key()), from_json(run, member));
      return make_dict(run, std::move(entries));
    }
  }
  return Value::none();
}

/// Writes JSON as Python's json.dumps.
class JsonDump {
 public:
  struct Options {
    bool ensure_ascii = false;
    bool sort_keys = false;
    bool indented = false;
    std::string indent{};  // for every level
    std::string item_separator = ", ";
    std::string key_separator = ": ";
  };

  JsonDump(Run& run, const Options& options) : run_(run), options_(options) {}

  std::string dump(const Value& value) {
    write(value, 0);
    return std::move(out_);
  }

 private:
  void write(const Value& value, std::size_t depth) {
    const Run::Level level(run_);
    run_.step();
    switch (value.kind()) {
      case Kind::none: out_ += "null"; break;
      case Kind::boolean: out_ += value.boolean() ? "true" : "false"; break;
      case Kind::integer: out_ += std::to_string(value.integer()); break;
      case Kind::number: out_ += number(value.number()); break;
      case Kind::string: string(value.characters()); break;
      case Kind::list:
      case Kind::tuple: array(value.items(), depth); break;
      case Kind::dict: object(value.dict(), depth); break;
      default: run_.fail("tojson: a value of the type ", type_name(value), " cannot be written as JSON");
    }
  }

  static std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return number_text(value);
  }

  void line(std::size_t depth) {
    if (!options_.indented) return;
    out_ += '\n';
    run_.take(depth * options_.indent.size() + 1);
    for (std::size_t i = 0; i < depth; ++i) out_ += options_.indent;
  }

  void array(const std::vector<Value>& items, std::size_t depth) {
    out_ += '[';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) append(options_.item_separator);
      line(depth + 1);
      write(items[i], depth + 1);
    }
    if (!items.empty()) line(depth);
    out_ += ']';
  }

  void object(const Dict& dict, std::size_t depth) {
    std::vector<std::uint32_t> order;
    if (options_.sort_keys)
      order = sorted_positions(dict.entries.size(), [&](std::uint32_t a, std::uint32_t b) {
        return less(run_, dict.entries[a].first, dict.entries[b].first);
      });
    out_ += '{';
    for (std::size_t i = 0; i < dict.entries.size(); ++i) {
      const auto& [key, value] = dict.entries[options_.sort_keys ? order[i] : i];
      if (i > 0) append(options_.item_separator);
      line(depth + 1);
      write_key(key);
      append(options_.key_separator);
      write(value, depth + 1);
    }
    if (!dict.entries.empty()) line(depth);
    out_ += '}';
  }

  void write_key(const Value& key) {
    switch (key.kind()) {
      case Kind::string: return string(key.characters());
      case Kind::none: return string("null");
      case Kind::boolean: return string(key.boolean() ? "true" : "false");
      case Kind::integer: return string(std::to_string(key.integer()));
      case Kind::number: return string(number(key.number()));
      default: run_.fail("tojson: a key of the type ", type_name(key), " cannot be written as JSON");
    }
  }

  void append(const std::string& separator) {
    run_.take(separator.size());
    out_ += separator;
  }

  void string(std::string_view text) {
    run_.take(text.size() + 2);
    out_ += '"';
    for_each_character(text, [&](std::string_view character) {
      const char32_t c = first_code_point(character).value;
      constexpr std::string_view plain = "\"\\\b\f\n\r\t";
      constexpr std::string_view names = "\"\\bfnrt";
      const std::size_t found = c < 0x80 ? plain.find(static_cast<char>(c)) : plain.npos;
      if (found != plain.npos) {
        out_ += '\\';
        out_ += names[found];
      } else if (c >= 0x20 && (c < 0x7F || !options_.ensure_ascii)) {
        out_ += character;
      } else if (c < 0x10000) {
        unit(c);
      } else {
        unit(0xD800 + ((c - 0x10000) >> 10));
        unit(0xDC00 + ((c - 0x10000) & 0x3FFu));
      }
    });
    out_ += '"';
  }

  void unit(char32_t code) {
    constexpr std::string_view digits = "0123456789abcdef";
    out_ += "\\u";
    for (int i = 3; i >= 0; --i) out_ += digits[code >> (4 * i) & 15u];
  }

  Run& run_;
  Options options_;
  std::string out_;
};

/// The filter `tojson` as transformers defines it: json.dumps(x, ensure_ascii=False, indent=, separators=, sort_keys=).
inline Value filter_tojson(Run& run, const Value& value, const Arguments& arguments) {
  const Bound given(run, "tojson", arguments, "ensure_ascii indent separators sort_keys");
  JsonDump::Options options;
  options.ensure_ascii = given.has(0) && truth(given[0]);
  options.sort_keys = given.has(3) && truth(given[3]);
  if (given.given(1)) {
    options.indented = true;
    options.item_separator = ",";
    if (given[1].is_string()) {
      options.indent = given[1].characters();
    } else if (given[1].is_integral()) {
      if (given[1].integer() > 1000) run.fail("tojson: an indent of ", given[1].integer(), " characters");
      if (given[1].integer() > 0) options.indent.assign(static_cast<std::size_t>(given[1].integer()), ' ');
    } else {
      run.fail("tojson: the indent must be a number or a string, found ", type_name(given[1]));
    }
  }
  if (given.given(2)) {
    const std::vector<Value> separators = elements_of(run, given[2]);
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string())
      run.fail("tojson: the separators must be two strings");
    options.item_separator = separators[0].characters();
    options.key_separator = separators[1].characters();
  }
  return run.string(JsonDump(run, options).dump(value));
}

}  // namespace weft::inline v0::detail::jinja
