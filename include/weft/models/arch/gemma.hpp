#pragma once

#include <array>
#include <cmath>
#include <string_view>

#include <weft/models/arch/llama.hpp>

namespace weft::inline v0::arch {

/// What the Gemmas have in common: gains stored less one (GGUF files have them whole, see "norm_gain_offset"),
/// embeddings multiplied with sqrt(hidden), a tied output head.
inline DecoderConfig read_gemma_sizes(ConfigReader& config) {
  DecoderConfig c = read_sizes(config);
  c.norm_eps = read_eps(config, "rms_norm_eps");
  c.norm_gain_offset = config.number_or("norm_gain_offset", 1.f);
  c.embedding_scale = std::sqrt(static_cast<float>(c.hidden));
  c.tied_embeddings = config.flag_or("tie_word_embeddings", true);
  c.attention_bias = config.flag_or("attention_bias", false);
  c.attention_output_bias = c.attention_bias;
  config.refuse("use_bidirectional_attention");
  return c;
}

/// Attention scores and logits as Gemma 2 and 3 shape them.
inline void read_gemma_scores(ConfigReader& config, DecoderConfig& c) {
  const float scalar = config.number("query_pre_attn_scalar");
  if (!(scalar > 0.f)) raise<ConfigError>(config.object().location(), ": query_pre_attn_scalar is ", scalar);
  c.attention_scale = 1.f / std::sqrt(scalar);
  c.attention_soft_cap = config.number_or("attn_logit_softcapping", 0.f);
  c.logit_soft_cap = config.number_or("final_logit_softcapping", 0.f);
  if (c.attention_soft_cap < 0.f || c.logit_soft_cap < 0.f)
    raise<ConfigError>(config.object().location(), ": a soft cap is negative");
}

/// The first Gemmas say "gelu" and mean its tanh form.
inline DecoderConfig read_gemma(ConfigReader& config) {
  DecoderConfig c = read_gemma_sizes(config);
  const bool newer = config.optional("hidden_activation") != nullptr;
  c.activation = read_activation(config, newer ? "hidden_activation" : "hidden_act");
  if (!newer && c.activation == Activation::gelu) c.activation = Activation::gelu_tanh;
  static_cast<void>(config.optional("hidden_act"));
  read_rope(config, c);
  return c;
}

/// Every other layer has a window, the first one too.
inline DecoderConfig read_gemma2(ConfigReader& config) {
  DecoderConfig c = read_gemma_sizes(config);
  c.form = BlockForm::sandwich_norm;
  c.activation = read_activation(config, "hidden_activation");
  static_cast<void>(config.optional("hidden_act"));
  read_gemma_scores(config, c);
  read_rope(config, c);
  c.window = config.positive_or("sliding_window", 0);
  c.full_attention = read_layer_types(config, c.layers);
  if (c.full_attention.empty())
    for (std::size_t i = 0; i < c.layers; ++i) c.full_attention.push_back(i % 2 == 1);
  return c;
}

/// Ropes as transformers 5 writes them, one for each kind of layer, and as 4 does.
inline void read_gemma3_ropes(ConfigReader& config, DecoderConfig& c) {
  const Json* parameters = config.optional("rope_parameters");
  const float global = config.number_or("rope_theta", 1e6f);
  const float local = config.number_or("rope_local_base_freq", 1e4f);
  const Json* scaling = config.optional("rope_scaling");
  c.rope = read_rope_object(config, c, parameters ? &parameters->at("full_attention") : scaling, global, 1.f);
  c.window_rope = read_rope_object(config, c, parameters ? &parameters->at("sliding_attention") : nullptr, local, 1.f);
}

inline DecoderConfig read_gemma3(ConfigReader& config) {
  DecoderConfig c = read_gemma_sizes(config);
  c.form = BlockForm::sandwich_norm;
  c.activation = read_activation(config, "hidden_activation");
  read_gemma_scores(config, c);
  c.attention_soft_cap = 0.f;  // the reference reads attn_logit_softcapping and does not apply it
  read_gemma3_ropes(config, c);
  c.window = config.positive("sliding_window");
  c.full_attention = read_layer_types(config, c.layers);
  const std::size_t pattern = config.positive_or("sliding_window_pattern", 6);
  if (c.full_attention.empty())
    for (std::size_t i = 0; i < c.layers; ++i) c.full_attention.push_back((i + 1) % pattern == 0);
  return c;
}

inline constexpr auto gemma2_norms = std::to_array<DecoderRow>({
    {"model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight", slots::attention_norm, dim::hidden},
    {"model.layers.{}.post_attention_layernorm.weight", "blk.{}.post_attention_norm.weight", slots::attention_post_norm,
     dim::hidden},
    {"model.layers.{}.pre_feedforward_layernorm.weight", "blk.{}.ffn_norm.weight", slots::mlp_norm, dim::hidden},
    {"model.layers.{}.post_feedforward_layernorm.weight", "blk.{}.post_ffw_norm.weight", slots::mlp_post_norm,
     dim::hidden},
});

inline constexpr auto gemma2_tensors = joined(llama_ends, gemma2_norms, llama_attention, llama_mlp);
inline constexpr auto gemma3_tensors = joined(gemma2_tensors, head_norms);

inline constexpr auto gemma_ignored_keys = joined(common_ignored_keys, std::to_array<std::string_view>({
                                                                           "cache_implementation",
                                                                       }));

constexpr DecoderArchitecture like_gemma(std::string_view model_type, DecoderConfig (*read)(ConfigReader&),
                                         std::span<const DecoderRow> tensors) {
  DecoderArchitecture family = like_llama(model_type, read, tensors);
  family.ignored_keys = gemma_ignored_keys;
  return family;
}

/// Gemma (transformers, models/gemma/modeling_gemma.py).
inline constexpr DecoderArchitecture gemma = like_gemma("gemma", read_gemma, llama_tensors);

/// Gemma 2 (models/gemma2/modeling_gemma2.py).
inline constexpr DecoderArchitecture gemma2 = like_gemma("gemma2", read_gemma2, gemma2_tensors);

/// Gemma 3, its decoder of text (models/gemma3/modeling_gemma3.py).
inline constexpr DecoderArchitecture gemma3 = like_gemma("gemma3_text", read_gemma3, gemma3_tensors);

}  // namespace weft::inline v0::arch
