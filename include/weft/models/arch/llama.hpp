#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/common.hpp>
#include <weft/models/architecture.hpp>

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

inline constexpr auto llama_tensors = std::to_array<TensorRow>({
    {.name = "model.embed_tokens.weight",
     .slot = +[](DecoderWeights& w) -> AnyTensor& { return w.embedding; },
     .rows = Dim::vocab,
     .lookup = true},
    {"model.norm.weight", +[](DecoderWeights& w) -> Tensor<float, 1>& { return w.final_norm; }, Dim::hidden},
    {"lm_head.weight", +[](DecoderWeights& w) -> AnyTensor& { return w.output; }, Dim::vocab, Dim::hidden,
     +[](const DecoderConfig& c) { return !c.tied_embeddings; }},

    {"model.layers.{}.input_layernorm.weight",
     +[](DecoderLayerWeights& w) -> Tensor<float, 1>& { return w.attention_norm; }, Dim::hidden},
    {"model.layers.{}.self_attn.q_proj.weight", +[](DecoderLayerWeights& w) -> AnyTensor& { return w.attention.q; },
     Dim::query},
    {"model.layers.{}.self_attn.k_proj.weight", +[](DecoderLayerWeights& w) -> AnyTensor& { return w.attention.k; },
     Dim::key_value},
    {"model.layers.{}.self_attn.v_proj.weight", +[](DecoderLayerWeights& w) -> AnyTensor& { return w.attention.v; },
     Dim::key_value},
    {"model.layers.{}.self_attn.o_proj.weight", +[](DecoderLayerWeights& w) -> AnyTensor& { return w.attention.o; },
     Dim::hidden, Dim::query},
    {"model.layers.{}.self_attn.q_proj.bias",
     +[](DecoderLayerWeights& w) -> Tensor<float, 1>& { return w.attention.q_bias; }, Dim::query, Dim::hidden,
     +[](const DecoderConfig& c) { return c.attention_bias; }},
    {"model.layers.{}.self_attn.k_proj.bias",
     +[](DecoderLayerWeights& w) -> Tensor<float, 1>& { return w.attention.k_bias; }, Dim::key_value, Dim::hidden,
     +[](const DecoderConfig& c) { return c.attention_bias; }},
    {"model.layers.{}.self_attn.v_proj.bias",
     +[](DecoderLayerWeights& w) -> Tensor<float, 1>& { return w.attention.v_bias; }, Dim::key_value, Dim::hidden,
     +[](const DecoderConfig& c) { return c.attention_bias; }},
    {"model.layers.{}.self_attn.o_proj.bias",
     +[](DecoderLayerWeights& w) -> Tensor<float, 1>& { return w.attention.o_bias; }, Dim::hidden, Dim::hidden,
     +[](const DecoderConfig& c) { return c.attention_output_bias; }},

    {"model.layers.{}.post_attention_layernorm.weight",
     +[](DecoderLayerWeights& w) -> Tensor<float, 1>& { return w.mlp_norm; }, Dim::hidden},
    {"model.layers.{}.mlp.gate_proj.weight", +[](DecoderLayerWeights& w) -> AnyTensor& { return w.mlp.gate; },
     Dim::intermediate},
    {"model.layers.{}.mlp.up_proj.weight", +[](DecoderLayerWeights& w) -> AnyTensor& { return w.mlp.up; },
     Dim::intermediate},
    {"model.layers.{}.mlp.down_proj.weight", +[](DecoderLayerWeights& w) -> AnyTensor& { return w.mlp.down; },
     Dim::hidden, Dim::intermediate},
    {"model.layers.{}.mlp.gate_proj.bias", +[](DecoderLayerWeights& w) -> Tensor<float, 1>& { return w.mlp.gate_bias; },
     Dim::intermediate, Dim::hidden, +[](const DecoderConfig& c) { return c.mlp_bias; }},
    {"model.layers.{}.mlp.up_proj.bias", +[](DecoderLayerWeights& w) -> Tensor<float, 1>& { return w.mlp.up_bias; },
     Dim::intermediate, Dim::hidden, +[](const DecoderConfig& c) { return c.mlp_bias; }},
    {"model.layers.{}.mlp.down_proj.bias", +[](DecoderLayerWeights& w) -> Tensor<float, 1>& { return w.mlp.down_bias; },
     Dim::hidden, Dim::hidden, +[](const DecoderConfig& c) { return c.mlp_bias; }},
});

// Buffers that older versions of transformers saved, and the output head that some write although it is tied.
inline constexpr auto llama_ignored_tensors =
    std::to_array<std::string_view>({"model.layers.{}.self_attn.rotary_emb.inv_freq", "lm_head.weight"});

/// Llama 1, 2, 3 and what shares their graph: Alpaca, Vicuna, TinyLlama.
inline constexpr DecoderArchitecture llama{.model_type = "llama",
                                           .read_config = read_llama,
                                           .tensors = llama_tensors,
                                           .ignored_keys = common_ignored_keys,
                                           .ignored_tensors = llama_ignored_tensors};

/// Mistral 7B: the Llama graph with a sliding window (transformers, models/mistral/modeling_mistral.py).
inline constexpr DecoderArchitecture mistral{.model_type = "mistral",
                                             .read_config = read_mistral,
                                             .tensors = llama_tensors,
                                             .ignored_keys = common_ignored_keys,
                                             .ignored_tensors = llama_ignored_tensors};

}  // namespace weft::inline v0::arch
