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

/// The feed-forward layer, gated (Shazeer 2020, arXiv:2002.05202) or, without a gate, plain. A bias without elements is
/// none.
struct MlpWeights {
  AnyTensor gate;                // (intermediate, hidden); none in a plain layer
  AnyTensor up;                  // (intermediate, hidden)
  AnyTensor down;                // (hidden, intermediate)
  Tensor<float, 1> gate_bias{};  // (intermediate)
  Tensor<float, 1> up_bias{};    // (intermediate)
  Tensor<float, 1> down_bias{};  // (hidden)
};

namespace detail {

inline const float* bias_or_null(const Tensor<float, 1>& bias) noexcept { return bias.empty() ? nullptr : bias.data(); }

/// y = x weight^T + bias, which is also added to `residual`, if there is one.
inline void linear_onto(TensorView<const float, 2> x, const AnyTensor& weight, const float* bias,
                        TensorView<float, 2> y, const LayerContext& ctx,
                        const std::optional<TensorView<float, 2>>& residual) {
  const LinearOutput output{weight, y, bias};
  if (!residual) return linear(x, std::span<const LinearOutput>(&output, 1), ctx);
  require_shape("linear", "the residual", residual->extents(), y.extents());
  const auto add = [&](std::size_t begin, std::size_t end) {
    for (std::size_t t = 0; t < y.extent(0); ++t) ctx.kernels->add(&y(t, begin), end - begin, &(*residual)(t, begin));
  };
  linear(x, std::span<const LinearOutput>(&output, 1), ctx, LinearEpilogue(add));
}

}  // namespace detail

/// y = down (f(gate x) * up x), or down f(up x) without a gate, which is also added to `residual`, if there is one.
/// x, y, residual: (tokens, hidden); y may be x. gate, up: (tokens, intermediate), scratch; a plain layer uses up
/// alone.
inline void mlp(const MlpWeights& weights, Activation kind, TensorView<const float, 2> x, TensorView<float, 2> gate,
                TensorView<float, 2> up, TensorView<float, 2> y, const LayerContext& ctx,
                std::optional<TensorView<float, 2>> residual = std::nullopt) {
  const std::array<LinearOutput, 2> outputs{LinearOutput{weights.up, up, detail::bias_or_null(weights.up_bias)},
                                            LinearOutput{weights.gate, gate, detail::bias_or_null(weights.gate_bias)}};
  const bool gated = static_cast<bool>(weights.gate);
  const auto activate = [&](std::size_t begin, std::size_t end) {
    for (std::size_t t = 0; t < up.extent(0); ++t) {
      float* values = &up(t, begin);
      if (gated) {
        ctx.kernels->activation(kind, &gate(t, begin), values, end - begin, values);
      } else {
        ctx.kernels->activation(kind, values, nullptr, end - begin, values);
      }
    }
  };
  linear(x, std::span(outputs).first(gated ? 2 : 1), ctx, LinearEpilogue(activate));
  detail::linear_onto(up, weights.down, detail::bias_or_null(weights.down_bias), y, ctx, residual);
}

}  // namespace weft::inline v0
