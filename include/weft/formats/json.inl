#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <weft/core/error.hpp>
#include <weft/core/source.hpp>
#include <weft/formats/json_value.hpp>
#include <weft/formats/utf8.hpp>

namespace weft::inline v0 {

namespace detail {

/// Takes the parser's events (the SAX interface of nlohmann_json) and makes a JsonDocument of them.
class JsonBuilder {
 public:
  /// Reads the source and counts what it has read.
  class Input {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    Input() = default;
    Input(const char* position, const char** reached) noexcept : position_(position), reached_(reached) {}
    const char& operator*() const noexcept { return *position_; }
    Input& operator++() noexcept { return *reached_ = ++position_, *this; }
    Input operator++(int) noexcept {
      const Input before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const Input& a, const Input& b) noexcept { return a.position_ == b.position_; }

   private:
    const char* position_ = nullptr;
    const char** reached_ = nullptr;
  };

  static Json parse(std::string_view text, std::string source, const JsonOptions& options) {
    if (text.size() + options.origin >= std::numeric_limits<std::uint32_t>::max())
      raise<FormatError>(source, ": ", text.size(), " bytes are too many for a JSON text");
    // The parser takes a zero byte for the end of the text.
    if (const std::size_t zero = text.find('\0'); zero != text.npos)
      raise<FormatError>(source, ": byte ", options.origin + zero + 1, ": not valid JSON: a zero byte");
    JsonBuilder builder(text, std::move(source), options);
    const Input first(text.data(), &builder.reached_);
    const Input last(text.data() + text.size(), &builder.reached_);
    nlohmann::json::sax_parse(first, last, &builder);
    return builder.finish();
  }

