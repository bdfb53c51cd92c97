#pragma once

#include <cstddef>
#include <string_view>

#include <weft/layers/attention_block.hpp>
#include <weft/layers/mlp.hpp>
#include <weft/layers/norm.hpp>
#include <weft/layers/packed_sequences.hpp>
#include <weft/layers/residual.hpp>
#include <weft/layers/tap.hpp>

namespace weft::inline v0 {

/// One encoder layer.
template <class Backend>
struct EncoderLayerWeightsOn {
  AttentionWeightsOn<Backend> attention{};
  NormWeightsOn<Backend> attention_norm{};  // (hidden)
  MlpWeightsOn<Backend> mlp{};
  NormWeightsOn<Backend> mlp_norm{};  // (hidden)
};
using EncoderLayerWeights = EncoderLayerWeightsOn<cpu::Backend>;

/// Calls f on every matrix (const AnyTensor&) and every vector (const Tensor<float, 1>&), empty ones too, but for norms
/// of queries and keys.
template <class F>
void for_each_weight(const NormWeights& w, F&& f) {
  f(w.gain), f(w.bias);
}
template <class F>
void for_each_weight(const AttentionWeights& w, F&& f) {
  f(w.q), f(w.k), f(w.v), f(w.o), f(w.q_bias), f(w.k_bias), f(w.v_bias), f(w.o_bias);
}
template <class F>
void for_each_weight(const MlpWeights& w, F&& f) {
  f(w.gate), f(w.up), f(w.down), f(w.gate_bias), f(w.up_bias), f(w.down_bias);
}
template <class F>
void for_each_weight(const EncoderLayerWeights& w, F&& f) {
  for_each_weight(w.attention, f), for_each_weight(w.mlp, f);
  for_each_weight(w.attention_norm, f), for_each_weight(w.mlp_norm, f);
}

/// Where an encoder layer normalises; f stands for attention, then for the feed-forward layer.
enum class EncoderForm : unsigned char {
  post_norm,  ///< x = norm(x + f(x)), as in BERT
  pre_norm,   ///< x += f(norm(x)), as in ViT
};

/// What all layers of a forward pass share.
struct EncoderLayerParams {
  EncoderForm form = EncoderForm::post_norm;
  NormParams norm;
  Activation activation;
  AttentionParams scores;           ///< those of a sequence; offset and key_mask are not used
  std::size_t head_dim;             ///< elements of a head
  std::string_view attention_name;  ///< for taps, as mlp_name
  std::string_view mlp_name;
};

/// Scratch of an encoder layer for `tokens` tokens.
template <class Backend>
struct EncoderLayerBuffersOn {
  RowsOn<Backend> normed;  // (tokens, hidden)
  AttentionBuffersOn<Backend> attention;
  RowsOn<Backend> gate;  // (tokens, intermediate), in layers with a gate
  RowsOn<Backend> up;    // (tokens, intermediate)
};
using EncoderLayerBuffers = EncoderLayerBuffersOn<cpu::Backend>;

/// Self-attention without a cache, of every sequence to itself: projects x, attends, projects back into y, which is
/// also added to `onto`, if there is one. x, y, onto: (tokens, hidden), the sequences one after the other; y may be x.
/// Norms of queries and keys are not applied. params.scores.causal is as it says.
template <class Backend>
void self_attention(const AttentionWeightsOn<Backend>& weights, const typename Backend::PackedSequences& sequences,
                    std::size_t head_dim, const AttentionParams& params, InputOn<Backend> x,
                    const AttentionBuffersOn<Backend>& buffers, RowsOn<Backend> y, const typename Backend::Context& ctx,
                    const typename Backend::Onto& onto = {}) {
  detail::project(weights, x, buffers, ctx);
  attend_in_sequences(sequences, head_dim, params, buffers.q, buffers.k, buffers.v, buffers.out, ctx);
  linear_onto(buffers.out, weights.o, detail::bias_or_null(weights.o_bias), y, ctx, onto);
}

/// Self-attention and feed-forward layer as EncoderLayerParams::form says, of x, (tokens, hidden).
template <class Backend>
void encoder_block(const EncoderLayerWeightsOn<Backend>& weights, const typename Backend::PackedSequences& sequences,
                   const EncoderLayerParams& params, const EncoderLayerBuffersOn<Backend>& buffers,
                   typename Backend::Residual& x, const Tap* tap, std::string_view name,
                   const typename Backend::Context& ctx) {
  using Rows = RowsOn<Backend>;
  const bool before = params.form == EncoderForm::pre_norm;
  const ResidualParams residual{before ? BlockForm::pre_norm : BlockForm::residual_norm, params.norm};
  add_part<Backend>(x, residual, weights.attention_norm, {}, buffers.normed, ctx, [&](Rows in, Rows y, auto onto) {
    self_attention(weights.attention, sequences, params.head_dim, params.scores, in, buffers.attention, y, ctx, onto);
    detail::tap_out(tap, y, name, ".", params.attention_name);
    return y;
  });
  add_part<Backend>(x, residual, weights.mlp_norm, {}, buffers.normed, ctx, [&](Rows in, Rows y, auto onto) {
    mlp(weights.mlp, params.activation, in, buffers.gate, buffers.up, y, ctx, onto);
    detail::tap_out(tap, y, name, ".", params.mlp_name);
    return y;
  });
  if (tap) detail::tap_out(tap, x.rows(ctx), name);
}

}  // namespace weft::inline v0
