#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/layers/adapted_rows.hpp>
#include <weft/layers/mlp.hpp>
#include <weft/ops/linear.hpp>

namespace weft::inline v0 {

/// A mixture of experts: feed-forward layers of which a router chooses some for every token, and possibly one that all
/// tokens share.
template <class Backend>
struct MoeWeightsOn {
  typename Backend::Matrix router;  // (experts, hidden)
  std::vector<MlpWeightsOn<Backend>> experts{};
  MlpWeightsOn<Backend> shared{};          // none where `up` is none
  typename Backend::Matrix shared_gate{};  // (1, hidden), or none
};
using MoeWeights = MoeWeightsOn<cpu::Backend>;

struct MoeParams {
  std::size_t experts_per_token = 0;
  bool normalised = false;  ///< the weights of the chosen experts are divided by their sum

  bool operator==(const MoeParams&) const = default;
};

/// Scratch of a mixture of experts for `tokens` tokens.
struct MoeBuffers {
  TensorView<float, 2> router;    // (tokens, experts + 1)
  TensorView<float, 2> gathered;  // (tokens, hidden)
  TensorView<float, 2> sum;       // (tokens, hidden)
};

namespace detail {

/// Makes all but the `count` largest of `probabilities` (n) zero, of equal ones the later, and divides what is left by
/// its sum where `normalised`. NaN stays NaN.
inline void keep_largest(float* probabilities, std::size_t n, std::size_t count, bool normalised) noexcept {
  if (std::isnan(probabilities[0])) return;
  // The place of an expert in the order from the largest to the smallest.
  const auto precedes = [&](std::size_t a, std::size_t b) {
    return probabilities[a] > probabilities[b] || (probabilities[a] == probabilities[b] && a < b);
  };
  std::size_t last = n;  // the one found before
  float sum = 0.f;
  for (std::size_t found = 0; found < std::min(count, n); ++found) {
    std::size_t best = n;
    for (std::size_t i = 0; i < n; ++i)
      if ((last == n || precedes(last, i)) && (best == n || precedes(i, best))) best = i;
    sum += probabilities[best];
    last = best;
  }
  const float scale = normalised ? 1.f / sum : 1.f;
  const std::size_t smallest = last;
  const float threshold = probabilities[smallest];
  for (std::size_t i = 0; i < n; ++i) {
    const bool kept = probabilities[i] > threshold || (probabilities[i] == threshold && i <= smallest);
    probabilities[i] = kept ? probabilities[i] * scale : 0.f;
  }
}

/// y += factor * x.
inline void add_scaled(const float* x, float factor, std::size_t n, float* y) noexcept {
  for (std::size_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

}  // namespace detail

/// y = sum over the chosen experts e of p[e] * mlp_e(x) + g * shared(x), which is also added to `onto`, if there is
/// one. p is softmax(router x), of which the experts_per_token largest count (Fedus et al. 2021, arXiv:2101.03961;
/// Jiang et al. 2024, arXiv:2401.04088); g is sigmoid(shared_gate x), or 1 without such a gate. Returns y, in the
/// buffers: (tokens, hidden).
///
/// x, onto: (tokens, hidden). gate, up: (tokens, the largest intermediate), contiguous scratch. Every token adds its
/// experts in the order of their numbers, so that the result does not depend on the other tokens.
inline TensorView<float, 2> moe(const MoeWeights& weights, Activation kind, const MoeParams& params,
                                TensorView<const float, 2> x, const MoeBuffers& buffers, TensorView<float, 2> gate,
                                TensorView<float, 2> up, const LayerContext& ctx,
                                const std::optional<TensorView<float, 2>>& onto = std::nullopt) {
  const std::size_t tokens = x.extent(0);
  const std::size_t hidden = x.extent(1);
  const std::size_t experts = weights.experts.size();
  const TensorView<float, 2> y = buffers.sum;
  const auto run = [&](const MlpWeights& expert, TensorView<const float, 2> from, TensorView<float, 2> to,
                       const RowAdapters* adapters) {
    const auto scratch = [&](TensorView<float, 2> rows) {
      return detail::scratch_rows(rows, from.extent(0), expert.up.extent(0));
    };
    mlp(expert, kind, from, scratch(gate), scratch(up), to, LayerContext(ctx, adapters));
  };
  linear(x, weights.router, buffers.router.narrow(1, 0, experts), ctx);
  for (std::size_t t = 0; t < tokens; ++t) {
    float* probabilities = &buffers.router(t, 0);
    ctx.kernels->softmax(probabilities, experts, 1.f, probabilities);
    detail::keep_largest(probabilities, experts, params.experts_per_token, params.normalised);
    std::fill_n(&y(t, 0), hidden, 0.f);
  }
  for (std::size_t e = 0; e < experts; ++e) {
    const auto chosen = [&](std::size_t t) { return buffers.router(t, e) != 0.f; };
    std::size_t count = 0;
    for (std::size_t t = 0; t < tokens; ++t)
      if (chosen(t)) std::copy_n(&x(t, 0), hidden, &buffers.gathered(count++, 0));
    if (count == 0) continue;
    const TensorView<float, 2> gathered = buffers.gathered.narrow(0, 0, count);
    const auto adapters = ctx.adapters ? std::optional(ctx.adapters->gather(chosen)) : std::nullopt;
    run(weights.experts[e], gathered, gathered, adapters ? &*adapters : nullptr);
    count = 0;
    for (std::size_t t = 0; t < tokens; ++t)
      if (chosen(t)) detail::add_scaled(&gathered(count++, 0), buffers.router(t, e), hidden, &y(t, 0));
  }
  if (weights.shared.up) {
    const TensorView<float, 2> gates = buffers.router.narrow(1, experts, 1);
    if (weights.shared_gate) linear(x, weights.shared_gate, gates, ctx);
    run(weights.shared, x, buffers.gathered, ctx.adapters);
    for (std::size_t t = 0; t < tokens; ++t) {
      const float factor = weights.shared_gate ? 1.f / (1.f + std::exp(-gates(t, 0))) : 1.f;
      detail::add_scaled(&buffers.gathered(t, 0), factor, hidden, &y(t, 0));
    }
  }
  if (onto)
    for (std::size_t t = 0; t < tokens; ++t) ctx.kernels->add(&y(t, 0), hidden, &(*onto)(t, 0));
  return y;
}

}  // namespace weft::inline v0
