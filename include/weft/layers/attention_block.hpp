#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include <weft/layers/backend.hpp>
#include <weft/layers/cached_sequences.hpp>
#include <weft/layers/norm.hpp>
#include <weft/layers/products.hpp>

namespace weft::inline v0 {

/// Projections of one self-attention layer; query = heads * head_dim, key_value = kv_heads * head_dim. A bias or a norm
/// without elements is none.
template <class Backend>
struct AttentionWeightsOn {
  typename Backend::Matrix q;       // (query, hidden)
  typename Backend::Matrix k;       // (key_value, hidden)
  typename Backend::Matrix v;       // (key_value, hidden)
  typename Backend::Matrix o;       // (hidden, query)
  typename Backend::Bias q_bias{};  // (query)
  typename Backend::Bias k_bias{};  // (key_value)
  typename Backend::Bias v_bias{};  // (key_value)
  typename Backend::Bias o_bias{};  // (hidden)
  NormWeightsOn<Backend> q_norm{};  // of every head (head_dim), or of all of them at once (query)
  NormWeightsOn<Backend> k_norm{};  // (head_dim) or (key_value)
  // (heads) and (kv_heads): of every head with weights of its own (head_dim).
  std::vector<NormWeightsOn<Backend>> q_head_norms{}, k_head_norms{};
};
using AttentionWeights = AttentionWeightsOn<cpu::Backend>;

struct AttentionBlockParams {
  AttentionParams scores;
  NormParams norm{.eps = 0.f};  ///< of queries and keys
  float clip = 0.f;             ///< queries, keys and values are brought into [-clip, clip]; 0: they are not
};

/// Scratch of an attention block for `tokens` tokens.
template <class Backend>
struct AttentionBuffersOn {
  RowsOn<Backend> q;    // (tokens, query)
  RowsOn<Backend> k;    // (tokens, key_value)
  RowsOn<Backend> v;    // (tokens, key_value)
  RowsOn<Backend> out;  // (tokens, query)
};
using AttentionBuffers = AttentionBuffersOn<cpu::Backend>;

namespace detail {

/// Queries, keys and values of x.
template <class Backend>
void project(const AttentionWeightsOn<Backend>& w, InputOn<Backend> x, const AttentionBuffersOn<Backend>& to,
             const typename Backend::Context& ctx) {
  using Product = typename Backend::Product;
  linear(x,
         std::array{Product{w.q, to.q, bias_or_null(w.q_bias)}, Product{w.k, to.k, bias_or_null(w.k_bias)},
                    Product{w.v, to.v, bias_or_null(w.v_bias)}},
         ctx);
}

/// Normalises runs of as many elements as the norm has gains, or every head by weights of its own.
template <class Backend>
void norm_heads(RowsOn<Backend> x, const NormWeightsOn<Backend>& w, const std::vector<NormWeightsOn<Backend>>& of_heads,
                const NormParams& params, const typename Backend::Context& ctx) {
  if (const std::size_t width = w.gain.size(); width != 0) {
    const RowsOn<Backend> runs = x.reshape(dynamic, width);
    norm(runs, w, runs, params, ctx);
  }
  for (std::size_t h = 0; h < of_heads.size(); ++h) {
    const std::size_t width = x.extent(1) / of_heads.size();
    const RowsOn<Backend> head = x.narrow(1, h * width, width);
    norm(head, of_heads[h], head, params, ctx);
  }
}

}  // namespace detail

/// Self-attention of the tokens of one or several sequences, which together are the rows of x, at `positions`: projects
/// x, normalises queries and keys, clips, rotates (an empty table rotates nothing), stores keys and values in each
/// sequence's cache, attends to everything in it so far, projects back into y, which is also added to `onto`, if there
/// is one. x, y, onto: (tokens, hidden); y may be x. params.scores.offset is that of each sequence, whatever it says.
template <class Backend>
void attention_block(const AttentionWeightsOn<Backend>& weights, const typename Backend::CachedSequences& sequences,
                     const typename Backend::Rope& rope, const typename Backend::Positions& positions,
                     const AttentionBlockParams& params, InputOn<Backend> x, const AttentionBuffersOn<Backend>& buffers,
                     RowsOn<Backend> y, const typename Backend::Context& ctx, const typename Backend::Onto& onto = {}) {
  if (sequences.empty()) return;
  const auto& [q, k, v, out] = buffers;
  detail::project(weights, x, buffers, ctx);
  detail::norm_heads<Backend>(q, weights.q_norm, weights.q_head_norms, params.norm, ctx);
  detail::norm_heads<Backend>(k, weights.k_norm, weights.k_head_norms, params.norm, ctx);
  if (params.clip != 0.f)
    for (const RowsOn<Backend>* rows : {&q, &k, &v}) clip_rows(*rows, params.clip, ctx);
  if (rope.positions() > 0) {
    apply_rope(heads_of(sequences, q), positions, rope, ctx);
    apply_rope(heads_of(sequences, k), positions, rope, ctx);
  }
  store_in_caches(sequences, k, v, ctx);
  attend_to_caches(sequences, params.scores, q, out, ctx);
  linear_onto(out, weights.o, detail::bias_or_null(weights.o_bias), y, ctx, onto);
}

}  // namespace weft::inline v0
