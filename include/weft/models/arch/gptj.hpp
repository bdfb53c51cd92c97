#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/gpt2.hpp>

namespace weft::inline v0::arch {

inline DecoderConfig read_gptj(ConfigReader& config) {
  DecoderConfig c = read_gpt_sizes(config, gpt_keys, "n_inner");
  c.form = BlockForm::parallel_shared;
  c.activation = read_activation(config, "activation_function");
  c.rope = {.theta = 10000.f,
            .pairing = RopePairing::interleaved,
            .rotary_dim = config.positive_or("rotary_dim", c.head_dim)};
  if (c.rope.rotary_dim > c.head_dim || c.rope.rotary_dim % 2 != 0)
    raise<ConfigError>(config.object().location(), ": rotary_dim ", c.rope.rotary_dim,
                       ", expected an even number up to head_dim ", c.head_dim);
  c.tied_embeddings = config.flag_or("tie_word_embeddings", false);
  c.modules = {
      .embedding = "transformer.drop", .layer = "transformer.h.{}", .attention = "attn", .norm = "transformer.ln_f"};
  return c;
}

inline constexpr auto gptj_tensors = joined(
    token_rows("transformer.wte.weight", "lm_head.weight"),
    std::to_array<DecoderRow>({
        {"lm_head.bias", "output.bias", slots::output_bias, dim::vocab},
        {"transformer.ln_f.weight", "output_norm.weight", slots::final_norm, dim::hidden},
        {"transformer.ln_f.bias", "output_norm.bias", slots::final_norm_bias, dim::hidden},
        {"transformer.h.{}.ln_1.weight", "blk.{}.attn_norm.weight", slots::attention_norm, dim::hidden},
        {"transformer.h.{}.ln_1.bias", "blk.{}.attn_norm.bias", slots::attention_norm_bias, dim::hidden},
        {"transformer.h.{}.attn.q_proj.weight", "blk.{}.attn_q.weight", slots::q, dim::query, dim::hidden},
        {"transformer.h.{}.attn.k_proj.weight", "blk.{}.attn_k.weight", slots::k, dim::key_value, dim::hidden},
        {"transformer.h.{}.attn.v_proj.weight", "blk.{}.attn_v.weight", slots::v, dim::key_value, dim::hidden},
        {"transformer.h.{}.attn.out_proj.weight", "blk.{}.attn_output.weight", slots::o, dim::hidden, dim::query},
        {"transformer.h.{}.mlp.fc_in.weight", "blk.{}.ffn_up.weight", slots::up, dim::intermediate, dim::hidden},
        {"transformer.h.{}.mlp.fc_in.bias", "blk.{}.ffn_up.bias", slots::up_bias, dim::intermediate},
        {"transformer.h.{}.mlp.fc_out.weight", "blk.{}.ffn_down.weight", slots::down, dim::hidden, dim::intermediate},
        {"transformer.h.{}.mlp.fc_out.bias", "blk.{}.ffn_down.bias", slots::down_bias, dim::hidden},
    }));

// What transformers computes whatever these say.
inline constexpr auto gptj_ignored_keys =
    joined(gpt2_ignored_keys, std::to_array<std::string_view>({"rotary", "scale_attn_weights"}));

inline constexpr auto gptj_ignored_tensors =
    joined(gpt2_ignored_tensors, std::to_array<std::string_view>({"transformer.h.{}.attn.embed_positions"}));

/// GPT-J (transformers, models/gptj/modeling_gptj.py).
inline constexpr DecoderArchitecture gptj{.model_type = "gptj",
                                          .read_config = read_gptj,
                                          .tensors = gptj_tensors,
                                          .ignored_keys = gptj_ignored_keys,
                                          .ignored_tensors = gptj_ignored_tensors,
                                          .prefix = "transformer."};

}  // namespace weft::inline v0::arch
