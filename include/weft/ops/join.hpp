#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <ranges>
#include <span>
#include <type_traits>
#include <vector>

#include <weft/core/tensor.hpp>
#include <weft/ops/traverse.hpp>

// Tensors put together, with PyTorch's semantics. The parts are a range of tensors or views (std::vector, std::array,
// std::span) followed by the dimension, or, where their number is known, arguments after the dimension:
//
//   cat(chunks, 0);        cat(-1, left, middle, right);

namespace weft::inline v0 {

namespace detail {

template <class Range>
concept TensorRange =
    std::ranges::forward_range<const Range> && TensorLike<std::ranges::range_reference_t<const Range>>;

template <class T, std::size_t Rank>
void copy_into(const TensorView<T, Rank>& to, const TensorView<const T, Rank>& from) {
  transform(
      to, [](T value) { return value; }, from);
}

template <class T, std::size_t Rank>
Tensor<T, Rank> cat(std::span<const TensorView<const T, Rank>> parts, std::size_t dim) {
  if (parts.empty()) raise<ShapeError>("cat: there is nothing to join");
  Dims<Rank> extents = parts.front().extents();
  extents[dim] = 0;
  for (const auto& part : parts) {
    for (std::size_t i = 0; i < Rank; ++i)
      if (i != dim && part.extent(i) != extents[i])
        raise<ShapeError>("cat: shapes ", to_string(parts.front().extents()), " and ", to_string(part.extents()),
                          " differ outside dimension ", dim);
    if (part.extent(dim) > dynamic - extents[dim]) raise<ShapeError>("cat: dimension ", dim, " overflows");
    extents[dim] += part.extent(dim);
  }
  auto result = Tensor<T, Rank>::uninitialised(extents);
  std::size_t start = 0;
  for (const auto& part : parts) {
    copy_into(result.view().slice(static_cast<int>(dim), start, start + part.extent(dim)), part);
    start += part.extent(dim);
  }
  return result;
}

template <class T, std::size_t Rank>
Tensor<T, Rank + 1> stack(std::span<const TensorView<const T, Rank>> parts, std::size_t dim) {
  static_assert(Rank < max_rank, "stack: the result would have more than 8 dimensions");
  if (parts.empty()) raise<ShapeError>("stack: there is nothing to join");
  std::vector<TensorView<const T, Rank + 1>> layers;
  layers.reserve(parts.size());
  for (const auto& part : parts) {
    require_shape("stack", "a part", part.extents(), parts.front().extents());
    layers.push_back(part.unsqueeze(static_cast<int>(dim)));
  }
  return cat<T, Rank + 1>(layers, dim);
}

/// The parts of a range as views.
template <class Range>
auto views_of(const Range& parts) {
  using X = std::remove_cvref_t<std::ranges::range_reference_t<const Range>>;
  std::vector<TensorView<const value_t<X>, rank_of<X>>> views;
  for (const auto& part : parts) views.emplace_back(view(part));
  return views;
}

template <class First, class... Rest>
auto views_of_arguments(const First& first, const Rest&... rest) {
  using View = TensorView<const value_t<First>, rank_of<First>>;
  return std::array{View(view(first)), View(view(rest))...};
}

}  // namespace detail

/// The parts one after the other along one dimension; all other extents agree. Throws ShapeError where they do not, and
/// for no parts.
template <detail::TensorRange Range>
auto cat(const Range& parts, int dim) {
  const auto views = detail::views_of(parts);
  using View = typename decltype(views)::value_type;
  return detail::cat<typename View::value_type, View::rank>(views, detail::resolve_dim(dim, View::rank));
}
template <TensorLike First, TensorLike... Rest>
Tensor<value_t<First>, rank_of<First>> cat(int dim, const First& first, const Rest&... rest) {
  static_assert((std::same_as<value_t<First>, value_t<Rest>> && ...), "cat: the parts have the same element type");
  static_assert(((rank_of<First> == rank_of<Rest>)&&...), "cat: the parts have the same rank");
  const auto views = detail::views_of_arguments(first, rest...);
  return detail::cat<value_t<First>, rank_of<First>>(views, detail::resolve_dim(dim, rank_of<First>));
}

/// The parts, all of one shape, along a new dimension, `dim` of the result. Throws ShapeError where shapes differ, and
/// for no parts.
template <detail::TensorRange Range>
auto stack(const Range& parts, int dim) {
  const auto views = detail::views_of(parts);
  using View = typename decltype(views)::value_type;
  return detail::stack<typename View::value_type, View::rank>(views, detail::resolve_dim(dim, View::rank + 1));
}
template <TensorLike First, TensorLike... Rest>
Tensor<value_t<First>, rank_of<First> + 1> stack(int dim, const First& first, const Rest&... rest) {
  static_assert((std::same_as<value_t<First>, value_t<Rest>> && ...), "stack: the parts have the same element type");
  static_assert((detail::same_shape<First, Rest> && ...), "stack: the parts have the same shape");
  const auto views = detail::views_of_arguments(first, rest...);
  return detail::stack<value_t<First>, rank_of<First>>(views, detail::resolve_dim(dim, rank_of<First> + 1));
}

}  // namespace weft::inline v0
