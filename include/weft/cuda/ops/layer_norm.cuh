#pragma once

#include <cstddef>

#include <weft/cuda/ops/rows.cuh>
#include <weft/ops/params.hpp>

namespace weft::inline v0::cuda {

namespace detail {

template <Storage T, Storage G, int W, bool Residual>
__global__ void __launch_bounds__(row_threads) layer_norm_kernel(const T* x, T* residual, const G* gain, const G* bias,
                                                                 T* y, RowMap<3> map, LayerNormParams params) {
  const int n = map.elements;
  for_each_row(map.rows, [&](std::size_t row) {
    T* sum_row = Residual ? residual + map.offset(2, row) : nullptr;
    const T* from = x + map.offset(0, row);
    T* to = y + map.offset(1, row);
    RowPart<W> part;
    float sum = 0.f;
    part.load(from, map.inner[0], n, [&](Pack<W>& pack, int i) {
      if constexpr (Residual) {
        Pack<W> before;
        before.load(sum_row + static_cast<std::size_t>(i) * map.inner[2]);
#pragma unroll
        for (int j = 0; j < W; ++j) pack.at[j] = to_float(from_float<T>(pack.at[j] + before.at[j]));
        store_pack(pack, sum_row, map.inner[2], i);
      }
#pragma unroll
      for (int j = 0; j < W; ++j) sum += pack.at[j];
    });
    const T* source = Residual ? sum_row : from;
    const std::size_t source_inner = map.inner[Residual ? 2 : 0];
    const float mean = row_sum(sum) / static_cast<float>(n);
    float squares = 0.f;
    part.again(source, source_inner, n, [&](Pack<W>& pack, int) {
#pragma unroll
      for (int j = 0; j < W; ++j) squares += (pack.at[j] - mean) * (pack.at[j] - mean);
    });
    const float scale = rsqrtf(row_sum(squares) / static_cast<float>(n) + params.eps);
    part.again(source, source_inner, n, [&](Pack<W>& pack, int i) {
      Pack<W> gains;
      gains.load(gain + i);
      Pack<W> biases{};
      if (bias) biases.load(bias + i);
#pragma unroll
      for (int j = 0; j < W; ++j) pack.at[j] = (pack.at[j] - mean) * scale * gains.at[j] + biases.at[j];
      store_pack(pack, to, map.inner[1], i);
    });
  });
}

template <bool Residual, Storage T, Storage G>
void layer_norm(const T* x, T* residual, const G* gain, const G* bias, T* y, const RowMap<3>& map,
                LayerNormParams params, cudaStream_t stream) {
  weft::detail::require_eps(Residual ? "add_layer_norm" : "layer_norm", params.eps);
  const bool vectors =
      has_vector_rows(map, vector_width<T>, {x, y, Residual ? residual : x}) && is_aligned(gain) && is_aligned(bias);
  with_row_width<T>(vectors, [&](auto width) {
    launch("layer_norm", row_launch(map.rows, map.elements, width(), stream),
           layer_norm_kernel<T, G, decltype(width)::value, Residual>, x, residual, gain, bias, y, map, params);
  });
}

}  // namespace detail

/// Layer normalisation; the equation stands at weft::layer_norm. Mean and variance in float, in two passes.
///
/// x, y: (rows, hidden), contiguous device memory, may be the same. gain, bias: (hidden); bias may be null. Throws
/// ConfigError for an eps that is negative or NaN, CudaError.
template <Storage T, Storage G>
void layer_norm(const T* x, const G* gain, const G* bias, T* y, std::size_t rows, std::size_t hidden,
                LayerNormParams params, cudaStream_t stream = {}) {
  detail::layer_norm<false>(x, static_cast<T*>(nullptr), gain, bias, y, detail::contiguous_rows<3>(rows, hidden),
                            params, stream);
}

/// The same fused with the sum before it: residual = residual + x, rounded to T; y = layer_norm(residual).
template <Storage T, Storage G>
void add_layer_norm(const T* x, T* residual, const G* gain, const G* bias, T* y, std::size_t rows, std::size_t hidden,
                    LayerNormParams params, cudaStream_t stream = {}) {
  detail::layer_norm<true>(x, residual, gain, bias, y, detail::contiguous_rows<3>(rows, hidden), params, stream);
}

/// The same on tensors: x, y, residual (..., hidden), any strides; gain and bias (hidden), contiguous. Throws
/// also ShapeError where shapes differ.
template <DeviceTensorLike X, DeviceTensorLike G, DeviceTensorLike B, DeviceTensorLike Y>
void layer_norm(const X& x, const G& gain, const B& bias, Y&& y, LayerNormParams params, cudaStream_t stream = {}) {
  const auto from = device_view(x);
  const auto to = device_view(y);
  const device_value_t<G>* gains = detail::row_vector("layer_norm", "gain", gain, from);
  const device_value_t<G>* biases = detail::row_vector("layer_norm", "bias", bias, from);
  detail::layer_norm<false>(from.data(), static_cast<device_value_t<X>*>(nullptr), gains, biases, to.data(),
                            detail::row_map("layer_norm", from, to, from), params, stream);
}
template <DeviceTensorLike X, DeviceTensorLike R, DeviceTensorLike G, DeviceTensorLike B, DeviceTensorLike Y>
void add_layer_norm(const X& x, R&& residual, const G& gain, const B& bias, Y&& y, LayerNormParams params,
                    cudaStream_t stream = {}) {
  const auto from = device_view(x);
  const auto sum = device_view(residual);
  const auto to = device_view(y);
  const device_value_t<G>* gains = detail::row_vector("add_layer_norm", "gain", gain, from);
  const device_value_t<G>* biases = detail::row_vector("add_layer_norm", "bias", bias, from);
  detail::layer_norm<true>(from.data(), sum.data(), gains, biases, to.data(),
                           detail::row_map("add_layer_norm", from, to, sum), params, stream);
}

/// Without bias.
template <DeviceTensorLike X, DeviceTensorLike G, DeviceTensorLike Y>
void layer_norm(const X& x, const G& gain, Y&& y, LayerNormParams params, cudaStream_t stream = {}) {
  const auto from = device_view(x);
  const auto to = device_view(y);
  const device_value_t<G>* gains = detail::row_vector("layer_norm", "gain", gain, from);
  detail::layer_norm<false>(from.data(), static_cast<device_value_t<X>*>(nullptr), gains,
                            static_cast<const device_value_t<G>*>(nullptr), to.data(),
                            detail::row_map("layer_norm", from, to, from), params, stream);
}
template <DeviceTensorLike X, DeviceTensorLike R, DeviceTensorLike G, DeviceTensorLike Y>
void add_layer_norm(const X& x, R&& residual, const G& gain, Y&& y, LayerNormParams params, cudaStream_t stream = {}) {
  const auto from = device_view(x);
  const auto sum = device_view(residual);
  const auto to = device_view(y);
  const device_value_t<G>* gains = detail::row_vector("add_layer_norm", "gain", gain, from);
  detail::layer_norm<true>(from.data(), sum.data(), gains, static_cast<const device_value_t<G>*>(nullptr), to.data(),
                           detail::row_map("add_layer_norm", from, to, sum), params, stream);
}

}  // namespace weft::inline v0::cuda
