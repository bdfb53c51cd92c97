#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <variant>

#include <weft/models/encoder_weights.hpp>

// What the tensor tables of encoders are made of: slots, extents, and tasks that need a tensor.
namespace weft::inline v0 {

namespace dim {

inline std::size_t embedding(const EncoderConfig& c) { return c.embedding; }
inline std::size_t position_rows(const EncoderConfig& c) { return c.position_rows; }
inline std::size_t token_types(const EncoderConfig& c) { return c.token_types; }
inline std::size_t buckets(const EncoderConfig& c) { return c.buckets.buckets; }
inline std::size_t heads(const EncoderConfig& c) { return c.heads; }
inline std::size_t classes(const EncoderConfig& c) { return c.classes; }
inline std::size_t layer_groups(const EncoderConfig& c) { return c.layer_groups; }
inline std::size_t group_layers(const EncoderConfig& c) { return c.group_layers; }
inline std::size_t one(const EncoderConfig&) { return 1; }
inline std::size_t two(const EncoderConfig&) { return 2; }

}  // namespace dim

namespace arch {
namespace in_encoder {

inline constexpr auto embedding = slot<&EncoderWeights::embedding>;
inline constexpr auto positions = slot<&EncoderWeights::positions>;
inline constexpr auto token_types = slot<&EncoderWeights::token_types>;
inline constexpr auto relative_bias = slot<&EncoderWeights::relative_bias>;
inline constexpr auto embedding_norm = slot<&EncoderWeights::embedding_norm, &NormWeights::gain>;
inline constexpr auto embedding_norm_bias = slot<&EncoderWeights::embedding_norm, &NormWeights::bias>;
inline constexpr auto projection = slot<&EncoderWeights::projection, &LinearHead::weight>;
inline constexpr auto projection_bias = slot<&EncoderWeights::projection, &LinearHead::bias>;

template <auto... Members>
inline constexpr auto in_layer = slot<&EncoderWeights::layers, Members...>;
template <auto Member>
inline constexpr auto in_attention = in_layer<&EncoderLayerWeights::attention, Member>;
template <auto Member>
inline constexpr auto in_mlp = in_layer<&EncoderLayerWeights::mlp, Member>;

inline constexpr auto q = in_attention<&AttentionWeights::q>;
inline constexpr auto k = in_attention<&AttentionWeights::k>;
inline constexpr auto v = in_attention<&AttentionWeights::v>;
inline constexpr auto o = in_attention<&AttentionWeights::o>;
inline constexpr auto q_bias = in_attention<&AttentionWeights::q_bias>;
inline constexpr auto k_bias = in_attention<&AttentionWeights::k_bias>;
inline constexpr auto v_bias = in_attention<&AttentionWeights::v_bias>;
inline constexpr auto o_bias = in_attention<&AttentionWeights::o_bias>;
inline constexpr auto up = in_mlp<&MlpWeights::up>;
inline constexpr auto down = in_mlp<&MlpWeights::down>;
inline constexpr auto up_bias = in_mlp<&MlpWeights::up_bias>;
inline constexpr auto down_bias = in_mlp<&MlpWeights::down_bias>;
inline constexpr auto attention_norm = in_layer<&EncoderLayerWeights::attention_norm, &NormWeights::gain>;
inline constexpr auto attention_norm_bias = in_layer<&EncoderLayerWeights::attention_norm, &NormWeights::bias>;
inline constexpr auto mlp_norm = in_layer<&EncoderLayerWeights::mlp_norm, &NormWeights::gain>;
inline constexpr auto mlp_norm_bias = in_layer<&EncoderLayerWeights::mlp_norm, &NormWeights::bias>;

inline constexpr auto pooler = slot<&EncoderWeights::pooler, &LinearHead::weight>;
inline constexpr auto pooler_bias = slot<&EncoderWeights::pooler, &LinearHead::bias>;
template <auto... Members>
inline constexpr auto in_masked = slot<&EncoderWeights::masked_word, Members...>;
inline constexpr auto masked_dense = in_masked<&MaskedWordHead::dense, &LinearHead::weight>;
inline constexpr auto masked_dense_bias = in_masked<&MaskedWordHead::dense, &LinearHead::bias>;
inline constexpr auto masked_norm = in_masked<&MaskedWordHead::norm, &NormWeights::gain>;
inline constexpr auto masked_norm_bias = in_masked<&MaskedWordHead::norm, &NormWeights::bias>;
inline constexpr auto masked_decoder = in_masked<&MaskedWordHead::decoder>;
inline constexpr auto masked_bias = in_masked<&MaskedWordHead::bias>;
inline constexpr auto next_sentence = slot<&EncoderWeights::next_sentence, &LinearHead::weight>;
inline constexpr auto next_sentence_bias = slot<&EncoderWeights::next_sentence, &LinearHead::bias>;
template <auto... Members>
inline constexpr auto in_sequence_head = slot<&EncoderWeights::sequence_classes, Members...>;
inline constexpr auto sequence_dense = in_sequence_head<&DenseHead::dense, &LinearHead::weight>;
inline constexpr auto sequence_dense_bias = in_sequence_head<&DenseHead::dense, &LinearHead::bias>;
inline constexpr auto sequence_classes = in_sequence_head<&DenseHead::output, &LinearHead::weight>;
inline constexpr auto sequence_classes_bias = in_sequence_head<&DenseHead::output, &LinearHead::bias>;
inline constexpr auto token_classes = slot<&EncoderWeights::token_classes, &LinearHead::weight>;
inline constexpr auto token_classes_bias = slot<&EncoderWeights::token_classes, &LinearHead::bias>;
inline constexpr auto answer_ends = slot<&EncoderWeights::answer_ends, &LinearHead::weight>;
inline constexpr auto answer_ends_bias = slot<&EncoderWeights::answer_ends, &LinearHead::bias>;
template <auto... Members>
inline constexpr auto in_replaced = slot<&EncoderWeights::replaced_word, Members...>;
inline constexpr auto replaced_dense = in_replaced<&DenseHead::dense, &LinearHead::weight>;
inline constexpr auto replaced_dense_bias = in_replaced<&DenseHead::dense, &LinearHead::bias>;
inline constexpr auto replaced_word = in_replaced<&DenseHead::output, &LinearHead::weight>;
inline constexpr auto replaced_word_bias = in_replaced<&DenseHead::output, &LinearHead::bias>;

}  // namespace in_encoder

/// Tasks that need a tensor: TensorRow::present.
namespace task {

template <EncoderTask... Tasks>
bool is([[maybe_unused]] const EncoderConfig& c, std::size_t) {
  return ((c.task == Tasks) || ...);
}
inline bool projected(const EncoderConfig& c, std::size_t) { return c.has_projection(); }

inline constexpr auto masked_word = is<EncoderTask::masked_word, EncoderTask::pretraining>;
inline constexpr auto masked_word_alone = is<EncoderTask::masked_word>;
inline constexpr auto replaced_word = is<EncoderTask::pretraining>;
inline constexpr auto next_sentence = is<EncoderTask::next_sentence, EncoderTask::pretraining>;
inline constexpr auto sequences = is<EncoderTask::sequence_classification>;
inline constexpr auto tokens = is<EncoderTask::token_classification>;
inline constexpr auto answers = is<EncoderTask::question_answering>;
inline constexpr auto pooler =
    is<EncoderTask::sequence_classification, EncoderTask::next_sentence, EncoderTask::pretraining>;
inline constexpr auto none = is<>;

}  // namespace task

using TaskNeeds = bool (*)(const EncoderConfig&, std::size_t);
using EncoderSlot = std::variant<EncoderRow::Matrix, EncoderRow::Vector>;

/// A tensor that every checkpoint of a family has.
constexpr EncoderRow encoder_row(std::string_view name, EncoderSlot slot, EncoderRow::Extent rows,
                                 EncoderRow::Extent columns = nullptr) {
  return {.name = name, .gguf = "", .slot = slot, .rows = rows, .columns = columns};
}

/// A table whose rows are looked up.
constexpr EncoderRow lookup_row(std::string_view name, EncoderSlot slot, EncoderRow::Extent rows,
                                EncoderRow::Extent columns, TaskNeeds needs = nullptr) {
  return {.name = name, .gguf = "", .slot = slot, .rows = rows, .columns = columns, .present = needs, .lookup = true};
}

/// A matrix and a bias of a head, which a task needs, and which other checkpoints have together or not at all where
/// `optional`.
constexpr std::array<EncoderRow, 2> head_rows(TaskNeeds needs, bool optional, std::string_view weight,
                                              std::string_view bias, EncoderSlot weight_slot, EncoderSlot bias_slot,
                                              EncoderRow::Extent rows, EncoderRow::Extent columns = dim::hidden) {
  const std::string_view with = optional ? weight : std::string_view();
  return {{{.name = weight,
            .gguf = "",
            .slot = weight_slot,
            .rows = rows,
            .columns = columns,
            .present = needs,
            .with = with},
           {.name = bias, .gguf = "", .slot = bias_slot, .rows = rows, .present = needs, .with = with}}};
}

/// What the head that predicts masked words is called.
struct MaskedWordNames {
  std::string_view embedding;
  std::string_view dense, dense_bias;
  std::string_view norm, norm_bias;
  std::string_view bias;
  EncoderRow::Extent width = dim::embedding;  // of what is decoded
};

/// The head that predicts masked words, whose decoder is the embedding: there where its bias is.
constexpr std::array<EncoderRow, 6> masked_word_rows(TaskNeeds needs, const MaskedWordNames& names) {
  const auto row = [&](std::string_view name, EncoderSlot slot, EncoderRow::Extent rows, EncoderRow::Extent columns,
                       bool repeated = false) -> EncoderRow {
    return {.name = name,
            .gguf = "",
            .slot = slot,
            .rows = rows,
            .columns = columns,
            .present = needs,
            .repeated = repeated,
            .with = names.bias};
  };
  return {row(names.dense, in_encoder::masked_dense, names.width, dim::hidden),
          row(names.dense_bias, in_encoder::masked_dense_bias, names.width, nullptr),
          row(names.norm, in_encoder::masked_norm, names.width, nullptr),
          row(names.norm_bias, in_encoder::masked_norm_bias, names.width, nullptr),
          row(names.embedding, in_encoder::masked_decoder, dim::vocab, dim::embedding, true),
          row(names.bias, in_encoder::masked_bias, dim::vocab, nullptr)};
}

/// The heads of the same name in all families but for what comes before the classes of a sequence.
inline constexpr auto token_head_rows =
    joined(head_rows(task::tokens, false, "classifier.weight", "classifier.bias", in_encoder::token_classes,
                     in_encoder::token_classes_bias, dim::classes),
           head_rows(task::answers, false, "qa_outputs.weight", "qa_outputs.bias", in_encoder::answer_ends,
                     in_encoder::answer_ends_bias, dim::two));

/// Classes of sequences as BERT has them, of what the pooler makes.
inline constexpr auto pooled_classes_rows =
    head_rows(task::sequences, false, "classifier.weight", "classifier.bias", in_encoder::sequence_classes,
              in_encoder::sequence_classes_bias, dim::classes);

/// A head in GGUF files, from its name there.
constexpr std::array<EncoderRow, 2> head_in_gguf(std::string_view weight, std::string_view bias,
                                                 const std::array<EncoderRow, 2>& rows) {
  return {in_gguf(weight, rows[0]), in_gguf(bias, rows[1])};
}

/// Classes of sequences as RoBERTa has them, with a dense part of their own.
constexpr auto dense_classes(std::string_view dense, std::string_view dense_bias, std::string_view output,
                             std::string_view output_bias) {
  return joined(head_in_gguf("cls.weight", "cls.bias",
                             head_rows(task::sequences, false, dense, dense_bias, in_encoder::sequence_dense,
                                       in_encoder::sequence_dense_bias, dim::hidden)),
                head_in_gguf("cls.output.weight", "cls.output.bias",
                             head_rows(task::sequences, false, output, output_bias, in_encoder::sequence_classes,
                                       in_encoder::sequence_classes_bias, dim::classes)));
}
inline constexpr auto dense_classes_rows = dense_classes("classifier.dense.weight", "classifier.dense.bias",
                                                         "classifier.out_proj.weight", "classifier.out_proj.bias");

}  // namespace arch
}  // namespace weft::inline v0
