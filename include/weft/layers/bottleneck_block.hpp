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

/// One layer of MobileBERT, whose halves are as narrow as its bottleneck. Its norms are y = gain * x + bias.
struct BottleneckLayerWeights {
  BottleneckWeights input;       // (bottleneck, hidden)
  BottleneckWeights query_key;   // (bottleneck, hidden): what queries and keys are made of
  AttentionWeights attention{};  // values are made of x: v is (bottleneck, hidden)
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

/// x = gain * x + bias, what MobileBERT has in place of norms (Sun et al. 2020, arXiv:2004.02984, section 3.3).
/// x: (rows, width), in place. Throws ShapeError.
inline void scale_and_shift(const NormWeights& weights, TensorView<float, 2> x, const cpu::Context& ctx) {
  const float* gain = detail::float_row("scale_and_shift", "gain", weights.gain, x.extent(1));
  const float* bias = detail::float_row("scale_and_shift", "bias", weights.bias, x.extent(1));
  detail::for_each_row("scale_and_shift", x, x, ctx, [&](const float* from, std::size_t n, float* to) {
    for (std::size_t i = 0; i < n; ++i) to[i] = from[i] * gain[i] + bias[i];
  });
}

/// One layer of MobileBERT (arXiv:2004.02984, section 3; transformers, models/mobilebert/modeling_mobilebert.py). x:
/// (tokens, hidden), in place; params.form and params.norm are not used.
inline void bottleneck_block(const BottleneckLayerWeights& weights, std::span<const PackedSequence> sequences,
                             const EncoderLayerParams& params, const BottleneckBuffers& buffers, TensorView<float, 2> x,
                             const Tap* tap, std::string_view name, const cpu::Context& ctx) {
  const AttentionWeights& a = weights.attention;
  const AttentionBuffers& b = buffers.attention;
  const auto enter = [&](const BottleneckWeights& w, TensorView<float, 2> y) {
    linear(x, w.weight, y, ctx, detail::bias_or_null(w.bias));
    scale_and_shift(w.norm, y, ctx);
  };
  enter(weights.input, buffers.narrow);
  enter(weights.query_key, buffers.query_key);
  const std::array<LinearOutput, 2> outputs{LinearOutput{a.q, b.q, detail::bias_or_null(a.q_bias)},
                                            LinearOutput{a.k, b.k, detail::bias_or_null(a.k_bias)}};
  linear(buffers.query_key, outputs, ctx);
  linear(x, a.v, b.v, ctx, detail::bias_or_null(a.v_bias));
  const auto heads = [&](TensorView<float, 2> flat) {
    return flat.reshape(flat.extent(0), flat.extent(1) / params.head_dim, params.head_dim);
  };
  detail::attend_in_sequences(sequences, params.scores, heads(b.q), heads(b.k), heads(b.v), heads(b.out), ctx);
  detail::linear_onto(b.out, a.o, detail::bias_or_null(a.o_bias), buffers.part, ctx, buffers.narrow);
  detail::tap_out(tap, buffers.part, name, ".", params.attention_name);
  scale_and_shift(weights.attention_norm, buffers.narrow, ctx);

  const auto feed_forward = [&](const NormedMlpWeights& w) {
    mlp(w.mlp, params.activation, buffers.narrow, {}, buffers.up, buffers.part, ctx, buffers.narrow);
    scale_and_shift(w.norm, buffers.narrow, ctx);
  };
  for (const NormedMlpWeights& w : weights.feed_forward) feed_forward(w);
  feed_forward(weights.last);
  detail::tap_out(tap, buffers.part, name, ".", params.mlp_name);
  detail::linear_onto(buffers.narrow, weights.output.weight, detail::bias_or_null(weights.output.bias), buffers.wide,
                      ctx, x);
  scale_and_shift(weights.output.norm, x, ctx);
  detail::tap_out(tap, x, name);
}

}  // namespace weft::inline v0
