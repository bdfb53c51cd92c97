#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/bert.hpp>
#include <weft/models/arch/encoder_common.hpp>
#include <weft/models/arch/encoder_tensors.hpp>

namespace weft::inline v0::arch {

inline EncoderConfig read_electra(ConfigReader& config) {
  EncoderConfig c = read_bert_sizes(config);
  c.embedding = config.positive("embedding_size");
  c.pooler_activation = HeadActivation::gelu;
  c.replaced_activation = head_activation_of(c.activation);
  c.modules.embedding = c.has_projection() ? "electra.embeddings_project" : "electra.embeddings";
  c.modules.layer = "electra.encoder.layer.{}";
  return c;
}

inline constexpr auto electra_tensors =
    joined(bert_layers,
           head_rows(task::projected, false, "bert.embeddings_project.weight", "bert.embeddings_project.bias",
                     in_encoder::projection, in_encoder::projection_bias, dim::hidden, dim::embedding),
           dense_classes_rows, token_head_rows,
           masked_word_rows(task::masked_word_alone, {.embedding = "bert.embeddings.word_embeddings.weight",
                                                      .dense = "generator_predictions.dense.weight",
                                                      .dense_bias = "generator_predictions.dense.bias",
                                                      .norm = "generator_predictions.LayerNorm.weight",
                                                      .norm_bias = "generator_predictions.LayerNorm.bias",
                                                      .bias = "generator_lm_head.bias"}),
           head_rows(task::replaced_word, true, "discriminator_predictions.dense.weight",
                     "discriminator_predictions.dense.bias", in_encoder::replaced_dense,
                     in_encoder::replaced_dense_bias, dim::hidden),
           head_rows(task::replaced_word, true, "discriminator_predictions.dense_prediction.weight",
                     "discriminator_predictions.dense_prediction.bias", in_encoder::replaced_word,
                     in_encoder::replaced_word_bias, dim::one));

inline constexpr auto electra_ignored_keys = joined(encoder_ignored_keys, std::to_array<std::string_view>({
                                                                              "summary_activation",
                                                                              "summary_last_dropout",
                                                                              "summary_type",
                                                                              "summary_use_proj",
                                                                          }));

inline constexpr auto electra_ignored_tensors =
    std::to_array<std::string_view>({"generator_lm_head.weight", "bert.embeddings.position_ids"});

/// ELECTRA (Clark et al. 2020, arXiv:2003.10555; transformers, models/electra/modeling_electra.py), generators and
/// discriminators: BERT's layers, embeddings of another width.
inline constexpr EncoderArchitecture electra{.model_type = "electra",
                                             .read_config = read_electra,
                                             .tensors = electra_tensors,
                                             .ignored_keys = electra_ignored_keys,
                                             .ignored_tensors = electra_ignored_tensors,
                                             .prefix = "bert.",
                                             .stored_prefix = "electra."};

}  // namespace weft::inline v0::arch
