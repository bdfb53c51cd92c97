#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/layers/encoder_block.hpp>
#include <weft/ops/relative_bias.hpp>

namespace weft::inline v0 {

/// What the reference implementation calls the modules whose outputs taps see. The characters must outlive the model.
struct EncoderModules {
  std::string_view embedding = "bert.embeddings";  ///< what enters the first layer
  std::string_view layer = "bert.encoder.layer.{}";
  std::string_view attention = "attention.output.dense";  ///< inside a layer, before the residual, as mlp
  std::string_view mlp = "output.dense";
  std::string_view norm = "layernorm";  ///< after the last layer, where the form has one

  bool operator==(const EncoderModules&) const = default;
};

/// What a checkpoint was trained for, as its "architectures" say.
enum class EncoderTask : unsigned char {
  none,                     ///< hidden states, embeddings
  masked_word,              ///< ...ForMaskedLM
  pretraining,              ///< ...ForPreTraining: masked words and sentence pairs, or, for ELECTRA, replaced words
  next_sentence,            ///< ...ForNextSentencePrediction
  sequence_classification,  ///< ...ForSequenceClassification
  token_classification,     ///< ...ForTokenClassification
  question_answering,       ///< ...ForQuestionAnswering
};

/// The activations of heads: those of the layers, and tanh.
enum class HeadActivation : unsigned char { tanh, relu, gelu, gelu_tanh, quick_gelu, silu };

/// What goes through the bottlenecks of a layer (BottleneckLayerWeights).
enum class BottleneckForm : unsigned char {
  query_key,  ///< queries and keys through one, the rest but for values through another
  one,        ///< all through one
  none,       ///< there is none
};

/// The sizes and choices of an encoder, in the words of the field. Fields beyond the sizes have neutral values that
/// change nothing.
struct EncoderConfig {
  std::size_t vocab = 0;
  std::size_t hidden = 0;
  std::size_t intermediate = 0;
  std::size_t layers = 0;  ///< that are run
  std::size_t heads = 0;
  std::size_t head_dim = 0;
  std::size_t context = 0;    ///< positions the model was made for
  std::size_t embedding = 0;  ///< width of the tables of embeddings; where it is not `hidden`, a projection follows

  EncoderForm form = EncoderForm::post_norm;
  NormKind norm = NormKind::layer;
  float norm_eps = 0.f;
  Activation activation = Activation::gelu;
  std::size_t layer_groups = 0;  ///< groups of layers that have weights, run one after the other until `layers` are
                                 ///< run, each group several times before the next; 0: every layer has its own weights
  std::size_t group_layers = 1;  ///< layers of a group
  bool gated = false;            ///< feed-forward layers have a gate
  float embedding_scale = 1.f;   ///< embeddings of words are multiplied with it
  float attention_scale = 0.f;   ///< what scores are multiplied with; 0: 1 / sqrt(head_dim)
  bool projected = false;        ///< a projection follows the embedding although the widths are equal

  // Layers with a bottleneck (bottleneck_block).
  std::size_t bottleneck = 0;  ///< the width of their halves; 0: layers are those of encoder_block
  BottleneckForm bottleneck_form = BottleneckForm::query_key;
  std::size_t feed_forward = 0;  ///< feed-forward layers before the last
  float outer_norm_eps = 0.f;    ///< of the norm of the embedding and that after the last feed-forward layer
  bool projected_first = false;  ///< positions and token types are added to what the projection makes
  bool trigrams = false;         ///< the projection takes the embeddings of the next, this and the previous token

  // Positions and segments.
  std::size_t position_rows = 0;    ///< rows of the table of learned positions
  std::size_t position_offset = 0;  ///< the row of position 0
  std::size_t token_types = 0;      ///< rows of the table of token types (segments); 0: there is none
  bool relative_bias = false;       ///< biases of scores in buckets of distances, the same in every layer
  RelativeBuckets buckets{};

  // Heads.
  EncoderTask task = EncoderTask::none;
  std::size_t classes = 2;
  std::vector<std::string> labels{};                          ///< (classes) their names, where the config has them
  bool plain_pooler = false;                                  ///< what the pooler makes is the first token as it is
  HeadActivation pooler_activation = HeadActivation::tanh;    ///< of the first token before sequences are classified
  HeadActivation masked_activation = HeadActivation::gelu;    ///< of the transform before words are predicted
  HeadActivation replaced_activation = HeadActivation::gelu;  ///< of ELECTRA's discriminator

  EncoderModules modules{};

  std::size_t query() const noexcept { return heads * head_dim; }
  std::size_t key_value() const noexcept { return query(); }
  bool has_projection() const noexcept { return projected || embedding != hidden; }
  /// The width of the tables of positions and token types.
  std::size_t added_width() const noexcept { return projected_first ? hidden : embedding; }
  /// Which weights a layer has: the number of its group and that in the group, or its own number and 0.
  std::array<std::size_t, 2> weights_of(std::size_t layer) const noexcept {
    if (layer_groups == 0) return {layer, 0};
    return {layer / group_layers * layer_groups / (layers / group_layers), layer % group_layers};
  }
  float score_scale() const noexcept {
    return attention_scale != 0.f ? attention_scale : 1.f / std::sqrt(static_cast<float>(head_dim));
  }
  NormParams norm_params() const noexcept { return {.eps = norm_eps, .kind = norm}; }
  /// Of the norm of the embedding.
  NormParams embedding_norm_params() const noexcept {
    return {.eps = bottleneck ? outer_norm_eps : norm_eps, .kind = norm};
  }
  /// What layers are computed with; biases as AttentionParams has them, where the computation has them.
  EncoderLayerParams layer_params(std::span<const float> relative_biases) const noexcept {
    return {.form = form,
            .norm = norm_params(),
            .activation = activation,
            .scores = {.scale = score_scale(), .causal = false, .relative_bias = relative_biases},
            .head_dim = head_dim,
            .attention_name = modules.attention,
            .mlp_name = modules.mlp};
  }

  bool operator==(const EncoderConfig&) const = default;
};

}  // namespace weft::inline v0