  bool null() { return add(JsonType::null), true; }
  bool boolean(bool value) { return add(JsonType::boolean).value.boolean = value, true; }
  bool number_integer(std::int64_t value) { return add(JsonType::integer).value.integer = value, true; }
  bool number_unsigned(std::uint64_t value) {
    if (std::in_range<std::int64_t>(value)) return number_integer(static_cast<std::int64_t>(value));
    return add(JsonType::number).value.number = static_cast<double>(value), true;
  }
  bool number_float(double value, const std::string&) { return add(JsonType::number).value.number = value, true; }
  bool string(const std::string& value) {
    JsonNode& node = add(JsonType::string);
    node.count = static_cast<std::uint32_t>(value.size());
    node.value.begin = document_->text.size();
    document_->text += value;
    return true;
  }
  bool binary(const nlohmann::json::binary_t&) { return false; }  // never sent for JSON text
  bool start_object(std::size_t) { return open(JsonType::object); }
  bool start_array(std::size_t) { return open(JsonType::array); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(const std::string& key) {
    key_begin_ = document_->text.size();
    key_length_ = key.size();
    document_->text += key;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const std::exception& error) {
    const std::string_view rest = text_.substr(std::min(text_.size(), position ? position - 1 : 0));
    position += options_.origin;
    if (rest.starts_with("NaN") || rest.starts_with("Infinity"))
      raise<FormatError>(document_->source, ": byte ", position, ": NaN and Infinity are no JSON numbers");
    std::string_view reason = error.what();
    if (const std::size_t prefix = reason.find(": "); prefix != std::string_view::npos)
      reason.remove_prefix(prefix + 2);
    std::string printable;
    append_repaired(reason.substr(0, 200), true, printable);
    raise<FormatError>(document_->source, ": byte ", position, ": not valid JSON: ", printable);
  }

 private:
  JsonBuilder(std::string_view text, std::string source, const JsonOptions& options)
      : text_(text), options_(options), reached_(text.data()), document_(std::make_shared<JsonDocument>()) {
    document_->source = std::move(source);
  }

  JsonNode& add(JsonType type) {
    if (document_->nodes.size() >= options_.max_values)
      raise<FormatError>(document_->source, ": byte ", position(), ": more than ", options_.max_values, " values");
    const auto index = static_cast<std::uint32_t>(document_->nodes.size());
    JsonNode& node = document_->nodes.emplace_back();
    node.type = type;
    node.offset = static_cast<std::uint32_t>(position());
    if (!open_.empty()) {
      node.parent = open_.back().node;
      node.key_begin = static_cast<std::uint32_t>(key_begin_);
      node.key_length = static_cast<std::uint32_t>(std::exchange(key_length_, 0));
      children_.push_back(index);
    }
    return node;
  }

  bool open(JsonType type) {
    if (open_.size() >= options_.max_depth)
      raise<FormatError>(document_->source, ": byte ", position(), ": nested deeper than ", options_.max_depth,
                         " levels");
    add(type);
    open_.push_back({static_cast<std::uint32_t>(document_->nodes.size() - 1), children_.size()});
    return true;
  }

  bool close() {
    JsonDocument& d = *document_;
    const Open container = open_.back();
    open_.pop_back();
    JsonNode& node = d.nodes[container.node];
    const auto first = children_.begin() + static_cast<std::ptrdiff_t>(container.first_child);
    node.value.begin = d.links.size();
    d.links.insert(d.links.end(), first, children_.end());
    if (node.type == JsonType::object) {
      std::stable_sort(first, children_.end(), [&](auto a, auto b) { return d.key(a) < d.key(b); });
      const auto twice =
          std::adjacent_find(first, children_.end(), [&](auto a, auto b) { return d.key(a) == d.key(b); });
      if (twice != children_.end())
        raise<FormatError>(d.location(*(twice + 1)), ": duplicate key \"", d.key(*twice), "\"");
      d.links.insert(d.links.end(), first, children_.end());
    }
    node.count = static_cast<std::uint32_t>(children_.end() - first);
    children_.erase(first, children_.end());
    return true;
  }

  Json finish() {
    JsonDocument& d = *document_;
    d.values = std::make_unique<Json[]>(d.nodes.size());
    for (std::size_t i = 0; i < d.nodes.size(); ++i) {
      d.values[i].document_ = &d;
      d.values[i].node_ = static_cast<std::uint32_t>(i);
    }
    return d.values[0];
  }

  std::size_t position() const noexcept { return options_.origin + static_cast<std::size_t>(reached_ - text_.data()); }

  struct Open {
    std::uint32_t node;
    std::size_t first_child;  // into children_
  };

  std::string_view text_;
  JsonOptions options_;
  const char* reached_;
  std::shared_ptr<JsonDocument> document_;
  std::vector<Open> open_;
  std::vector<std::uint32_t> children_;  // of the containers that are open
  std::size_t key_begin_ = 0;
  std::size_t key_length_ = 0;
};

}  // namespace detail

WEFT_INLINE Json parse_json(std::string_view text, std::string source, const JsonOptions& options) {
  return detail::JsonBuilder::parse(text, std::move(source), options);
}

WEFT_INLINE Json parse_json(const Source& source, const JsonOptions& options) {
  return parse_json(source.bytes().text(), source.name(), options);
}

WEFT_INLINE Json parse_json_file(const std::string& path, const JsonOptions& options) {
  return parse_json(Source::file(path), options);
}

namespace detail {

inline nlohmann::ordered_json to_ordered_json(const Json& value) {
  switch (value.type()) {
    case JsonType::null: break;
    case JsonType::boolean: return value.as_bool();
    case JsonType::integer: return value.as_int();
    case JsonType::number: return value.as_double();
    case JsonType::string: return value.as_string();
    case JsonType::array: {
      nlohmann::ordered_json array = nlohmann::ordered_json::array();
      for (const Json& element : value) array.push_back(to_ordered_json(element));
      return array;
    }
    case JsonType::object: {
      nlohmann::ordered_json object = nlohmann::ordered_json::object();
      for (const Json& member : value) object.emplace(member.key(), to_ordered_json(member));
      return object;
    }
  }
  return nullptr;
}

}  // namespace detail

WEFT_INLINE std::string write_json(const Json& value, int indent) {
  return detail::to_ordered_json(value).dump(indent);
}

}  // namespace weft::inline v0
