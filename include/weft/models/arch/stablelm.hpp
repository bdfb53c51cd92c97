#pragma once

#include <array>

#include <weft/models/arch/llama.hpp>

namespace weft::inline v0::arch {

inline DecoderConfig read_stablelm(ConfigReader& config) {
  DecoderConfig c = read_sizes(config);
  c.form = config.flag_or("use_parallel_residual", false) ? BlockForm::parallel_shared : BlockForm::pre_norm;
  c.norm = NormKind::layer;
  c.norm_eps = read_eps(config, "layer_norm_eps");
  c.activation = read_activation(config, "hidden_act");
  read_rope(config, c, {.default_partial = 0.25f});
  c.tied_embeddings = config.flag_or("tie_word_embeddings", false);
  c.attention_bias = config.flag_or("use_qkv_bias", false);
  c.head_norms = config.flag_or("qk_layernorm", false);
  return c;
}

inline constexpr auto stablelm_norms = std::to_array<DecoderRow>({
    {"model.norm.bias", "output_norm.bias", slots::final_norm_bias, dim::hidden},
    {"model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight", slots::attention_norm, dim::hidden},
    {"model.layers.{}.input_layernorm.bias", "blk.{}.attn_norm.bias", slots::attention_norm_bias, dim::hidden},
    {"model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight", slots::mlp_norm, dim::hidden, nullptr,
     has::mlp_norm},
    {"model.layers.{}.post_attention_layernorm.bias", "blk.{}.ffn_norm.bias", slots::mlp_norm_bias, dim::hidden,
     nullptr, has::mlp_norm},
});

namespace stablelm_has {

inline bool head_norms(const DecoderConfig& c, std::size_t) { return c.head_norms; }

}  // namespace stablelm_has

/// Of StableLM 2 12B.
inline constexpr auto stablelm_head_norms = std::to_array<DecoderRow>({
    {.name = "model.layers.{}.self_attn.q_layernorm.norms.{}.weight",
     .gguf = "",
     .slot = slots::in_attention<&AttentionWeights::q_head_norms, &NormWeights::gain>,
     .rows = dim::head,
     .present = stablelm_has::head_norms,
     .experts = dim::heads},
    {.name = "model.layers.{}.self_attn.k_layernorm.norms.{}.weight",
     .gguf = "",
     .slot = slots::in_attention<&AttentionWeights::k_head_norms, &NormWeights::gain>,
     .rows = dim::head,
     .present = stablelm_has::head_norms,
     .experts = dim::kv_heads},
});

inline constexpr auto stablelm_tensors =
    joined(llama_ends, stablelm_norms, stablelm_head_norms, llama_attention, llama_mlp);

/// StableLM 2 and 3B (transformers, models/stablelm/modeling_stablelm.py).
inline constexpr DecoderArchitecture stablelm = like_llama("stablelm", read_stablelm, stablelm_tensors);

}  // namespace weft::inline v0::arch
