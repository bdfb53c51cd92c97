#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include <weft/models/arch/llama.hpp>

namespace weft::inline v0::arch {

/// A window that use_sliding_window switches on for the layers from max_window_layers on, or, in the mixtures of Qwen
/// 2, for every other layer before, or those that layer_types names.
inline void read_qwen_window(ConfigReader& config, DecoderConfig& c, bool alternating = false) {
  const std::vector<bool> full = read_layer_types(config, c.layers);
  const std::size_t first = config.count_or("max_window_layers", 28);
  const std::size_t window = config.count_or("sliding_window", 4096);
  if (!config.flag_or("use_sliding_window", false) || window == 0) return;
  c.window = window;
  c.full_attention = full;
  if (full.empty())
    for (std::size_t i = 0; i < c.layers; ++i)
      c.full_attention.push_back(alternating ? i >= first || i % 2 != 0 : i < first);
}

/// Which layers have experts, and what those are like.
inline void read_qwen_experts(ConfigReader& config, DecoderConfig& c) {
  // Transformers 5 writes the second name.
  c.experts = config.optional("num_experts") ? config.positive("num_experts") : config.positive("num_local_experts");
  c.expert_intermediate = config.positive("moe_intermediate_size");
  c.moe = {.experts_per_token = config.positive("num_experts_per_tok"),
           .normalised = config.flag_or("norm_topk_prob", false)};
  check_experts(config, c);
  const std::size_t step = config.positive_or("decoder_sparse_step", 1);
  for (std::size_t i = 0; i < c.layers; ++i) c.dense_layers.push_back((i + 1) % step != 0);
  if (const Json* dense = config.optional("mlp_only_layers"))
    for (const Json& layer : dense->as_array())
      if (layer.as_size() < c.layers) c.dense_layers[layer.as_size()] = true;
}

inline DecoderConfig read_qwen2(ConfigReader& config) {
  DecoderConfig c = read_llama_sizes(config);
  read_qwen_window(config, c);
  c.attention_bias = true;
  return c;
}

inline DecoderConfig read_qwen2_moe(ConfigReader& config) {
  DecoderConfig c = read_llama_sizes(config);
  read_qwen_window(config, c, true);
  read_qwen_experts(config, c);
  c.shared_intermediate = config.positive("shared_expert_intermediate_size");
  c.attention_bias = config.flag_or("qkv_bias", true);
  return c;
}

inline DecoderConfig read_qwen3(ConfigReader& config) {
  DecoderConfig c = read_llama(config);
  read_qwen_window(config, c);
  return c;
}

inline DecoderConfig read_qwen3_moe(ConfigReader& config) {
  DecoderConfig c = read_llama(config);
  const std::size_t window = config.count_or("sliding_window", 4096);
  if (config.flag_or("use_sliding_window", false)) c.window = window;
  static_cast<void>(config.optional("max_window_layers"));  // all layers have the window
  read_qwen_experts(config, c);
  return c;
}

inline constexpr auto qwen_experts = std::to_array<DecoderRow>({
    {"model.layers.{}.mlp.gate.weight", "blk.{}.ffn_gate_inp.weight", slots::router, dim::experts, dim::hidden,
     has::experts},
    expert_row("model.layers.{}.mlp.experts.{}.gate_proj.weight", "blk.{}.ffn_gate_exps.weight", slots::expert_gate,
               dim::expert_intermediate, dim::hidden),
    expert_row("model.layers.{}.mlp.experts.{}.up_proj.weight", "blk.{}.ffn_up_exps.weight", slots::expert_up,
               dim::expert_intermediate, dim::hidden),
    expert_row("model.layers.{}.mlp.experts.{}.down_proj.weight", "blk.{}.ffn_down_exps.weight", slots::expert_down,
               dim::hidden, dim::expert_intermediate),
});

inline constexpr auto qwen_shared_expert = std::to_array<DecoderRow>({
    {.name = "model.layers.{}.mlp.shared_expert_gate.weight",
     .gguf = "blk.{}.ffn_gate_inp_shexp.weight",
     .slot = slots::shared_weight,
     .rows = dim::one,
     .columns = dim::hidden,
     .present = has::experts,
     .reshaped = true},  // GGUF files may have a vector
    {"model.layers.{}.mlp.shared_expert.gate_proj.weight", "blk.{}.ffn_gate_shexp.weight", slots::shared_gate,
     dim::shared_intermediate, dim::hidden, has::experts},
    {"model.layers.{}.mlp.shared_expert.up_proj.weight", "blk.{}.ffn_up_shexp.weight", slots::shared_up,
     dim::shared_intermediate, dim::hidden, has::experts},
    {"model.layers.{}.mlp.shared_expert.down_proj.weight", "blk.{}.ffn_down_shexp.weight", slots::shared_down,
     dim::hidden, dim::shared_intermediate, has::experts},
});

inline constexpr auto qwen3_tensors = joined(llama_tensors, head_norms);
inline constexpr auto qwen2_moe_tensors = joined(llama_tensors, qwen_experts, qwen_shared_expert);
inline constexpr auto qwen3_moe_tensors = joined(qwen3_tensors, qwen_experts);

/// Qwen 1.5, 2, 2.5 and QwQ (transformers, models/qwen2/modeling_qwen2.py).
inline constexpr DecoderArchitecture qwen2 = like_llama("qwen2", read_qwen2, llama_tensors);

/// Their mixtures of experts, with one that all tokens share (models/qwen2_moe/modeling_qwen2_moe.py).
inline constexpr DecoderArchitecture qwen2_moe = like_llama("qwen2_moe", read_qwen2_moe, qwen2_moe_tensors);

/// Qwen 3: norms of queries and keys (models/qwen3/modeling_qwen3.py).
inline constexpr DecoderArchitecture qwen3 = like_llama("qwen3", read_qwen3, qwen3_tensors);

/// Its mixtures of experts (models/qwen3_moe/modeling_qwen3_moe.py).
inline constexpr DecoderArchitecture qwen3_moe = like_llama("qwen3_moe", read_qwen3_moe, qwen3_moe_tensors);

}  // namespace weft::inline v0::arch
