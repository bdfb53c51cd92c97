#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/common.hpp>
#include <weft/models/arch/decoder_tensors.hpp>

namespace weft::inline v0::arch {

/// The words of OpenAI's first models, which GPT-J shares.
inline constexpr SizeKeys gpt_keys{.hidden = "n_embd",
                                   .intermediate = "",
                                   .layers = "n_layer",
                                   .heads = "n_head",
                                   .kv_heads = "",
                                   .context = "n_positions"};

/// The sizes of models whose feed-forward layer is four times as wide unless `inner` says so.
inline DecoderConfig read_gpt_sizes(ConfigReader& config, const SizeKeys& keys, std::string_view inner) {
  DecoderConfig c = read_sizes(config, keys);
  c.intermediate = config.positive_or(inner, 4 * c.hidden);
  c.norm = NormKind::layer;
  c.norm_eps = read_eps(config, "layer_norm_epsilon");
  return c;
}

inline DecoderConfig read_gpt2(ConfigReader& config) {
  DecoderConfig c = read_gpt_sizes(config, gpt_keys, "n_inner");
  c.activation = read_activation(config, "activation_function");
  c.position_rows = c.context;
  c.tied_embeddings = config.flag_or("tie_word_embeddings", true);
  if (!config.flag_or("scale_attn_weights", true)) c.attention_scale = 1.f;
  c.inverse_layer_scale = config.flag_or("scale_attn_by_inverse_layer_idx", false);
  config.refuse("add_cross_attention");
  c.modules = {
      .embedding = "transformer.drop", .layer = "transformer.h.{}", .attention = "attn", .norm = "transformer.ln_f"};
  return c;
}

/// A matrix of a Conv1D, which is stored as (columns, rows).
constexpr DecoderRow conv1d_row(std::string_view name, std::string_view gguf, DecoderRow::Matrix slot,
                                DecoderRow::Extent rows, DecoderRow::Extent columns, DecoderRow::Part part = {}) {
  return {.name = name, .gguf = gguf, .slot = slot, .rows = rows, .columns = columns, .part = part, .transposed = true};
}

inline constexpr auto gpt2_tensors =
    joined(token_rows("transformer.wte.weight", "lm_head.weight"), position_row("transformer.wpe.weight"),
           std::to_array<DecoderRow>({
               {"transformer.ln_f.weight", "output_norm.weight", slots::final_norm, dim::hidden},
               {"transformer.ln_f.bias", "output_norm.bias", slots::final_norm_bias, dim::hidden},
               {"transformer.h.{}.ln_1.weight", "blk.{}.attn_norm.weight", slots::attention_norm, dim::hidden},
               {"transformer.h.{}.ln_1.bias", "blk.{}.attn_norm.bias", slots::attention_norm_bias, dim::hidden},
               conv1d_row("transformer.h.{}.attn.c_attn.weight", "blk.{}.attn_qkv.weight", slots::q, dim::query,
                          dim::hidden, {dim::qkv, nullptr, nullptr}),
               conv1d_row("transformer.h.{}.attn.c_attn.weight", "blk.{}.attn_qkv.weight", slots::k, dim::key_value,
                          dim::hidden, {dim::qkv, dim::query, nullptr}),
               conv1d_row("transformer.h.{}.attn.c_attn.weight", "blk.{}.attn_qkv.weight", slots::v, dim::key_value,
                          dim::hidden, {dim::qkv, dim::values_begin, nullptr}),
               {"transformer.h.{}.attn.c_attn.bias",
                "blk.{}.attn_qkv.bias",
                slots::q_bias,
                dim::query,
                nullptr,
                has::always,
                {dim::qkv, nullptr, nullptr}},
               {"transformer.h.{}.attn.c_attn.bias",
                "blk.{}.attn_qkv.bias",
                slots::k_bias,
                dim::key_value,
                nullptr,
                has::always,
                {dim::qkv, dim::query, nullptr}},
               {"transformer.h.{}.attn.c_attn.bias",
                "blk.{}.attn_qkv.bias",
                slots::v_bias,
                dim::key_value,
                nullptr,
                has::always,
                {dim::qkv, dim::values_begin, nullptr}},
               conv1d_row("transformer.h.{}.attn.c_proj.weight", "blk.{}.attn_output.weight", slots::o, dim::hidden,
                          dim::query),
               {"transformer.h.{}.attn.c_proj.bias", "blk.{}.attn_output.bias", slots::o_bias, dim::hidden},
               {"transformer.h.{}.ln_2.weight", "blk.{}.ffn_norm.weight", slots::mlp_norm, dim::hidden},
               {"transformer.h.{}.ln_2.bias", "blk.{}.ffn_norm.bias", slots::mlp_norm_bias, dim::hidden},
               conv1d_row("transformer.h.{}.mlp.c_fc.weight", "blk.{}.ffn_up.weight", slots::up, dim::intermediate,
                          dim::hidden),
               {"transformer.h.{}.mlp.c_fc.bias", "blk.{}.ffn_up.bias", slots::up_bias, dim::intermediate},
               conv1d_row("transformer.h.{}.mlp.c_proj.weight", "blk.{}.ffn_down.weight", slots::down, dim::hidden,
                          dim::intermediate),
               {"transformer.h.{}.mlp.c_proj.bias", "blk.{}.ffn_down.bias", slots::down_bias, dim::hidden},
           }));

inline constexpr auto gpt2_ignored_keys = joined(common_ignored_keys, std::to_array<std::string_view>({
                                                                          "n_ctx",
                                                                          "n_special",
                                                                          "output_past",
                                                                          "predict_special_tokens",
                                                                          "reorder_and_upcast_attn",
                                                                          "summary_activation",
                                                                          "summary_first_dropout",
                                                                          "summary_proj_to_labels",
                                                                          "summary_type",
                                                                          "summary_use_proj",
                                                                      }));

// Causal masks that older versions of transformers saved.
inline constexpr auto gpt2_ignored_tensors = std::to_array<std::string_view>(
    {"transformer.h.{}.attn.bias", "transformer.h.{}.attn.masked_bias", "lm_head.weight"});

/// GPT-2 (transformers, models/gpt2/modeling_gpt2.py).
inline constexpr DecoderArchitecture gpt2{.model_type = "gpt2",
                                          .read_config = read_gpt2,
                                          .tensors = gpt2_tensors,
                                          .ignored_keys = gpt2_ignored_keys,
                                          .ignored_tensors = gpt2_ignored_tensors,
                                          .prefix = "transformer."};

}  // namespace weft::inline v0::arch
