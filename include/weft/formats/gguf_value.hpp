#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>

namespace weft::inline v0 {

/// The types of GGUF metadata, numbered as in the file.
enum class GgufType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

namespace detail {

struct GgufTypeInfo {
  std::string_view name;
  std::size_t bytes;  // of one value; 0 where they differ
};

inline constexpr auto gguf_types = std::to_array<GgufTypeInfo>({
    {"u8", 1},
    {"i8", 1},
    {"u16", 2},
    {"i16", 2},
    {"u32", 4},
    {"i32", 4},
    {"f32", 4},
    {"a boolean", 1},
    {"a string", 0},
    {"an array", 0},
    {"u64", 8},
    {"i64", 8},
    {"f64", 8},
});

/// The type that numbers of type T are written as.
template <class T>
constexpr GgufType gguf_type_of() noexcept {
  if constexpr (std::same_as<T, bool>) {
    return GgufType::boolean;
  } else if constexpr (std::floating_point<T>) {
    return sizeof(T) == 4 ? GgufType::f32 : GgufType::f64;
  } else {
    static_assert(std::integral<T>);
    constexpr std::array<GgufType, 4> with_sign{GgufType::i8, GgufType::i16, GgufType::i32, GgufType::i64};
    constexpr std::array<GgufType, 4> without{GgufType::u8, GgufType::u16, GgufType::u32, GgufType::u64};
    constexpr std::size_t at = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    return std::is_signed_v<T> ? with_sign[at] : without[at];
  }
}

/// Thrown where the bytes at hand end before those that the file has: so many from its beginning are needed.
struct GgufNeeds {
  std::size_t bytes;
};

/// Reads a file from front to back; every step is checked against its end.
class GgufCursor {
 public:
  /// `origin` is the offset of the first of `bytes` in the file, for errors; after `bytes` the file goes on up to byte
  /// `end`, and who reads there throws GgufNeeds.
  GgufCursor(std::string_view source, std::span<const std::byte> bytes, std::size_t origin = 0,
             std::size_t end = 0) noexcept
      : source_(source), bytes_(bytes), origin_(origin), end_(std::max(end, origin + bytes.size())) {}

  std::string_view source() const noexcept { return source_; }
  std::size_t offset() const noexcept { return origin_ + at_; }
  /// Up to the end of the file.
  std::size_t left() const noexcept { return end_ - offset(); }

  std::span<const std::byte> take(std::uint64_t count, std::string_view what) {
    if (count > left())
      raise<FormatError>(source_, ": byte ", offset(), ": ", what, " takes ", count, " bytes, the file has ", left(),
                         " left");
    if (count > bytes_.size() - at_) throw GgufNeeds{offset() + static_cast<std::size_t>(count)};
    at_ += static_cast<std::size_t>(count);
    return bytes_.subspan(at_ - static_cast<std::size_t>(count), static_cast<std::size_t>(count));
  }
  template <class T>
  T number(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }
  /// A length of 8 bytes and as many characters.
  std::string_view text(std::string_view what) {
    const auto characters = take(number<std::uint64_t>(what), what);
    return {reinterpret_cast<const char*>(characters.data()), characters.size()};
  }

 private:
  std::string_view source_;
  std::span<const std::byte> bytes_;
  std::size_t origin_;
  std::size_t end_;
  std::size_t at_ = 0;
};

}  // namespace detail

/// "u32", "a string", ... for error messages.
constexpr std::string_view name(GgufType type) noexcept {
  return detail::gguf_types[static_cast<std::size_t>(type)].name;
}

/// One value of a GGUF file's metadata, in place: it lives as long as the GgufFile.
///
/// Typed access throws FormatError with the file, the key, the byte, what was expected and what was found. Whole
/// numbers are read whatever their width and sign, as programs that write GGUF do not agree on those.
class GgufValue {
 public:
  /// Reads the value of a key at the cursor: its type and what follows. Throws FormatError for an unknown type, a value
  /// that the file is too short for, a boolean that is neither 0 nor 1, and arrays nested deeper than 4 levels.
  static GgufValue read(detail::GgufCursor& cursor, std::string_view key) {
    return read(cursor, key, read_type(cursor, key), 0);
  }

  std::string_view key() const noexcept { return key_; }
  GgufType type() const noexcept { return type_; }
  /// Of an array.
  GgufType element_type() const noexcept { return element_type_; }
  bool is_array() const noexcept { return type_ == GgufType::array; }
  /// The number of elements of an array; 0 for what is none.
  std::size_t size() const noexcept { return size_; }
  /// The value as the file holds it: of a string its characters, of an array its elements one after the other.
  std::span<const std::byte> bytes() const noexcept { return bytes_; }

