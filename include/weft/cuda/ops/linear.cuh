#pragma once

#include <cstddef>
#include <type_traits>

#include <weft/cuda/ops/linear_kernel.cuh>

namespace weft::inline v0::cuda {

/// y = x weight^T + bias for 1 to 16 tokens: the weights are read once, at the speed of memory. (For more tokens:
/// matmul.cuh.) The result of a token does not depend on how many there are.
///
/// x: (tokens, k), rows x_stride apart. weight: (rows, k), rows weight_stride apart. bias: (rows), or null. y: (tokens,
/// rows), rows y_stride apart, of T or float. Half or bfloat16 device memory; sums in float. Throws ShapeError for more
/// tokens, CudaError.
template <HalfStorage T, Storage Y>
void linear_few(const T* x, std::size_t x_stride, std::size_t tokens, const T* weight, std::size_t weight_stride,
                std::type_identity_t<const T*> bias, Y* y, std::size_t y_stride, std::size_t rows, std::size_t k,
                cudaStream_t stream = {}) {
  if (tokens > detail::most_linear_tokens)
    raise<ShapeError>("linear_few: ", tokens, " tokens, at most ", detail::most_linear_tokens, " are few");
  const detail::HalfWeights<T> weights{weight, weight_stride, static_cast<int>(k)};
  if (weights.in_vectors() && x_stride % 8 == 0 && detail::is_aligned(x))
    return detail::launch_linear(x, x_stride, tokens, weights, bias, y, y_stride, rows, k, stream);
  detail::launch_linear_elements(x, x_stride, tokens, weights, bias, y, y_stride, rows, k, stream);
}

/// The same on tensors. Throws ShapeError where shapes do not fit.
template <DeviceTensorLike X, DeviceTensorLike W, DeviceTensorLike Y>
void linear_few(const X& x, const W& weight, const device_value_t<X>* bias, Y&& y, cudaStream_t stream = {}) {
  const auto from = device_view(x);
  const auto rows = device_view(weight);
  const auto to = device_view(y);
  static_assert(decltype(from)::rank == 2 && decltype(rows)::rank == 2 && decltype(to)::rank == 2,
                "linear_few: x, weight and y are matrices");
  weft::detail::require_extent("linear_few: columns of x", "k", from.extent(1), rows.extent(1));
  weft::detail::require_shape("linear_few", "y", to.extents(), Dims<2>{from.extent(0), rows.extent(0)});
  detail::require_contiguous_rows("linear_few", from, rows, to);
  linear_few(from.data(), from.stride(0), from.extent(0), rows.data(), rows.stride(0), bias, to.data(), to.stride(0),
             rows.extent(0), rows.extent(1), stream);
}

}  // namespace weft::inline v0::cuda
