#pragma once

#include <array>
#include <cstddef>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/ops/activation.hpp>
#include <weft/ops/linear.hpp>

namespace weft::inline v0 {

/// The gated feed-forward layer (Shazeer 2020, arXiv:2002.05202). A bias without elements is none.
struct MlpWeights {
  AnyTensor gate;                // (intermediate, hidden)
  AnyTensor up;                  // (intermediate, hidden)
  AnyTensor down;                // (hidden, intermediate)
  Tensor<float, 1> gate_bias{};  // (intermediate)
  Tensor<float, 1> up_bias{};    // (intermediate)
  Tensor<float, 1> down_bias{};  // (hidden)
};

namespace detail {

inline const float* bias_or_null(const Tensor<float, 1>& bias) noexcept { return bias.empty() ? nullptr : bias.data(); }

}  // namespace detail

/// y = down (f(gate x) * up x). x, y: (tokens, hidden), may be the same. gate, up: (tokens, intermediate), scratch.
inline void mlp(const MlpWeights& weights, Activation kind, TensorView<const float, 2> x, TensorView<float, 2> gate,
                TensorView<float, 2> up, TensorView<float, 2> y, const cpu::Context& ctx) {
  const std::array<LinearOutput, 2> outputs{LinearOutput{weights.gate, gate, detail::bias_or_null(weights.gate_bias)},
                                            LinearOutput{weights.up, up, detail::bias_or_null(weights.up_bias)}};
  linear(x, outputs, ctx);
  gated_activation(kind, gate, up, gate, ctx);
  linear(gate, weights.down, y, ctx, detail::bias_or_null(weights.down_bias));
}

}  // namespace weft::inline v0
