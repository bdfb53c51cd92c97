#pragma once

#include <array>

#include <weft/models/arch/llama.hpp>

namespace weft::inline v0::arch {

inline DecoderConfig read_phi(ConfigReader& config) {
  DecoderConfig c = read_sizes(config);
  c.form = BlockForm::parallel_shared;
  c.norm = NormKind::layer;
  c.norm_eps = read_eps(config, "layer_norm_eps");
  c.activation = read_activation(config, "hidden_act");
  read_rope(config, c, {.default_partial = 0.5f});
  c.tied_embeddings = config.flag_or("tie_word_embeddings", false);
  config.refuse("qk_layernorm");
  c.modules.norm = "model.final_layernorm";
  return c;
}

inline constexpr auto phi_tensors = joined(
    token_rows("model.embed_tokens.weight", "lm_head.weight"),
    std::to_array<DecoderRow>({
        {"lm_head.bias", "output.bias", slots::output_bias, dim::vocab},
        {"model.final_layernorm.weight", "output_norm.weight", slots::final_norm, dim::hidden},
        {"model.final_layernorm.bias", "output_norm.bias", slots::final_norm_bias, dim::hidden},
        {"model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight", slots::attention_norm, dim::hidden},
        {"model.layers.{}.input_layernorm.bias", "blk.{}.attn_norm.bias", slots::attention_norm_bias, dim::hidden},
        {"model.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight", slots::q, dim::query, dim::hidden},
        {"model.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias", slots::q_bias, dim::query},
        {"model.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight", slots::k, dim::key_value, dim::hidden},
        {"model.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias", slots::k_bias, dim::key_value},
        {"model.layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight", slots::v, dim::key_value, dim::hidden},
        {"model.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias", slots::v_bias, dim::key_value},
        {"model.layers.{}.self_attn.dense.weight", "blk.{}.attn_output.weight", slots::o, dim::hidden, dim::query},
        {"model.layers.{}.self_attn.dense.bias", "blk.{}.attn_output.bias", slots::o_bias, dim::hidden},
        {"model.layers.{}.mlp.fc1.weight", "blk.{}.ffn_up.weight", slots::up, dim::intermediate, dim::hidden},
        {"model.layers.{}.mlp.fc1.bias", "blk.{}.ffn_up.bias", slots::up_bias, dim::intermediate},
        {"model.layers.{}.mlp.fc2.weight", "blk.{}.ffn_down.weight", slots::down, dim::hidden, dim::intermediate},
        {"model.layers.{}.mlp.fc2.bias", "blk.{}.ffn_down.bias", slots::down_bias, dim::hidden},
    }));

/// Phi-1, 1.5 and 2 (transformers, models/phi/modeling_phi.py).
inline constexpr DecoderArchitecture phi = like_llama("phi", read_phi, phi_tensors);

inline DecoderConfig read_phi3(ConfigReader& config) {
  DecoderConfig c = read_llama_sizes(config);
  c.window = config.count_or("sliding_window", 0);
  config.refuse("attention_bias");
  return c;
}

inline constexpr auto phi3_tensors = joined(
    llama_ends, llama_norms,
    std::to_array<DecoderRow>({
        {"model.layers.{}.self_attn.qkv_proj.weight",
         "blk.{}.attn_qkv.weight",
         slots::q,
         dim::query,
         dim::hidden,
         has::always,
         {dim::qkv, nullptr, nullptr}},
        {"model.layers.{}.self_attn.qkv_proj.weight",
         "blk.{}.attn_qkv.weight",
         slots::k,
         dim::key_value,
         dim::hidden,
         has::always,
         {dim::qkv, dim::query, nullptr}},
        {"model.layers.{}.self_attn.qkv_proj.weight",
         "blk.{}.attn_qkv.weight",
         slots::v,
         dim::key_value,
         dim::hidden,
         has::always,
         {dim::qkv, dim::values_begin, nullptr}},
        {"model.layers.{}.self_attn.o_proj.weight", "blk.{}.attn_output.weight", slots::o, dim::hidden, dim::query},
        {"model.layers.{}.mlp.gate_up_proj.weight",
         "blk.{}.ffn_up.weight",
         slots::gate,
         dim::intermediate,
         dim::hidden,
         has::always,
         {dim::gate_up, nullptr, nullptr}},
        {"model.layers.{}.mlp.gate_up_proj.weight",
         "blk.{}.ffn_up.weight",
         slots::up,
         dim::intermediate,
         dim::hidden,
         has::always,
         {dim::gate_up, dim::intermediate, nullptr}},
        {"model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight", slots::down, dim::hidden, dim::intermediate},
    }));

// What transformers reads in no version.
inline constexpr auto phi3_ignored_keys =
    joined(common_ignored_keys, std::to_array<std::string_view>({"full_attn_mod", "interpolate_factor"}));

/// Phi-3, 3.5 and 4 (models/phi3/modeling_phi3.py).
inline constexpr DecoderArchitecture phi3{.model_type = "phi3",
                                          .read_config = read_phi3,
                                          .tensors = phi3_tensors,
                                          .ignored_keys = phi3_ignored_keys,
                                          .ignored_tensors = llama_ignored_tensors,
                                          .prefix = "model."};

}  // namespace weft::inline v0::arch
