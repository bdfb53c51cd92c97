#pragma once

#include <array>
#include <cmath>
#include <string_view>

#include <weft/models/arch/common.hpp>
#include <weft/models/arch/decoder_tensors.hpp>
#include <weft/ops/alibi.hpp>

namespace weft::inline v0::arch {

/// Falcon-40B and -180B normalise twice in front of a parallel layer, 7B and 11B once, those of RefinedWeb (1B) are not
/// parallel and have ALiBi in place of rotary positions.
inline DecoderConfig read_falcon(ConfigReader& config) {
  DecoderConfig c = read_sizes(config, {.intermediate = "", .kv_heads = "num_kv_heads"});
  const bool grouped = config.flag_or("new_decoder_architecture", false);
  if (!grouped) c.kv_heads = config.flag_or("multi_query", true) ? 1 : c.heads;
  static_cast<void>(config.optional("multi_query"));
  c.intermediate = config.positive_or("ffn_hidden_size", 4 * c.hidden);
  const std::size_t norms = config.positive_or("num_ln_in_parallel_attn", grouped ? 2 : 1);
  const bool parallel = config.flag_or("parallel_attn", true) || grouped;
  c.form = !parallel ? BlockForm::pre_norm : grouped && norms == 2 ? BlockForm::parallel : BlockForm::parallel_shared;
  c.norm = NormKind::layer;
  c.norm_eps = read_eps(config, "layer_norm_epsilon");
  c.activation = config.optional("activation") ? read_activation(config, "activation") : Activation::gelu;
  if (config.flag_or("alibi", false)) {
    // The bias is added before scores are scaled.
    c.alibi_slopes = alibi_slopes(c.heads);
    for (float& slope : c.alibi_slopes) slope *= c.score_scale(0);
    for (const char* unused : {"rope_theta", "rope_scaling", "rope_parameters"})
      static_cast<void>(config.optional(unused));
  } else {
    read_rope(config, c);
  }
  c.attention_bias = c.attention_output_bias = c.mlp_bias = config.flag_or("bias", false);
  c.tied_embeddings = config.flag_or("tie_word_embeddings", true);
  c.modules = {.embedding = "transformer.word_embeddings",
               .layer = "transformer.h.{}",
               .attention = "self_attention",
               .norm = "transformer.ln_f"};
  return c;
}

namespace falcon_has {

inline bool two_norms(const DecoderConfig& c, std::size_t) { return c.form == BlockForm::parallel; }
inline bool first_norm(const DecoderConfig& c, std::size_t) { return c.form != BlockForm::parallel; }
inline bool later_norm(const DecoderConfig& c, std::size_t) { return c.form == BlockForm::pre_norm; }

}  // namespace falcon_has

inline constexpr auto falcon_tensors =
    joined(token_rows("transformer.word_embeddings.weight", "lm_head.weight"),
           grouped_qkv_rows("transformer.h.{}.self_attention.query_key_value.weight",
                            "transformer.h.{}.self_attention.query_key_value.bias"),
           std::to_array<DecoderRow>({
               {"transformer.ln_f.weight", "output_norm.weight", slots::final_norm, dim::hidden},
               {"transformer.ln_f.bias", "output_norm.bias", slots::final_norm_bias, dim::hidden},
               {"transformer.h.{}.ln_attn.weight", "blk.{}.attn_norm_2.weight", slots::attention_norm, dim::hidden,
                nullptr, falcon_has::two_norms},
               {"transformer.h.{}.ln_attn.bias", "blk.{}.attn_norm_2.bias", slots::attention_norm_bias, dim::hidden,
                nullptr, falcon_has::two_norms},
               {"transformer.h.{}.ln_mlp.weight", "blk.{}.attn_norm.weight", slots::mlp_norm, dim::hidden, nullptr,
                falcon_has::two_norms},
               {"transformer.h.{}.ln_mlp.bias", "blk.{}.attn_norm.bias", slots::mlp_norm_bias, dim::hidden, nullptr,
                falcon_has::two_norms},
               {"transformer.h.{}.input_layernorm.weight", "blk.{}.attn_norm.weight", slots::attention_norm,
                dim::hidden, nullptr, falcon_has::first_norm},
               {"transformer.h.{}.input_layernorm.bias", "blk.{}.attn_norm.bias", slots::attention_norm_bias,
                dim::hidden, nullptr, falcon_has::first_norm},
               {"transformer.h.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight", slots::mlp_norm,
                dim::hidden, nullptr, falcon_has::later_norm},
               {"transformer.h.{}.post_attention_layernorm.bias", "blk.{}.ffn_norm.bias", slots::mlp_norm_bias,
                dim::hidden, nullptr, falcon_has::later_norm},
               {"transformer.h.{}.self_attention.dense.weight", "blk.{}.attn_output.weight", slots::o, dim::hidden,
                dim::query},
               {"transformer.h.{}.self_attention.dense.bias", "blk.{}.attn_output.bias", slots::o_bias, dim::hidden,
                nullptr, has::attention_output_bias},
               {"transformer.h.{}.mlp.dense_h_to_4h.weight", "blk.{}.ffn_up.weight", slots::up, dim::intermediate,
                dim::hidden},
               {"transformer.h.{}.mlp.dense_h_to_4h.bias", "blk.{}.ffn_up.bias", slots::up_bias, dim::intermediate,
                nullptr, has::mlp_bias},
               {"transformer.h.{}.mlp.dense_4h_to_h.weight", "blk.{}.ffn_down.weight", slots::down, dim::hidden,
                dim::intermediate},
               {"transformer.h.{}.mlp.dense_4h_to_h.bias", "blk.{}.ffn_down.bias", slots::down_bias, dim::hidden,
                nullptr, has::mlp_bias},
           }));

inline constexpr auto falcon_ignored_tensors =
    std::to_array<std::string_view>({"lm_head.weight", "transformer.h.{}.self_attention.rotary_emb.inv_freq"});

/// Falcon (transformers, models/falcon/modeling_falcon.py).
inline constexpr DecoderArchitecture falcon{.model_type = "falcon",
                                            .read_config = read_falcon,
                                            .tensors = falcon_tensors,
                                            .ignored_keys = common_ignored_keys,
                                            .ignored_tensors = falcon_ignored_tensors,
                                            .prefix = "transformer."};

}  // namespace weft::inline v0::arch
