#pragma once

#include <cstddef>

#include <weft/models/arch/llama.hpp>

namespace weft::inline v0::arch {

/// The layers whose positions do not rotate: those that have a 0 in no_rope_layers, or else every
/// no_rope_layer_interval-th one. A window, where there is one, is theirs unless layer_types says otherwise.
inline DecoderConfig read_smollm3(ConfigReader& config) {
  DecoderConfig c = read_llama_sizes(config, {.default_theta = 2e6f});
  c.tied_embeddings = config.flag_or("tie_word_embeddings", true);
  c.attention_bias = config.flag_or("attention_bias", false);
  c.attention_output_bias = c.attention_bias;
  c.mlp_bias = config.flag_or("mlp_bias", false);
  const std::size_t interval = config.positive_or("no_rope_layer_interval", 4);
  const Json* rotated = config.optional("no_rope_layers");
  if (rotated && rotated->as_array().size() < c.layers)
    raise<ConfigError>(rotated->location(), ": expected a number for each of ", c.layers, " layers, found ",
                       rotated->size());
  for (std::size_t i = 0; i < c.layers; ++i)
    c.unrotated_layers.push_back(rotated ? rotated->at(i).as_size() == 0 : (i + 1) % interval == 0);
  c.full_attention = read_layer_types(config, c.layers);
  const std::size_t window = config.positive_or("sliding_window", 0);
  static_cast<void>(config.optional("max_window_layers"));  // of the config that this one was made of
  if (config.flag_or("use_sliding_window", false) || !c.full_attention.empty()) c.window = window;
  if (c.full_attention.empty())
    for (std::size_t i = 0; i < c.layers; ++i) c.full_attention.push_back(c.rotates(i));
  return c;
}

/// SmolLM3 (transformers, models/smollm3/modeling_smollm3.py): Llama's graph without rope in every fourth layer.
inline constexpr DecoderArchitecture smollm3 = like_llama("smollm3", read_smollm3, llama_tensors);

}  // namespace weft::inline v0::arch
