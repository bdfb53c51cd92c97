#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <weft/layers/adapted_rows.hpp>
#include <weft/layers/attention_block.hpp>
#include <weft/layers/cross_attention.hpp>
#include <weft/layers/mlp.hpp>
#include <weft/layers/moe.hpp>
#include <weft/layers/norm.hpp>
#include <weft/layers/tap.hpp>

namespace weft::inline v0 {

/// One decoder layer. Norms that its BlockForm does not have are empty; so is one of mlp and moe, and so is the
/// cross-attention of a decoder that has no source.
struct DecoderLayerWeights {
  NormWeights attention_norm{};  // (hidden)
  AttentionWeights attention{};
  NormWeights attention_post_norm{};  // (hidden)
  NormWeights cross_norm{};           // (hidden)
  AttentionWeights cross{};
  NormWeights mlp_norm{};  // (hidden)
  MlpWeights mlp{};
  MoeWeights moe{};
  NormWeights mlp_post_norm{};  // (hidden)
};

/// Where a layer normalises and what it adds to its input; f stands for attention, then for cross-attention, which
/// goes with pre_norm and residual_norm, then for the feed-forward layer.
enum class BlockForm : unsigned char {
  pre_norm,         ///< x += f(norm(x))
  residual_norm,    ///< x = norm(x + f(x)), as in BART
  post_norm,        ///< x += post_norm(f(x)), as in OLMo 2
  sandwich_norm,    ///< x += post_norm(f(norm(x))), as in Gemma 2
  parallel,         ///< x += attention(attention_norm(x)) + mlp(mlp_norm(x)), as in GPT-NeoX
  parallel_shared,  ///< x += attention(attention_norm(x)) + mlp(attention_norm(x)), as in GPT-J
};

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
struct DecoderLayerBuffers {
  TensorView<float, 2> normed;  // (tokens, hidden)
  AttentionBuffers attention;
  TensorView<float, 2> gate;        // (tokens, intermediate)
  TensorView<float, 2> up;          // (tokens, intermediate)
  TensorView<float, 2> other = {};  // (tokens, hidden), for the parallel forms and for experts
  MoeBuffers moe = {};              // for experts
};

namespace detail {

/// Whether the form has a norm before each half, and one after it.
constexpr bool norm_before(BlockForm form) noexcept {
  return form != BlockForm::post_norm && form != BlockForm::residual_norm;
}
constexpr bool norm_after(BlockForm form) noexcept {
  return form == BlockForm::post_norm || form == BlockForm::sandwich_norm;
}
constexpr bool is_parallel(BlockForm form) noexcept {
  return form == BlockForm::parallel || form == BlockForm::parallel_shared;
}

/// y = the feed-forward layer of x, which is also added to `residual`, if there is one; y may be x. Returns where y is.
inline TensorView<float, 2> feed_forward(const DecoderLayerWeights& weights, const DecoderLayerParams& params,
                                         const DecoderLayerBuffers& buffers, TensorView<const float, 2> x,
                                         TensorView<float, 2> y, const LayerContext& ctx,
                                         std::optional<TensorView<float, 2>> residual) {
  if (weights.moe.experts.empty()) {
    const std::size_t width = weights.mlp.up.extent(0);
    mlp(weights.mlp, params.activation, x, buffers.gate.narrow(1, 0, width), buffers.up.narrow(1, 0, width), y, ctx,
        residual);
    return y;
  }
  moe(weights.moe, params.activation, params.moe, x, buffers.moe, buffers.gate, buffers.up, buffers.other, ctx,
      residual);
  return buffers.other;
}

/// x += scale * y.
inline void add_scaled(TensorView<const float, 2> y, float scale, TensorView<float, 2> x, const LayerContext& ctx) {
  for_each_row("residual", y, x, ctx, [&](const float* from, std::size_t n, float* to) {
    if (scale == 1.f) return ctx.kernels->add(from, n, to);
    for (std::size_t i = 0; i < n; ++i) to[i] += scale * from[i];
  });
}

}  // namespace detail

/// Attention and feed-forward layer as DecoderLayerParams::form says. x: (tokens, hidden), in place.
inline void transformer_block(const DecoderLayerWeights& weights, std::span<const CachedSequence> sequences,
                              const RopeTable& rope, std::span<const std::int32_t> positions,
                              const DecoderLayerParams& params, const DecoderLayerBuffers& buffers,
                              TensorView<float, 2> x, const Tap* tap, std::string_view name, const LayerContext& ctx) {
  const TensorView<float, 2> normed = buffers.normed;
  const bool before = detail::norm_before(params.form);
  const bool after = detail::norm_after(params.form);
  const bool parallel = detail::is_parallel(params.form);
  const bool shared = params.form == BlockForm::parallel_shared;
  // Products add to x themselves where nothing else is done with them.
  const bool plain = !after && params.residual_scale == 1.f;
  const auto residual = plain ? x : std::optional<TensorView<float, 2>>();
  const auto add = [&](TensorView<float, 2> y, const NormWeights& post_norm) {
    if (plain) return;
    if (after) norm(y, post_norm, y, params.norm, ctx);
    detail::add_scaled(y, params.residual_scale, x, ctx);
  };
  const auto norm_sum = [&](const NormWeights& w) {
    if (params.form == BlockForm::residual_norm) norm(x, w, x, params.norm, ctx);
  };

  if (before) norm(x, weights.attention_norm, normed, params.norm, ctx);
  if (parallel && !shared) norm(x, weights.mlp_norm, buffers.other, params.norm, ctx);
  const TensorView<float, 2> attended = shared ? buffers.other : normed;
  attention_block(weights.attention, sequences, rope, positions, params.attention, before ? normed : x,
                  buffers.attention, attended, ctx, residual);
  detail::tap_out(tap, attended, name, ".", params.attention_name);
  add(attended, weights.attention_post_norm);
  norm_sum(weights.attention_norm);

  if (weights.cross.q) {
    if (before) norm(x, weights.cross_norm, normed, params.norm, ctx);
    cross_attention(weights.cross, sequences, params.cross, before ? normed : x, buffers.attention.q,
                    buffers.attention.out, normed, ctx, residual);
    detail::tap_out(tap, normed, name, ".", params.cross_name);
    add(normed, {});
    norm_sum(weights.cross_norm);
  }

  if (before && !parallel) norm(x, weights.mlp_norm, normed, params.norm, ctx);
  const TensorView<float, 2> mlp_in = !before ? x : parallel && !shared ? buffers.other : normed;
  const TensorView<float, 2> fed =
      detail::feed_forward(weights, params, buffers, mlp_in, before ? mlp_in : normed, ctx, residual);
  detail::tap_out(tap, fed, name, ".", params.mlp_name);
  add(fed, weights.mlp_post_norm);
  norm_sum(weights.mlp_norm);
  detail::tap_out(tap, x, name);
}

}  // namespace weft::inline v0
