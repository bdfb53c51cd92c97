#pragma once

#include <array>
#include <span>
#include <string_view>

#include <weft/models/arch/common.hpp>
#include <weft/models/arch/decoder_tensors.hpp>

namespace weft::inline v0::arch {

/// What the Llama graph has in common: transformers, models/llama/configuration_llama.py and modeling_llama.py.
inline DecoderConfig read_llama_sizes(ConfigReader& config, const RopeKeys& rope = {}) {
  DecoderConfig c = read_sizes(config);
  if (c.head_dim % 2 != 0)
    raise<ConfigError>(config.object().location(), ": head_dim ", c.head_dim, " is odd, its halves cannot rotate");
  c.norm_eps = read_eps(config, "rms_norm_eps");
  c.activation = read_activation(config, "hidden_act");
  read_rope(config, c, rope);
  c.tied_embeddings = config.flag_or("tie_word_embeddings", false);
  return c;
}

inline DecoderConfig read_llama(ConfigReader& config) {
  DecoderConfig c = read_llama_sizes(config);
  c.attention_bias = config.flag_or("attention_bias", false);
  c.attention_output_bias = c.attention_bias;
  c.mlp_bias = config.flag_or("mlp_bias", false);
  return c;
}

inline DecoderConfig read_mistral(ConfigReader& config) {
  DecoderConfig c = read_llama_sizes(config);
  c.window = config.positive_or("sliding_window", 0);
  return c;
}

// The parts of the table, which families with the same names share.

inline constexpr auto llama_attention = std::to_array<DecoderRow>({
    {"model.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight", slots::q, dim::query, dim::hidden},
    {"model.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight", slots::k, dim::key_value, dim::hidden},
    {"model.layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight", slots::v, dim::key_value, dim::hidden},
    {"model.layers.{}.self_attn.o_proj.weight", "blk.{}.attn_output.weight", slots::o, dim::hidden, dim::query},
    {"model.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias", slots::q_bias, dim::query, nullptr,
     has::attention_bias},
    {"model.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias", slots::k_bias, dim::key_value, nullptr,
     has::attention_bias},
    {"model.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias", slots::v_bias, dim::key_value, nullptr,
     has::attention_bias},
    {"model.layers.{}.self_attn.o_proj.bias", "blk.{}.attn_output.bias", slots::o_bias, dim::hidden, nullptr,
     has::attention_output_bias},
});

inline constexpr auto llama_mlp = std::to_array<DecoderRow>({
    {"model.layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight", slots::gate, dim::intermediate, dim::hidden,
     has::no_experts},
    {"model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight", slots::up, dim::intermediate, dim::hidden,
     has::no_experts},
    {"model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight", slots::down, dim::hidden, dim::intermediate,
     has::no_experts},
    {"model.layers.{}.mlp.gate_proj.bias", "blk.{}.ffn_gate.bias", slots::gate_bias, dim::intermediate, nullptr,
     has::mlp_bias},
    {"model.layers.{}.mlp.up_proj.bias", "blk.{}.ffn_up.bias", slots::up_bias, dim::intermediate, nullptr,
     has::mlp_bias},
    {"model.layers.{}.mlp.down_proj.bias", "blk.{}.ffn_down.bias", slots::down_bias, dim::hidden, nullptr,
     has::mlp_bias},
});

inline constexpr auto llama_norms = std::to_array<DecoderRow>({
    {"model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight", slots::attention_norm, dim::hidden},
    {"model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight", slots::mlp_norm, dim::hidden},
});

/// Norms of the queries and keys of every head.
inline constexpr auto head_norms = std::to_array<DecoderRow>({
    {"model.layers.{}.self_attn.q_norm.weight", "blk.{}.attn_q_norm.weight", slots::q_norm, dim::head},
    {"model.layers.{}.self_attn.k_norm.weight", "blk.{}.attn_k_norm.weight", slots::k_norm, dim::head},
});

/// Norms of the queries and keys of all heads at once.
inline constexpr auto whole_norms = std::to_array<DecoderRow>({
    {"model.layers.{}.self_attn.q_norm.weight", "blk.{}.attn_q_norm.weight", slots::q_norm, dim::query},
    {"model.layers.{}.self_attn.k_norm.weight", "blk.{}.attn_k_norm.weight", slots::k_norm, dim::key_value},
});

inline constexpr auto llama_ends =
    joined(token_rows("model.embed_tokens.weight", "lm_head.weight"),
           std::to_array<DecoderRow>({{"model.norm.weight", "output_norm.weight", slots::final_norm, dim::hidden}}));

inline constexpr auto llama_tensors = joined(llama_ends, llama_norms, llama_attention, llama_mlp);

// Buffers that older versions of transformers saved, and the output head that some write although it is tied.
inline constexpr auto llama_ignored_tensors =
    std::to_array<std::string_view>({"model.layers.{}.self_attn.rotary_emb.inv_freq", "lm_head.weight"});

/// A family with Llama's names.
constexpr DecoderArchitecture like_llama(std::string_view model_type, DecoderConfig (*read)(ConfigReader&),
                                         std::span<const DecoderRow> tensors) {
  return {.model_type = model_type,
          .read_config = read,
          .tensors = tensors,
          .ignored_keys = common_ignored_keys,
          .ignored_tensors = llama_ignored_tensors,
          .prefix = "model."};
}

/// Llama 1, 2, 3 and what shares their graph: Alpaca, Vicuna, TinyLlama, SmolLM.
inline constexpr DecoderArchitecture llama = like_llama("llama", read_llama, llama_tensors);

/// Mistral 7B: the Llama graph with a sliding window (transformers, models/mistral/modeling_mistral.py).
inline constexpr DecoderArchitecture mistral = like_llama("mistral", read_mistral, llama_tensors);

}  // namespace weft::inline v0::arch
