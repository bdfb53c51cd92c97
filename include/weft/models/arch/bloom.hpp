#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/gpt2.hpp>
#include <weft/ops/alibi.hpp>

namespace weft::inline v0::arch {

inline DecoderConfig read_bloom(ConfigReader& config) {
  const bool older = config.optional("hidden_size") == nullptr;
  const bool layers = config.optional("n_layer") != nullptr;
  const bool heads = config.optional("n_head") != nullptr;
  DecoderConfig c = read_sizes(config, {.hidden = older ? "n_embed" : "hidden_size",
                                        .intermediate = "",
                                        .layers = layers ? "n_layer" : "num_hidden_layers",
                                        .heads = heads ? "n_head" : "num_attention_heads",
                                        .kv_heads = "",
                                        .context = "seq_length"});
  c.intermediate = 4 * c.hidden;
  c.norm = NormKind::layer;
  c.norm_eps = read_eps(config, "layer_norm_epsilon");
  c.activation = Activation::gelu_tanh;
  c.alibi_slopes = alibi_slopes(c.heads);
  c.tied_embeddings = config.flag_or("tie_word_embeddings", true);
  c.attention_bias = true;
  config.refuse("apply_residual_connection_post_layernorm");
  c.modules = {.embedding = "transformer.word_embeddings_layernorm",
               .layer = "transformer.h.{}",
               .attention = "self_attention.dense",
               .mlp = "mlp.dense_4h_to_h",
               .norm = "transformer.ln_f"};
  return c;
}

inline constexpr auto bloom_tensors = joined(
    token_rows("transformer.word_embeddings.weight", "lm_head.weight"),
    grouped_qkv_rows("transformer.h.{}.self_attention.query_key_value.weight",
                     "transformer.h.{}.self_attention.query_key_value.bias"),
    std::to_array<DecoderRow>({
        {"transformer.word_embeddings_layernorm.weight", "token_embd_norm.weight", slots::embedding_norm, dim::hidden},
        {"transformer.word_embeddings_layernorm.bias", "token_embd_norm.bias", slots::embedding_norm_bias, dim::hidden},
        {"transformer.ln_f.weight", "output_norm.weight", slots::final_norm, dim::hidden},
        {"transformer.ln_f.bias", "output_norm.bias", slots::final_norm_bias, dim::hidden},
        {"transformer.h.{}.input_layernorm.weight", "blk.{}.attn_norm.weight", slots::attention_norm, dim::hidden},
        {"transformer.h.{}.input_layernorm.bias", "blk.{}.attn_norm.bias", slots::attention_norm_bias, dim::hidden},
        {"transformer.h.{}.self_attention.dense.weight", "blk.{}.attn_output.weight", slots::o, dim::hidden,
         dim::query},
        {"transformer.h.{}.self_attention.dense.bias", "blk.{}.attn_output.bias", slots::o_bias, dim::hidden},
        {"transformer.h.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight", slots::mlp_norm, dim::hidden},
        {"transformer.h.{}.post_attention_layernorm.bias", "blk.{}.ffn_norm.bias", slots::mlp_norm_bias, dim::hidden},
        {"transformer.h.{}.mlp.dense_h_to_4h.weight", "blk.{}.ffn_up.weight", slots::up, dim::intermediate,
         dim::hidden},
        {"transformer.h.{}.mlp.dense_h_to_4h.bias", "blk.{}.ffn_up.bias", slots::up_bias, dim::intermediate},
        {"transformer.h.{}.mlp.dense_4h_to_h.weight", "blk.{}.ffn_down.weight", slots::down, dim::hidden,
         dim::intermediate},
        {"transformer.h.{}.mlp.dense_4h_to_h.bias", "blk.{}.ffn_down.bias", slots::down_bias, dim::hidden},
    }));

inline constexpr auto bloom_ignored_keys = joined(common_ignored_keys, std::to_array<std::string_view>({
                                                                           "slow_but_exact",
                                                                           "attention_softmax_in_fp32",
                                                                           "bias_dropout_fusion",
                                                                           "masked_softmax_fusion",
                                                                           "offset_alibi",
                                                                           "skip_bias_add",
                                                                           "skip_bias_add_qkv",
                                                                           "n_inner",
                                                                       }));

inline constexpr auto bloom_ignored_tensors = std::to_array<std::string_view>({"lm_head.weight"});

/// BLOOM and BLOOMZ (transformers, models/bloom/modeling_bloom.py).
inline constexpr DecoderArchitecture bloom{.model_type = "bloom",
                                           .read_config = read_bloom,
                                           .tensors = bloom_tensors,
                                           .ignored_keys = bloom_ignored_keys,
                                           .ignored_tensors = bloom_ignored_tensors,
                                           .prefix = "transformer."};

}  // namespace weft::inline v0::arch
