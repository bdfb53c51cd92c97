#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/common.hpp>
#include <weft/models/arch/decoder_tensors.hpp>
#include <weft/ops/alibi.hpp>

namespace weft::inline v0::arch {

/// The object attn_config; what it may hold beside is what every config holds.
inline void read_mpt_attention(const Json& object, DecoderConfig& c) {
  ConfigReader config(object);
  if (config.text_or("attn_type", "multihead_attention") != "multihead_attention" || !config.flag_or("alibi", true))
    raise<UnsupportedError>(object.location(),
                            ": attention of another kind than multi-head with ALiBi is not supported");
  c.alibi_slopes = alibi_slopes(c.heads, config.number_or("alibi_bias_max", 8.f));
  read_clip(config, c);
  c.attention_scale = config.number_or("softmax_scale", 0.f);
  for (const char* key : {"prefix_lm", "qk_ln", "attn_uses_sequence_id"}) config.refuse(key);
  static_cast<void>(config.optional("attn_impl"));
  config.finish(common_ignored_keys);
}

inline DecoderConfig read_mpt(ConfigReader& config) {
  DecoderConfig c = read_sizes(config, {.hidden = "d_model",
                                        .intermediate = "",
                                        .layers = "n_layers",
                                        .heads = "n_heads",
                                        .kv_heads = "",
                                        .context = "max_seq_len"});
  c.intermediate = config.positive_or("expansion_ratio", 4) * c.hidden;
  c.norm = NormKind::layer;
  c.norm_eps = read_eps_or(config, "layer_norm_epsilon", 1e-5f);
  c.activation = Activation::gelu;
  if (const Json* attention = config.optional("attn_config")) {
    read_mpt_attention(*attention, c);
  } else {
    c.alibi_slopes = alibi_slopes(c.heads);
  }
  c.tied_embeddings = config.flag_or("tie_word_embeddings", true);
  const std::string_view norm = config.text_or("norm_type", "low_precision_layernorm");
  if (!config.flag_or("no_bias", true) || (norm != "low_precision_layernorm" && norm != "layernorm"))
    raise<UnsupportedError>(config.object().location(), ": MPT with biases or with the norm \"", norm,
                            "\" is not supported");
  config.refuse("logit_scale");
  c.modules = {.embedding = "transformer.wte",
               .layer = "transformer.blocks.{}",
               .attention = "attn",
               .mlp = "ffn.down_proj",
               .norm = "transformer.norm_f"};
  return c;
}

inline constexpr auto mpt_tensors = joined(
    token_rows("transformer.wte.weight", "lm_head.weight"),
    std::to_array<DecoderRow>({
        {"transformer.norm_f.weight", "output_norm.weight", slots::final_norm, dim::hidden},
        {"transformer.blocks.{}.norm_1.weight", "blk.{}.attn_norm.weight", slots::attention_norm, dim::hidden},
        {"transformer.blocks.{}.attn.Wqkv.weight",
         "blk.{}.attn_qkv.weight",
         slots::q,
         dim::query,
         dim::hidden,
         has::always,
         {dim::qkv, nullptr, nullptr}},
        {"transformer.blocks.{}.attn.Wqkv.weight",
         "blk.{}.attn_qkv.weight",
         slots::k,
         dim::key_value,
         dim::hidden,
         has::always,
         {dim::qkv, dim::query, nullptr}},
        {"transformer.blocks.{}.attn.Wqkv.weight",
         "blk.{}.attn_qkv.weight",
         slots::v,
         dim::key_value,
         dim::hidden,
         has::always,
         {dim::qkv, dim::values_begin, nullptr}},
        {"transformer.blocks.{}.attn.out_proj.weight", "blk.{}.attn_output.weight", slots::o, dim::hidden, dim::query},
        {"transformer.blocks.{}.norm_2.weight", "blk.{}.ffn_norm.weight", slots::mlp_norm, dim::hidden},
        {"transformer.blocks.{}.ffn.up_proj.weight", "blk.{}.ffn_up.weight", slots::up, dim::intermediate, dim::hidden},
        {"transformer.blocks.{}.ffn.down_proj.weight", "blk.{}.ffn_down.weight", slots::down, dim::hidden,
         dim::intermediate},
    }));

inline constexpr auto mpt_ignored_keys = joined(common_ignored_keys, std::to_array<std::string_view>({
                                                                         "init_device",
                                                                         "init_config",
                                                                         "verbose",
                                                                         "emb_pdrop",
                                                                         "embedding_fraction",
                                                                         "learned_pos_emb",
                                                                         "tokenizer_name",
                                                                     }));

inline constexpr auto mpt_ignored_tensors = std::to_array<std::string_view>({"lm_head.weight"});

/// MPT (transformers, models/mpt/modeling_mpt.py).
inline constexpr DecoderArchitecture mpt{.model_type = "mpt",
                                         .read_config = read_mpt,
                                         .tensors = mpt_tensors,
                                         .ignored_keys = mpt_ignored_keys,
                                         .ignored_tensors = mpt_ignored_tensors,
                                         .prefix = "transformer."};

}  // namespace weft::inline v0::arch
