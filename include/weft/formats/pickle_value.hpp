#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/error.hpp>

namespace weft::inline v0 {

enum class PickleType : std::uint8_t {
  none,
  boolean,
  integer,
  number,
  string,
  tuple,
  list,
  dict,
  global,   ///< the name of one of the few functions and types that tensors are made with
  storage,  ///< the persistent id of the memory of tensors
  tensor
};

/// "a string", "a dict", ... for error messages.
constexpr std::string_view name(PickleType type) noexcept {
  constexpr std::string_view names[] = {"None",   "a boolean", "an integer", "a number",  "a string", "a tuple",
                                        "a list", "a dict",    "a global",   "a storage", "a tensor"};
  return names[static_cast<std::size_t>(type)];
}

/// The memory that tensors lie in, as a pickle describes it.
struct PickleStorage {
  std::string_view type;  ///< "FloatStorage", "HalfStorage", ...
  std::string_view key;   ///< the name of the file in the archive
  std::size_t elements;
};

/// A view of a storage: element (i, j, ...) lies at offset + i * strides[0] + j * strides[1] + ...
struct PickleTensor {
  PickleStorage storage;
  std::size_t offset;  ///< in elements
  std::vector<std::size_t> extents;
  std::vector<std::size_t> strides;  ///< in elements
};

namespace detail {

inline constexpr std::uint32_t pickle_end = std::numeric_limits<std::uint32_t>::max();

struct PickleNode {
  struct Items {
    std::uint32_t first;
    std::uint32_t last;
  };
  PickleType type = PickleType::none;
  std::uint32_t offset = 0;  // of the opcode that made it
  std::uint32_t count = 0;   // bytes of a string, items of a container
  union {
    bool boolean;
    std::int64_t integer;
    double number;
    std::size_t begin;        // of a string
    Items items;              // of a container; a dict has keys and values in turn
    std::uint32_t arguments;  // the tuple that a storage or a tensor is made of
    const std::string_view* global;
  } value{.integer = 0};
};

/// The values that a pickle made. The items of a container are a chain: lists and dicts grow while they are read.
struct PickleDocument {
  struct Item {
    std::uint32_t node;
    std::uint32_t next;
  };
  std::string source;
  std::size_t origin = 0;
  std::string_view bytes;
  std::vector<PickleNode> nodes;
  std::vector<Item> items;
  std::uint32_t root = 0;
};

}  // namespace detail

/// One value of a Pickle, which must outlive it. Typed access throws FormatError with the file, the byte, what was
/// expected and what was found.
class PickleValue {
 public:
  class Iterator;

  PickleValue(const detail::PickleDocument& document, std::uint32_t node) noexcept : document_(&document), id_(node) {}

  PickleType type() const noexcept { return node().type; }
  bool is_none() const noexcept { return type() == PickleType::none; }
  bool is_string() const noexcept { return type() == PickleType::string; }
  bool is_tuple() const noexcept { return type() == PickleType::tuple; }
  bool is_list() const noexcept { return type() == PickleType::list; }
  bool is_dict() const noexcept { return type() == PickleType::dict; }
  bool is_tensor() const noexcept { return type() == PickleType::tensor; }
  /// The same for two values only where they are one object, as two references to one key are.
  std::uint32_t id() const noexcept { return id_; }

  bool as_bool() const { return expect(PickleType::boolean).value.boolean; }
  std::int64_t as_int() const { return expect(PickleType::integer).value.integer; }
  /// An integer that is not negative.
  std::size_t as_size() const {
    if (as_int() < 0) raise<FormatError>(location(), ": expected a count, found ", as_int());
    return static_cast<std::size_t>(as_int());
  }
  double as_double() const { return expect(PickleType::number).value.number; }
  std::string_view as_string() const {
    const detail::PickleNode& string = expect(PickleType::string);
    return document_->bytes.substr(string.value.begin, string.count);
  }
  /// The name of a function or type: "torch FloatStorage".
  std::string_view as_global() const { return *expect(PickleType::global).value.global; }
  /// This value after a check of its type.
  PickleValue as_tuple() const { return expect(PickleType::tuple), *this; }
  PickleValue as_dict() const { return expect(PickleType::dict), *this; }
  PickleStorage as_storage() const;
  PickleTensor as_tensor() const;

  /// The number of items of a tuple, list or dict, where every key and every value counts; 0 for other values.
  std::size_t size() const noexcept { return is_container() ? node().count : 0; }
  /// The items of a tuple or list; the keys and values of a dict in turn.
  Iterator begin() const noexcept;
  Iterator end() const noexcept;
  /// What a dict holds under a string, or nothing.
  std::optional<PickleValue> find(std::string_view key) const noexcept;

  /// "pytorch_model.bin: byte 311": for the messages of those who find the value wrong.
  std::string location() const {
    return detail::concat(document_->source, ": byte ", document_->origin + node().offset);
  }

 private:
  const detail::PickleNode& node() const noexcept { return document_->nodes[id_]; }
  bool is_container() const noexcept { return is_tuple() || is_list() || is_dict(); }
  const detail::PickleNode& expect(PickleType expected) const {
    if (type() != expected) raise<FormatError>(location(), ": expected ", name(expected), ", found ", name(type()));
    return node();
  }

  const detail::PickleDocument* document_;
  std::uint32_t id_;
};

class PickleValue::Iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = PickleValue;
  using difference_type = std::ptrdiff_t;
  using pointer = const PickleValue*;
  using reference = PickleValue;

  Iterator(const detail::PickleDocument& document, std::uint32_t item) noexcept : document_(&document), item_(item) {}
  PickleValue operator*() const noexcept { return {*document_, document_->items[item_].node}; }
  Iterator& operator++() noexcept { return item_ = document_->items[item_].next, *this; }
  Iterator operator++(int) noexcept {
    const Iterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const Iterator& a, const Iterator& b) noexcept { return a.item_ == b.item_; }

 private:
  const detail::PickleDocument* document_;
  std::uint32_t item_;
};

inline PickleValue::Iterator PickleValue::begin() const noexcept {
  return {*document_, is_container() && node().count != 0 ? node().value.items.first : detail::pickle_end};
}
inline PickleValue::Iterator PickleValue::end() const noexcept { return {*document_, detail::pickle_end}; }

inline std::optional<PickleValue> PickleValue::find(std::string_view key) const noexcept {
  if (!is_dict()) return std::nullopt;
  std::optional<PickleValue> found;  // a key that is set twice has the later value
  for (Iterator item = begin(); item != end(); ++item) {
    const PickleValue candidate = *item++;
    if (candidate.is_string() && candidate.as_string() == key) found = *item;
  }
  return found;
}

inline PickleStorage PickleValue::as_storage() const {
  Iterator argument = PickleValue(*document_, expect(PickleType::storage).value.arguments).begin();
  const std::string_view type = (*++argument).as_global();  // after the word "storage"
  const std::string_view key = (*++argument).as_string();
  ++argument;  // the device
  return {.type = type.substr(type.find(' ') + 1), .key = key, .elements = (*++argument).as_size()};
}

inline PickleTensor PickleValue::as_tensor() const {
  Iterator argument = PickleValue(*document_, expect(PickleType::tensor).value.arguments).begin();
  PickleTensor tensor{
      .storage = (*argument).as_storage(), .offset = (*++argument).as_size(), .extents = {}, .strides = {}};
  for (const PickleValue extent : (*++argument).as_tuple()) tensor.extents.push_back(extent.as_size());
  for (const PickleValue stride : (*++argument).as_tuple()) tensor.strides.push_back(stride.as_size());
  return tensor;
}

}  // namespace weft::inline v0
