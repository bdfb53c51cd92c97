#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/models/config_reader.hpp>
#include <weft/models/decoder_config.hpp>
#include <weft/ops/rope.hpp>

// The parts of config.json that families have in common.
namespace weft::inline v0::arch {

/// Keys of config.json that every family may carry and that do not change what the model computes.
inline constexpr auto common_ignored_keys = std::to_array<std::string_view>({
    "architectures",
    "model_type",
    "torch_dtype",
    "dtype",
    "transformers_version",
    "transformers.js_config",
    "use_cache",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "unk_token_id",
    "sep_token_id",
    "cls_token_id",
    "mask_token_id",
    "decoder_start_token_id",
    "initializer_range",
    "attention_dropout",
    "hidden_dropout",
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
    "pretraining_tp",
    "tokenizer_class",
    "name_or_path",
    "auto_map",
    "max_sequence_length",
    "return_dict",
    "output_attentions",
    "output_hidden_states",
    "torchscript",
    "use_bfloat16",
    "tf_legacy_loss",
    "pruned_heads",
    "chunk_size_feed_forward",
    "is_encoder_decoder",
    "is_decoder",
    "task_specific_params",
    "problem_type",
    "finetuning_task",
    "id2label",
    "label2id",
    "num_labels",
    "gradient_checkpointing",
    "max_length",
    "min_length",
    "do_sample",
    "early_stopping",
    "num_beams",
    "num_beam_groups",
    "diversity_penalty",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "repetition_penalty",
    "length_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "bad_words_ids",
    "num_return_sequences",
    "output_scores",
    "return_dict_in_generate",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "remove_invalid_values",
    "exponential_decay_length_penalty",
    "suppress_tokens",
    "begin_suppress_tokens",
    "custom_pipelines",
    "is_llama_config",
    "unsloth_version",
    "unsloth_fixed",
    "attn_implementation",
    "prefix",
    "license",
    "training_args",
    "sample_size",
    "classifier_dropout",
    "resid_dropout",
    "embed_dropout",
    "dropout",
    "layerdrop",
    "init_std",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "output_router_logits",
    "quantization_config",  // Checkpoint reads it
});

/// The keys under which sizes stand; "" for one that the family has no key for.
struct SizeKeys {
  std::string_view hidden = "hidden_size";
  std::string_view intermediate = "intermediate_size";
  std::string_view layers = "num_hidden_layers";
  std::string_view heads = "num_attention_heads";
  std::string_view kv_heads = "num_key_value_heads";
  std::string_view context = "max_position_embeddings";
};

/// The sizes that all decoders have. Throws ConfigError where they are missing or contradict each other,
/// UnsupportedError for more heads than any model has: what is made for each must not fill the memory before a tensor
/// shows the number to be wrong.
inline DecoderConfig read_sizes(ConfigReader& config, const SizeKeys& keys = {}) {
  DecoderConfig c;
  c.vocab = config.positive("vocab_size");
  c.hidden = config.positive(keys.hidden);
  c.intermediate = keys.intermediate.empty() ? 0 : config.positive(keys.intermediate);
  c.layers = config.positive(keys.layers);
  c.heads = config.positive(keys.heads);
  constexpr std::size_t most_heads = 65536;
  if (c.heads > most_heads)
    raise<UnsupportedError>(config.object().location(), ": ", keys.heads, " ", c.heads, ", at most ", most_heads,
                            " are supported");
  c.kv_heads = keys.kv_heads.empty() ? c.heads : config.positive_or(keys.kv_heads, c.heads);
  c.context = keys.context.empty() ? 2048 : config.positive_or(keys.context, 2048);
  if (!config.optional("head_dim") && c.hidden % c.heads != 0)
    raise<ConfigError>(config.object().location(), ": ", keys.hidden, " ", c.hidden, " is not a multiple of ",
                       keys.heads, " ", c.heads);
  c.head_dim = config.positive_or("head_dim", c.hidden / c.heads);
  if (c.heads % c.kv_heads != 0)
    raise<ConfigError>(config.object().location(), ": ", keys.heads, " ", c.heads, " is not a multiple of ",
                       keys.kv_heads, " ", c.kv_heads);
  return c;
}

/// The small number under the root of norms.
inline float read_eps(ConfigReader& config, std::string_view key) {
  const float eps = config.number(key);
  if (eps < 0.f) raise<ConfigError>(config.object().location(), ": ", key, " is negative");
  return eps;
}

/// The same where the key may be missing: the default of transformers.
inline float read_eps_or(ConfigReader& config, std::string_view key, float fallback) {
  return config.optional(key) ? read_eps(config, key) : fallback;
}

/// DecoderConfig::full_attention as the key layer_types says it; nothing where it is missing.
inline std::vector<bool> read_layer_types(ConfigReader& config, std::size_t layers) {
  std::vector<bool> full;
  const Json* types = config.optional("layer_types");
  if (!types) return full;
  if (types->as_array().size() != layers)
    raise<ConfigError>(types->location(), ": expected one entry for each of ", layers, " layers, found ",
                       types->size());
  for (const Json& type : *types) {
    if (type.as_string() != "full_attention" && type.as_string() != "sliding_attention")
      raise<UnsupportedError>(type.location(), ": layers of type \"", type.as_string(),
                              "\" are not supported (full_attention and sliding_attention are)");
    full.push_back(type.as_string() == "full_attention");
  }
  return full;
}

/// The object that rope_scaling and rope_parameters are; the type "factors" is gguf_config's. `partial` becomes its
/// partial_rotary_factor.
inline void read_rope_scaling(const Json& scaling, RopeParams& rope, float& partial, std::size_t context,
                              std::size_t original_context) {
  ConfigReader reader(scaling);
  rope.theta = reader.number_or("rope_theta", rope.theta);
  partial = reader.number_or("partial_rotary_factor", partial);
  const std::string_view older = reader.text_or("type", "default");
  const std::string_view type = reader.text_or("rope_type", older);
  const auto original = [&] { return reader.positive_or("original_max_position_embeddings", original_context); };
  if (type == "linear") {
    rope.scaling = LinearRopeScaling{.factor = reader.number("factor")};
  } else if (type == "dynamic") {
    static_cast<void>(original());  // which the reference does not use
    rope.scaling = DynamicRopeScaling{.factor = reader.number("factor"), .original_context = context};
  } else if (type == "llama3") {
    rope.scaling = Llama3RopeScaling{.factor = reader.number("factor"),
                                     .low_freq_factor = reader.number("low_freq_factor"),
                                     .high_freq_factor = reader.number("high_freq_factor"),
                                     .original_context = reader.positive("original_max_position_embeddings")};
  } else if (type == "yarn") {
    YarnRopeScaling yarn{.factor = reader.number("factor"), .original_context = original()};
    yarn.beta_fast = reader.number_or("beta_fast", yarn.beta_fast);
    yarn.beta_slow = reader.number_or("beta_slow", yarn.beta_slow);
    yarn.truncate = reader.flag_or("truncate", yarn.truncate);
    const float scale = reader.number_or("mscale", 0.f);
    const float scale_all = reader.number_or("mscale_all_dim", 0.f);
    yarn.attention_factor = reader.number_or("attention_factor", scale != 0.f && scale_all != 0.f
                                                                     ? yarn_attention_factor(yarn.factor, scale) /
                                                                           yarn_attention_factor(yarn.factor, scale_all)
                                                                     : yarn_attention_factor(yarn.factor, 1.f));
    rope.scaling = yarn;
  } else if (type == "longrope" || type == "su") {
    LongRopeScaling longer{.short_factor = reader.numbers("short_factor"),
                           .long_factor = reader.numbers("long_factor"),
                           .original_context = original()};
    const float factor =
        reader.number_or("factor", static_cast<float>(context) / static_cast<float>(longer.original_context));
    longer.attention_factor =
        reader.number_or("attention_factor", long_rope_attention_factor(factor, longer.original_context));
    rope.scaling = std::move(longer);
  } else if (type == "factors") {
    rope.scaling = FactorsRopeScaling{.factors = reader.numbers("factors")};
  } else if (type != "default") {
    raise<UnsupportedError>(scaling.location(), ": the rope type \"", type,
                            "\" is not supported (default, linear, dynamic, llama3, yarn and longrope are)");
  }
  reader.finish({});
}

/// Where a family says how positions rotate, and what holds where it does not.
struct RopeKeys {
  std::string_view theta = "rope_theta";
  std::string_view partial = "partial_rotary_factor";
  float default_theta = 10000.f;
  float default_partial = 1.f;
};

/// A rope of heads of c.head_dim elements as one object says it (null: defaults). Throws ConfigError for numbers that
/// are out of range, UnsupportedError for a rule that weft does not know.
inline RopeParams read_rope_object(ConfigReader& config, const DecoderConfig& c, const Json* scaling, float theta,
                                   float partial) {
  RopeParams rope{.theta = theta};
  const std::size_t original = config.positive_or("original_max_position_embeddings", c.context);
  if (scaling) read_rope_scaling(*scaling, rope, partial, c.context, original);
  const std::string where = scaling ? scaling->location() : config.object().location();
  if (!(partial > 0.f && partial <= 1.f))
    raise<ConfigError>(where, ": the part of a head that rotates is ", partial, ", expected a number in (0, 1]");
  const auto rotary_dim = static_cast<std::size_t>(static_cast<float>(c.head_dim) * partial);
  if (partial != 1.f) rope.rotary_dim = rotary_dim;
  if (rotary_dim == 0 || rotary_dim % 2 != 0)
    raise<ConfigError>(where, ": ", rotary_dim, " elements of head_dim ", c.head_dim,
                       " rotate, expected an even number of them");
  try {
    static_cast<void>(rope_frequencies(rotary_dim, rope, c.context));
    static_cast<void>(rope_attention_factor(rope.scaling));
  } catch (const ConfigError& error) {
    raise<ConfigError>(where, ": ", error.what());
  }
  return rope;
}

/// Sets c.rope from rotary parameters as transformers 4 writes them (rope_theta, rope_scaling) or as 5 does
/// (rope_parameters). Rules that stretch the context of the training stretch c.context. "rope_interleave" says that
/// neighbours rotate together, as in weights that nobody permuted for transformers.
inline void read_rope(ConfigReader& config, DecoderConfig& c, const RopeKeys& keys = {}) {
  const float theta = config.number_or(keys.theta, keys.default_theta);
  const float partial = config.number_or(keys.partial, keys.default_partial);
  const Json* scaling = config.optional("rope_scaling");
  if (const Json* parameters = config.optional("rope_parameters")) scaling = parameters;
  c.rope = read_rope_object(config, c, scaling, theta, partial);
  if (config.flag_or("rope_interleave", false)) c.rope.pairing = RopePairing::interleaved;
  const auto stretch = [&](std::size_t original, float factor) {
    const float stretched = static_cast<float>(original) * factor;
    if (!(stretched <= 0x1p31f))
      raise<ConfigError>(scaling->location(), ": a context of ", original, " stretched by ", factor,
                         " is beyond all positions");
    c.context = std::max(c.context, static_cast<std::size_t>(stretched));
  };
  if (const auto* yarn = std::get_if<YarnRopeScaling>(&c.rope.scaling)) stretch(yarn->original_context, yarn->factor);
  if (const auto* dynamic = std::get_if<DynamicRopeScaling>(&c.rope.scaling))
    stretch(dynamic->original_context, dynamic->factor);
}

inline void read_clip(ConfigReader& config, DecoderConfig& c) {
  c.qkv_clip = config.number_or("clip_qkv", 0.f);
  if (c.qkv_clip < 0.f) raise<ConfigError>(config.object().location(), ": clip_qkv is negative");
}

/// Throws ConfigError where a token is to have more experts than there are.
inline void check_experts(const ConfigReader& config, const DecoderConfig& c) {
  if (c.moe.experts_per_token > c.experts)
    raise<ConfigError>(config.object().location(), ": ", c.moe.experts_per_token, " experts per token of ", c.experts);
}

/// The activation of a name that `value` holds.
inline Activation activation_named(const Json& value, std::string_view kind) {
  if (kind == "silu" || kind == "swish") return Activation::silu;
  if (kind == "gelu" || kind == "gelu_python") return Activation::gelu;
  for (const char* tanh : {"gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_python_tanh", "gelu_accurate"})
    if (kind == tanh) return Activation::gelu_tanh;
  if (kind == "quick_gelu") return Activation::quick_gelu;
  if (kind == "relu") return Activation::relu;
  raise<UnsupportedError>(value.location(), ": the activation \"", kind, "\" is not supported");
}

inline Activation read_activation(ConfigReader& config, std::string_view key) {
  const Json& value = config.required(key);
  return activation_named(value, value.as_string());
}

}  // namespace weft::inline v0::arch
