#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <type_traits>
#include <vector>

#include <weft/core/tensor.hpp>
#include <weft/ops/accumulate.hpp>
#include <weft/ops/traverse.hpp>
#include <weft/ops/values_and_indices.hpp>

// Selection by index and order, with PyTorch's semantics. Index tensors hold i32 or i64 and are never negative; the
// indices that come back are i64. In order, NaN comes after every number.

namespace weft::inline v0 {

namespace detail {

template <class T>
concept IndexElement = std::same_as<T, std::int32_t> || std::same_as<T, std::int64_t>;

inline std::size_t checked_index(const char* op, std::int64_t index, std::size_t extent) {
  if (index < 0 || static_cast<std::uint64_t>(index) >= extent)
    raise<ShapeError>(op, ": index ", index, " is outside a dimension of ", extent, " elements");
  return static_cast<std::size_t>(index);
}

/// Positions of the first `count` elements of a lane in sorted order, equal ones by position.
template <class T>
void sorted_positions(const TensorView<T, 1>& lane, std::size_t count, bool descending,
                      std::vector<std::int64_t>& positions) {
  positions.resize(lane.extent(0));
  std::iota(positions.begin(), positions.end(), std::int64_t{0});
  const auto before = [&](std::int64_t a, std::int64_t b) {
    const auto x = lane[static_cast<std::size_t>(a)];
    const auto y = lane[static_cast<std::size_t>(b)];
    if (ordered_after(x, y)) return descending;
    if (ordered_after(y, x)) return !descending;
    return a < b;
  };
  if (count == positions.size()) {
    std::sort(positions.begin(), positions.end(), before);
  } else {
    std::partial_sort(positions.begin(), positions.begin() + static_cast<std::ptrdiff_t>(count), positions.end(),
                      before);
  }
}

/// The first `count` elements along `dim` in sorted order and where they were.
template <class T, std::size_t Rank, class E>
auto sorted(const TensorView<T, Rank, E>& x, std::size_t count, std::size_t dim, bool descending) {
  using Values = Tensor<std::remove_const_t<T>, Rank>;
  using Indices = Tensor<std::int64_t, Rank>;
  Dims<Rank> extents = x.extents();
  extents[dim] = count;
  ValuesAndIndices<Values, Indices> result{Values::uninitialised(extents), Indices::uninitialised(extents)};
  std::vector<std::int64_t> positions;
  for_each_lane(extents, dim, [&](const Dims<Rank>& index) {
    const auto from = lane(x, index, dim);
    const auto values = lane(result.values.view(), index, dim);
    const auto indices = lane(result.indices.view(), index, dim);
    sorted_positions(from, count, descending, positions);
    for (std::size_t i = 0; i < count; ++i) {
      values[i] = from[static_cast<std::size_t>(positions[i])];
      indices[i] = positions[i];
    }
  });
  return result;
}

}  // namespace detail

/// y[.., i, ..] = x[.., index[.., i, ..], ..] with i and the index in dimension `dim`. The result has the shape of
/// `index`, whose extents outside `dim` are at most those of x. Throws ShapeError where they are more, and for an index
/// outside x.
template <TensorLike X, TensorLike Index>
auto gather(const X& x, int dim, const Index& index) {
  static_assert(detail::IndexElement<value_t<Index>>, "gather: the index holds i32 or i64");
  static_assert(rank_of<X> == rank_of<Index>, "gather: x and index have the same rank");
  constexpr std::size_t rank = rank_of<X>;
  const std::size_t d = detail::resolve_dim(dim, rank);
  const auto from = view(x);
  const auto at = view(index);
  auto result = Tensor<value_t<X>, rank>::uninitialised(at.extents());
  if (at.empty()) return result;
  for (std::size_t i = 0; i < rank; ++i)
    if (i != d && at.extent(i) > from.extent(i))
      raise<ShapeError>("gather: the index of shape ", to_string(at.extents()), " is larger than ",
                        to_string(from.extents()), " outside dimension ", d);
  detail::for_each_lane(at.extents(), d, [&](const Dims<rank>& position) {
    const auto source = detail::lane(from, position, d);
    const auto indices = detail::lane(at, position, d);
    const auto to = detail::lane(result.view(), position, d);
    for (std::size_t i = 0; i < to.extent(0); ++i)
      to[i] = source[detail::checked_index("gather", indices[i], source.extent(0))];
  });
  return result;
}

/// y[.., i, ..] = x[.., index[i], ..]: the slices of one dimension that a rank-1 index names, in its order. Throws
/// ShapeError for an index outside x.
template <TensorLike X, TensorLike Index>
auto index_select(const X& x, int dim, const Index& index) {
  static_assert(detail::IndexElement<value_t<Index>>, "index_select: the index holds i32 or i64");
  static_assert(rank_of<Index> == 1, "index_select: the index has rank 1");
  constexpr std::size_t rank = rank_of<X>;
  const std::size_t d = detail::resolve_dim(dim, rank);
  const auto from = view(x);
  const auto at = view(index);
  Dims<rank> extents = from.extents();
  extents[d] = at.extent(0);
  for (std::size_t i = 0; i < at.extent(0); ++i) detail::checked_index("index_select", at[i], from.extent(d));
  auto result = Tensor<value_t<X>, rank>::uninitialised(extents);
  detail::for_each_lane(extents, d, [&](const Dims<rank>& position) {
    const auto source = detail::lane(from, position, d);
    const auto to = detail::lane(result.view(), position, d);
    for (std::size_t i = 0; i < to.extent(0); ++i) to[i] = source[static_cast<std::size_t>(at[i])];
  });
  return result;
}

/// The elements along one dimension in ascending (or descending) order, and where they were. Stable: equal elements
/// keep their order, in either direction.
template <TensorLike X>
auto sort(const X& x, int dim = -1, bool descending = false) {
  const std::size_t d = detail::resolve_dim(dim, rank_of<X>);
  return detail::sorted(view(x), view(x).extent(d), d, descending);
}

/// The indices of sort().
template <TensorLike X>
Tensor<std::int64_t, rank_of<X>> argsort(const X& x, int dim = -1, bool descending = false) {
  return sort(x, dim, descending).indices;
}

/// The k greatest elements along one dimension in descending order (or the k smallest in ascending order), and where
/// they were. Among equal elements those with the lower index are chosen and come first. Throws ShapeError where the
/// dimension has fewer than k elements.
template <TensorLike X>
auto topk(const X& x, std::size_t k, int dim = -1, bool largest = true) {
  const std::size_t d = detail::resolve_dim(dim, rank_of<X>);
  const std::size_t extent = view(x).extent(d);
  if (k > extent) raise<ShapeError>("topk: ", k, " elements asked for, dimension ", d, " has ", extent);
  return detail::sorted(view(x), k, d, largest);
}

}  // namespace weft::inline v0
