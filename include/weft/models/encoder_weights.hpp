#pragma once

#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/layers/bottleneck_block.hpp>
#include <weft/layers/encoder_block.hpp>
#include <weft/models/encoder_config.hpp>
#include <weft/models/encoder_heads.hpp>
#include <weft/models/tensor_table.hpp>

namespace weft::inline v0 {

/// Layers that are run one after the other, again and again.
struct EncoderGroupWeights {
  std::vector<EncoderLayerWeights> layers;
};

/// All weights of an encoder. What a family or a checkpoint does not have is empty.
struct EncoderWeights {
  AnyTensor embedding;           // (vocab, embedding)
  AnyTensor positions;           // (position_rows, embedding)
  AnyTensor token_types;         // (token_types, embedding)
  NormWeights embedding_norm{};  // (embedding)
  LinearHead projection;         // (hidden, embedding)
  AnyTensor relative_bias;       // (buckets, heads)
  std::vector<EncoderLayerWeights> layers;
  std::vector<EncoderGroupWeights> groups;                // ALBERT's
  std::vector<BottleneckLayerWeights> bottleneck_layers;  // MobileBERT's
  NormWeights final_norm{};                               // (hidden)

  LinearHead pooler;           // (hidden, hidden)
  MaskedWordHead masked_word;  // its decoder is the embedding
  LinearHead next_sentence;    // (2, hidden)
  DenseHead sequence_classes;  // without a dense part it takes what the pooler makes
  LinearHead token_classes;    // (classes, hidden)
  LinearHead answer_ends;      // (2, hidden)
  DenseHead replaced_word;     // (1, hidden)
  SentenceLayer sentence;      // (out, hidden)

  void resize(const EncoderConfig& config) {
    groups.resize(config.layer_groups);
    for (EncoderGroupWeights& group : groups) group.layers.resize(config.group_layers);
    if (config.layer_groups != 0) return;
    if (config.bottleneck == 0) return layers.resize(config.layers);
    bottleneck_layers.resize(config.layers);
    for (BottleneckLayerWeights& layer : bottleneck_layers) layer.feed_forward.resize(config.feed_forward);
  }
};

/// Calls f on every matrix (const AnyTensor&) and every vector (const Tensor<float, 1>&) that hidden states are made
/// with, empty ones too.
template <class F>
void for_each_hidden_weight(const EncoderWeights& weights, F&& f) {
  const auto bottleneck = [&](const BottleneckWeights& w) { f(w.weight), f(w.bias), for_each_weight(w.norm, f); };
  const auto normed_mlp = [&](const NormedMlpWeights& w) { for_each_weight(w.mlp, f), for_each_weight(w.norm, f); };
  f(weights.embedding), f(weights.positions), f(weights.token_types), f(weights.relative_bias);
  for_each_weight(weights.embedding_norm, f), for_each_weight(weights.final_norm, f);
  for (const EncoderLayerWeights& w : weights.layers) for_each_weight(w, f);
  for (const EncoderGroupWeights& group : weights.groups)
    for (const EncoderLayerWeights& w : group.layers) for_each_weight(w, f);
  for (const BottleneckLayerWeights& w : weights.bottleneck_layers) {
    bottleneck(w.input), bottleneck(w.query_key), bottleneck(w.output);
    for_each_weight(w.attention, f), for_each_weight(w.attention_norm, f), normed_mlp(w.last);
    for (const NormedMlpWeights& part : w.feed_forward) normed_mlp(part);
  }
  f(weights.projection.weight), f(weights.projection.bias);
}

/// The same and those of the heads; the decoder of masked words, which is the embedding, is left out.
template <class F>
void for_each_weight(const EncoderWeights& weights, F&& f) {
  const auto head = [&](const LinearHead& w) { f(w.weight), f(w.bias); };
  for_each_hidden_weight(weights, f);
  for_each_weight(weights.masked_word.norm, f), f(weights.masked_word.bias), f(weights.masked_word.rest);
  for (const LinearHead* w :
       {&weights.pooler, &weights.masked_word.dense, &weights.next_sentence, &weights.sequence_classes.dense,
        &weights.sequence_classes.output, &weights.token_classes, &weights.answer_ends, &weights.replaced_word.dense,
        &weights.replaced_word.output, &weights.sentence.linear})
    head(*w);
}

/// A family of encoders.
using EncoderArchitecture = Architecture<EncoderWeights, EncoderConfig>;
using EncoderRow = EncoderArchitecture::Row;

}  // namespace weft::inline v0
