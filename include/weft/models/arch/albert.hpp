#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/encoder_common.hpp>
#include <weft/models/arch/encoder_tensors.hpp>

namespace weft::inline v0::arch {

inline EncoderConfig read_albert(ConfigReader& config) {
  EncoderConfig c = read_encoder_sizes(config);
  c.norm_eps = read_eps_or(config, "layer_norm_eps", 1e-12f);
  c.activation = read_activation(config, "hidden_act");
  c.token_types = config.positive_or("type_vocab_size", 2);
  c.embedding = config.positive("embedding_size");
  c.projected = true;
  c.layer_groups = config.positive_or("num_hidden_groups", 1);
  c.group_layers = config.positive_or("inner_group_num", 1);
  c.layers *= c.group_layers;
  c.masked_activation = head_activation_of(c.activation);
  c.modules = {.embedding = "albert.encoder.embedding_hidden_mapping_in",
               .layer = "albert.encoder.albert_layer_groups.{}.albert_layers.{}",
               .attention = "attention.dense",
               .mlp = "ffn_output"};
  return c;
}

template <auto... Members>
inline constexpr auto in_group = slot<&EncoderWeights::groups, &EncoderGroupWeights::layers, Members...>;

/// A tensor of the weights that several layers share.
constexpr EncoderRow shared_row(std::string_view name, EncoderSlot slot, EncoderRow::Extent rows,
                                EncoderRow::Extent columns = nullptr) {
  return {.name = name,
          .gguf = "",
          .slot = slot,
          .rows = rows,
          .columns = columns,
          .layers = dim::layer_groups,
          .experts = dim::group_layers};
}

inline constexpr auto albert_embeddings = std::to_array<EncoderRow>({
    lookup_row("albert.embeddings.word_embeddings.weight", in_encoder::embedding, dim::vocab, dim::embedding),
    lookup_row("albert.embeddings.position_embeddings.weight", in_encoder::positions, dim::position_rows,
               dim::embedding),
    lookup_row("albert.embeddings.token_type_embeddings.weight", in_encoder::token_types, dim::token_types,
               dim::embedding),
    encoder_row("albert.embeddings.LayerNorm.weight", in_encoder::embedding_norm, dim::embedding),
    encoder_row("albert.embeddings.LayerNorm.bias", in_encoder::embedding_norm_bias, dim::embedding),
    encoder_row("albert.encoder.embedding_hidden_mapping_in.weight", in_encoder::projection, dim::hidden,
                dim::embedding),
    encoder_row("albert.encoder.embedding_hidden_mapping_in.bias", in_encoder::projection_bias, dim::hidden),
});

inline constexpr auto albert_layers = std::to_array<EncoderRow>({
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.attention.query.weight",
               in_group<&EncoderLayerWeights::attention, &AttentionWeights::q>, dim::query, dim::hidden),
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.attention.query.bias",
               in_group<&EncoderLayerWeights::attention, &AttentionWeights::q_bias>, dim::query),
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.attention.key.weight",
               in_group<&EncoderLayerWeights::attention, &AttentionWeights::k>, dim::key_value, dim::hidden),
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.attention.key.bias",
               in_group<&EncoderLayerWeights::attention, &AttentionWeights::k_bias>, dim::key_value),
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.attention.value.weight",
               in_group<&EncoderLayerWeights::attention, &AttentionWeights::v>, dim::key_value, dim::hidden),
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.attention.value.bias",
               in_group<&EncoderLayerWeights::attention, &AttentionWeights::v_bias>, dim::key_value),
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.attention.dense.weight",
               in_group<&EncoderLayerWeights::attention, &AttentionWeights::o>, dim::hidden, dim::query),
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.attention.dense.bias",
               in_group<&EncoderLayerWeights::attention, &AttentionWeights::o_bias>, dim::hidden),
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.attention.LayerNorm.weight",
               in_group<&EncoderLayerWeights::attention_norm, &NormWeights::gain>, dim::hidden),
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.attention.LayerNorm.bias",
               in_group<&EncoderLayerWeights::attention_norm, &NormWeights::bias>, dim::hidden),
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.ffn.weight",
               in_group<&EncoderLayerWeights::mlp, &MlpWeights::up>, dim::intermediate, dim::hidden),
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.ffn.bias",
               in_group<&EncoderLayerWeights::mlp, &MlpWeights::up_bias>, dim::intermediate),
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.ffn_output.weight",
               in_group<&EncoderLayerWeights::mlp, &MlpWeights::down>, dim::hidden, dim::intermediate),
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.ffn_output.bias",
               in_group<&EncoderLayerWeights::mlp, &MlpWeights::down_bias>, dim::hidden),
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.full_layer_layer_norm.weight",
               in_group<&EncoderLayerWeights::mlp_norm, &NormWeights::gain>, dim::hidden),
    shared_row("albert.encoder.albert_layer_groups.{}.albert_layers.{}.full_layer_layer_norm.bias",
               in_group<&EncoderLayerWeights::mlp_norm, &NormWeights::bias>, dim::hidden),
});

inline constexpr auto albert_tensors =
    joined(albert_embeddings, albert_layers,
           head_rows(task::pooler, true, "albert.pooler.weight", "albert.pooler.bias", in_encoder::pooler,
                     in_encoder::pooler_bias, dim::hidden),
           pooled_classes_rows, token_head_rows,
           masked_word_rows(task::masked_word, {.embedding = "albert.embeddings.word_embeddings.weight",
                                                .dense = "predictions.dense.weight",
                                                .dense_bias = "predictions.dense.bias",
                                                .norm = "predictions.LayerNorm.weight",
                                                .norm_bias = "predictions.LayerNorm.bias",
                                                .bias = "predictions.bias"}),
           head_rows(task::next_sentence, true, "sop_classifier.classifier.weight", "sop_classifier.classifier.bias",
                     in_encoder::next_sentence, in_encoder::next_sentence_bias, dim::two));

inline constexpr auto albert_ignored_keys = joined(encoder_ignored_keys, std::to_array<std::string_view>({
                                                                             "classifier_dropout_prob",
                                                                             "down_scale_factor",
                                                                             "gap_size",
                                                                             "net_structure_type",
                                                                             "num_memory_blocks",
                                                                         }));

inline constexpr auto albert_ignored_tensors = std::to_array<std::string_view>(
    {"predictions.decoder.weight", "predictions.decoder.bias", "albert.embeddings.position_ids"});

/// ALBERT (Lan et al. 2020, arXiv:1909.11942; transformers, models/albert/modeling_albert.py): layers that share their
/// weights, narrow embeddings; its pairs of sentences are in order (0) or swapped (1).
inline constexpr EncoderArchitecture albert{.model_type = "albert",
                                            .read_config = read_albert,
                                            .tensors = albert_tensors,
                                            .ignored_keys = albert_ignored_keys,
                                            .ignored_tensors = albert_ignored_tensors,
                                            .prefix = "albert."};

}  // namespace weft::inline v0::arch
