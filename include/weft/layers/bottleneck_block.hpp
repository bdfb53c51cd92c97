#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <weft/layers/encoder_block.hpp>

namespace weft::inline v0 {

/// norm(x weight^T + bias), a product into or out of a bottleneck.
struct BottleneckWeights {
  AnyTensor weight;         // (to, from)
  Tensor<float, 1> bias{};  // (to)
  NormWeights norm{};       // (to)
};

/// A feed-forward layer with the norm after its residual.
struct NormedMlpWeights {
  MlpWeights mlp{};
  NormWeights norm{};  // (bottleneck)
};

/// One layer of MobileBERT, whose halves are as narrow as its bottleneck.
struct BottleneckLayerWeights {
  BottleneckWeights input;      // (bottleneck, hidden); none, as output, where there is no bottleneck
  BottleneckWeights query_key;  // (bottleneck, hidden): what queries and keys are made of, and values of x, so that v
                                // is (bottleneck, hidden); none: all three are made of what `input` makes
  AttentionWeights attention{};
  NormWeights attention_norm{};  // (bottleneck)
  std::vector<NormedMlpWeights> feed_forward;
  NormedMlpWeights last;
  BottleneckWeights output;  // (hidden, bottleneck)
};

/// Scratch of such a layer for `tokens` tokens.
struct BottleneckBuffers {
  TensorView<float, 2> narrow;     // (tokens, bottleneck)
  TensorView<float, 2> query_key;  // (tokens, bottleneck)
  TensorView<float, 2> part;       // (tokens, bottleneck)
  TensorView<float, 2> wide;       // (tokens, hidden)
  AttentionBuffers attention;
  TensorView<float, 2> up;  // (tokens, intermediate)
};

/// One layer of MobileBERT (Sun et al. 2020, arXiv:2004.02984, section 3; transformers,
/// models/mobilebert/modeling_mobilebert.py). x: (tokens, hidden), in place; params.form is not used. last_eps: that of
/// the norm after the last feed-forward layer.
inline void bottleneck_block(const BottleneckLayerWeights& weights, std::span<const PackedSequence> sequences,
                             const EncoderLayerParams& params, float last_eps, const BottleneckBuffers& buffers,
                             TensorView<float, 2> x, const Tap* tap, std::string_view name, const cpu::Context& ctx) {
  const AttentionWeights& a = weights.attention;
  const AttentionBuffers& b = buffers.attention;
  const bool bottleneck = static_cast<bool>(weights.input.weight), apart = static_cast<bool>(weights.query_key.weight);
  const TensorView<float, 2> narrow = bottleneck ? buffers.narrow : x;
  const TensorView<float, 2> query_key = apart ? buffers.query_key : narrow;
  const auto enter = [&](const BottleneckWeights& w, TensorView<float, 2> y) {
    linear(x, w.weight, y, ctx, detail::bias_or_null(w.bias));
    norm(y, w.norm, y, params.norm, ctx);
  };
  if (bottleneck) enter(weights.input, narrow);
  if (apart) enter(weights.query_key, query_key);
  const std::array<LinearOutput, 2> outputs{LinearOutput{a.q, b.q, detail::bias_or_null(a.q_bias)},
                                            LinearOutput{a.k, b.k, detail::bias_or_null(a.k_bias)}};
  linear(query_key, outputs, ctx);
  linear(apart ? x : narrow, a.v, b.v, ctx, detail::bias_or_null(a.v_bias));
  const auto heads = [&](TensorView<float, 2> flat) {
    return flat.reshape(flat.extent(0), flat.extent(1) / params.head_dim, params.head_dim);
  };
  detail::attend_in_sequences(sequences, params.scores, heads(b.q), heads(b.k), heads(b.v), heads(b.out), ctx);
  detail::linear_onto(b.out, a.o, detail::bias_or_null(a.o_bias), buffers.part, ctx, narrow);
  detail::tap_out(tap, buffers.part, name, ".", params.attention_name);
  norm(narrow, weights.attention_norm, narrow, params.norm, ctx);

  const auto feed_forward = [&](const NormedMlpWeights& w, float eps) {
    mlp(w.mlp, params.activation, narrow, {}, buffers.up, buffers.part, ctx, narrow);
    norm(narrow, w.norm, narrow, {.eps = eps, .kind = params.norm.kind}, ctx);
  };
  for (const NormedMlpWeights& w : weights.feed_forward) feed_forward(w, params.norm.eps);
  feed_forward(weights.last, last_eps);
  detail::tap_out(tap, buffers.part, name, ".", params.mlp_name);
  if (bottleneck) {
    detail::linear_onto(narrow, weights.output.weight, detail::bias_or_null(weights.output.bias), buffers.wide, ctx, x);
    norm(x, weights.output.norm, x, params.norm, ctx);
  }
  detail::tap_out(tap, x, name);
}

}  // namespace weft::inline v0
