#pragma once

#include <weft/cpu/context.hpp>
#include <weft/ops/params.hpp>
#include <weft/ops/rows.hpp>

namespace weft::inline v0 {

/// Root-mean-square normalisation, Zhang and Sennrich 2019 (arXiv:1910.07467), equation 4:
///   y[t, i] = x[t, i] / sqrt(mean_i x[t, i]^2 + eps) * (gain[i] + gain_offset)
///
/// x, y: (..., hidden), any leading dimensions, may be the same tensor. gain: (hidden). Elements float, the last
/// dimension contiguous; sums in float. Throws ShapeError where shapes differ, ConfigError for an eps that is
/// negative or NaN.
template <TensorLike X, TensorLike G, TensorLike Y>
void rms_norm(const X& x, const G& gain, Y&& y, RmsNormParams params, const cpu::Context& ctx = {}) {
  static_assert(detail::same_shape<X, Y>, "rms_norm: x and y have different shapes");
  static_assert(detail::same_extent<X, rank_of<X> - 1, G, 0>, "rms_norm: gain has another extent than the last of x");
  detail::require_eps("rms_norm", params.eps);
  const auto gains = detail::float_row("rms_norm", "gain", gain, view(x).extent(rank_of<X> - 1));
  detail::for_each_row("rms_norm", view(x), view(y), ctx, [&](const float* from, std::size_t n, float* to) {
    ctx.kernels->rms_norm(from, gains, n, params.eps, params.gain_offset, to);
  });
}

}  // namespace weft::inline v0
