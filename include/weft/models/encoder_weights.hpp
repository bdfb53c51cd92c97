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

/// All weights of an encoder. What a family or a checkpoint does not have is empty.
struct EncoderWeights {
  AnyTensor embedding;           // (vocab, embedding)
  AnyTensor positions;           // (position_rows, embedding)
  AnyTensor token_types;         // (token_types, embedding)
  NormWeights embedding_norm{};  // (embedding)
  LinearHead projection;         // (hidden, embedding)
  AnyTensor relative_bias;       // (buckets, heads)
  std::vector<EncoderLayerWeights> layers;
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
    if (config.bottleneck == 0) return layers.resize(config.weighted_layers());
    bottleneck_layers.resize(config.layers);
    for (BottleneckLayerWeights& layer : bottleneck_layers) layer.feed_forward.resize(config.feed_forward);
  }
};

/// Calls f on every matrix (const AnyTensor&) and every vector (const Tensor<float, 1>&), empty ones too; the decoder
/// of masked words, which is the embedding, is left out.
template <class F>
void for_each_weight(const EncoderWeights& weights, F&& f) {
  const auto norm = [&](const NormWeights& w) { f(w.gain), f(w.bias); };
  const auto head = [&](const LinearHead& w) { f(w.weight), f(w.bias); };
  const auto attention = [&](const AttentionWeights& w) {
    f(w.q), f(w.k), f(w.v), f(w.o), f(w.q_bias), f(w.k_bias), f(w.v_bias), f(w.o_bias);
  };
  const auto mlp = [&](const MlpWeights& w) {
    f(w.gate), f(w.up), f(w.down), f(w.gate_bias), f(w.up_bias), f(w.down_bias);
  };
  const auto bottleneck = [&](const BottleneckWeights& w) { f(w.weight), f(w.bias), norm(w.norm); };
  f(weights.embedding), f(weights.positions), f(weights.token_types), f(weights.relative_bias);
  norm(weights.embedding_norm), norm(weights.final_norm);
  for (const EncoderLayerWeights& layer : weights.layers)
    attention(layer.attention), mlp(layer.mlp), norm(layer.attention_norm), norm(layer.mlp_norm);
  for (const BottleneckLayerWeights& layer : weights.bottleneck_layers) {
    bottleneck(layer.input), bottleneck(layer.query_key), bottleneck(layer.output);
    attention(layer.attention), norm(layer.attention_norm), mlp(layer.last.mlp), norm(layer.last.norm);
    for (const NormedMlpWeights& w : layer.feed_forward) mlp(w.mlp), norm(w.norm);
  }
  norm(weights.masked_word.norm), f(weights.masked_word.bias), f(weights.masked_word.rest);
  for (const LinearHead* w :
       {&weights.projection, &weights.pooler, &weights.masked_word.dense, &weights.next_sentence,
        &weights.sequence_classes.dense, &weights.sequence_classes.output, &weights.token_classes, &weights.answer_ends,
        &weights.replaced_word.dense, &weights.replaced_word.output, &weights.sentence.linear})
    head(*w);
}

/// A family of encoders.
using EncoderArchitecture = Architecture<EncoderWeights, EncoderConfig>;
using EncoderRow = EncoderArchitecture::Row;

}  // namespace weft::inline v0
