#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>

namespace weft::inline v0 {

class Json;

namespace detail {
class JsonBuilder;
}

enum class JsonType : std::uint8_t { null, boolean, integer, number, string, array, object };

/// "a string", "an object", ... for error messages.
constexpr std::string_view name(JsonType type) noexcept {
  constexpr std::string_view names[] = {"null",     "a boolean", "an integer", "a number",
                                        "a string", "an array",  "an object"};
  return names[static_cast<std::size_t>(type)];
}

namespace detail {

inline constexpr std::uint32_t json_no_parent = std::numeric_limits<std::uint32_t>::max();

struct JsonNode {
  JsonType type = JsonType::null;
  std::uint32_t parent = json_no_parent;
  std::uint32_t offset = 0;  // bytes of the source read when the value was seen
  std::uint32_t key_begin = 0;
  std::uint32_t key_length = 0;
  std::uint32_t count = 0;  // bytes of a string, children of a container
  union {
    bool boolean;
    std::int64_t integer;
    double number;
    std::size_t begin;  // into text for a string, into links for a container
  } value{.integer = 0};
};

/// The values of one document in the order of the source. `links` holds, for every container, its children in that
/// order, and for every object once more in the order of their keys.
struct JsonDocument : std::enable_shared_from_this<JsonDocument> {
  std::string source;
  std::string text;
  std::vector<JsonNode> nodes;
  std::vector<std::uint32_t> links;
  std::unique_ptr<Json[]> values;

  std::string_view key(std::uint32_t node) const noexcept {
    return std::string_view(text).substr(nodes[node].key_begin, nodes[node].key_length);
  }
  std::string path(std::uint32_t node) const;
  std::string location(std::uint32_t node) const;
};

}  // namespace detail

/// One value of an immutable JSON document (RFC 8259) that keeps the order of keys. Copies share the document and keep
/// it alive; references and string_views into it live as long as any copy of any of its values.
///
/// Typed access throws FormatError with the file, the path of keys, how far the file was read, what was expected and
/// what was found: "config.json: rope_scaling.factor (byte 311): expected a number, found a string".
class Json {
 public:
  class Iterator;

  /// A null that belongs to no document.
  Json() = default;
  Json(const Json& other) : document_(other.document_), node_(other.node_), owner_(other.share()) {}
  Json& operator=(const Json& other) {
    owner_ = other.share();
    document_ = other.document_;
    node_ = other.node_;
    return *this;
  }
  ~Json() = default;

  JsonType type() const noexcept { return document_ ? node().type : JsonType::null; }
  bool is_null() const noexcept { return type() == JsonType::null; }
  bool is_bool() const noexcept { return type() == JsonType::boolean; }
  bool is_int() const noexcept { return type() == JsonType::integer; }
  bool is_number() const noexcept { return type() == JsonType::number || is_int(); }
  bool is_string() const noexcept { return type() == JsonType::string; }
  bool is_array() const noexcept { return type() == JsonType::array; }
  bool is_object() const noexcept { return type() == JsonType::object; }

  bool as_bool() const { return expect(JsonType::boolean).value.boolean; }
  /// A number written without fraction and exponent that fits in 64 bits.
  std::int64_t as_int() const { return expect(JsonType::integer).value.integer; }
  /// An integer that is not negative.
  std::size_t as_size() const {
    if (as_int() < 0) raise<FormatError>(location(), ": expected a count, found ", as_int());
    return static_cast<std::size_t>(as_int());
  }
  /// Any number; integers are converted.
  double as_double() const {
    return is_int() ? static_cast<double>(node().value.integer) : expect(JsonType::number).value.number;
  }
  std::string_view as_string() const {
    const detail::JsonNode& string = expect(JsonType::string);
    return std::string_view(document_->text).substr(string.value.begin, string.count);
  }
  /// This value after a check of its type, as in: for (const Json& element : json.as_array()).
  const Json& as_array() const { return expect(JsonType::array), *this; }
  const Json& as_object() const { return expect(JsonType::object), *this; }

  /// The number of elements or members; 0 for what is no container.
  std::size_t size() const noexcept { return is_array() || is_object() ? node().count : 0; }
  bool empty() const noexcept { return size() == 0; }
  /// The elements of an array, or the members of an object (see key()), in the order of the source.
  Iterator begin() const noexcept;
  Iterator end() const noexcept;
  /// One element or member by position. Throws FormatError outside.
  template <std::integral Index>
  const Json& at(Index index) const {
    if (!std::cmp_less(index, size()) || std::cmp_less(index, 0))
      raise<FormatError>(location(), ": there is no element ", index, ", the size is ", size());
    return child(static_cast<std::size_t>(index));
  }

  /// The key of this value in its object; empty for array elements and the whole document.
  std::string_view key() const noexcept { return document_ ? document_->key(node_) : std::string_view(); }
  /// The keys of an object in the order of the source.
  std::vector<std::string_view> keys() const;
  /// The member of that key; null where there is none or this is no object.
  const Json* find(std::string_view key) const noexcept;
  bool contains(std::string_view key) const noexcept { return find(key) != nullptr; }
  /// The member of that key. Throws FormatError where this is no object or has no such key.
  const Json& at(std::string_view key) const {
    if (const Json* member = find(key)) return *member;
    raise<FormatError>(as_object().location(), ": the key \"", key, "\" is missing");
  }
  const Json& at(const char* key) const { return at(std::string_view(key)); }

