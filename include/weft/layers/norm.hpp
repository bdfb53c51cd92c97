#pragma once

#include <algorithm>
#include <cstddef>

#include <weft/core/tensor.hpp>
#include <weft/layers/adapted_rows.hpp>
#include <weft/layers/backend.hpp>
#include <weft/ops/layer_norm.hpp>
#include <weft/ops/rms_norm.hpp>

namespace weft::inline v0 {

/// A normalisation of rows. A gain without elements is 1, a bias without elements 0; rms has no bias, scaled has both.
template <class Backend>
struct NormWeightsOn {
  typename Backend::Vector gain{};  // (width)
  typename Backend::Vector bias{};  // (width)
};
using NormWeights = NormWeightsOn<cpu::Backend>;

enum class NormKind : unsigned char {
  rms,     ///< rms_norm()
  layer,   ///< layer_norm()
  scaled,  ///< y = gain * x + bias, MobileBERT's NoNorm (Sun et al. 2020, arXiv:2004.02984, section 3.3)
};

struct NormParams {
  float eps;  ///< what the checkpoint says
  NormKind kind = NormKind::rms;
  float gain_offset = 0.f;  ///< RmsNormParams::gain_offset
};

namespace detail {

inline void norm_rows(TensorView<const float, 2> x, const Tensor<float, 1>& gain, const Tensor<float, 1>& bias,
                      TensorView<float, 2> y, const NormParams& params, const cpu::Context& ctx) {
  if (params.kind == NormKind::rms)
    return rms_norm(x, gain, y, {.eps = params.eps, .gain_offset = params.gain_offset}, ctx);
  const std::size_t width = x.extent(1);
  if (params.kind == NormKind::scaled) {
    const float* gains = float_row("norm", "gain", gain, width);
    const float* biases = float_row("norm", "bias", bias, width);
    return for_each_row("norm", x, y, ctx, [&](const float* from, std::size_t n, float* to) {
      for (std::size_t i = 0; i < n; ++i) to[i] = from[i] * gains[i] + biases[i];
    });
  }
  require_eps("norm", params.eps);
  const auto row_or_null = [&](const char* what, const Tensor<float, 1>& vector) {
    return vector.empty() ? nullptr : float_row("norm", what, vector, width);
  };
  const float* gains = row_or_null("gain", gain);
  const float* biases = row_or_null("bias", bias);
  for_each_row("norm", x, y, ctx, [&](const float* from, std::size_t n, float* to) {
    ctx.kernels->layer_norm(from, gains, biases, n, params.eps, to);
  });
}

}  // namespace detail

/// y = rms_norm(x), layer_norm(x) or gain * x + bias, row by row; y may be x. x, y: (rows, width), several rows of
/// which, the same for all, may make up one that has adapters. Throws ShapeError where shapes differ, ConfigError for
/// an eps that is negative or NaN.
inline void norm(TensorView<const float, 2> x, const NormWeights& weights, TensorView<float, 2> y,
                 const NormParams& params, const LayerContext& ctx) {
  const auto replaced = [](const WeightChanges* changes, const Tensor<float, 1>& vector) {
    return changes ? changes->find(vector.data()) : nullptr;
  };
  const auto replaces = [&](const AdaptedRows& run) {
    return replaced(run.changes, weights.gain) || replaced(run.changes, weights.bias);
  };
  if (!ctx.adapters || x.extent(0) == 0 || std::none_of(ctx.adapters->runs.begin(), ctx.adapters->runs.end(), replaces))
    return detail::norm_rows(x, weights.gain, weights.bias, y, params, ctx);
  const AdaptedRows& last = ctx.adapters->runs.back();
  const std::size_t rows_each = x.extent(0) / (last.begin + last.rows);
  for (const AdaptedRows& run : ctx.adapters->runs) {
    const Tensor<float, 1>* gain = replaced(run.changes, weights.gain);
    const Tensor<float, 1>* bias = replaced(run.changes, weights.bias);
    const auto part = [&](auto rows) { return rows.narrow(0, run.begin * rows_each, run.rows * rows_each); };
    detail::norm_rows(part(x), gain ? *gain : weights.gain, bias ? *bias : weights.bias, part(y), params, ctx);
  }
}

}  // namespace weft::inline v0
