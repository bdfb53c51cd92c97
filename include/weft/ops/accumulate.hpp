#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include <weft/core/dtype.hpp>

namespace weft::inline v0::detail {

/// What sums of T add up in: double for floating types, int64 for integers and bool.
template <Element T>
using accumulate_t = std::conditional_t<FloatingElement<T>, double, std::int64_t>;

/// The element type of a sum of T: T for floating types, int64 for integers and bool.
template <Element T>
using sum_t = std::conditional_t<FloatingElement<T>, T, std::int64_t>;

/// The value as a type that C++ calculates with: f16 and bf16 become float, the others stay.
template <Element T>
constexpr auto arithmetic(T value) noexcept {
  if constexpr (std::same_as<T, half> || std::same_as<T, bfloat16>) {
    return static_cast<float>(value);
  } else {
    return value;
  }
}

/// A calculated number as an element, rounded once (to float first where T is f16 or bf16).
template <Element T, class Number>
constexpr T element_cast(Number value) noexcept {
  if constexpr (std::same_as<T, half> || std::same_as<T, bfloat16>) {
    return T(static_cast<float>(value));
  } else {
    return static_cast<T>(value);
  }
}

/// a + b; integers wrap around instead of overflowing.
template <class Number>
constexpr Number wrapping_add(Number a, Number b) noexcept {
  if constexpr (std::integral<Number>) {
    using Unsigned = std::make_unsigned_t<Number>;
    return static_cast<Number>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b));
  } else {
    return a + b;
  }
}

template <Element T>
bool is_nan(T value) noexcept {
  if constexpr (FloatingElement<T>) {
    return std::isnan(arithmetic(value));
  } else {
    return false;
  }
}

template <Element T>
bool is_finite(T value) noexcept {
  if constexpr (FloatingElement<T>) {
    return std::isfinite(arithmetic(value));
  } else {
    return true;
  }
}

/// a > b where NaN is greater than every number and equal to NaN: the strict weak order of max, sort and topk.
template <Element T>
bool ordered_after(T a, T b) noexcept {
  if (is_nan(a)) return !is_nan(b);
  return arithmetic(a) > arithmetic(b);
}

}  // namespace weft::inline v0::detail
