#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>

namespace weft::inline v0::detail::jinja {

/// The types that templates calculate with: those of Python that JSON has, and what Jinja adds.
enum class Kind : std::uint8_t {
  undefined,
  none,
  boolean,
  integer,
  number,
  string,
  list,
  tuple,
  range,
  view,      // of a dict: its keys, values or items
  iterator,  // gives each of its elements once
  dict,
  name_space,
  loop,
  callable
};

/// A string. UTF-8; `markup` is what the filter `safe` leaves behind: what is added to it is escaped.
struct Text {
  std::string characters;
  bool ascii = true;
  bool markup = false;
};

struct Sequence;
struct Dict;
struct Namespace;
struct Loop;
struct Callable;

/// A value of a template, cheap to copy. What it refers to never changes, but for namespaces and what counts:
/// iterators, loops, cyclers and joiners.
class Value {
 public:
  /// Undefined: prints as nothing and fails where anything else is done with it.
  Value() = default;
  static Value none() { return Value(Kind::none, nullptr); }
  static Value boolean(bool value) {
    Value out(Kind::boolean, nullptr);
    out.scalar_.boolean = value;
    return out;
  }
  static Value integer(std::int64_t value) {
    Value out(Kind::integer, nullptr);
    out.scalar_.integer = value;
    return out;
  }
  static Value number(double value) {
    Value out(Kind::number, nullptr);
    out.scalar_.number = value;
    return out;
  }
  Value(Kind kind, std::shared_ptr<void> object) : kind_(kind), object_(std::move(object)) {}

  Kind kind() const noexcept { return kind_; }
  bool is(Kind kind) const noexcept { return kind_ == kind; }
  bool is_string() const noexcept { return kind_ == Kind::string; }
  /// An integer, or a boolean, which Python takes for one.
  bool is_integral() const noexcept { return kind_ == Kind::integer || kind_ == Kind::boolean; }
  bool is_numeric() const noexcept { return is_integral() || kind_ == Kind::number; }
  bool is_sequence() const noexcept { return kind_ >= Kind::list && kind_ <= Kind::iterator; }

  bool boolean() const noexcept { return scalar_.boolean; }
  std::int64_t integer() const noexcept {
    return kind_ == Kind::boolean ? std::int64_t{scalar_.boolean} : scalar_.integer;
  }
  double number() const noexcept { return kind_ == Kind::number ? scalar_.number : static_cast<double>(integer()); }
  /// Of a string; of what is undefined, why, or a null pointer.
  const Text* text() const noexcept { return static_cast<const Text*>(object_.get()); }
  const std::string& characters() const noexcept { return text()->characters; }
  Sequence& sequence() const noexcept { return *static_cast<Sequence*>(object_.get()); }
  const std::vector<Value>& items() const noexcept;
  Dict& dict() const noexcept { return *static_cast<Dict*>(object_.get()); }
  Namespace& name_space() const noexcept { return *static_cast<Namespace*>(object_.get()); }
  Loop& loop() const noexcept { return *static_cast<Loop*>(object_.get()); }
  Callable& callable() const noexcept { return *static_cast<Callable*>(object_.get()); }
  const void* identity() const noexcept { return object_.get(); }

 private:
  Kind kind_ = Kind::undefined;
  union {
    bool boolean;
    std::int64_t integer;
    double number;
  } scalar_{.integer = 0};
  std::shared_ptr<void> object_;
};

struct Sequence {
  std::vector<Value> items;
  std::size_t depth = 1;  // of containers inside one another
  std::size_t taken = 0;  // of an iterator
  std::string label;      // of a view: "dict_keys"; of an iterator: "generator"; of a range as it prints
};

inline const std::vector<Value>& Value::items() const noexcept { return sequence().items; }

/// Keeps the order of its entries; `order` has their positions by their keys.
struct Dict {
  std::vector<std::pair<Value, Value>> entries;
  std::vector<std::uint32_t> order;
  std::size_t depth = 1;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> entries;

  Value* find(std::string_view name) noexcept {
    for (auto& [key, value] : entries)
      if (key == name) return &value;
    return nullptr;
  }
};

struct Scope;
struct Statement;

/// The variable `loop`. `items` are those that the loop's condition let through, up to where somebody looked.
struct Loop {
  std::vector<Value> items;
  std::vector<Value> pending;  // not yet looked at
  std::size_t next_pending = 0;
  std::size_t index = 0;
  std::size_t depth = 0;
  const Statement* statement = nullptr;
  std::weak_ptr<Scope> outer;
  std::vector<Value> changed;  // what loop.changed() was called with
  bool has_changed = false;
  bool over = false;
};

/// What can be called.
struct Callable {
  enum class Type : std::uint8_t {
    global,  // a function of the environment, by its name
    method,  // of `self`
    macro,
    cycler,
    joiner
  };
  Type type = Type::global;
  std::string name{};
  Value self{};                      // of a method; the items of a cycler, the separator of a joiner
  std::size_t depth = 0;             // of containers, through `self`
  std::size_t position = 0;          // of a cycler and a joiner
  const Statement* macro = nullptr;  // a macro, or the body of a call block
  std::weak_ptr<Scope> defined{};    // a macro sees the variables of where it was defined
};

inline Value constant_string(std::string characters, bool markup = false) {
  const bool ascii =
      std::all_of(characters.begin(), characters.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  return {Kind::string, std::make_shared<Text>(Text{std::move(characters), ascii, markup})};
}

/// The depth of containers inside one another, 0 of what is none.
inline std::size_t depth_of(const Value& value) noexcept {
  if (value.is_sequence()) return value.sequence().depth;
  if (value.is(Kind::dict)) return value.dict().depth;
  return value.is(Kind::callable) ? value.callable().depth : 0;
}

/// As Python names the type.
inline std::string_view type_name(const Value& value) noexcept {
  switch (value.kind()) {
    case Kind::undefined: return "Undefined";
    case Kind::none: return "NoneType";
    case Kind::boolean: return "bool";
    case Kind::integer: return "int";
    case Kind::number: return "float";
    case Kind::string: return value.text()->markup ? "Markup" : "str";
    case Kind::list: return "list";
    case Kind::tuple: return "tuple";
    case Kind::range: return "range";
    case Kind::view:
    case Kind::iterator: return value.sequence().label;
    case Kind::dict: return "dict";
    case Kind::name_space: return "Namespace";
    case Kind::loop: return "LoopContext";
    case Kind::callable: break;
  }
  return "function";
}

}  // namespace weft::inline v0::detail::jinja
