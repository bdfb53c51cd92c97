#pragma once

#include <weft/core/tensor.hpp>
#include <weft/ops/layer_norm.hpp>
#include <weft/ops/rms_norm.hpp>

namespace weft::inline v0 {

/// A normalisation of rows. A gain without elements is 1, a bias without elements 0; rms has no bias.
struct NormWeights {
  Tensor<float, 1> gain{};  // (width)
  Tensor<float, 1> bias{};  // (width)
};

enum class NormKind : unsigned char {
  rms,    ///< rms_norm()
  layer,  ///< layer_norm()
};

struct NormParams {
  float eps;  ///< what the checkpoint says
  NormKind kind = NormKind::rms;
  float gain_offset = 0.f;  ///< RmsNormParams::gain_offset
};

/// y = rms_norm(x) or layer_norm(x), row by row; y may be x. x, y: (rows, width).
inline void norm(TensorView<const float, 2> x, const NormWeights& weights, TensorView<float, 2> y,
                 const NormParams& params, const cpu::Context& ctx) {
  if (params.kind == NormKind::rms)
    return rms_norm(x, weights.gain, y, {.eps = params.eps, .gain_offset = params.gain_offset}, ctx);
  const std::size_t width = x.extent(1);
  const auto row_or_null = [&](const char* what, const Tensor<float, 1>& vector) {
    return vector.empty() ? nullptr : detail::float_row("norm", what, vector, width);
  };
  const float* gain = row_or_null("gain", weights.gain);
  const float* bias = row_or_null("bias", weights.bias);
  detail::for_each_row("norm", x, y, ctx, [&](const float* from, std::size_t n, float* to) {
    ctx.kernels->layer_norm(from, gain, bias, n, params.eps, to);
  });
}

}  // namespace weft::inline v0
