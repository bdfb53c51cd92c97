#pragma once

#include <cstddef>

#include <weft/cuda/core/device_tensor.cuh>
#include <weft/cuda/layers/backend.cuh>
#include <weft/cuda/ops/elementwise.cuh>
#include <weft/cuda/ops/layer_norm.cuh>
#include <weft/cuda/ops/rms_norm.cuh>
#include <weft/cuda/ops/traverse.cuh>
#include <weft/layers/norm.hpp>

namespace weft::inline v0::cuda {

namespace detail {

struct ScaleAndShift {
  template <Storage T>
  __device__ __forceinline__ T operator()(T x, float gain, float bias) const {
    return from_float<T>(to_float(x) * gain + bias);
  }
};

constexpr RmsNormParams rms_params(const NormParams& params) noexcept {
  return {.eps = params.eps, .gain_offset = params.gain_offset};
}

}  // namespace detail

/// What weft::norm computes. x, y: (rows, width), of device memory; y may be x. Throws ShapeError, CudaError.
template <HalfStorage T>
void norm(TensorView<T, 2> x, const NormWeightsOn<Backend<T>>& w, TensorView<T, 2> y, const NormParams& params,
          cudaStream_t stream) {
  if (params.kind == NormKind::rms) return rms_norm(x, w.gain, y, detail::rms_params(params), stream);
  if (params.kind == NormKind::scaled)
    return detail::transform("norm", detail::ScaleAndShift{}, y, stream, x, w.gain.view(), w.bias.view());
  if (w.bias.size() == 0) return layer_norm(x, w.gain, y, {.eps = params.eps}, stream);
  layer_norm(x, w.gain, w.bias, y, {.eps = params.eps}, stream);
}

/// x = x + y; z = norm(x), in one pass where there is a kernel for that. x, y, z: (rows, width), contiguous; z may be
/// one of the others.
template <HalfStorage T>
void add_norm(TensorView<T, 2> y, TensorView<T, 2> x, const NormWeightsOn<Backend<T>>& w, TensorView<T, 2> z,
              const NormParams& params, cudaStream_t stream) {
  const std::size_t rows = x.extent(0);
  const std::size_t width = x.extent(1);
  if (params.kind == NormKind::rms)
    return add_rms_norm(y.data(), x.data(), w.gain.data(), z.data(), rows, width, detail::rms_params(params), stream);
  if (params.kind == NormKind::layer)
    return add_layer_norm(y.data(), x.data(), w.gain.data(), w.bias.data(), z.data(), rows, width, {.eps = params.eps},
                          stream);
  add(x, y, x, stream);
  norm(x, w, z, params, stream);
}

}  // namespace weft::inline v0::cuda
