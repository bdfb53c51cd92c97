#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <weft/cpu/kernels.hpp>
#include <weft/layers/norm.hpp>
#include <weft/layers/transformer_block.hpp>
#include <weft/ops/relative_bias.hpp>
#include <weft/ops/rope.hpp>

namespace weft::inline v0 {

/// What the reference implementation calls the modules whose outputs taps see. The characters must outlive the model.
struct DecoderModules {
  std::string_view embedding = "model.embed_tokens";  ///< what enters the first layer
  std::string_view layer = "model.layers.{}";
  std::string_view attention = "self_attn";  ///< inside a layer
  std::string_view cross = "encoder_attn";   ///< inside a layer
  std::string_view mlp = "mlp";              ///< inside a layer
  std::string_view norm = "model.norm";
  std::string_view output = "lm_head";

  bool operator==(const DecoderModules&) const = default;
};

/// The sizes and choices of a decoder, in the words of the field. Fields beyond the sizes have neutral values that
/// change nothing.
struct DecoderConfig {
  std::size_t vocab = 0;
  std::size_t hidden = 0;
  std::size_t intermediate = 0;
  std::size_t layers = 0;
  std::size_t heads = 0;
  std::size_t kv_heads = 0;
  std::size_t head_dim = 0;
  std::size_t context = 0;  ///< positions the model was made for (max_position_embeddings)

  BlockForm form = BlockForm::pre_norm;
  float residual_scale = 1.f;  ///< DecoderLayerParams::residual_scale
  NormKind norm = NormKind::rms;
  float norm_eps = 0.f;
  float norm_gain_offset = 0.f;  ///< 1 where gains are stored less one
  Activation activation = Activation::silu;

  // Positions.
  RopeParams rope{.theta = 0.f};            ///< theta 0: positions do not rotate
  std::optional<RopeParams> window_rope{};  ///< in layers with a window, where it is another
  std::size_t window = 0;                   ///< sliding attention window in tokens; 0: none
  std::vector<bool> unrotated_layers{};     ///< (layers) true: positions do not rotate there; empty: as rope says
  std::vector<bool> full_attention{};       ///< (layers) true: the window does not apply; empty: it applies to all
  std::size_t position_rows = 0;            ///< rows of the table of learned positions; 0: there is none
  std::size_t position_offset = 0;          ///< the row of position 0
  std::vector<float> alibi_slopes{};        ///< (heads), AttentionParams::alibi_slopes
  bool relative_bias = false;               ///< biases of scores in buckets of distances, the same in every layer
  RelativeBuckets buckets{};

  // Attention.
  float attention_scale = 0.f;       ///< what scores are multiplied with; 0: 1 / sqrt(head_dim)
  bool inverse_layer_scale = false;  ///< scores of layer i, counted from 0, are also divided by i + 1
  float attention_soft_cap = 0.f;    ///< AttentionParams::soft_cap
  float qkv_clip = 0.f;              ///< AttentionBlockParams::clip
  bool attention_bias = false;       ///< of queries, keys and values
  bool attention_output_bias = false;
  bool head_norms = false;       ///< every head of queries and keys has a norm of its own
  bool cross_attention = false;  ///< layers also attend to a source, with as many heads and the same scale

  // The feed-forward layer.
  bool mlp_bias = false;
  std::size_t experts = 0;              ///< in layers with a mixture of experts; 0: no layer has one
  std::vector<bool> dense_layers{};     ///< (layers) true: one feed-forward layer, no experts; empty: experts in all
  std::size_t expert_intermediate = 0;  ///< of every expert
  std::size_t shared_intermediate = 0;  ///< of the expert that all tokens share; 0: there is none
  MoeParams moe{};

  // Both ends.
  bool final_norm = true;     ///< a norm follows the last layer
  std::size_t embedding = 0;  ///< width of the embedding, where projections join it to the layers; 0: hidden
  float embedding_scale = 1.f;
  bool tied_embeddings = false;  ///< the output head is the embedding table
  float output_scale = 1.f;      ///< what enters the output head is multiplied with it
  float logit_scale = 1.f;       ///< logits are multiplied with it
  float logit_soft_cap = 0.f;    ///< logits = cap * tanh(logits / cap); 0: none

  DecoderModules modules{};

  std::size_t embedding_width() const noexcept { return embedding ? embedding : hidden; }
  std::size_t query() const noexcept { return heads * head_dim; }
  std::size_t key_value() const noexcept { return kv_heads * head_dim; }
  /// The window of a layer; 0: none.
  std::size_t window_of(std::size_t layer) const noexcept {
    return full_attention.empty() || !full_attention[layer] ? window : 0;
  }
  bool rotates(std::size_t layer) const noexcept { return unrotated_layers.empty() || !unrotated_layers[layer]; }
  bool has_experts(std::size_t layer) const noexcept {
    return experts != 0 && (dense_layers.empty() || !dense_layers[layer]);
  }
  float score_scale(std::size_t layer) const noexcept {
    const float scale = attention_scale != 0.f ? attention_scale : 1.f / std::sqrt(static_cast<float>(head_dim));
    return inverse_layer_scale ? scale / static_cast<float>(layer + 1) : scale;
  }
  NormParams norm_params() const noexcept { return {.eps = norm_eps, .kind = norm, .gain_offset = norm_gain_offset}; }
  /// What a layer is computed with; slopes and biases as AttentionParams has them, where the computation has them.
  DecoderLayerParams layer_params(std::size_t layer, std::span<const float> slopes,
                                  std::span<const float> relative_biases) const noexcept {
    return {.form = form,
            .residual_scale = residual_scale,
            .norm = norm_params(),
            .activation = activation,
            .attention = {.scores = {.scale = score_scale(layer),
                                     .window = window_of(layer),
                                     .soft_cap = attention_soft_cap,
                                     .alibi_slopes = slopes,
                                     .relative_bias = relative_biases},
                          .norm = norm_params(),
                          .clip = qkv_clip},
            .moe = moe,
            .cross = {.scale = score_scale(layer)},
            .attention_name = modules.attention,
            .cross_name = modules.cross,
            .mlp_name = modules.mlp};
  }
  /// Of the widest feed-forward layer.
  std::size_t widest_intermediate() const noexcept {
    return std::max({intermediate, expert_intermediate, shared_intermediate});
  }

  bool operator==(const DecoderConfig&) const = default;
};

}  // namespace weft::inline v0
