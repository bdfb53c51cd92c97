#pragma once

#include <array>

#include <weft/models/arch/llama.hpp>

namespace weft::inline v0::arch {

inline DecoderConfig read_mixtral(ConfigReader& config) {
  DecoderConfig c = read_llama_sizes(config, {.default_theta = 1e6f});
  c.window = config.positive_or("sliding_window", 0);
  c.experts = config.positive("num_local_experts");
  c.expert_intermediate = c.intermediate;
  c.moe = {.experts_per_token = config.positive("num_experts_per_tok"), .normalised = true};
  check_experts(config, c);
  return c;
}

inline constexpr auto mixtral_tensors =
    joined(llama_ends, llama_norms, llama_attention,
           std::to_array<DecoderRow>({
               {"model.layers.{}.block_sparse_moe.gate.weight", "blk.{}.ffn_gate_inp.weight", slots::router,
                dim::experts, dim::hidden},
               expert_row("model.layers.{}.block_sparse_moe.experts.{}.w1.weight", "blk.{}.ffn_gate_exps.weight",
                          slots::expert_gate, dim::expert_intermediate, dim::hidden),
               expert_row("model.layers.{}.block_sparse_moe.experts.{}.w3.weight", "blk.{}.ffn_up_exps.weight",
                          slots::expert_up, dim::expert_intermediate, dim::hidden),
               expert_row("model.layers.{}.block_sparse_moe.experts.{}.w2.weight", "blk.{}.ffn_down_exps.weight",
                          slots::expert_down, dim::hidden, dim::expert_intermediate),
           }));

/// Mixtral 8x7B and 8x22B (transformers, models/mixtral/modeling_mixtral.py).
inline constexpr DecoderArchitecture mixtral = like_llama("mixtral", read_mixtral, mixtral_tensors);

}  // namespace weft::inline v0::arch
