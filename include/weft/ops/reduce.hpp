#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <weft/core/tensor.hpp>
#include <weft/ops/accumulate.hpp>
#include <weft/ops/traverse.hpp>
#include <weft/ops/values_and_indices.hpp>

// Reductions over one dimension (negative: counted from the last) or over the whole tensor, with PyTorch's semantics.
// The reduced dimension disappears (unsqueeze() brings it back with extent 1); a tensor of rank 1 reduces to a scalar.
//
// Sums add up in order, in double, and are rounded once to the element type; those of integers and bool add up in int64
// (wrapping around) and are int64.

namespace weft::inline v0 {

namespace detail {

template <class T, std::size_t Rank, class E>
auto accumulate(const TensorView<T, Rank, E>& x) {
  using Sum = accumulate_t<std::remove_const_t<T>>;
  Sum sum = 0;
  for_each_element(x, [&](T value) { sum = wrapping_add(sum, static_cast<Sum>(value)); });
  return sum;
}

template <class T, std::size_t Rank, class E>
auto mean_of(const TensorView<T, Rank, E>& x) {
  const auto sum = accumulate(x);
  return element_cast<std::remove_const_t<T>>(sum / static_cast<decltype(sum)>(x.size()));
}

/// The position of the greatest element, counted along all of x; the first among equals.
template <class T, std::size_t Rank, class E>
std::size_t position_of_max(const TensorView<T, Rank, E>& x) {
  std::size_t best = 0;
  std::size_t position = 0;
  std::remove_const_t<T> greatest{};
  for_each_element(x, [&](std::remove_const_t<T> value) {
    if (position == 0 || ordered_after(value, greatest)) {
      greatest = value;
      best = position;
    }
    ++position;
  });
  return best;
}

inline void require_elements(const char* op, std::size_t elements) {
  if (elements == 0) raise<ShapeError>(op, ": there is no greatest among no elements");
}

}  // namespace detail

/// sum over all elements; 0 for none.
template <TensorLike X>
auto sum(const X& x) {
  return detail::element_cast<detail::sum_t<value_t<X>>>(detail::accumulate(view(x)));
}
/// sum over one dimension.
template <TensorLike X>
auto sum(const X& x, int dim) {
  using Sum = detail::sum_t<value_t<X>>;
  return detail::reduce_lanes<Sum>(view(x), detail::resolve_dim(dim, rank_of<X>), [](const auto& lane) {
    return detail::element_cast<Sum>(detail::accumulate(lane));
  });
}

/// sum / number over all elements; NaN for none. Floating element types only.
template <TensorLike X>
auto mean(const X& x) {
  static_assert(FloatingElement<value_t<X>>, "mean takes a floating element type");
  return detail::mean_of(view(x));
}
/// sum / number over one dimension.
template <TensorLike X>
auto mean(const X& x, int dim) {
  static_assert(FloatingElement<value_t<X>>, "mean takes a floating element type");
  return detail::reduce_lanes<value_t<X>>(view(x), detail::resolve_dim(dim, rank_of<X>),
                                          [](const auto& lane) { return detail::mean_of(lane); });
}

/// The position of the greatest element in the tensor read last dimension fastest; the first among equals, the first
/// NaN if there is one. Throws ShapeError for no elements.
template <TensorLike X>
std::int64_t argmax(const X& x) {
  detail::require_elements("argmax", view(x).size());
  return static_cast<std::int64_t>(detail::position_of_max(view(x)));
}
/// The positions of the greatest elements along one dimension. Throws ShapeError where its extent is 0.
template <TensorLike X>
auto argmax(const X& x, int dim) {
  const std::size_t d = detail::resolve_dim(dim, rank_of<X>);
  detail::require_elements("argmax", view(x).extent(d));
  return detail::reduce_lanes<std::int64_t>(
      view(x), d, [](const auto& lane) { return static_cast<std::int64_t>(detail::position_of_max(lane)); });
}

/// The greatest element; NaN if there is one. Throws ShapeError for no elements.
template <TensorLike X>
value_t<X> max(const X& x) {
  detail::require_elements("max", view(x).size());
  value_t<X> greatest{};
  bool first = true;
  detail::for_each_element(view(x), [&](value_t<X> value) {
    if (first || detail::ordered_after(value, greatest)) greatest = value;
    first = false;
  });
  return greatest;
}
/// The greatest elements along one dimension and their positions as argmax gives them. Throws ShapeError where the
/// extent is 0.
template <TensorLike X>
auto max(const X& x, int dim) {
  const std::size_t d = detail::resolve_dim(dim, rank_of<X>);
  detail::require_elements("max", view(x).extent(d));
  auto values = detail::reduce_lanes<value_t<X>>(view(x), d,
                                                 [](const auto& lane) { return lane[detail::position_of_max(lane)]; });
  auto indices = argmax(x, dim);
  return ValuesAndIndices<decltype(values), decltype(indices)>{std::move(values), std::move(indices)};
}

/// y[i] = x[0] + ... + x[i] along one dimension.
template <TensorLike X>
auto cumsum(const X& x, int dim) {
  using T = value_t<X>;
  using Running = detail::accumulate_t<T>;
  constexpr std::size_t rank = rank_of<X>;
  const std::size_t d = detail::resolve_dim(dim, rank);
  auto result = Tensor<detail::sum_t<T>, rank>::uninitialised(view(x).extents());
  detail::for_each_lane(result.extents(), d, [&](const Dims<rank>& index) {
    const auto from = detail::lane(view(x), index, d);
    const auto to = detail::lane(result.view(), index, d);
    Running running = 0;
    for (std::size_t i = 0; i < from.extent(0); ++i) {
      running = detail::wrapping_add(running, static_cast<Running>(from[i]));
      to[i] = detail::element_cast<detail::sum_t<T>>(running);
    }
  });
  return result;
}

}  // namespace weft::inline v0
