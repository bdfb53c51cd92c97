#pragma once

#include <weft/cpu/context.hpp>
#include <weft/ops/params.hpp>
#include <weft/ops/rows.hpp>

namespace weft::inline v0 {

/// Layer normalisation, Ba, Kiros and Hinton 2016 (arXiv:1607.06450), with the biased variance as PyTorch takes it:
///   y[t, i] = (x[t, i] - mean_t) / sqrt(variance_t + eps) * gain[i] + bias[i]
///
/// x, y: (..., hidden), any leading dimensions, may be the same tensor. gain, bias: (hidden). Elements float, the last
/// dimension contiguous; mean and variance in float, in two passes. Throws ShapeError where shapes differ, ConfigError
/// for an eps that is negative or NaN.
template <TensorLike X, TensorLike G, TensorLike B, TensorLike Y>
void layer_norm(const X& x, const G& gain, const B& bias, Y&& y, LayerNormParams params, const cpu::Context& ctx = {}) {
  static_assert(detail::same_shape<X, Y>, "layer_norm: x and y have different shapes");
  static_assert(detail::same_extent<X, rank_of<X> - 1, G, 0> && detail::same_extent<X, rank_of<X> - 1, B, 0>,
                "layer_norm: gain or bias has another extent than the last of x");
  detail::require_eps("layer_norm", params.eps);
  const std::size_t hidden = view(x).extent(rank_of<X> - 1);
  const float* gains = detail::float_row("layer_norm", "gain", gain, hidden);
  const float* biases = detail::float_row("layer_norm", "bias", bias, hidden);
  detail::for_each_row("layer_norm", view(x), view(y), ctx, [&](const float* from, std::size_t n, float* to) {
    ctx.kernels->layer_norm(from, gains, biases, n, params.eps, to);
  });
}

/// The same without bias.
template <TensorLike X, TensorLike G, TensorLike Y>
void layer_norm(const X& x, const G& gain, Y&& y, LayerNormParams params, const cpu::Context& ctx = {}) {
  static_assert(detail::same_shape<X, Y>, "layer_norm: x and y have different shapes");
  static_assert(detail::same_extent<X, rank_of<X> - 1, G, 0>, "layer_norm: gain has another extent than the last of x");
  detail::require_eps("layer_norm", params.eps);
  const float* gains = detail::float_row("layer_norm", "gain", gain, view(x).extent(rank_of<X> - 1));
  detail::for_each_row("layer_norm", view(x), view(y), ctx, [&](const float* from, std::size_t n, float* to) {
    ctx.kernels->layer_norm(from, gains, nullptr, n, params.eps, to);
  });
}

}  // namespace weft::inline v0
