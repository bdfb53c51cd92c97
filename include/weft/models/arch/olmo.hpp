#pragma once

#include <array>

#include <weft/models/arch/llama.hpp>
#include <weft/models/arch/qwen.hpp>

namespace weft::inline v0::arch {

/// What the OLMos have in common.
inline DecoderConfig read_olmo_sizes(ConfigReader& config) {
  DecoderConfig c = read_sizes(config);
  c.activation = read_activation(config, "hidden_act");
  read_rope(config, c);
  c.tied_embeddings = config.flag_or("tie_word_embeddings", false);
  c.attention_bias = config.flag_or("attention_bias", false);
  c.attention_output_bias = c.attention_bias;
  return c;
}

/// Layer norms without weights; their epsilon is in no config.
inline DecoderConfig read_olmo(ConfigReader& config) {
  DecoderConfig c = read_olmo_sizes(config);
  c.norm = NormKind::layer;
  c.norm_eps = 1e-5f;
  read_clip(config, c);
  return c;
}

inline DecoderConfig read_olmo2(ConfigReader& config) {
  DecoderConfig c = read_olmo_sizes(config);
  c.form = BlockForm::post_norm;
  c.norm_eps = read_eps(config, "rms_norm_eps");
  return c;
}

inline DecoderConfig read_olmoe(ConfigReader& config) {
  DecoderConfig c = read_olmo_sizes(config);
  c.norm_eps = read_eps(config, "rms_norm_eps");
  read_clip(config, c);
  c.experts = config.positive("num_experts");
  c.expert_intermediate = c.intermediate;
  c.moe = {.experts_per_token = config.positive("num_experts_per_tok"),
           .normalised = config.flag_or("norm_topk_prob", false)};
  check_experts(config, c);
  return c;
}

inline constexpr auto olmo_tensors =
    joined(token_rows("model.embed_tokens.weight", "lm_head.weight"), llama_attention, llama_mlp);

inline constexpr auto olmo2_norms = std::to_array<DecoderRow>({
    {"model.layers.{}.post_attention_layernorm.weight", "blk.{}.post_attention_norm.weight", slots::attention_post_norm,
     dim::hidden},
    {"model.layers.{}.post_feedforward_layernorm.weight", "blk.{}.post_ffw_norm.weight", slots::mlp_post_norm,
     dim::hidden},
});
inline constexpr auto olmo2_tensors = joined(llama_ends, olmo2_norms, llama_attention, whole_norms, llama_mlp);

inline constexpr auto olmoe_tensors = joined(llama_ends, llama_norms, llama_attention, whole_norms, qwen_experts);

/// OLMo (transformers, models/olmo/modeling_olmo.py).
inline constexpr DecoderArchitecture olmo = like_llama("olmo", read_olmo, olmo_tensors);

/// OLMo 2 (models/olmo2/modeling_olmo2.py).
inline constexpr DecoderArchitecture olmo2 = like_llama("olmo2", read_olmo2, olmo2_tensors);

/// OLMoE (models/olmoe/modeling_olmoe.py).
inline constexpr DecoderArchitecture olmoe = like_llama("olmoe", read_olmoe, olmoe_tensors);

}  // namespace weft::inline v0::arch
