#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <utility>
#include <variant>

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
    "unsloth_version",
    "unsloth_fixed",
    "attn_implementation",
    "prefix",
    "license",
    "training_args",
    "sample_size",
});

/// The object that rope_scaling and rope_parameters are. The type "factors" is gguf_config's.
inline void read_rope_scaling(const Json& scaling, RopeParams& rope) {
  ConfigReader reader(scaling);
  rope.theta = reader.number_or("rope_theta", rope.theta);
  const std::string_view older = reader.text_or("type", "default");
  const std::string_view type = reader.text_or("rope_type", older);
  if (type == "linear") {
    rope.scaling = LinearRopeScaling{.factor = reader.number("factor")};
  } else if (type == "llama3") {
    rope.scaling = Llama3RopeScaling{.factor = reader.number("factor"),
                                     .low_freq_factor = reader.number("low_freq_factor"),
                                     .high_freq_factor = reader.number("high_freq_factor"),
                                     .original_context = reader.positive("original_max_position_embeddings")};
  } else if (type == "factors") {
    FactorsRopeScaling own;
    for (const Json& factor : reader.required("factors").as_array())
      own.factors.push_back(static_cast<float>(factor.as_double()));
    rope.scaling = std::move(own);
  } else if (type != "default") {
    raise<UnsupportedError>(scaling.location(), ": the rope type \"", type,
                            "\" is not supported (default, linear and llama3 are)");
  }
  reader.finish({});
}

/// Rotary parameters as transformers 4 writes them (rope_theta, rope_scaling) and as 5 does (rope_parameters);
/// "rope_interleave" says that neighbours rotate together, as in weights that nobody permuted for transformers. Throws
/// UnsupportedError for a rule other than default, linear and llama3, ConfigError for numbers that are out of range.
inline RopeParams read_rope(ConfigReader& config, float default_theta) {
  RopeParams rope{.theta = config.number_or("rope_theta", default_theta)};
  if (config.flag_or("rope_interleave", false)) rope.pairing = RopePairing::interleaved;
  const Json* scaling = config.optional("rope_scaling");
  if (const Json* parameters = config.optional("rope_parameters")) scaling = parameters;
  if (scaling) read_rope_scaling(*scaling, rope);
  const auto* own = std::get_if<FactorsRopeScaling>(&rope.scaling);
  try {
    static_cast<void>(rope_frequencies(own ? 2 * own->factors.size() : 2, rope));
  } catch (const ConfigError& error) {
    raise<ConfigError>(scaling ? scaling->location() : config.object().location(), ": ", error.what());
  }
  return rope;
}

inline Activation read_activation(ConfigReader& config, std::string_view key) {
  const Json& value = config.required(key);
  const std::string_view kind = value.as_string();
  if (kind == "silu" || kind == "swish") return Activation::silu;
  if (kind == "gelu") return Activation::gelu;
  if (kind == "gelu_new" || kind == "gelu_pytorch_tanh" || kind == "gelu_fast") return Activation::gelu_tanh;
  if (kind == "relu") return Activation::relu;
  raise<UnsupportedError>(value.location(), ": the activation \"", kind, "\" is not supported");
}

}  // namespace weft::inline v0::arch
