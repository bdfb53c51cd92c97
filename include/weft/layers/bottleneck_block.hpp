#pragma once

#include <array>
#include <string_view>
#include <vector>

#include <weft/layers/encoder_block.hpp>

namespace weft::inline v0 {

/// norm(x weight^T + bias), a product into or out of a bottleneck.
template <class Backend>
struct BottleneckWeightsOn {
  typename Backend::Matrix weight;  // (to, from)
  typename Backend::Bias bias{};    // (to)
  NormWeightsOn<Backend> norm{};    // (to)
};
using BottleneckWeights = BottleneckWeightsOn<cpu::Backend>;

/// A feed-forward layer with the norm after its residual.
template <class Backend>
struct NormedMlpWeightsOn {
  MlpWeightsOn<Backend> mlp{};
  NormWeightsOn<Backend> norm{};  // (bottleneck)
};
using NormedMlpWeights = NormedMlpWeightsOn<cpu::Backend>;

/// One layer of MobileBERT, whose halves are as narrow as its bottleneck.
template <class Backend>
struct BottleneckLayerWeightsOn {
  BottleneckWeightsOn<Backend> input;      // (bottleneck, hidden); none, as output, where there is no bottleneck
  BottleneckWeightsOn<Backend> query_key;  // (bottleneck, hidden): what queries and keys are made of, and values of x,
                                           // so that v is (bottleneck, hidden); none: all three of what `input` makes
  AttentionWeightsOn<Backend> attention{};
  NormWeightsOn<Backend> attention_norm{};  // (bottleneck)
  std::vector<NormedMlpWeightsOn<Backend>> feed_forward;
  NormedMlpWeightsOn<Backend> last;
  BottleneckWeightsOn<Backend> output;  // (hidden, bottleneck)
};
using BottleneckLayerWeights = BottleneckLayerWeightsOn<cpu::Backend>;

/// Scratch of such a layer for `tokens` tokens.
template <class Backend>
struct BottleneckBuffersOn {
  RowsOn<Backend> narrow;     // (tokens, bottleneck)
  RowsOn<Backend> query_key;  // (tokens, bottleneck)
  RowsOn<Backend> part;       // (tokens, bottleneck)
  RowsOn<Backend> wide;       // (tokens, hidden)
  AttentionBuffersOn<Backend> attention;
  RowsOn<Backend> up;  // (tokens, intermediate)
};
using BottleneckBuffers = BottleneckBuffersOn<cpu::Backend>;

/// One layer of MobileBERT (Sun et al. 2020, arXiv:2004.02984, section 3; transformers,
/// models/mobilebert/modeling_mobilebert.py). x: (tokens, hidden), in place; params.form is not used. last_eps: that of
/// the norm after the last feed-forward layer.
template <class Backend>
void bottleneck_block(const BottleneckLayerWeightsOn<Backend>& weights,
                      const typename Backend::PackedSequences& sequences, const EncoderLayerParams& params,
                      float last_eps, const BottleneckBuffersOn<Backend>& buffers, RowsOn<Backend> x, const Tap* tap,
                      std::string_view name, const typename Backend::Context& ctx) {
  using Rows = RowsOn<Backend>;
  using Product = typename Backend::Product;
  const AttentionWeightsOn<Backend>& a = weights.attention;
  const AttentionBuffersOn<Backend>& b = buffers.attention;
  const bool bottleneck = static_cast<bool>(weights.input.weight), apart = static_cast<bool>(weights.query_key.weight);
  const Rows narrow = bottleneck ? buffers.narrow : x;
  const Rows query_key = apart ? buffers.query_key : narrow;
  const auto enter = [&](const BottleneckWeightsOn<Backend>& w, Rows y) {
    linear(x, w.weight, y, ctx, detail::bias_or_null(w.bias));
    norm(y, w.norm, y, params.norm, ctx);
  };
  const auto add_and_norm = [&](Rows rows, const NormWeightsOn<Backend>& after, float eps, Rows scratch, auto&& f) {
    typename Backend::Residual sum(rows);
    const ResidualParams residual{BlockForm::residual_norm, {.eps = eps, .kind = params.norm.kind}};
    add_part<Backend>(sum, residual, after, {}, scratch, ctx, f);
  };
  if (bottleneck) enter(weights.input, narrow);
  if (apart) enter(weights.query_key, query_key);
  add_and_norm(narrow, weights.attention_norm, params.norm.eps, buffers.part, [&](Rows, Rows y, auto onto) {
    linear(query_key,
           std::array{Product{a.q, b.q, detail::bias_or_null(a.q_bias)},
                      Product{a.k, b.k, detail::bias_or_null(a.k_bias)}},
           ctx);
    linear(apart ? x : narrow, a.v, b.v, ctx, detail::bias_or_null(a.v_bias));
    attend_in_sequences(sequences, params.head_dim, params.scores, b.q, b.k, b.v, b.out, ctx);
    linear_onto(b.out, a.o, detail::bias_or_null(a.o_bias), y, ctx, onto);
    detail::tap_out(tap, y, name, ".", params.attention_name);
    return y;
  });
  const auto feed_forward = [&](const NormedMlpWeightsOn<Backend>& w, float eps) {
    add_and_norm(narrow, w.norm, eps, buffers.part, [&](Rows in, Rows y, auto onto) {
      mlp(w.mlp, params.activation, in, {}, buffers.up, y, ctx, onto);
      return y;
    });
  };
  for (const NormedMlpWeightsOn<Backend>& w : weights.feed_forward) feed_forward(w, params.norm.eps);
  feed_forward(weights.last, last_eps);
  detail::tap_out(tap, buffers.part, name, ".", params.mlp_name);
  if (bottleneck)
    add_and_norm(x, weights.output.norm, params.norm.eps, buffers.wide, [&](Rows, Rows y, auto onto) {
      linear_onto(narrow, weights.output.weight, detail::bias_or_null(weights.output.bias), y, ctx, onto);
      return y;
    });
  detail::tap_out(tap, x, name);
}

}  // namespace weft::inline v0
