#pragma once

#include <weft/layers/backend.hpp>
#include <weft/layers/products.hpp>

namespace weft::inline v0 {

/// The feed-forward layer, gated (Shazeer 2020, arXiv:2002.05202) or, without a gate, plain. A bias without elements is
/// none.
template <class Backend>
struct MlpWeightsOn {
  typename Backend::Matrix gate;       // (intermediate, hidden); none in a plain layer
  typename Backend::Matrix up;         // (intermediate, hidden)
  typename Backend::Matrix down;       // (hidden, intermediate)
  typename Backend::Bias gate_bias{};  // (intermediate)
  typename Backend::Bias up_bias{};    // (intermediate)
  typename Backend::Bias down_bias{};  // (hidden)
};
using MlpWeights = MlpWeightsOn<cpu::Backend>;

/// y = down (f(gate x) * up x), or down f(up x) without a gate, which is also added to `onto`, if there is one.
/// x, y, onto: (tokens, hidden); y may be x. gate, up: (tokens, intermediate), scratch; a plain layer uses up alone.
template <class Backend>
void mlp(const MlpWeightsOn<Backend>& weights, Activation kind, InputOn<Backend> x, RowsOn<Backend> gate,
         RowsOn<Backend> up, RowsOn<Backend> y, const typename Backend::Context& ctx,
         const typename Backend::Onto& onto = {}) {
  using Product = typename Backend::Product;
  const Product to_up{weights.up, up, detail::bias_or_null(weights.up_bias)};
  if (weights.gate) {
    gated_linear(kind, x, Product{weights.gate, gate, detail::bias_or_null(weights.gate_bias)}, to_up, ctx);
  } else {
    activated_linear(kind, x, to_up, ctx);
  }
  linear_onto(up, weights.down, detail::bias_or_null(weights.down_bias), y, ctx, onto);
}

}  // namespace weft::inline v0
