#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/bert.hpp>
#include <weft/models/arch/encoder_common.hpp>
#include <weft/models/arch/encoder_tensors.hpp>

namespace weft::inline v0::arch {

inline EncoderConfig read_roberta(ConfigReader& config) {
  EncoderConfig c = read_bert_sizes(config);
  read_positions_after_padding(config, c, config.count_or("pad_token_id", 1));
  c.modules.embedding = "roberta.embeddings";
  c.modules.layer = "roberta.encoder.layer.{}";
  return c;
}

/// The head for masked words of RoBERTa and MPNet.
constexpr std::array<EncoderRow, 6> lm_head_rows(std::string_view embedding) {
  return masked_word_rows(task::masked_word, {.embedding = embedding,
                                              .dense = "lm_head.dense.weight",
                                              .dense_bias = "lm_head.dense.bias",
                                              .norm = "lm_head.layer_norm.weight",
                                              .norm_bias = "lm_head.layer_norm.bias",
                                              .bias = "lm_head.bias"});
}

inline constexpr auto roberta_tensors = joined(bert_layers, bert_pooler(task::none), dense_classes_rows,
                                               token_head_rows, lm_head_rows("bert.embeddings.word_embeddings.weight"));

inline constexpr auto roberta_ignored_tensors =
    std::to_array<std::string_view>({"lm_head.decoder.weight", "lm_head.decoder.bias", "bert.embeddings.position_ids"});

/// A family with RoBERTa's graph and names.
constexpr EncoderArchitecture like_roberta(std::string_view model_type) {
  return {.model_type = model_type,
          .read_config = read_roberta,
          .tensors = roberta_tensors,
          .ignored_keys = encoder_ignored_keys,
          .ignored_tensors = roberta_ignored_tensors,
          .prefix = "bert.",
          .stored_prefix = "roberta."};
}

/// RoBERTa (Liu et al. 2019, arXiv:1907.11692; transformers, models/roberta/modeling_roberta.py): BERT's graph,
/// positions from the row after that of padding on.
inline constexpr EncoderArchitecture roberta = like_roberta("roberta");

/// XLM-RoBERTa (transformers, models/xlm_roberta/modeling_xlm_roberta.py).
inline constexpr EncoderArchitecture xlm_roberta = like_roberta("xlm-roberta");

/// CamemBERT (transformers, models/camembert/modeling_camembert.py).
inline constexpr EncoderArchitecture camembert = like_roberta("camembert");

}  // namespace weft::inline v0::arch
