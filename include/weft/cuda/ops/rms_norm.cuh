#pragma once

#include <cstddef>

#include <weft/cuda/ops/rows.cuh>
#include <weft/ops/params.hpp>

namespace weft::inline v0::cuda {

namespace detail {

template <Storage T, Storage G, int W, bool Residual>
__global__ void __launch_bounds__(row_threads)
    rms_norm_kernel(const T* x, T* residual, const G* gain, T* y, RowMap<3> map, RmsNormParams params) {
  const int n = map.elements;
  for_each_row(map.rows, [&](std::size_t row) {
    const T* from = x + map.offset(0, row);
    T* sum_row = Residual ? residual + map.offset(2, row) : nullptr;
    T* to = y + map.offset(1, row);
    RowPart<W> part;
    float squares = 0.f;
    part.load(from, map.inner[0], n, [&](Pack<W>& pack, int i) {
      if constexpr (Residual) {
        Pack<W> before;
        before.load(sum_row + static_cast<std::size_t>(i) * map.inner[2]);
#pragma unroll
        for (int j = 0; j < W; ++j) pack.at[j] = to_float(from_float<T>(pack.at[j] + before.at[j]));
        store_pack(pack, sum_row, map.inner[2], i);
      }
#pragma unroll
      for (int j = 0; j < W; ++j) squares += pack.at[j] * pack.at[j];
    });
    const float scale = rsqrtf(row_sum(squares) / static_cast<float>(n) + params.eps);
    part.again(Residual ? sum_row : from, map.inner[Residual ? 2 : 0], n, [&](Pack<W>& pack, int i) {
      Pack<W> gains;
      gains.load(gain + i);
#pragma unroll
      for (int j = 0; j < W; ++j) pack.at[j] = pack.at[j] * scale * (gains.at[j] + params.gain_offset);
      store_pack(pack, to, map.inner[1], i);
    });
  });
}

template <bool Residual, Storage T, Storage G>
void rms_norm(const T* x, T* residual, const G* gain, T* y, const RowMap<3>& map, RmsNormParams params,
              cudaStream_t stream) {
  weft::detail::require_eps(Residual ? "add_rms_norm" : "rms_norm", params.eps);
  const bool vectors = has_vector_rows(map, vector_width<T>, {x, y, Residual ? residual : x}) && is_aligned(gain);
  with_row_width<T>(vectors, [&](auto width) {
    launch("rms_norm", row_launch(map.rows, map.elements, width(), stream),
           rms_norm_kernel<T, G, decltype(width)::value, Residual>, x, residual, gain, y, map, params);
  });
}

}  // namespace detail

/// Root-mean-square normalisation; the equation stands at weft::rms_norm. Sums in float.
///
/// x, y: (rows, hidden), contiguous device memory, may be the same. gain: (hidden). Throws ConfigError for an eps that
/// is negative or NaN, CudaError.
template <Storage T, Storage G>
void rms_norm(const T* x, const G* gain, T* y, std::size_t rows, std::size_t hidden, RmsNormParams params,
              cudaStream_t stream = {}) {
  detail::rms_norm<false>(x, static_cast<T*>(nullptr), gain, y, detail::contiguous_rows<3>(rows, hidden), params,
                          stream);
}

/// The same fused with the sum before it: residual = residual + x, rounded to T; y = rms_norm(residual).
template <Storage T, Storage G>
void add_rms_norm(const T* x, T* residual, const G* gain, T* y, std::size_t rows, std::size_t hidden,
                  RmsNormParams params, cudaStream_t stream = {}) {
  detail::rms_norm<true>(x, residual, gain, y, detail::contiguous_rows<3>(rows, hidden), params, stream);
}

/// The same on tensors: x, y, residual (..., hidden), any strides; gain (hidden), contiguous. Throws also
/// ShapeError where shapes differ.
template <DeviceTensorLike X, DeviceTensorLike G, DeviceTensorLike Y>
void rms_norm(const X& x, const G& gain, Y&& y, RmsNormParams params, cudaStream_t stream = {}) {
  const auto from = device_view(x);
  const auto to = device_view(y);
  const auto gains = detail::row_vector("rms_norm", "gain", gain, from);
  detail::rms_norm<false>(from.data(), static_cast<device_value_t<X>*>(nullptr), gains, to.data(),
                          detail::row_map("rms_norm", from, to, from), params, stream);
}
template <DeviceTensorLike X, DeviceTensorLike R, DeviceTensorLike G, DeviceTensorLike Y>
void add_rms_norm(const X& x, R&& residual, const G& gain, Y&& y, RmsNormParams params, cudaStream_t stream = {}) {
  const auto from = device_view(x);
  const auto sum = device_view(residual);
  const auto to = device_view(y);
  const auto gains = detail::row_vector("add_rms_norm", "gain", gain, from);
  detail::rms_norm<true>(from.data(), sum.data(), gains, to.data(), detail::row_map("add_rms_norm", from, to, sum),
                         params, stream);
}

}  // namespace weft::inline v0::cuda
