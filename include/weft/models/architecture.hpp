#pragma once

#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/layers/transformer_block.hpp>
#include <weft/models/decoder_config.hpp>
#include <weft/models/tensor_table.hpp>

namespace weft::inline v0 {

/// All weights of a decoder. What a family does not have is empty.
struct DecoderWeights {
  AnyTensor embedding;           // (vocab, embedding_width)
  AnyTensor embedding_in;        // (hidden, embedding)
  AnyTensor embedding_out;       // (embedding, hidden)
  AnyTensor positions;           // (position_rows, hidden)
  AnyTensor relative_bias;       // (buckets, heads)
  NormWeights embedding_norm{};  // (hidden)
  std::vector<DecoderLayerWeights> layers;
  NormWeights final_norm{};        // (hidden)
  AnyTensor output;                // (vocab, embedding_width); the embedding where they are tied
  Tensor<float, 1> output_bias{};  // (vocab)

  void resize(const DecoderConfig& config) {
    layers.resize(config.layers);
    for (std::size_t i = 0; i < layers.size(); ++i)
      if (config.has_experts(i)) layers[i].moe.experts.resize(config.experts);
    if (!config.head_norms) return;
    for (DecoderLayerWeights& layer : layers) {
      layer.attention.q_head_norms.resize(config.heads);
      layer.attention.k_head_norms.resize(config.kv_heads);
    }
  }
};

/// Calls f on every matrix (const AnyTensor&) and every vector (const Tensor<float, 1>&), empty ones too.
template <class F>
void for_each_weight(const DecoderWeights& weights, F&& f) {
  const auto norm = [&](const NormWeights& w) { f(w.gain), f(w.bias); };
  const auto mlp = [&](const MlpWeights& w) {
    f(w.gate), f(w.up), f(w.down), f(w.gate_bias), f(w.up_bias), f(w.down_bias);
  };
  const auto attention = [&](const AttentionWeights& w) {
    f(w.q), f(w.k), f(w.v), f(w.o), f(w.q_bias), f(w.k_bias), f(w.v_bias), f(w.o_bias), norm(w.q_norm), norm(w.k_norm);
    for (const auto* heads : {&w.q_head_norms, &w.k_head_norms})
      for (const NormWeights& head : *heads) norm(head);
  };
  f(weights.embedding), f(weights.embedding_in), f(weights.embedding_out), f(weights.positions);
  f(weights.relative_bias), f(weights.output), f(weights.output_bias);
  norm(weights.embedding_norm), norm(weights.final_norm);
  for (const DecoderLayerWeights& layer : weights.layers) {
    attention(layer.attention), attention(layer.cross);
    for (const NormWeights* w :
         {&layer.attention_norm, &layer.attention_post_norm, &layer.cross_norm, &layer.mlp_norm, &layer.mlp_post_norm})
      norm(*w);
    mlp(layer.mlp), mlp(layer.moe.shared);
    f(layer.moe.router), f(layer.moe.shared_gate);
    for (const MlpWeights& expert : layer.moe.experts) mlp(expert);
  }
}

/// A family of decoders.
using DecoderArchitecture = Architecture<DecoderWeights, DecoderConfig>;
using DecoderRow = DecoderArchitecture::Row;

}  // namespace weft::inline v0
