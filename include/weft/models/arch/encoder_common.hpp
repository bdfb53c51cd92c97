#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/models/arch/common.hpp>
#include <weft/models/config_reader.hpp>
#include <weft/models/encoder_config.hpp>
#include <weft/models/tensor_table.hpp>

// The parts of config.json that encoders have in common.
namespace weft::inline v0::arch {

/// Keys that every encoder may carry and that do not change what it computes.
inline constexpr auto encoder_ignored_keys = joined(common_ignored_keys, std::to_array<std::string_view>({
                                                                             "hidden_dropout_prob",
                                                                             "attention_probs_dropout_prob",
                                                                             "cross_attention_hidden_size",
                                                                             "output_past",
                                                                             "directionality",
                                                                             "pooler_fc_size",
                                                                             "pooler_num_attention_heads",
                                                                             "pooler_num_fc_layers",
                                                                             "pooler_size_per_head",
                                                                             "pooler_type",
                                                                             "layer_norm_type",
                                                                             "sentence_transformers",
                                                                             "sbert_ce_default_activation_function",
                                                                             "language",
                                                                             "name",
                                                                         }));

/// What the checkpoint was trained for. Throws UnsupportedError for a model with another head.
inline EncoderTask read_task(ConfigReader& config) {
  constexpr auto tasks = std::to_array<std::pair<std::string_view, EncoderTask>>({
      {"Model", EncoderTask::none},
      {"ForMaskedLM", EncoderTask::masked_word},
      {"ForPreTraining", EncoderTask::pretraining},
      {"ForNextSentencePrediction", EncoderTask::next_sentence},
      {"ForSequenceClassification", EncoderTask::sequence_classification},
      {"ForTokenClassification", EncoderTask::token_classification},
      {"ForQuestionAnswering", EncoderTask::question_answering},
  });
  const Json* names = config.optional("architectures");
  if (!names || names->as_array().empty()) return EncoderTask::none;
  const Json& name = names->at(0);
  for (const auto& [ending, task] : tasks)
    if (name.as_string().ends_with(ending)) return task;
  raise<UnsupportedError>(name.location(), ": models of class \"", name.as_string(), "\" are not supported");
}

/// The names of classes as id2label has them; empty where there is none. Throws ConfigError where a number is missing.
inline std::vector<std::string> read_labels(ConfigReader& config) {
  std::vector<std::string> labels;
  const Json* names = config.optional("id2label");
  if (!names) return labels;
  for (std::size_t i = 0; i < names->as_object().size(); ++i) {
    const Json* label = names->find(std::to_string(i));
    if (!label) raise<ConfigError>(names->location(), ": there is no class ", i, " of ", names->size());
    labels.emplace_back(label->as_string());
  }
  return labels;
}

/// The sizes that all encoders have, and what they were trained for. Throws ConfigError where sizes are missing or
/// contradict each other, UnsupportedError for decoders and for positions that are not learned.
inline EncoderConfig read_encoder_sizes(ConfigReader& config, const SizeKeys& keys = {}) {
  EncoderConfig c;
  c.vocab = config.positive("vocab_size");
  c.hidden = config.positive(keys.hidden);
  c.intermediate = config.positive(keys.intermediate);
  c.layers = config.positive(keys.layers);
  c.heads = config.positive(keys.heads);
  c.context = config.positive(keys.context);
  if (c.hidden % c.heads != 0)
    raise<ConfigError>(config.object().location(), ": ", keys.hidden, " ", c.hidden, " is not a multiple of ",
                       keys.heads, " ", c.heads);
  c.head_dim = c.hidden / c.heads;
  c.embedding = c.hidden;
  c.position_rows = c.context;
  c.task = read_task(config);
  c.labels = read_labels(config);
  c.classes = c.labels.empty() ? config.positive_or("num_labels", 2) : c.labels.size();
  for (const char* key : {"is_decoder", "add_cross_attention", "is_encoder_decoder", "pruned_heads"})
    config.refuse(key);
  if (const Json* kind = config.optional("position_embedding_type"); kind && kind->as_string() != "absolute")
    raise<UnsupportedError>(kind->location(), ": positions of type \"", kind->as_string(),
                            "\" are not supported (absolute is)");
  if (!config.flag_or("tie_word_embeddings", true))
    raise<UnsupportedError>(config.object().location(),
                            ": a decoder of masked words that is not the embedding is not supported");
  return c;
}

/// The activation of a head that is that of the layers.
inline HeadActivation head_activation_of(Activation activation) noexcept {
  switch (activation) {
    case Activation::silu: return HeadActivation::silu;
    case Activation::gelu: return HeadActivation::gelu;
    case Activation::gelu_tanh: return HeadActivation::gelu_tanh;
    case Activation::quick_gelu: return HeadActivation::quick_gelu;
    default: return HeadActivation::relu;
  }
}

/// The position of the first token is the row after that of padding, as in fairseq: the rows before it are none.
inline void read_positions_after_padding(ConfigReader& config, EncoderConfig& c, std::size_t padding) {
  c.position_offset = padding + 1;
  if (c.position_rows <= c.position_offset)
    raise<ConfigError>(config.object().location(), ": max_position_embeddings ", c.position_rows,
                       " leaves no position after the ", c.position_offset, " of padding");
  c.context = c.position_rows - c.position_offset;
}

}  // namespace weft::inline v0::arch
