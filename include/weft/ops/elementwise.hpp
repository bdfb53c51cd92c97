#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <weft/core/tensor.hpp>
#include <weft/ops/accumulate.hpp>
#include <weft/ops/traverse.hpp>

// Tensors made from a rule and element by element, with PyTorch's semantics: shapes broadcast (trailing dimensions
// aligned, an extent of 1 repeats) and what does not broadcast is a ShapeError. Element types are not promoted:
// operands have equal ones. Every function returns a new contiguous tensor.

namespace weft::inline v0 {

/// A tensor of one value: full<float>({2, 3}, 1.5f), or full<float>(x.extents(), 1.5f).
template <Element T, std::size_t Rank>
Tensor<T, Rank> full(const Dims<Rank>& extents, std::type_identity_t<T> value) {
  auto result = Tensor<T, Rank>::uninitialised(extents);
  std::fill_n(result.data(), result.size(), value);
  return result;
}
template <Element T, std::size_t Rank>
Tensor<T, Rank> full(const std::size_t (&extents)[Rank], std::type_identity_t<T> value) {
  return full<T>(std::to_array(extents), value);
}

template <Element T, std::size_t Rank>
Tensor<T, Rank> zeros(const Dims<Rank>& extents) {
  return Tensor<T, Rank>(extents);
}
template <Element T, std::size_t Rank>
Tensor<T, Rank> zeros(const std::size_t (&extents)[Rank]) {
  return Tensor<T, Rank>(std::to_array(extents));
}

template <Element T, std::size_t Rank>
Tensor<T, Rank> ones(const Dims<Rank>& extents) {
  return full<T>(extents, detail::element_cast<T>(1));
}
template <Element T, std::size_t Rank>
Tensor<T, Rank> ones(const std::size_t (&extents)[Rank]) {
  return full<T>(extents, detail::element_cast<T>(1));
}

namespace detail {

/// What the bounds of arange<T> are given in.
template <Element T>
using bound_t = std::conditional_t<FloatingElement<T>, double, std::int64_t>;

inline std::size_t arange_count(double start, double end, double step) {
  const double count = std::ceil((end - start) / step);
  if (!(count < 0x1p62)) raise<ConfigError>("arange: too many elements from ", start, " to ", end, " by ", step);
  return static_cast<std::size_t>(count);
}
inline std::size_t arange_count(std::int64_t start, std::int64_t end, std::int64_t step) {
  const auto magnitude = [](std::int64_t from, std::int64_t to) {
    return static_cast<std::uint64_t>(std::max(from, to)) - static_cast<std::uint64_t>(std::min(from, to));
  };
  const std::uint64_t distance = magnitude(start, end);
  const std::uint64_t stride = magnitude(0, step);
  return distance / stride + (distance % stride != 0 ? 1 : 0);
}

inline double arange_element(double start, double step, std::size_t i) { return start + static_cast<double>(i) * step; }
inline std::int64_t arange_element(std::int64_t start, std::int64_t step, std::size_t i) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(start) + i * static_cast<std::uint64_t>(step));
}

}  // namespace detail

/// start, start + step, ... before end: ceil((end - start) / step) elements, each start + i * step, calculated in int64
/// for integer T and in double for floating T. Throws ConfigError for step 0, for a step that leads away from `end`,
/// for bounds that are not finite, and for integers that T does not hold.
template <Element T>
Tensor<T, 1> arange(detail::bound_t<T> start, detail::bound_t<T> end, detail::bound_t<T> step = 1) {
  static_assert(!std::same_as<T, bool>, "arange: bool has no arithmetic");
  if constexpr (FloatingElement<T>) {
    if (!std::isfinite(start) || !std::isfinite(end) || !std::isfinite(step))
      raise<ConfigError>("arange: the bounds ", start, ", ", end, " and the step ", step, " must be finite");
  }
  if (step == 0) raise<ConfigError>("arange: the step is 0");
  if (step > 0 ? end < start : end > start)
    raise<ConfigError>("arange: a step of ", step, " does not lead from ", start, " to ", end);
  const std::size_t count = detail::arange_count(start, end, step);
  if constexpr (!FloatingElement<T>) {
    const std::int64_t last = count ? detail::arange_element(start, step, count - 1) : start;
    using Limits = std::numeric_limits<T>;
    if (count && (std::min(start, last) < Limits::min() || std::max(start, last) > Limits::max()))
      raise<ConfigError>("arange: ", start, " to ", last, " do not fit ", name(dtype_of<T>), " elements");
  }
  auto result = Tensor<T, 1>::uninitialised({count});
  for (std::size_t i = 0; i < count; ++i) result[i] = detail::element_cast<T>(detail::arange_element(start, step, i));
  return result;
}
/// 0, 1, ... before end.
template <Element T>
Tensor<T, 1> arange(detail::bound_t<T> end) {
  return arange<T>(0, end, 1);
}

