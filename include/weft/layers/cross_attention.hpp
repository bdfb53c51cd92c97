#pragma once

#include <array>
#include <cstddef>
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
  store_in_caches(sources, k, v, ctx);
}

/// Cross-attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2.3) of the tokens of one or several sequences,
/// which together are the rows of x: projects x to queries, attends to the keys and values of each sequence's source,
/// projects back into y, which is also added to `onto`, if there is one. x, y, onto: (tokens, hidden); y may be x. q,
/// out: (tokens, query), scratch. Every token sees all of its source, whatever params says.
template <class Backend>
void cross_attention(const AttentionWeightsOn<Backend>& weights, const typename Backend::CachedSequences& sequences,
                     AttentionParams params, InputOn<Backend> x, RowsOn<Backend> q, RowsOn<Backend> out,
                     RowsOn<Backend> y, const typename Backend::Context& ctx, const typename Backend::Onto& onto = {}) {
  if (sequences.empty()) return;
  params.causal = false;
  linear(x, weights.q, q, ctx, detail::bias_or_null(weights.q_bias));
  attend_to_sources(sequences, params, q, out, ctx);
  linear_onto(out, weights.o, detail::bias_or_null(weights.o_bias), y, ctx, onto);
}

}  // namespace weft::inline v0
