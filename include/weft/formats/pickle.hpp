#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/shape.hpp>
#include <weft/formats/pickle_value.hpp>
#include <weft/formats/utf8.hpp>

namespace weft::inline v0 {

namespace detail {

/// What a pickle of tensors may name, and nothing else.
inline constexpr std::string_view pickle_ordered_dict = "collections OrderedDict";
inline constexpr std::string_view pickle_rebuild_tensor = "torch._utils _rebuild_tensor_v2";
inline constexpr std::string_view pickle_rebuild_parameter = "torch._utils _rebuild_parameter";
inline constexpr std::array<std::string_view, 14> pickle_globals{
    pickle_ordered_dict, pickle_rebuild_tensor,      pickle_rebuild_parameter, "torch FloatStorage",
    "torch HalfStorage", "torch DoubleStorage",      "torch BFloat16Storage",  "torch LongStorage",
    "torch IntStorage",  "torch ShortStorage",       "torch CharStorage",      "torch ByteStorage",
    "torch BoolStorage", "torch ComplexFloatStorage"};

/// Opcodes that make or call objects, and others that tensors never need, for error messages.
constexpr std::string_view name_of_refused_opcode(unsigned char opcode) noexcept {
  switch (opcode) {
    case 'i': return "INST";
    case 'o': return "OBJ";
    case 'P': return "PERSID";
    case 'B': return "BINBYTES";
    case 'C': return "SHORT_BINBYTES";
    case 0x81: return "NEWOBJ";
    case 0x82: return "EXT1";
    case 0x83: return "EXT2";
    case 0x84: return "EXT4";
    case 0x92: return "NEWOBJ_EX";
    case 0x97: return "NEXT_BUFFER";
    default: return "an opcode of another kind";
  }
}

/// The stack machine that a pickle is a program for, without the part that calls anything.
class PickleReader {
 public:
  PickleReader(std::string_view bytes, std::string source, std::size_t origin)
      : document_(std::make_shared<PickleDocument>()), max_values_(bytes.size() / 2 + none_true_false_and_empty) {
    document_->source = std::move(source);
    document_->origin = origin;
    document_->bytes = bytes;
    for (std::uint32_t i = 0; i < none_true_false_and_empty; ++i) document_->nodes.emplace_back();
    document_->nodes[false_node].type = document_->nodes[true_node].type = PickleType::boolean;
    document_->nodes[true_node].value.boolean = true;
    document_->nodes[empty_node].type = PickleType::tuple;
  }

  std::shared_ptr<const PickleDocument> read() {
    if (document_->bytes.size() > max_bytes)
      raise<FormatError>(document_->source, ": a pickle of ", document_->bytes.size(), " bytes, at most ", max_bytes,
                         " are allowed");
    begin_ = 0;
    if (byte() != 0x80) fail("not a pickle of protocol 2 or later");
    read_protocol();
    for (unsigned char opcode = next_opcode(); opcode != '.'; opcode = next_opcode()) execute(opcode);
    if (stack_.size() != 1 || !marks_.empty())
      fail(concat("the pickle ends with ", stack_.size(), " values, expected one"));
    if (position_ != document_->bytes.size()) fail("bytes follow the end of the pickle");
    document_->root = stack_.front();
    return std::move(document_);
  }

 private:
  static constexpr std::size_t max_bytes = 100'000'000;
  static constexpr std::size_t max_marks = 64;
  static constexpr std::uint32_t none_node = 0;
  static constexpr std::uint32_t false_node = 1;
  static constexpr std::uint32_t true_node = 2;
  static constexpr std::uint32_t empty_node = 3;
  static constexpr std::uint32_t none_true_false_and_empty = 4;

  template <class E = FormatError>
  [[noreturn]] void fail(std::string_view what) const {
    raise<E>(document_->source, ": byte ", document_->origin + begin_, ": ", what);
  }

  // -- Reading bytes.

