#pragma once

#include <array>
#include <string_view>
#include <vector>

#include <weft/models/arch/gpt2.hpp>

namespace weft::inline v0::arch {

/// The kinds of attention as runs: [[["global", "local"], 12]] is twelve times one of each.
inline std::vector<bool> read_attention_types(const Json& types, std::size_t layers) {
  std::vector<bool> global;
  for (const Json& run : types.as_array()) {
    if (run.at(0).as_array().size() == 0) raise<ConfigError>(run.location(), ": a run of no kind of attention");
    for (std::size_t i = 0; i < run.at(1).as_size() && global.size() <= layers; ++i)
      for (const Json& kind : run.at(0).as_array()) {
        if (kind.as_string() != "global" && kind.as_string() != "local")
          raise<UnsupportedError>(kind.location(), ": attention of type \"", kind.as_string(), "\" is not supported");
        global.push_back(kind.as_string() == "global");
      }
  }
  if (global.size() != layers)
    raise<ConfigError>(types.location(), ": expected the attention of ", layers, " layers, found ", global.size());
  return global;
}

inline DecoderConfig read_gpt_neo(ConfigReader& config) {
  DecoderConfig c = read_gpt_sizes(
      config, {.intermediate = "", .layers = "num_layers", .heads = "num_heads", .kv_heads = ""}, "intermediate_size");
  c.activation = read_activation(config, "activation_function");
  c.position_rows = c.context;
  c.attention_scale = 1.f;
  c.window = config.positive("window_size");
  c.full_attention = read_attention_types(config.required("attention_types"), c.layers);
  static_cast<void>(config.optional("attention_layers"));  // the same, layer by layer
  c.tied_embeddings = config.flag_or("tie_word_embeddings", true);
  c.modules = {
      .embedding = "transformer.drop", .layer = "transformer.h.{}", .attention = "attn", .norm = "transformer.ln_f"};
  return c;
}

inline constexpr auto gpt_neo_tensors = joined(
    token_rows("transformer.wte.weight", "lm_head.weight"), position_row("transformer.wpe.weight"),
    std::to_array<DecoderRow>({
        {"transformer.ln_f.weight", "output_norm.weight", slots::final_norm, dim::hidden},
        {"transformer.ln_f.bias", "output_norm.bias", slots::final_norm_bias, dim::hidden},
        {"transformer.h.{}.ln_1.weight", "blk.{}.attn_norm.weight", slots::attention_norm, dim::hidden},
        {"transformer.h.{}.ln_1.bias", "blk.{}.attn_norm.bias", slots::attention_norm_bias, dim::hidden},
        {"transformer.h.{}.attn.attention.q_proj.weight", "blk.{}.attn_q.weight", slots::q, dim::query, dim::hidden},
        {"transformer.h.{}.attn.attention.k_proj.weight", "blk.{}.attn_k.weight", slots::k, dim::key_value,
         dim::hidden},
        {"transformer.h.{}.attn.attention.v_proj.weight", "blk.{}.attn_v.weight", slots::v, dim::key_value,
         dim::hidden},
        {"transformer.h.{}.attn.attention.out_proj.weight", "blk.{}.attn_output.weight", slots::o, dim::hidden,
         dim::query},
        {"transformer.h.{}.attn.attention.out_proj.bias", "blk.{}.attn_output.bias", slots::o_bias, dim::hidden},
        {"transformer.h.{}.ln_2.weight", "blk.{}.ffn_norm.weight", slots::mlp_norm, dim::hidden},
        {"transformer.h.{}.ln_2.bias", "blk.{}.ffn_norm.bias", slots::mlp_norm_bias, dim::hidden},
        {"transformer.h.{}.mlp.c_fc.weight", "blk.{}.ffn_up.weight", slots::up, dim::intermediate, dim::hidden},
        {"transformer.h.{}.mlp.c_fc.bias", "blk.{}.ffn_up.bias", slots::up_bias, dim::intermediate},
        {"transformer.h.{}.mlp.c_proj.weight", "blk.{}.ffn_down.weight", slots::down, dim::hidden, dim::intermediate},
        {"transformer.h.{}.mlp.c_proj.bias", "blk.{}.ffn_down.bias", slots::down_bias, dim::hidden},
    }));

inline constexpr auto gpt_neo_ignored_tensors = std::to_array<std::string_view>(
    {"transformer.h.{}.attn.attention.bias", "transformer.h.{}.attn.attention.masked_bias", "lm_head.weight"});

/// GPT-Neo (transformers, models/gpt_neo/modeling_gpt_neo.py): scores are not scaled.
inline constexpr DecoderArchitecture gpt_neo{.model_type = "gpt_neo",
                                             .read_config = read_gpt_neo,
                                             .tensors = gpt_neo_tensors,
                                             .ignored_keys = gpt2_ignored_keys,
                                             .ignored_tensors = gpt_neo_ignored_tensors,
                                             .prefix = "transformer."};

}  // namespace weft::inline v0::arch
