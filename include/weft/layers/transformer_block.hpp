#pragma once

#include <cstddef>
#include <string_view>

#include <weft/layers/attention_block.hpp>
#include <weft/layers/cross_attention.hpp>
#include <weft/layers/mlp.hpp>
#include <weft/layers/moe.hpp>
#include <weft/layers/norm.hpp>
#include <weft/layers/residual.hpp>
#include <weft/layers/tap.hpp>

namespace weft::inline v0 {

/// One decoder layer. Norms that its BlockForm does not have are empty; so is one of mlp and moe, and so is the
/// cross-attention of a decoder that has no source.
template <class Backend>
struct DecoderLayerWeightsOn {
  NormWeightsOn<Backend> attention_norm{};  // (hidden)
  AttentionWeightsOn<Backend> attention{};
  NormWeightsOn<Backend> attention_post_norm{};  // (hidden)
  NormWeightsOn<Backend> cross_norm{};           // (hidden)
  AttentionWeightsOn<Backend> cross{};
  NormWeightsOn<Backend> mlp_norm{};  // (hidden)
  MlpWeightsOn<Backend> mlp{};
  typename Backend::MoeWeights moe{};
  NormWeightsOn<Backend> mlp_post_norm{};  // (hidden)
};
using DecoderLayerWeights = DecoderLayerWeightsOn<cpu::Backend>;

/// What all layers of a forward pass share.
struct DecoderLayerParams {
  BlockForm form = BlockForm::pre_norm;
  float residual_scale = 1.f;  ///< what is added to x is multiplied with it
  NormParams norm;
  Activation activation;
  AttentionBlockParams attention;
  MoeParams moe = {};
  AttentionParams cross = {.scale = 1.f};         ///< scores of cross-attention
  std::string_view attention_name = "self_attn";  ///< for taps
  std::string_view cross_name = "encoder_attn";
  std::string_view mlp_name = "mlp";
};

/// Scratch of a decoder layer for `tokens` tokens.
template <class Backend>
struct DecoderLayerBuffersOn {
  RowsOn<Backend> normed;  // (tokens, hidden)
  AttentionBuffersOn<Backend> attention;
  RowsOn<Backend> gate;                   // (tokens, the largest intermediate), contiguous
  RowsOn<Backend> up;                     // (tokens, the largest intermediate), contiguous
  RowsOn<Backend> other = {};             // (tokens, hidden), for the parallel forms
  typename Backend::MoeBuffers moe = {};  // for experts
};
using DecoderLayerBuffers = DecoderLayerBuffersOn<cpu::Backend>;

namespace detail {

/// y = the feed-forward layer of x, which is also added to `onto`, if there is one; y may be x. Returns where its
/// result is: y, or rows of the experts.
template <class Backend>
RowsOn<Backend> feed_forward(const DecoderLayerWeightsOn<Backend>& weights, const DecoderLayerParams& params,
                             const DecoderLayerBuffersOn<Backend>& buffers, RowsOn<Backend> x, RowsOn<Backend> y,
                             const typename Backend::Context& ctx, const typename Backend::Onto& onto) {
  if (!weights.moe.experts.empty())
    return moe(weights.moe, params.activation, params.moe, x, buffers.moe, buffers.gate, buffers.up, ctx, onto);
  const auto scratch = [&](RowsOn<Backend> rows) { return scratch_rows(rows, x.extent(0), weights.mlp.up.extent(0)); };
  mlp(weights.mlp, params.activation, x, scratch(buffers.gate), scratch(buffers.up), y, ctx, onto);
  return y;
}

}  // namespace detail

/// Attention, cross-attention where the layer has it, and feed-forward layer as DecoderLayerParams::form says, of x,
/// (tokens, hidden).
template <class Backend>
void transformer_block(const DecoderLayerWeightsOn<Backend>& weights,
                       const typename Backend::CachedSequences& sequences, const typename Backend::Rope& rope,
                       const typename Backend::Positions& positions, const DecoderLayerParams& params,
                       const DecoderLayerBuffersOn<Backend>& buffers, typename Backend::Residual& x, const Tap* tap,
                       std::string_view name, const typename Backend::Context& ctx) {
  using Rows = RowsOn<Backend>;
  using Onto = typename Backend::Onto;
  const Rows normed = buffers.normed;
  const Rows other = buffers.other;
  const ResidualParams residual{params.form, params.norm, params.residual_scale};
  const auto attend = [&](Rows in, Rows y, const Onto& onto) {
    attention_block(weights.attention, sequences, rope, positions, params.attention, in, buffers.attention, y, ctx,
                    onto);
    detail::tap_out(tap, y, name, ".", params.attention_name);
    return y;
  };
  const auto attend_to_source = [&](Rows in, Rows y, const Onto& onto) {
    cross_attention(weights.cross, sequences, params.cross, in, buffers.attention.q, buffers.attention.out, y, ctx,
                    onto);
    detail::tap_out(tap, y, name, ".", params.cross_name);
    return y;
  };
  const auto feed = [&](Rows in, Rows y, const Onto& onto) {
    const Rows fed = detail::feed_forward(weights, params, buffers, in, y, ctx, onto);
    detail::tap_out(tap, fed, name, ".", params.mlp_name);
    return fed;
  };
  if (detail::is_parallel(params.form)) {
    const bool shared = params.form == BlockForm::parallel_shared;
    x.norm_to(weights.attention_norm, normed, params.norm, ctx);
    if (!shared) x.norm_to(weights.mlp_norm, other, params.norm, ctx);
    x.add(attend(normed, shared ? other : normed, x.onto(residual)), residual, ctx);
    const Rows in = shared ? normed : other;
    x.add(feed(in, in, x.onto(residual)), residual, ctx);
  } else {
    add_part<Backend>(x, residual, weights.attention_norm, weights.attention_post_norm, normed, ctx, attend);
    if (weights.cross.q) add_part<Backend>(x, residual, weights.cross_norm, {}, normed, ctx, attend_to_source);
    add_part<Backend>(x, residual, weights.mlp_norm, weights.mlp_post_norm, normed, ctx, feed);
  }
  if (tap) detail::tap_out(tap, x.rows(ctx), name);
}

}  // namespace weft::inline v0
