#pragma once

#include <weft/cpu/context.hpp>
#include <weft/ops/rows.hpp>

namespace weft::inline v0 {

/// y = f(x) element by element; the functions are stated at Activation. gelu is exact (error function, Hendrycks and
/// Gimpel 2016, arXiv:1606.08415), gelu_tanh its approximation,
/// and quick_gelu the coarser one of the same paper.
///
/// x, y: float, any rank, last dimension contiguous, may be the same tensor. Relative error of e^x below 2^-22,
/// absolute error of gelu below 1e-6 for |x| <= 8. NaN stays NaN. Throws ShapeError where shapes differ.
template <TensorLike X, TensorLike Y>
void activation(Activation kind, const X& x, Y&& y, const cpu::Context& ctx = {}) {
  static_assert(detail::same_shape<X, Y>, "activation: x and y have different shapes");
  detail::for_each_row("activation", view(x), view(y), ctx, [&](const float* from, std::size_t n, float* to) {
    ctx.kernels->activation(kind, from, nullptr, n, to);
  });
}

/// y = f(gate) * up, the gated form (SwiGLU, GeGLU, ReGLU; Shazeer 2020, arXiv:2002.05202). y may be gate or up.
template <TensorLike G, TensorLike U, TensorLike Y>
void gated_activation(Activation kind, const G& gate, const U& up, Y&& y, const cpu::Context& ctx = {}) {
  static_assert(detail::same_shape<G, U> && detail::same_shape<G, Y>, "gated_activation: shapes differ");
  static_assert(rank_of<G> >= 1);
  const auto ups = view(up);
  const auto gates = view(gate);
  detail::require_shape("gated_activation", "up", ups.extents(), gates.extents());
  if (ups.strides() != gates.strides()) raise<ShapeError>("gated_activation: gate and up must have the same strides");
  detail::for_each_row("gated_activation", gates, view(y), ctx, [&](const float* from, std::size_t n, float* to) {
    ctx.kernels->activation(kind, from, ups.data() + (from - gates.data()), n, to);
  });
}

template <TensorLike X, TensorLike Y>
void silu(const X& x, Y&& y, const cpu::Context& ctx = {}) {
  activation(Activation::silu, x, y, ctx);
}
template <TensorLike X, TensorLike Y>
void gelu(const X& x, Y&& y, const cpu::Context& ctx = {}) {
  activation(Activation::gelu, x, y, ctx);
}
template <TensorLike X, TensorLike Y>
void gelu_tanh(const X& x, Y&& y, const cpu::Context& ctx = {}) {
  activation(Activation::gelu_tanh, x, y, ctx);
}
template <TensorLike X, TensorLike Y>
void quick_gelu(const X& x, Y&& y, const cpu::Context& ctx = {}) {
  activation(Activation::quick_gelu, x, y, ctx);
}
template <TensorLike X, TensorLike Y>
void relu(const X& x, Y&& y, const cpu::Context& ctx = {}) {
  activation(Activation::relu, x, y, ctx);
}

}  // namespace weft::inline v0
