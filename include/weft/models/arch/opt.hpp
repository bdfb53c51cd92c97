#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/common.hpp>
#include <weft/models/arch/decoder_tensors.hpp>

namespace weft::inline v0::arch {

inline DecoderConfig read_opt(ConfigReader& config) {
  DecoderConfig c = read_sizes(config, {.intermediate = "ffn_dim", .kv_heads = ""});
  c.norm = NormKind::layer;
  c.norm_eps = 1e-5f;  // in no config
  c.activation = read_activation(config, "activation_function");
  c.position_offset = 2;
  c.position_rows = c.context + c.position_offset;
  c.tied_embeddings = config.flag_or("tie_word_embeddings", true);
  c.attention_bias = c.attention_output_bias = c.mlp_bias = config.flag_or("enable_bias", true);
  if (!config.flag_or("do_layer_norm_before", true)) c.form = BlockForm::residual_norm;
  const std::size_t embedding = config.positive_or("word_embed_proj_dim", c.hidden);
  if (embedding != c.hidden) c.embedding = embedding;
  if (!config.flag_or("layer_norm_elementwise_affine", true))
    raise<UnsupportedError>(config.object().location(),
                            ": OPT with layer_norm_elementwise_affine false is not supported");
  c.final_norm = !config.flag_or("_remove_final_layer_norm", false) && c.form == BlockForm::pre_norm;
  c.modules = {.embedding = "hidden_states.0",  // the sum of two modules' outputs, the output of none
               .layer = "model.decoder.layers.{}",
               .mlp = "fc2",
               .norm = "model.decoder.final_layer_norm"};
  return c;
}

namespace opt_has {

inline bool projections(const DecoderConfig& c, std::size_t) { return c.embedding != 0; }
inline bool final_norm(const DecoderConfig& c, std::size_t) { return c.final_norm; }

}  // namespace opt_has

inline constexpr auto opt_tensors = joined(
    token_rows("model.decoder.embed_tokens.weight", "lm_head.weight"),
    position_row("model.decoder.embed_positions.weight"),
    std::to_array<DecoderRow>({
        {"model.decoder.project_in.weight", "", slots::embedding_in, dim::hidden, dim::embedding_width,
         opt_has::projections},
        {"model.decoder.project_out.weight", "", slots::embedding_out, dim::embedding_width, dim::hidden,
         opt_has::projections},
        {"model.decoder.final_layer_norm.weight", "output_norm.weight", slots::final_norm, dim::hidden, nullptr,
         opt_has::final_norm},
        {"model.decoder.final_layer_norm.bias", "output_norm.bias", slots::final_norm_bias, dim::hidden, nullptr,
         opt_has::final_norm},
        {"model.decoder.layers.{}.self_attn_layer_norm.weight", "blk.{}.attn_norm.weight", slots::attention_norm,
         dim::hidden},
        {"model.decoder.layers.{}.self_attn_layer_norm.bias", "blk.{}.attn_norm.bias", slots::attention_norm_bias,
         dim::hidden},
        {"model.decoder.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight", slots::q, dim::query, dim::hidden},
        {"model.decoder.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias", slots::q_bias, dim::query, nullptr,
         has::attention_bias},
        {"model.decoder.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight", slots::k, dim::key_value,
         dim::hidden},
        {"model.decoder.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias", slots::k_bias, dim::key_value, nullptr,
         has::attention_bias},
        {"model.decoder.layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight", slots::v, dim::key_value,
         dim::hidden},
        {"model.decoder.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias", slots::v_bias, dim::key_value, nullptr,
         has::attention_bias},
        {"model.decoder.layers.{}.self_attn.out_proj.weight", "blk.{}.attn_output.weight", slots::o, dim::hidden,
         dim::query},
        {"model.decoder.layers.{}.self_attn.out_proj.bias", "blk.{}.attn_output.bias", slots::o_bias, dim::hidden,
         nullptr, has::attention_output_bias},
        {"model.decoder.layers.{}.final_layer_norm.weight", "blk.{}.ffn_norm.weight", slots::mlp_norm, dim::hidden},
        {"model.decoder.layers.{}.final_layer_norm.bias", "blk.{}.ffn_norm.bias", slots::mlp_norm_bias, dim::hidden},
        {"model.decoder.layers.{}.fc1.weight", "blk.{}.ffn_up.weight", slots::up, dim::intermediate, dim::hidden},
        {"model.decoder.layers.{}.fc1.bias", "blk.{}.ffn_up.bias", slots::up_bias, dim::intermediate, nullptr,
         has::mlp_bias},
        {"model.decoder.layers.{}.fc2.weight", "blk.{}.ffn_down.weight", slots::down, dim::hidden, dim::intermediate},
        {"model.decoder.layers.{}.fc2.bias", "blk.{}.ffn_down.bias", slots::down_bias, dim::hidden, nullptr,
         has::mlp_bias},
    }));

inline constexpr auto opt_ignored_tensors = std::to_array<std::string_view>({"lm_head.weight"});

/// OPT (transformers, models/opt/modeling_opt.py). OPT-350m alone normalises after the residual, has no last norm and
/// embeddings of another width.
inline constexpr DecoderArchitecture opt{.model_type = "opt",
                                         .read_config = read_opt,
                                         .tensors = opt_tensors,
                                         .ignored_keys = common_ignored_keys,
                                         .ignored_tensors = opt_ignored_tensors,
                                         .prefix = "model."};

}  // namespace weft::inline v0::arch