/// condition ? a : b, the three broadcast together. a or b may be a single value.
template <TensorLike Condition, TensorLike A, TensorLike B>
auto where(const Condition& condition, const A& a, const B& b) {
  static_assert(std::same_as<value_t<Condition>, bool>, "where: the condition is a tensor of bool");
  static_assert(std::same_as<value_t<A>, value_t<B>>, "where: both choices have the same element type");
  static_assert(
      detail::may_broadcast<Condition, A> && detail::may_broadcast<Condition, B> && detail::may_broadcast<A, B>,
      "where: the shapes do not broadcast");
  using T = value_t<A>;
  return detail::broadcast_transform<T>(
      "where", [](bool chosen, T yes, T no) { return chosen ? yes : no; }, view(condition), view(a), view(b));
}
template <TensorLike Condition, TensorLike A>
auto where(const Condition& condition, const A& a, value_t<A> b) {
  return where(condition, a, TensorView<const value_t<A>, 1>(&b, {1}));
}
template <TensorLike Condition, TensorLike B>
auto where(const Condition& condition, value_t<B> a, const B& b) {
  return where(condition, TensorView<const value_t<B>, 1>(&a, {1}), b);
}

/// x with `value` wherever the mask is true; x and mask broadcast together.
template <TensorLike X, TensorLike Mask>
auto masked_fill(const X& x, const Mask& mask, value_t<X> value) {
  return where(mask, value, x);
}

/// a + b, broadcast. Integers wrap around.
template <TensorLike A, TensorLike B>
auto add(const A& a, const B& b) {
  using T = value_t<A>;
  static_assert(std::same_as<T, value_t<B>>, "add: both operands have the same element type");
  static_assert(!std::same_as<T, bool>, "add: bool has no arithmetic");
  static_assert(detail::may_broadcast<A, B>, "add: the shapes do not broadcast");
  return detail::broadcast_transform<T>(
      "add",
      [](T x, T y) {
        return detail::element_cast<T>(detail::wrapping_add(detail::arithmetic(x), detail::arithmetic(y)));
      },
      view(a), view(b));
}

/// a * b, broadcast. Integers wrap around.
template <TensorLike A, TensorLike B>
auto mul(const A& a, const B& b) {
  using T = value_t<A>;
  static_assert(std::same_as<T, value_t<B>>, "mul: both operands have the same element type");
  static_assert(!std::same_as<T, bool>, "mul: bool has no arithmetic");
  static_assert(detail::may_broadcast<A, B>, "mul: the shapes do not broadcast");
  return detail::broadcast_transform<T>(
      "mul",
      [](T x, T y) {
        if constexpr (FloatingElement<T>) {
          return detail::element_cast<T>(detail::arithmetic(x) * detail::arithmetic(y));
        } else {
          return static_cast<T>(static_cast<std::uint64_t>(x) * static_cast<std::uint64_t>(y));
        }
      },
      view(a), view(b));
}

/// Whether each element is NaN; false for integers and bool.
template <TensorLike X>
Tensor<bool, rank_of<X>> isnan(const X& x) {
  using T = value_t<X>;
  return detail::broadcast_transform<bool>(
      "isnan", [](T value) { return detail::is_nan(value); }, view(x));
}

/// Whether each element is neither NaN nor infinite; true for integers and bool.
template <TensorLike X>
Tensor<bool, rank_of<X>> isfinite(const X& x) {
  using T = value_t<X>;
  return detail::broadcast_transform<bool>(
      "isfinite", [](T value) { return detail::is_finite(value); }, view(x));
}

namespace detail {

/// The matrices in the last two dimensions, with zeros where !keep(row, column).
template <class T, std::size_t Rank, class E, class Keep>
Tensor<std::remove_const_t<T>, Rank> keep_part(const TensorView<T, Rank, E>& x, Keep&& keep) {
  auto result = Tensor<std::remove_const_t<T>, Rank>(x.extents());
  for_each_lane(x.extents(), Rank - 1, [&](const Dims<Rank>& index) {
    const auto from = lane(x, index, Rank - 1);
    const auto to = lane(result.view(), index, Rank - 1);
    const auto row = static_cast<std::ptrdiff_t>(index[Rank - 2]);
    for (std::size_t column = 0; column < from.extent(0); ++column)
      if (keep(row, static_cast<std::ptrdiff_t>(column))) to[column] = from[column];
  });
  return result;
}

}  // namespace detail

/// The lower triangle (column <= row + diagonal) of the matrices in the last two dimensions, zeros elsewhere.
template <TensorLike X>
auto tril(const X& x, std::ptrdiff_t diagonal = 0) {
  static_assert(rank_of<X> >= 2, "tril takes matrices: two dimensions or more");
  return detail::keep_part(view(x),
                           [=](std::ptrdiff_t row, std::ptrdiff_t column) { return column - row <= diagonal; });
}

/// The upper triangle (column >= row + diagonal) of the matrices in the last two dimensions, zeros elsewhere.
template <TensorLike X>
auto triu(const X& x, std::ptrdiff_t diagonal = 0) {
  static_assert(rank_of<X> >= 2, "triu takes matrices: two dimensions or more");
  return detail::keep_part(view(x),
                           [=](std::ptrdiff_t row, std::ptrdiff_t column) { return column - row >= diagonal; });
}

}  // namespace weft::inline v0
