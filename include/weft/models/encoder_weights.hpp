#pragma once

#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
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

  LinearHead pooler;           // (hidden, hidden)
  MaskedWordHead masked_word;  // its decoder is the embedding
  LinearHead next_sentence;    // (2, hidden)
  DenseHead sequence_classes;  // without a dense part it takes what the pooler makes
  LinearHead token_classes;    // (classes, hidden)
  LinearHead answer_ends;      // (2, hidden)
  DenseHead replaced_word;     // (1, hidden)

  void resize(const EncoderConfig& config) { layers.resize(config.weighted_layers()); }
};

/// Calls f on every matrix (const AnyTensor&) and every vector (const Tensor<float, 1>&), empty ones too; the decoder
/// of masked words, which is the embedding, is left out.
template <class F>
void for_each_weight(const EncoderWeights& weights, F&& f) {
  const auto norm = [&](const NormWeights& w) { f(w.gain), f(w.bias); };
  const auto head = [&](const LinearHead& w) { f(w.weight), f(w.bias); };
  f(weights.embedding), f(weights.positions), f(weights.token_types), f(weights.relative_bias);
  norm(weights.embedding_norm);
  for (const EncoderLayerWeights& layer : weights.layers) {
    const AttentionWeights& a = layer.attention;
    f(a.q), f(a.k), f(a.v), f(a.o), f(a.q_bias), f(a.k_bias), f(a.v_bias), f(a.o_bias);
    const MlpWeights& m = layer.mlp;
    f(m.gate), f(m.up), f(m.down), f(m.gate_bias), f(m.up_bias), f(m.down_bias);
    norm(layer.attention_norm), norm(layer.mlp_norm);
  }
  norm(weights.masked_word.norm), f(weights.masked_word.bias);
  for (const LinearHead* w : {&weights.projection, &weights.pooler, &weights.masked_word.dense, &weights.next_sentence,
                              &weights.sequence_classes.dense, &weights.sequence_classes.output, &weights.token_classes,
                              &weights.answer_ends, &weights.replaced_word.dense, &weights.replaced_word.output})
    head(*w);
}

/// A family of encoders.
using EncoderArchitecture = Architecture<EncoderWeights, EncoderConfig>;
using EncoderRow = EncoderArchitecture::Row;

}  // namespace weft::inline v0