  std::string_view take(std::uint64_t bytes) {
    if (bytes > document_->bytes.size() - position_) fail("the pickle is truncated");
    const std::string_view taken = document_->bytes.substr(position_, static_cast<std::size_t>(bytes));
    position_ += taken.size();
    return taken;
  }
  template <class T>
  T take_number() {
    T value{};
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  unsigned char byte() { return take_number<unsigned char>(); }
  unsigned char next_opcode() { return begin_ = position_, byte(); }
  std::string_view take_line() {
    const std::size_t end = document_->bytes.find('\n', position_);
    if (end == std::string_view::npos) fail("the pickle is truncated");
    const std::string_view line = take(end - position_);
    ++position_;
    return line;
  }

  // -- The stack.

  std::uint32_t add(PickleType type) {
    if (document_->nodes.size() >= max_values_) fail("more values than a pickle of this size can hold");
    PickleNode& node = document_->nodes.emplace_back();
    node.type = type;
    node.offset = static_cast<std::uint32_t>(begin_);
    return static_cast<std::uint32_t>(document_->nodes.size() - 1);
  }
  PickleNode& node(std::uint32_t id) noexcept { return document_->nodes[id]; }
  PickleValue value(std::uint32_t id) const noexcept { return {*document_, id}; }
  PickleNode& push(PickleType type) {
    stack_.push_back(add(type));
    return node(stack_.back());
  }
  /// The number of values above the last mark.
  std::size_t available() const noexcept { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }
  std::uint32_t top() const {
    if (available() == 0) fail("the stack is empty");
    return stack_.back();
  }
  std::uint32_t pop() {
    const std::uint32_t id = top();
    stack_.pop_back();
    return id;
  }
  void mark() {
    if (marks_.size() == max_marks) fail(concat("nested deeper than ", max_marks, " levels"));
    marks_.push_back(stack_.size());
  }
  /// Takes the last mark away and returns how many values were above it.
  std::size_t pop_mark() {
    if (marks_.empty()) fail("there is no mark");
    const std::size_t count = available();
    marks_.pop_back();
    return count;
  }

  /// Moves the last `count` values of the stack into a container.
  void append(PickleNode& container, std::size_t count) {
    std::vector<PickleDocument::Item>& items = document_->items;
    for (std::size_t i = stack_.size() - count; i < stack_.size(); ++i) {
      const auto item = static_cast<std::uint32_t>(items.size());
      items.push_back({.node = stack_[i], .next = pickle_end});
      if (container.count++ == 0) {
        container.value.items = {.first = item, .last = item};
      } else {
        items[std::exchange(container.value.items.last, item)].next = item;
      }
    }
    stack_.resize(stack_.size() - count);
  }
  void append_to(PickleType type, std::size_t count) {
    if (count > available()) fail("the stack is empty");
    if (type == PickleType::dict && count % 2 != 0) fail("a key without a value");
    const std::size_t container = stack_.size() - count;
    if (available() == count) fail("the stack is empty");
    if (node(stack_[container - 1]).type != type)
      fail(concat("expected ", name(type), " to add to, found ", name(node(stack_[container - 1]).type)));
    append(node(stack_[container - 1]), count);
  }
  void push_tuple(std::size_t count) {
    if (count > available()) fail("the stack is empty");
    if (count == 0) return stack_.push_back(empty_node);
    const std::uint32_t tuple = add(PickleType::tuple);
    append(node(tuple), count);
    stack_.push_back(tuple);
  }

  // -- Opcodes, in the groups of Python's pickletools.py.

  void execute(unsigned char opcode) {
    switch (opcode) {
      case 0x95: return read_frame();
      case 'N': return stack_.push_back(none_node);
      case 0x88: return stack_.push_back(true_node);
      case 0x89: return stack_.push_back(false_node);
      case 'J': return push_integer(take_number<std::int32_t>());
      case 'K': return push_integer(byte());
      case 'M': return push_integer(take_number<std::uint16_t>());
      case 0x8a: return push_long(byte());
      case 'G': return push_number();
      case 'X': return push_string(take_number<std::uint32_t>());
      case 'T': return push_string(take_number<std::uint32_t>());
      case 'U':
      case 0x8c: return push_string(byte());
      case ')': return push_tuple(0);
      case 0x85: return push_tuple(1);
      case 0x86: return push_tuple(2);
      case 0x87: return push_tuple(3);
      case 't': return push_tuple(pop_mark());
      case ']': return static_cast<void>(push(PickleType::list));
      case 'a': return append_to(PickleType::list, 1);
      case 'e': return append_to(PickleType::list, pop_mark());
      case '}': return static_cast<void>(push(PickleType::dict));
      case 's': return append_to(PickleType::dict, 2);
      case 'u': return append_to(PickleType::dict, pop_mark());
      case '(': return mark();
      case 'h': return recall(byte());
      case 'j': return recall(take_number<std::uint32_t>());
      case 'q': return memorise(byte());
      case 'r': return memorise(take_number<std::uint32_t>());
      case 0x94: return memorise(memorised_);
      case 'c': return push_global();
      case 0x93: return push_global_of_stack();
      case 'R': return reduce();
      case 'b': return build();
      case 'Q': return push_storage();
      default: break;
    }
    fail<UnsupportedError>(concat("the opcode ", unsigned{opcode}, " (", name_of_refused_opcode(opcode),
                                  ") is not one that tensors need"));
  }

  void read_protocol() {
    const unsigned protocol = byte();
    if (protocol < 2 || protocol > 5) fail(concat("pickle protocol ", protocol, ", expected 2 to 5"));
  }
  void read_frame() {
    if (take_number<std::uint64_t>() > document_->bytes.size() - position_) fail("the pickle is truncated");
  }

  void push_integer(std::int64_t integer) { push(PickleType::integer).value.integer = integer; }
  /// An integer of any number of bytes, the lowest first, in two's complement.
  void push_long(std::size_t bytes) {
    const std::string_view digits = take(bytes);
    if (bytes > sizeof(std::int64_t)) fail<UnsupportedError>(concat("an integer of ", bytes, " bytes"));
    std::uint64_t integer = !digits.empty() && (digits.back() & 0x80) != 0 ? ~std::uint64_t{0} : 0;
    if (!digits.empty()) std::memcpy(&integer, digits.data(), digits.size());
    push_integer(static_cast<std::int64_t>(integer));
  }
  void push_number() {
    std::uint64_t bits = 0;
    for (const char c : take(sizeof bits)) bits = bits << 8 | static_cast<unsigned char>(c);
    push(PickleType::number).value.number = std::bit_cast<double>(bits);
  }
  void push_string(std::size_t bytes) {
    const std::size_t begin = position_;
    if (!is_utf8(take(bytes))) fail("a string that is not UTF-8");
    PickleNode& string = push(PickleType::string);
    string.count = static_cast<std::uint32_t>(bytes);
    string.value.begin = begin;
  }

  void recall(std::size_t index) {
    if (index >= memo_.size() || memo_[index] == pickle_end) fail(concat("nothing was stored under ", index));
    stack_.push_back(memo_[index]);
  }
  void memorise(std::size_t index) {
    if (index > document_->bytes.size())
      fail(concat("memo index ", index, " in a pickle of ", document_->bytes.size(), " bytes"));
    if (index >= memo_.size()) memo_.resize(index + 1, pickle_end);
    memo_[index] = top();
    ++memorised_;
  }

  void push_global() {
    const std::string_view module = take_line();
    push_global(module, take_line());
  }
  void push_global_of_stack() {
    const std::string_view called = value(pop()).as_string();
    push_global(value(pop()).as_string(), called);
  }
  void push_global(std::string_view module, std::string_view called) {
    const std::string whole = concat(module.substr(0, 200), " ", called.substr(0, 200));
    for (const std::string_view& known : pickle_globals)
      if (known == whole) return static_cast<void>(push(PickleType::global).value.global = &known);
    std::string printable;
    append_repaired(whole, true, printable);
    fail<UnsupportedError>(concat("the pickle names ", printable, ", which is not one of the types that tensors need"));
  }

  /// Replaces a function and its arguments by what the function would make.
  void reduce() {
    const std::uint32_t arguments = pop();
    const std::size_t count = value(arguments).as_tuple().size();
    const std::string_view function = value(pop()).as_global();
    if (function == pickle_ordered_dict) {
      if (count != 0) fail<UnsupportedError>("an OrderedDict that is made of arguments");
      push(PickleType::dict);
    } else if (function == pickle_rebuild_tensor) {
      check_tensor(value(arguments));
      push(PickleType::tensor).value.arguments = arguments;
    } else if (function == pickle_rebuild_parameter) {
      if (count != 3) fail(concat("expected 3 arguments of ", function, ", found ", count));
      const PickleValue tensor = *value(arguments).begin();
      if (!tensor.is_tensor()) fail(concat("expected a tensor to make a parameter of, found ", name(tensor.type())));
      stack_.push_back(tensor.id());
    } else {
      fail<UnsupportedError>(concat("the pickle calls ", function));
    }
  }

  /// (storage, offset, extents, strides, requires_grad, hooks) and no more that matters.
  void check_tensor(const PickleValue& arguments) const {
    if (arguments.size() != 6 && arguments.size() != 7)
      fail(concat("expected 6 or 7 arguments of ", pickle_rebuild_tensor, ", found ", arguments.size()));
    auto argument = arguments.begin();
    static_cast<void>((*argument).as_storage());
    static_cast<void>((*++argument).as_size());
    const PickleValue extents = *++argument;
    const PickleValue strides = *++argument;
    const std::size_t rank = extents.as_tuple().size();
    if (strides.as_tuple().size() != rank)
      fail(concat("a tensor of ", rank, " dimensions with ", strides.size(), " strides"));
    if (rank > max_rank)
      fail<UnsupportedError>(concat("a tensor of ", rank, " dimensions, at most ", max_rank, " are supported"));
    for (const PickleValue& numbers : {extents, strides})
      for (const PickleValue number : numbers) static_cast<void>(number.as_size());
    static_cast<void>((*++argument).as_bool());
    static_cast<void>((*++argument).as_dict());
    if (arguments.size() == 6) return;
    const PickleValue metadata = *++argument;  // whether it is conjugated or negative
    if (!metadata.is_none() && (!metadata.is_dict() || metadata.size() != 0))
      fail<UnsupportedError>("a tensor with metadata");
  }

  /// The attributes of a dict (state_dict() of PyTorch has one, _metadata) say nothing about its tensors.
  void build() {
    static_cast<void>(value(pop()).as_dict());
    static_cast<void>(value(top()).as_dict());
  }

  /// ("storage", type, key, device, number of elements)
  void push_storage() {
    const std::uint32_t arguments = pop();
    const PickleValue parts = value(arguments);
    if (parts.as_tuple().size() != 5) fail(concat("a persistent id of ", parts.size(), " parts, expected 5"));
    auto part = parts.begin();
    const std::string_view kind = (*part).as_string();
    if (kind != "storage") fail(concat("a persistent id of kind \"", kind.substr(0, 200), "\", expected \"storage\""));
    const std::string_view type = (*++part).as_global();
    if (!type.starts_with("torch ")) fail(concat("expected the type of a storage, found ", type));
    static_cast<void>((*++part).as_string());
    static_cast<void>((*++part).as_string());
    static_cast<void>((*++part).as_size());
    push(PickleType::storage).value.arguments = arguments;
  }

  std::shared_ptr<PickleDocument> document_;
  std::size_t max_values_;
  std::size_t position_ = 0;
  std::size_t begin_ = 0;  // of the opcode that is being read
  std::vector<std::uint32_t> stack_;
  std::vector<std::size_t> marks_;  // the number of values under each
  std::vector<std::uint32_t> memo_;
  std::size_t memorised_ = 0;
};

}  // namespace detail

/// A pickle (Python's serialisation, protocols 2 to 5) of plain values and PyTorch tensors. Reading one runs nothing:
/// the few functions that tensors are made with are recognised by name and their arguments kept, every other function,
/// type and opcode is refused by name with UnsupportedError, and whatever is malformed with FormatError, both with the
/// file and the byte.
///
/// Memory and time are bounded by a small multiple of the pickle's size. Strings lie in `bytes`, which must outlive it.
class Pickle {
 public:
  /// `source` names the file in errors, `origin` is where in it the pickle begins.
  Pickle(std::string_view bytes, std::string source, std::size_t origin = 0)
      : document_(detail::PickleReader(bytes, std::move(source), origin).read()) {}

  PickleValue root() const noexcept { return {*document_, document_->root}; }

 private:
  std::shared_ptr<const detail::PickleDocument> document_;
};

}  // namespace weft::inline v0
