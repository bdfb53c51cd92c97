#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include <weft/layers/attention_block.hpp>

namespace weft::inline v0 {

/// Keys and values of sources, which cross-attention sees, made once and stored in the cache of each source from its
/// beginning on: `tokens` rows of x from `begin` on belong to it. x: (rows, hidden), what an encoder made of the
/// sources, one after the other. k, v: (rows, key_value), scratch.
inline void cross_keys_and_values(const AttentionWeights& weights, std::span<const CachedSequence> sources,
                                  TensorView<const float, 2> x, TensorView<float, 2> k, TensorView<float, 2> v,
                                  const cpu::Context& ctx) {
  const std::array<LinearOutput, 2> outputs{LinearOutput{weights.k, k, detail::bias_or_null(weights.k_bias)},
                                            LinearOutput{weights.v, v, detail::bias_or_null(weights.v_bias)}};
  linear(x, outputs, ctx);
  for (const CachedSequence& s : sources) {
    const auto of_source = [&](TensorView<float, 2> rows) {
      return rows.narrow(0, s.begin, s.tokens).reshape(s.tokens, dynamic, s.cache.head_dim);
    };
    detail::store_in_cache(s.cache, s.cache.k, 0, of_source(k), ctx);
    detail::store_in_cache(s.cache, s.cache.v, 0, of_source(v), ctx);
  }
}

/// Cross-attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2.3) of the tokens of one or several sequences,
/// which together are the rows of x: projects x to queries, attends to the keys and values of each sequence's source,
/// projects back into y, which is also added to `residual`, if there is one. x, y, residual: (tokens, hidden); y may be
/// x. q, out: (tokens, query), scratch. The sources have one element type; every token sees all of its source, whatever
/// params says.
inline void cross_attention(const AttentionWeights& weights, std::span<const CachedSequence> sequences,
                            AttentionParams params, TensorView<const float, 2> x, TensorView<float, 2> q,
                            TensorView<float, 2> out, TensorView<float, 2> y, const LayerContext& ctx,
                            std::optional<TensorView<float, 2>> residual = std::nullopt) {
  if (sequences.empty()) return;
  params.causal = false;
  const LinearOutput queries{weights.q, q, detail::bias_or_null(weights.q_bias)};
  linear(x, std::span<const LinearOutput>(&queries, 1), ctx);
  const auto heads = [&](TensorView<float, 2> flat) {
    return flat.reshape(flat.extent(0), dynamic, sequences[0].source.head_dim);
  };
  detail::attend_to_caches(sequences, params, heads(q), heads(out), ctx, [](const CachedSequence& s) {
    return detail::AttendedCache{s.source, s.source_tokens, 0};
  });
  detail::linear_onto(out, weights.o, detail::bias_or_null(weights.o_bias), y, ctx, residual);
}

}  // namespace weft::inline v0
