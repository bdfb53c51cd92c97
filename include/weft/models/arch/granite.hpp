#pragma once

#include <cmath>
#include <initializer_list>
#include <utility>

#include <weft/models/arch/llama.hpp>

namespace weft::inline v0::arch {

/// The factors by which embeddings, scores and what layers add are multiplied, and by which logits are divided.
inline DecoderConfig read_granite(ConfigReader& config) {
  DecoderConfig c = read_llama(config);
  float logits_scaling = 1.f;
  for (const auto& [key, factor] :
       {std::pair("embedding_multiplier", &c.embedding_scale), std::pair("attention_multiplier", &c.attention_scale),
        std::pair("residual_multiplier", &c.residual_scale), std::pair("logits_scaling", &logits_scaling)}) {
    *factor = config.number_or(key, 1.f);
    if (!std::isnormal(*factor)) raise<ConfigError>(config.object().location(), ": ", key, " is ", *factor);
  }
  c.logit_scale = 1.f / logits_scaling;
  c.modules.embedding = "hidden_states.0";  // the embedding, scaled
  return c;
}

/// Granite 3 (transformers, models/granite/modeling_granite.py): Llama's graph with four factors.
inline constexpr DecoderArchitecture granite = like_llama("granite", read_granite, llama_tensors);

}  // namespace weft::inline v0::arch
