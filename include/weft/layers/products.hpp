#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/layers/adapted_rows.hpp>
#include <weft/ops/activation.hpp>
#include <weft/ops/linear.hpp>

namespace weft::inline v0 {

namespace detail {

/// The elements of a vector, null where it has none.
template <class Vector>
auto bias_or_null(const Vector& bias) noexcept {
  return bias.size() == 0 ? nullptr : bias.data();
}

/// y (tokens, width) in the memory of scratch, which is contiguous and has at least as many elements.
template <class T>
TensorView<T, 2> scratch_rows(TensorView<T, 2> scratch, std::size_t tokens, std::size_t width) {
  WEFT_ASSERT(scratch.size() >= tokens * width);
  return {scratch.data(), {tokens, width}};
}

}  // namespace detail

/// y = x weight^T + bias, which is also added to `onto`, if there is one. bias: or null.
inline void linear_onto(TensorView<const float, 2> x, const AnyTensor& weight, const float* bias,
                        TensorView<float, 2> y, const LayerContext& ctx,
                        const std::optional<TensorView<float, 2>>& onto) {
  const LinearOutput output{weight, y, bias};
  if (!onto) return linear(x, std::span<const LinearOutput>(&output, 1), ctx);
  detail::require_shape("linear", "the residual", onto->extents(), y.extents());
  const auto add = [&](std::size_t begin, std::size_t end) {
    for (std::size_t t = 0; t < y.extent(0); ++t) ctx.kernels->add(&y(t, begin), end - begin, &(*onto)(t, begin));
  };
  linear(x, std::span<const LinearOutput>(&output, 1), ctx, LinearEpilogue(add));
}

/// y = f(x weight^T + bias), y that of the product.
inline void activated_linear(Activation kind, TensorView<const float, 2> x, const LinearOutput& product,
                             const LayerContext& ctx) {
  const auto activate = [&](std::size_t begin, std::size_t end) {
    for (std::size_t t = 0; t < product.y.extent(0); ++t) {
      float* values = &product.y(t, begin);
      ctx.kernels->activation(kind, values, nullptr, end - begin, values);
    }
  };
  linear(x, std::span<const LinearOutput>(&product, 1), ctx, LinearEpilogue(activate));
}

/// up = f(gate) * up, of two products of x; what is left in gate is not said.
inline void gated_linear(Activation kind, TensorView<const float, 2> x, const LinearOutput& gate,
                         const LinearOutput& up, const LayerContext& ctx) {
  const auto activate = [&](std::size_t begin, std::size_t end) {
    for (std::size_t t = 0; t < up.y.extent(0); ++t) {
      float* values = &up.y(t, begin);
      ctx.kernels->activation(kind, &gate.y(t, begin), values, end - begin, values);
    }
  };
  linear(x, std::array{up, gate}, ctx, LinearEpilogue(activate));
}

}  // namespace weft::inline v0
