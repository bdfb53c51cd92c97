#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <weft/layers/attention_block.hpp>
#include <weft/layers/mlp.hpp>
#include <weft/layers/tap.hpp>
#include <weft/ops/rms_norm.hpp>

namespace weft::inline v0 {

/// One pre-norm decoder layer.
struct DecoderLayerWeights {
  Tensor<float, 1> attention_norm{};  // (hidden)
  AttentionWeights attention{};
  Tensor<float, 1> mlp_norm{};  // (hidden)
  MlpWeights mlp{};
};

/// What all layers of a forward pass share.
struct DecoderLayerParams {
  RmsNormParams norm;
  Activation activation;
  AttentionParams attention;
};

/// Scratch of a decoder layer for `tokens` tokens.
struct DecoderLayerBuffers {
  TensorView<float, 2> normed;  // (tokens, hidden)
  AttentionBuffers attention;
  TensorView<float, 2> gate;  // (tokens, intermediate)
  TensorView<float, 2> up;    // (tokens, intermediate)
};

/// x += attention(norm(x)); x += mlp(norm(x)). x: (tokens, hidden), in place.
inline void transformer_block(const DecoderLayerWeights& weights, std::span<const CachedSequence> sequences,
                              const RopeTable& rope, std::span<const std::int32_t> positions,
                              const DecoderLayerParams& params, const DecoderLayerBuffers& buffers,
                              TensorView<float, 2> x, const Tap* tap, std::string_view name, const cpu::Context& ctx) {
  rms_norm(x, weights.attention_norm, buffers.normed, params.norm, ctx);
  attention_block(weights.attention, sequences, rope, positions, params.attention, buffers.normed, buffers.attention,
                  buffers.normed, ctx, x);
  detail::tap_out(tap, buffers.normed, name, ".self_attn");
  rms_norm(x, weights.mlp_norm, buffers.normed, params.norm, ctx);
  mlp(weights.mlp, params.activation, buffers.normed, buffers.gate, buffers.up, buffers.normed, ctx, x);
  detail::tap_out(tap, buffers.normed, name, ".mlp");
  detail::tap_out(tap, x, name);
}

}  // namespace weft::inline v0