  bool as_bool() const { return number_as<bool>(expect(type_ == GgufType::boolean, "a boolean")); }
  std::int64_t as_int() const {
    switch (type_) {
      case GgufType::u8: return number_as<std::uint8_t>(*this);
      case GgufType::i8: return number_as<std::int8_t>(*this);
      case GgufType::u16: return number_as<std::uint16_t>(*this);
      case GgufType::i16: return number_as<std::int16_t>(*this);
      case GgufType::u32: return number_as<std::uint32_t>(*this);
      case GgufType::i32: return number_as<std::int32_t>(*this);
      case GgufType::i64: return number_as<std::int64_t>(*this);
      case GgufType::u64: break;
      default: expect(false, "a whole number");
    }
    const auto value = number_as<std::uint64_t>(*this);
    if (!std::in_range<std::int64_t>(value)) raise<FormatError>(location(), ": ", value, " is out of range");
    return static_cast<std::int64_t>(value);
  }
  /// A whole number that is not negative.
  std::size_t as_size() const {
    if (as_int() < 0) raise<FormatError>(location(), ": expected a count, found ", as_int());
    return static_cast<std::size_t>(as_int());
  }
  /// Any number; whole ones are converted.
  double as_double() const {
    if (type_ == GgufType::f32) return static_cast<double>(number_as<float>(*this));
    return type_ == GgufType::f64 ? number_as<double>(*this) : static_cast<double>(as_int());
  }
  std::string_view as_string() const {
    expect(type_ == GgufType::string, "a string");
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

  /// Calls f(element) for the elements of an array in their order.
  template <class F>
  void for_each(F&& f) const {
    expect(is_array(), "an array");
    detail::GgufCursor cursor(source_, bytes_, offset_);
    for (std::size_t i = 0; i < size_; ++i) f(read(cursor, key_, element_type_, 0));
  }
  std::vector<std::string> as_strings() const {
    return collected<std::string>([](const GgufValue& element) { return std::string(element.as_string()); });
  }
  std::vector<std::int64_t> as_ints() const {
    return collected<std::int64_t>([](const GgufValue& element) { return element.as_int(); });
  }
  std::vector<double> as_doubles() const {
    return collected<double>([](const GgufValue& element) { return element.as_double(); });
  }

  /// "model.gguf: llama.context_length (byte 311)": for the messages of those who find the value wrong.
  std::string location() const { return detail::concat(source_, ": ", key_, " (byte ", offset_, ")"); }

 private:
  static constexpr int max_depth = 4;

  static GgufType read_type(detail::GgufCursor& cursor, std::string_view key) {
    const std::size_t offset = cursor.offset();
    const auto number = cursor.number<std::uint32_t>("the type of a value");
    if (number >= detail::gguf_types.size())
      raise<FormatError>(cursor.source(), ": ", key, " (byte ", offset, "): found the value type ", number,
                         ", expected at most ", detail::gguf_types.size() - 1);
    return static_cast<GgufType>(number);
  }

  static GgufValue read(detail::GgufCursor& cursor, std::string_view key, GgufType type, int depth) {
    GgufValue value;
    value.source_ = cursor.source();
    value.key_ = key;
    value.type_ = type;
    value.offset_ = cursor.offset();
    if (type == GgufType::string) {
      const std::string_view text = cursor.text(key);
      value.bytes_ = std::as_bytes(std::span(text));
    } else if (type == GgufType::array) {
      value.read_array(cursor, depth + 1);
    } else {
      value.bytes_ = cursor.take(detail::gguf_types[static_cast<std::size_t>(type)].bytes, key);
      value.check_booleans(type);
    }
    return value;
  }

  void read_array(detail::GgufCursor& cursor, int depth) {
    if (depth > max_depth) raise<FormatError>(location(), ": arrays nested deeper than ", max_depth, " levels");
    element_type_ = read_type(cursor, key_);
    const auto count = cursor.number<std::uint64_t>("the size of an array");
    // No element takes less than a byte.
    if (count > cursor.left())
      raise<FormatError>(location(), ": an array of ", count, " elements, the file has ", cursor.left(), " bytes left");
    size_ = static_cast<std::size_t>(count);
    offset_ = cursor.offset();
    const std::size_t bytes = detail::gguf_types[static_cast<std::size_t>(element_type_)].bytes;
    if (bytes != 0) {
      // Cannot overflow: both factors are below 2^60.
      bytes_ = cursor.take(count * bytes, key_);
      return check_booleans(element_type_);
    }
    detail::GgufCursor elements = cursor;
    for (std::size_t i = 0; i < size_; ++i) read(elements, key_, element_type_, depth);
    bytes_ = cursor.take(elements.offset() - cursor.offset(), key_);
  }

  void check_booleans(GgufType type) const {
    if (type != GgufType::boolean) return;
    for (const std::byte byte : bytes_)
      if (byte > std::byte{1})
        raise<FormatError>(location(), ": found ", std::to_integer<int>(byte), ", expected a boolean, 0 or 1");
  }

  const GgufValue& expect(bool good, std::string_view expected) const {
    if (!good) raise<FormatError>(location(), ": expected ", expected, ", found ", name(type_));
    return *this;
  }
  template <class T>
  static T number_as(const GgufValue& value) noexcept {
    T number;
    std::memcpy(&number, value.bytes_.data(), sizeof number);
    return number;
  }
  template <class T, class F>
  std::vector<T> collected(F&& f) const {
    std::vector<T> elements;
    elements.reserve(size_);
    for_each([&](const GgufValue& element) { elements.push_back(f(element)); });
    return elements;
  }

  std::string_view source_;
  std::string_view key_;
  GgufType type_ = GgufType::u8;
  GgufType element_type_ = GgufType::u8;
  std::size_t size_ = 0;
  std::size_t offset_ = 0;
  std::span<const std::byte> bytes_;
};

}  // namespace weft::inline v0