  /// The member of that key where it is there and not null (which is how Hugging Face writes "not given"); null else.
  const Json* given(std::string_view key) const noexcept {
    const Json* member = find(key);
    return member && !member->is_null() ? member : nullptr;
  }
  /// The member of that key, or `fallback` where it is missing or null. Throws FormatError for another type.
  bool get_or(std::string_view key, bool fallback) const {
    const Json* member = given(key);
    return member ? member->as_bool() : fallback;
  }
  double get_or(std::string_view key, double fallback) const {
    const Json* member = given(key);
    return member ? member->as_double() : fallback;
  }
  std::string_view get_or(std::string_view key, std::string_view fallback) const {
    const Json* member = given(key);
    return member ? member->as_string() : fallback;
  }
  std::string_view get_or(std::string_view key, const char* fallback) const {
    return get_or(key, std::string_view(fallback));
  }
  template <std::integral Integer>
  requires(!std::same_as<Integer, bool>) Integer get_or(std::string_view key, Integer fallback)
  const {
    const Json* member = given(key);
    if (!member) return fallback;
    const std::int64_t value = member->as_int();
    if (!std::in_range<Integer>(value)) raise<FormatError>(member->location(), ": ", value, " is out of range");
    return static_cast<Integer>(value);
  }

  /// The name given to the parser: the file.
  std::string_view source() const noexcept { return document_ ? std::string_view(document_->source) : "JSON"; }
  /// The keys and positions that lead here: "rope_scaling.factor", "added_tokens[3].id"; empty for the whole document.
  std::string path() const { return document_ ? document_->path(node_) : std::string(); }
  /// How many bytes of the source were read when this value was seen: past a scalar's end, past a container's bracket.
  std::size_t offset() const noexcept { return document_ ? node().offset : 0; }
  /// "config.json: rope_scaling.factor (byte 311)": for the messages of those who find the value wrong.
  std::string location() const { return document_ ? document_->location(node_) : std::string("JSON"); }

 private:
  friend class detail::JsonBuilder;

  std::shared_ptr<const detail::JsonDocument> share() const {
    return owner_ || !document_ ? owner_ : document_->shared_from_this();
  }
  const detail::JsonNode& node() const noexcept { return document_->nodes[node_]; }
  const Json& child(std::size_t index) const noexcept {
    return document_->values[document_->links[node().value.begin + index]];
  }
  const detail::JsonNode& expect(JsonType expected) const {
    if (type() != expected) raise<FormatError>(location(), ": expected ", name(expected), ", found ", name(type()));
    return node();
  }

  const detail::JsonDocument* document_ = nullptr;
  std::uint32_t node_ = 0;
  std::shared_ptr<const detail::JsonDocument> owner_;  // empty for the values that the document itself holds
};

class Json::Iterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = Json;
  using difference_type = std::ptrdiff_t;
  using pointer = const Json*;
  using reference = const Json&;

  Iterator() = default;
  Iterator(const Json* container, std::size_t index) noexcept : container_(container), index_(index) {}
  const Json& operator*() const noexcept { return container_->child(index_); }
  const Json* operator->() const noexcept { return &**this; }
  Iterator& operator++() noexcept { return ++index_, *this; }
  Iterator operator++(int) noexcept { return {container_, index_++}; }
  friend bool operator==(const Iterator&, const Iterator&) noexcept = default;

 private:
  const Json* container_ = nullptr;
  std::size_t index_ = 0;
};

inline Json::Iterator Json::begin() const noexcept { return {this, 0}; }
inline Json::Iterator Json::end() const noexcept { return {this, size()}; }

inline std::vector<std::string_view> Json::keys() const {
  std::vector<std::string_view> keys;
  for (const Json& member : as_object()) keys.push_back(member.key());
  return keys;
}

inline const Json* Json::find(std::string_view key) const noexcept {
  if (!is_object()) return nullptr;
  const std::uint32_t* sorted = document_->links.data() + node().value.begin + node().count;
  const std::uint32_t* end = sorted + node().count;
  const std::uint32_t* found =
      std::lower_bound(sorted, end, key, [&](std::uint32_t n, std::string_view k) { return document_->key(n) < k; });
  return found != end && document_->key(*found) == key ? &document_->values[*found] : nullptr;
}

namespace detail {

inline std::string JsonDocument::path(std::uint32_t node) const {
  std::string path;
  for (; nodes[node].parent != json_no_parent; node = nodes[node].parent) {
    const JsonNode& parent = nodes[nodes[node].parent];
    std::string step;
    if (parent.type == JsonType::object) {
      step = key(node);
    } else {
      const auto children = links.begin() + static_cast<std::ptrdiff_t>(parent.value.begin);
      const auto found = std::find(children, children + parent.count, node);
      step = "[" + (found == children + parent.count ? std::string() : std::to_string(found - children)) + "]";
    }
    path = step + (path.empty() || path.front() == '[' ? "" : ".") + path;
  }
  return path;
}

inline std::string JsonDocument::location(std::uint32_t node) const {
  const std::string keys = path(node);
  return concat(source, ": ", keys, keys.empty() ? "byte " : " (byte ", nodes[node].offset, keys.empty() ? "" : ")");
}

}  // namespace detail

}  // namespace weft::inline v0
