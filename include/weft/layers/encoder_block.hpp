#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include <weft/layers/attention_block.hpp>
#include <weft/layers/mlp.hpp>
#include <weft/layers/norm.hpp>
#include <weft/layers/tap.hpp>

namespace weft::inline v0 {

/// One encoder layer.
struct EncoderLayerWeights {
  AttentionWeights attention{};
  NormWeights attention_norm{};  // (hidden)
  MlpWeights mlp{};
  NormWeights mlp_norm{};  // (hidden)
};

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
struct EncoderLayerBuffers {
  TensorView<float, 2> normed;  // (tokens, hidden)
  AttentionBuffers attention;
  TensorView<float, 2> gate;  // (tokens, intermediate), in layers with a gate
  TensorView<float, 2> up;    // (tokens, intermediate)
};

/// One sequence among those of a pass, which lie one after the other: `tokens` rows from `begin` on.
struct PackedSequence {
  std::size_t begin;
  std::size_t tokens;
};

namespace detail {

/// Attention of the tokens of every sequence to those of the same sequence. q, k, v, out: (tokens, heads, head_dim).
inline void attend_in_sequences(std::span<const PackedSequence> sequences, const AttentionParams& params,
                                TensorView<const float, 3> q, TensorView<const float, 3> k,
                                TensorView<const float, 3> v, TensorView<float, 3> out, const cpu::Context& ctx) {
  constexpr std::size_t most = 16;  // sequences of one parallel pass
  for (std::size_t first = 0; first < sequences.size(); first += most) {
    const std::span<const PackedSequence> some = sequences.subspan(first, std::min(most, sequences.size() - first));
    std::array<AttentionSequence<float>, most> calls;
    for (std::size_t i = 0; i < some.size(); ++i) {
      const auto of_sequence = [&](const auto& rows) { return rows.narrow(0, some[i].begin, some[i].tokens); };
      calls[i] = {
          .q = of_sequence(q), .k = of_sequence(k), .v = of_sequence(v), .out = of_sequence(out), .params = params};
    }
    attention(std::span<const AttentionSequence<float>>(calls.data(), some.size()), ctx);
  }
}

}  // namespace detail

/// Self-attention without a cache, of every sequence to itself: projects x, attends, projects back into y, which is
/// also added to `residual`, if there is one. x, y, residual: (tokens, hidden), the sequences one after the other; y
/// may be x. Norms of queries and keys are not applied. params.scores.causal is as it says.
inline void self_attention(const AttentionWeights& weights, std::span<const PackedSequence> sequences,
                           std::size_t head_dim, const AttentionParams& params, TensorView<const float, 2> x,
                           const AttentionBuffers& buffers, TensorView<float, 2> y, const cpu::Context& ctx,
                           std::optional<TensorView<float, 2>> residual = std::nullopt) {
  const std::array<LinearOutput, 3> outputs{LinearOutput{weights.q, buffers.q, detail::bias_or_null(weights.q_bias)},
                                            LinearOutput{weights.k, buffers.k, detail::bias_or_null(weights.k_bias)},
                                            LinearOutput{weights.v, buffers.v, detail::bias_or_null(weights.v_bias)}};
  linear(x, outputs, ctx);
  const auto heads = [&](TensorView<float, 2> flat) {
    return flat.reshape(flat.extent(0), flat.extent(1) / head_dim, head_dim);
  };
  detail::attend_in_sequences(sequences, params, heads(buffers.q), heads(buffers.k), heads(buffers.v),
                              heads(buffers.out), ctx);
  detail::linear_onto(buffers.out, weights.o, detail::bias_or_null(weights.o_bias), y, ctx, residual);
}

/// Self-attention and feed-forward layer as EncoderLayerParams::form says. x: (tokens, hidden), in place.
inline void encoder_block(const EncoderLayerWeights& weights, std::span<const PackedSequence> sequences,
                          const EncoderLayerParams& params, const EncoderLayerBuffers& buffers, TensorView<float, 2> x,
                          const Tap* tap, std::string_view name, const cpu::Context& ctx) {
  const bool before = params.form == EncoderForm::pre_norm;
  const TensorView<float, 2> normed = buffers.normed;
  const TensorView<float, 2> in = before ? normed : x;

  if (before) norm(x, weights.attention_norm, normed, params.norm, ctx);
  self_attention(weights.attention, sequences, params.head_dim, params.scores, in, buffers.attention, normed, ctx, x);
  detail::tap_out(tap, normed, name, ".", params.attention_name);
  if (!before) norm(x, weights.attention_norm, x, params.norm, ctx);

  if (before) norm(x, weights.mlp_norm, normed, params.norm, ctx);
  mlp(weights.mlp, params.activation, in, buffers.gate, buffers.up, normed, ctx, x);
  detail::tap_out(tap, normed, name, ".", params.mlp_name);
  if (!before) norm(x, weights.mlp_norm, x, params.norm, ctx);
  detail::tap_out(tap, x, name);
}

}  // namespace weft::inline v0
