#pragma once

#include <weft/cpu/context.hpp>
#include <weft/ops/rows.hpp>

namespace weft::inline v0 {

/// y = cap * tanh(x / cap), element by element: keeps logits inside (-cap, cap) (Gemma 2, arXiv:2408.00118, section 2).
///
/// x, y: float, any rank, last dimension contiguous, may be the same tensor. Absolute error below 1e-6 * cap; NaN stays
/// NaN. Throws ShapeError where shapes differ, ConfigError for a cap that is not positive.
template <TensorLike X, TensorLike Y>
void soft_cap(const X& x, Y&& y, float cap, const cpu::Context& ctx = {}) {
  static_assert(detail::same_shape<X, Y>, "soft_cap: x and y have different shapes");
  if (!(cap > 0.f)) raise<ConfigError>("soft_cap: the cap is ", cap, ", expected a positive number");
  detail::for_each_row("soft_cap", view(x), view(y), ctx, [&](const float* from, std::size_t n, float* to) {
    // tanh(z) = (1 - e^-2z) / (1 + e^-2z); beyond e^60 the quotient is -1 in float.
    for (std::size_t i = 0; i < n; ++i) {
      const float exponent = -2.f / cap * from[i];
      to[i] = exponent > 60.f ? 60.f : exponent;
    }
    ctx.kernels->exp(to, n, to);
    for (std::size_t i = 0; i < n; ++i) to[i] = cap * (1.f - to[i]) / (1.f + to[i]);
  });
}

}  // namespace weft::inline v0
