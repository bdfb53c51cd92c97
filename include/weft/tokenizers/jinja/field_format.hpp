#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <weft/tokenizers/jinja/access.hpp>
#include <weft/tokenizers/jinja/format.hpp>
#include <weft/tokenizers/jinja/operators.hpp>
#include <weft/tokenizers/jinja/run.hpp>
#include <weft/tokenizers/jinja/text.hpp>
#include <weft/tokenizers/jinja/value.hpp>

namespace weft::inline v0::detail::jinja {

/// str.format: {}, {0}, {name}, {name.attribute[key]}, with !r, !s and a format after a colon.
class FieldFormatter {
 public:
  FieldFormatter(Run& run, const Arguments& arguments) : run_(run), arguments_(arguments) {}

  std::string format(std::string_view text, int depth = 0) {
    if (depth > 1) run_.fail("format(): fields nested too deep");
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const char c = text[at];
      const bool twice = at + 1 < text.size() && text[at + 1] == c;
      if ((c == '{' || c == '}') && twice) {
        out += c;
        at += 2;
      } else if (c == '{') {
        const std::size_t end = field_end(text, at);
        out += field(text.substr(at + 1, end - at - 1), depth);
        at = end + 1;
      } else if (c == '}') {
        run_.fail("format(): a single '}'");
      } else {
        out += c;
        ++at;
      }
    }
    run_.take(out.size());
    return out;
  }

 private:
  std::size_t field_end(std::string_view text, std::size_t begin) const {
    int open = 0;
    for (std::size_t at = begin; at < text.size(); ++at) {
      if (text[at] == '{') ++open;
      if (text[at] == '}' && --open == 0) return at;
    }
    run_.fail("format(): expected '}' before the end of the string");
  }

  std::string field(std::string_view text, int depth) {
    const std::size_t name_end = std::min(text.find_first_of("!:"), text.size());
    Value value = lookup(text.substr(0, name_end));
    text.remove_prefix(name_end);
    if (text.starts_with('!')) {
      const char conversion = text.size() > 1 ? text[1] : '\0';
      if ((conversion != 'r' && conversion != 's' && conversion != 'a') || (text.size() > 2 && text[2] != ':'))
        run_.fail("format(): found an unknown conversion");
      std::string shown;
      if (conversion == 's') {
        shown = to_text(run_, value);
      } else {
        append_repr(run_, value, shown);
      }
      value = run_.string(std::move(shown));
      text.remove_prefix(2);
    }
    if (!text.empty()) text.remove_prefix(1);
    return format_value(run_, value, format(text, depth + 1));
  }

  Value lookup(std::string_view path) {
    std::size_t end = std::min(path.find_first_of(".["), path.size());
    Value value = argument(path.substr(0, end));
    while (end < path.size()) {
      const bool attribute = path[end] == '.';
      const std::size_t begin = end + 1;
      end = std::min(attribute ? path.find_first_of(".[", begin) : path.find(']', begin), path.size());
      const std::string_view key = path.substr(begin, end - begin);
      bool overflows = false;
      const auto index = attribute ? std::nullopt : read_integer(key, 10, overflows);
      value = attribute ? get_attribute(run_, value, key)
                        : get_item(run_, value, index ? Value::integer(*index) : run_.string(key));
      if (!attribute && end < path.size()) ++end;
    }
    return value;
  }

  Value argument(std::string_view name) {
    bool overflows = false;
    const auto number = name.empty() ? std::optional<std::int64_t>(next_++) : read_integer(name, 10, overflows);
    if (number) {
      if (*number < 0 || static_cast<std::size_t>(*number) >= arguments_.positional.size())
        run_.fail("format(): there is no argument ", *number);
      return arguments_.positional[static_cast<std::size_t>(*number)];
    }
    for (const auto& [key, value] : arguments_.named)
      if (key == name) return value;
    run_.fail("format(): there is no argument \"", name, "\"");
  }

  Run& run_;
  const Arguments& arguments_;
  std::int64_t next_ = 0;
};

}  // namespace weft::inline v0::detail::jinja
