#pragma once

#include <cstddef>

#include <weft/cuda/ops/group_rows.cuh>
#include <weft/cuda/ops/grouped_linear_kernel.cuh>
#include <weft/cuda/ops/quantized.cuh>

namespace weft::inline v0::cuda {

namespace detail {

template <class T, class W>
void grouped_linear(const T* x, std::size_t x_stride, std::size_t share, const StackedWeights<W>& weights,
                    const RowGroups& groups, std::size_t rows, std::size_t group_count, std::size_t k, T* y,
                    cudaStream_t stream) {
  launch_grouped_linear(x, x_stride, share, groups, rows, group_count,
                        GroupedParts<T, StackedWeights<W>, 1>{{{weights, y}}}, weights.rows, k, stream);
}

/// How many rows of y share one of x.
template <class X, class Y>
std::size_t rows_per_row(const X& x, const Y& y) {
  static_assert(X::rank == 2 && Y::rank == 2, "grouped_linear: x and y are matrices");
  if (x.extent(0) == 0 ? y.extent(0) != 0 : y.extent(0) % x.extent(0) != 0)
    raise<ShapeError>("grouped_linear: ", y.extent(0), " rows of y cannot share ", x.extent(0), " rows of x evenly");
  require_contiguous_rows("grouped_linear", x, y);
  if (!y.is_contiguous()) raise<ShapeError>("grouped_linear: the rows of y must lie one after the other");
  return x.extent(0) == 0 ? 1 : y.extent(0) / x.extent(0);
}

}  // namespace detail

/// y[r] = weights[g] x[r / share], g being the group of row r: the products of a mixture of experts, whose tokens chose
/// `share` experts each. A matrix of weights is read once for 64 or 128 rows of its group where x and the weights lie
/// at multiples of 16 bytes and k is a multiple of 8.
///
/// x: (rows / share, k). weights: (group_count, columns, k). groups: of group_rows() for so many rows and groups. y:
/// (rows, columns); rows in no group stay what they are. Contiguous device memory, half or bfloat16; sums in float,
/// each the same whatever the other rows are. y must not overlap the others. Throws CudaError.
template <HalfStorage T>
void grouped_linear(const T* x, const T* weights, const RowGroups& groups, T* y, std::size_t rows, std::size_t share,
                    std::size_t group_count, std::size_t columns, std::size_t k, cudaStream_t stream = {}) {
  const detail::HalfWeights<T> first{weights, k, static_cast<int>(k)};
  detail::grouped_linear(x, k, share, detail::StackedWeights<detail::HalfWeights<T>>{first, columns}, groups, rows,
                         group_count, k, y, stream);
}

/// The same on tensors; the rows of x may lie apart. Throws ShapeError where shapes do not fit.
template <DeviceTensorLike X, DeviceTensorLike W, DeviceTensorLike Y>
void grouped_linear(const X& x, const W& weights, const RowGroups& groups, Y&& y, cudaStream_t stream = {}) {
  using T = device_value_t<X>;
  const auto from = device_view(x);
  const auto stacked = device_view(weights);
  const auto to = device_view(y);
  static_assert(decltype(stacked)::rank == 3, "grouped_linear: the weights are (groups, columns, k)");
  weft::detail::require_extent("grouped_linear", "k of x", from.extent(1), stacked.extent(2));
  weft::detail::require_extent("grouped_linear", "the columns of y", to.extent(1), stacked.extent(1));
  if (!stacked.is_contiguous()) raise<ShapeError>("grouped_linear: the weights must lie one after the other");
  const std::size_t share = detail::rows_per_row(from, to);
  const std::size_t k = stacked.extent(2);
  const detail::HalfWeights<T> first{stacked.data(), k, static_cast<int>(k)};
  detail::grouped_linear(from.data(), from.stride(0), share,
                         detail::StackedWeights<detail::HalfWeights<T>>{first, stacked.extent(1)}, groups, to.extent(0),
                         stacked.extent(0), k, to.data(), stream);
}

/// The same with weights in blocks, (group_count * columns, k), which become elements on their way.
template <DeviceTensorLike X, DeviceTensorLike Y>
void grouped_linear(const X& x, const QuantizedMatrix& weights, std::size_t group_count, const RowGroups& groups, Y&& y,
                    cudaStream_t stream = {}) {
  using T = device_value_t<X>;
  const auto from = device_view(x);
  const auto to = device_view(y);
  weft::detail::require_extent("grouped_linear", "k of x", from.extent(1), weights.k());
  weft::detail::require_extent("grouped_linear", "the rows of all weights", weights.rows(),
                               weft::detail::checked_product(group_count, to.extent(1)));
  const std::size_t share = detail::rows_per_row(from, to);
  weights.with_weights<T>([&](const auto& first) {
    using W = std::remove_cvref_t<decltype(first)>;
    detail::grouped_linear(from.data(), from.stride(0), share, detail::StackedWeights<W>{first, to.extent(1)}, groups,
                           to.extent(0), group_count, weights.k(), to.data(), stream);
  });
}

}  // namespace weft::inline v0::cuda
