#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/common.hpp>
#include <weft/models/arch/decoder_tensors.hpp>

namespace weft::inline v0::arch {

/// What the Llama graph has in common: transformers, models/llama/configuration_llama.py and modeling_llama.py.
inline DecoderConfig read_llama_sizes(ConfigReader& config) {
  DecoderConfig c;
  c.vocab = config.positive("vocab_size");
  c.hidden = config.positive("hidden_size");
  c.intermediate = config.positive("intermediate_size");
  c.layers = config.positive("num_hidden_layers");
  c.heads = config.positive("num_attention_heads");
  c.kv_heads = config.positive_or("num_key_value_heads", c.heads);
  c.context = config.positive_or("max_position_embeddings", 2048);  // what transformers takes for the first Llamas
  const bool states_head_dim = config.optional("head_dim") != nullptr;
  if (!states_head_dim && c.hidden % c.heads != 0)
    raise<ConfigError>(config.object().location(), ": hidden_size ", c.hidden,
                       " is not a multiple of num_attention_heads ", c.heads);
  c.head_dim = config.positive_or("head_dim", c.hidden / c.heads);
  if (c.heads % c.kv_heads != 0)
    raise<ConfigError>(config.object().location(), ": num_attention_heads ", c.heads,
                       " is not a multiple of num_key_value_heads ", c.kv_heads);
  if (c.head_dim % 2 != 0)
    raise<ConfigError>(config.object().location(), ": head_dim ", c.head_dim, " is odd, its halves cannot rotate");
  c.norm_eps = config.number("rms_norm_eps");
  if (c.norm_eps < 0.f) raise<ConfigError>(config.object().location(), ": rms_norm_eps is negative");
  c.activation = read_activation(config, "hidden_act");
  c.rope = read_rope(config, 10000.f);
  c.tied_embeddings = config.flag_or("tie_word_embeddings", false);
  config.refuse("quantization_config");
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

inline constexpr auto llama_tensors = std::to_array<DecoderRow>({
    {.name = "model.embed_tokens.weight",
     .gguf = "token_embd.weight",
     .slot = slots::embedding,
     .rows = dim::vocab,
     .columns = dim::hidden,
     .lookup = true},
    {"model.norm.weight", "output_norm.weight", slots::final_norm, dim::hidden},
    {"lm_head.weight", "output.weight", slots::output, dim::vocab, dim::hidden, has::own_output},
    {.name = "model.embed_tokens.weight",
     .gguf = "token_embd.weight",
     .slot = slots::output,
     .rows = dim::vocab,
     .columns = dim::hidden,
     .present = has::tied_output,
     .repeated = true},

    {"model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight", slots::attention_norm, dim::hidden},
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

    {"model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight", slots::mlp_norm, dim::hidden},
    {"model.layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight", slots::gate, dim::intermediate, dim::hidden},
    {"model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight", slots::up, dim::intermediate, dim::hidden},
    {"model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight", slots::down, dim::hidden, dim::intermediate},
    {"model.layers.{}.mlp.gate_proj.bias", "blk.{}.ffn_gate.bias", slots::gate_bias, dim::intermediate, nullptr,
     has::mlp_bias},
    {"model.layers.{}.mlp.up_proj.bias", "blk.{}.ffn_up.bias", slots::up_bias, dim::intermediate, nullptr,
     has::mlp_bias},
    {"model.layers.{}.mlp.down_proj.bias", "blk.{}.ffn_down.bias", slots::down_bias, dim::hidden, nullptr,
     has::mlp_bias},
});

// Buffers that older versions of transformers saved, and the output head that some write although it is tied.
inline constexpr auto llama_ignored_tensors =
    std::to_array<std::string_view>({"model.layers.{}.self_attn.rotary_emb.inv_freq", "lm_head.weight"});

/// Llama 1, 2, 3 and what shares their graph: Alpaca, Vicuna, TinyLlama.
inline constexpr DecoderArchitecture llama{.model_type = "llama",
                                           .read_config = read_llama,
                                           .tensors = llama_tensors,
                                           .ignored_keys = common_ignored_keys,
                                           .ignored_tensors = llama_ignored_tensors,
                                           .prefix = "model."};

/// Mistral 7B: the Llama graph with a sliding window (transformers, models/mistral/modeling_mistral.py).
inline constexpr DecoderArchitecture mistral{.model_type = "mistral",
                                             .read_config = read_mistral,
                                             .tensors = llama_tensors,
                                             .ignored_keys = common_ignored_keys,
                                             .ignored_tensors = llama_ignored_tensors,
                                             .prefix = "model."};

}  // namespace weft::inline v0::arch
