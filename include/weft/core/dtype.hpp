#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include <weft/core/error.hpp>
#include <weft/core/float8.hpp>
#include <weft/core/half.hpp>

namespace weft::inline v0 {

/// Runtime element types. The order is that of detail::dtype_table. Those from q8_0 on are block formats: several
/// elements share their scales, and elements are reached through quant/ and the matrix kernels alone.
enum class DType : std::uint8_t {
  f32,
  f16,
  bf16,
  f64,
  i8,
  u8,
  i32,
  i64,
  boolean,
  f8_e4m3,
  f8_e5m2,
  q8_0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q4_k,
  q5_k,
  q6_k,
  q8_128,
  q8_row,
  q2_k,
  q3_k,
  iq4_nl,
};

namespace detail {

template <class T, DType D>
struct DTypeRow {
  using type = T;
  static constexpr DType dtype = D;
};

template <class... Rows>
struct DTypeRows {};

/// The one list of element types: everything that depends on the set of them is derived from it.
using ElementRows =
    DTypeRows<DTypeRow<float, DType::f32>, DTypeRow<half, DType::f16>, DTypeRow<bfloat16, DType::bf16>,
              DTypeRow<double, DType::f64>, DTypeRow<std::int8_t, DType::i8>, DTypeRow<std::uint8_t, DType::u8>,
              DTypeRow<std::int32_t, DType::i32>, DTypeRow<std::int64_t, DType::i64>, DTypeRow<bool, DType::boolean>,
              DTypeRow<float8_e4m3, DType::f8_e4m3>, DTypeRow<float8_e5m2, DType::f8_e5m2>>;

struct DTypeInfo {
  std::string_view name;
  std::size_t block_bytes;     // bytes of one block
  std::size_t block_elements;  // elements of one block; 1 for plain types
  std::size_t row_bytes = 0;   // bytes before the elements of every row
};

inline constexpr auto dtype_table = std::to_array<DTypeInfo>({
    {"f32", 4, 1},         {"f16", 2, 1},      {"bf16", 2, 1},     {"f64", 8, 1},      {"i8", 1, 1},
    {"u8", 1, 1},          {"i32", 4, 1},      {"i64", 8, 1},      {"bool", 1, 1},     {"f8_e4m3", 1, 1},
    {"f8_e5m2", 1, 1},     {"q8_0", 34, 32},   {"q4_0", 18, 32},   {"q4_1", 20, 32},   {"q5_0", 22, 32},
    {"q5_1", 24, 32},      {"q4_k", 144, 256}, {"q5_k", 176, 256}, {"q6_k", 210, 256}, {"q8_128", 130, 128},
    {"q8_row", 32, 32, 4}, {"q2_k", 84, 256},  {"q3_k", 110, 256}, {"iq4_nl", 18, 32},
});

template <class T, class Rows>
struct FindDType;
template <class T, class... Rows>
struct FindDType<T, DTypeRows<Rows...>> {
  static constexpr bool found = (std::same_as<T, typename Rows::type> || ...);
  static constexpr DType value = [] {
    DType result{};
    ((std::same_as<T, typename Rows::type> ? void(result = Rows::dtype) : void()), ...);
    return result;
  }();
};

}  // namespace detail

/// A type that tensors hold.
template <class T>
concept Element = detail::FindDType<std::remove_cv_t<T>, detail::ElementRows>::found;

/// Elements that stand for real numbers: float, half, bfloat16, double.
template <class T>
concept FloatingElement = std::floating_point<std::remove_cv_t<T>> || std::same_as<std::remove_cv_t<T>, half> ||
    std::same_as<std::remove_cv_t<T>, bfloat16>;

/// The runtime name of an element type.
template <Element T>
inline constexpr DType dtype_of = detail::FindDType<std::remove_cv_t<T>, detail::ElementRows>::value;

/// "f32", "bf16", ...
constexpr std::string_view name(DType dtype) noexcept {
  return detail::dtype_table[static_cast<std::size_t>(dtype)].name;
}

/// The type of that name. Throws UnsupportedError where there is none.
inline DType dtype_named(std::string_view name) {
  for (std::size_t i = 0; i < detail::dtype_table.size(); ++i)
    if (detail::dtype_table[i].name == name) return static_cast<DType>(i);
  raise<UnsupportedError>("\"", name, "\" is not the name of an element type");
}

/// Whether elements share scales in blocks, so that they have no C++ type of their own.
constexpr bool is_block_format(DType dtype) noexcept { return dtype >= DType::q8_0 && dtype <= DType::iq4_nl; }

/// The elements of one block; 1 for plain types.
constexpr std::size_t block_elements(DType dtype) noexcept {
  return detail::dtype_table[static_cast<std::size_t>(dtype)].block_elements;
}

/// The bytes that a row of `elements` elements takes. Throws ShapeError where they do not fill whole blocks.
constexpr std::size_t bytes_of(DType dtype, std::size_t elements) {
  const detail::DTypeInfo& info = detail::dtype_table[static_cast<std::size_t>(dtype)];
  if (elements % info.block_elements != 0)
    raise<ShapeError>(elements, " elements do not fill whole blocks of ", info.block_elements, " (", info.name, ")");
  return elements / info.block_elements * info.block_bytes + info.row_bytes;
}

/// Calls f(std::type_identity<T>{}) with the element type that `dtype` names and returns what it returns: the one door
/// from runtime to compile-time types.
template <class F>
decltype(auto) visit(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32: return std::forward<F>(f)(std::type_identity<float>{});
    case DType::f16: return std::forward<F>(f)(std::type_identity<half>{});
    case DType::bf16: return std::forward<F>(f)(std::type_identity<bfloat16>{});
    case DType::f64: return std::forward<F>(f)(std::type_identity<double>{});
    case DType::i8: return std::forward<F>(f)(std::type_identity<std::int8_t>{});
    case DType::u8: return std::forward<F>(f)(std::type_identity<std::uint8_t>{});
    case DType::i32: return std::forward<F>(f)(std::type_identity<std::int32_t>{});
    case DType::i64: return std::forward<F>(f)(std::type_identity<std::int64_t>{});
    case DType::boolean: return std::forward<F>(f)(std::type_identity<bool>{});
    case DType::f8_e4m3: return std::forward<F>(f)(std::type_identity<float8_e4m3>{});
    case DType::f8_e5m2: return std::forward<F>(f)(std::type_identity<float8_e5m2>{});
    default: break;
  }
  if (is_block_format(dtype)) raise<UnsupportedError>("elements of the block format ", name(dtype), " have no type");
  raise<UnsupportedError>("element type number ", static_cast<int>(dtype), " is not one of DType");
}

/// Calls f(std::type_identity<T>{}) where `dtype` names one of Ts; throws UnsupportedError naming `what` otherwise.
/// Instantiates f for these types alone, which is what keeps kernels small.
template <class... Ts, class F>
void visit_among(DType dtype, std::string_view what, F&& f) {
  const bool known = ((dtype == dtype_of<Ts> ? (f(std::type_identity<Ts>{}), true) : false) || ...);
  if (!known) raise<UnsupportedError>(what, ": element type ", name(dtype), " is not supported here");
}

}  // namespace weft::inline v0
