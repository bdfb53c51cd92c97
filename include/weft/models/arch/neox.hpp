#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/common.hpp>
#include <weft/models/arch/decoder_tensors.hpp>

namespace weft::inline v0::arch {

inline DecoderConfig read_gpt_neox(ConfigReader& config) {
  DecoderConfig c = read_sizes(config, {.kv_heads = ""});
  c.form = config.flag_or("use_parallel_residual", true) ? BlockForm::parallel : BlockForm::pre_norm;
  c.norm = NormKind::layer;
  c.norm_eps = read_eps(config, "layer_norm_eps");
  c.activation = read_activation(config, "hidden_act");
  // Written beside rotary_emb_base and rotary_pct, which are what counts.
  for (const char* copy : {"rope_theta", "partial_rotary_factor"}) static_cast<void>(config.optional(copy));
  read_rope(config, c, {.theta = "rotary_emb_base", .partial = "rotary_pct", .default_partial = 0.25f});
  c.attention_bias = config.flag_or("attention_bias", true);
  c.attention_output_bias = c.attention_bias;
  c.tied_embeddings = config.flag_or("tie_word_embeddings", false);
  c.modules = {.embedding = "gpt_neox.embed_in",
               .layer = "gpt_neox.layers.{}",
               .attention = "attention",
               .norm = "gpt_neox.final_layer_norm"};
  return c;
}

inline constexpr auto gpt_neox_tensors = joined(
    token_rows("gpt_neox.embed_in.weight", "embed_out.weight"),
    grouped_qkv_rows("gpt_neox.layers.{}.attention.query_key_value.weight",
                     "gpt_neox.layers.{}.attention.query_key_value.bias"),
    std::to_array<DecoderRow>({
        {"gpt_neox.final_layer_norm.weight", "output_norm.weight", slots::final_norm, dim::hidden},
        {"gpt_neox.final_layer_norm.bias", "output_norm.bias", slots::final_norm_bias, dim::hidden},
        {"gpt_neox.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight", slots::attention_norm, dim::hidden},
        {"gpt_neox.layers.{}.input_layernorm.bias", "blk.{}.attn_norm.bias", slots::attention_norm_bias, dim::hidden},
        {"gpt_neox.layers.{}.attention.dense.weight", "blk.{}.attn_output.weight", slots::o, dim::hidden, dim::query},
        {"gpt_neox.layers.{}.attention.dense.bias", "blk.{}.attn_output.bias", slots::o_bias, dim::hidden, nullptr,
         has::attention_output_bias},
        {"gpt_neox.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight", slots::mlp_norm, dim::hidden},
        {"gpt_neox.layers.{}.post_attention_layernorm.bias", "blk.{}.ffn_norm.bias", slots::mlp_norm_bias, dim::hidden},
        {"gpt_neox.layers.{}.mlp.dense_h_to_4h.weight", "blk.{}.ffn_up.weight", slots::up, dim::intermediate,
         dim::hidden},
        {"gpt_neox.layers.{}.mlp.dense_h_to_4h.bias", "blk.{}.ffn_up.bias", slots::up_bias, dim::intermediate},
        {"gpt_neox.layers.{}.mlp.dense_4h_to_h.weight", "blk.{}.ffn_down.weight", slots::down, dim::hidden,
         dim::intermediate},
        {"gpt_neox.layers.{}.mlp.dense_4h_to_h.bias", "blk.{}.ffn_down.bias", slots::down_bias, dim::hidden},
    }));

// Causal masks and frequencies that older versions of transformers saved.
inline constexpr auto gpt_neox_ignored_tensors =
    std::to_array<std::string_view>({"gpt_neox.layers.{}.attention.bias", "gpt_neox.layers.{}.attention.masked_bias",
                                     "gpt_neox.layers.{}.attention.rotary_emb.inv_freq"});

/// GPT-NeoX, Pythia, Dolly 2, RedPajama (transformers, models/gpt_neox/modeling_gpt_neox.py).
inline constexpr DecoderArchitecture gpt_neox{.model_type = "gpt_neox",
                                              .read_config = read_gpt_neox,
                                              .tensors = gpt_neox_tensors,
                                              .ignored_keys = common_ignored_keys,
                                              .ignored_tensors = gpt_neox_ignored_tensors,
                                              .prefix = "gpt_neox."};

}  // namespace weft::inline v0::arch
