#pragma once

#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/layers/encoder_block.hpp>
#include <weft/models/encoder_heads.hpp>
#include <weft/models/tensor_table.hpp>
#include <weft/models/vision_config.hpp>

namespace weft::inline v0 {

struct TowerWeights {
  AnyTensor positions;       // (tokens, hidden)
  NormWeights input_norm{};  // (hidden)
  std::vector<EncoderLayerWeights> layers;
  NormWeights norm{};  // (hidden)
};

/// Attention of one learned token to all tokens of an image, and a feed-forward layer (Zhai et al. 2022,
/// arXiv:2106.04560).
struct AttentionPoolWeights {
  Tensor<float, 1> probe{};  // (hidden)
  AttentionWeights attention{};
  NormWeights norm{};  // (hidden)
  MlpWeights mlp{};
};

/// All weights of a model that sees images. What a family or a checkpoint does not have is empty.
struct VisionWeights {
  TowerWeights image;
  LinearHead patches;                     // (hidden, channels * patch_height * patch_width)
  Tensor<float, 1> class_token{};         // (hidden)
  Tensor<float, 1> distillation_token{};  // (hidden)
  LinearHead pooler;                      // (pooled, hidden)
  AttentionPoolWeights attention_pooler{};
  LinearHead classifier;               // (classes, hidden)
  LinearHead distillation_classifier;  // (classes, hidden)
  LinearHead image_projection;         // (projection, pooled)

  TowerWeights text;
  AnyTensor words;                 // (vocab, hidden)
  LinearHead text_projection;      // (projection, hidden)
  Tensor<float, 1> logit_scale{};  // (1) its logarithm
  Tensor<float, 1> logit_bias{};   // (1)

  void resize(const VisionConfig& config) {
    image.layers.resize(config.image.layers);
    text.layers.resize(config.text.layers);
  }
};

/// Calls f on every matrix (const AnyTensor&) and every vector (const Tensor<float, 1>&), empty ones too.
template <class F>
void for_each_weight(const VisionWeights& weights, F&& f) {
  const auto norm = [&](const NormWeights& w) { f(w.gain), f(w.bias); };
  const auto head = [&](const LinearHead& w) { f(w.weight), f(w.bias); };
  const auto attention = [&](const AttentionWeights& w) {
    f(w.q), f(w.k), f(w.v), f(w.o), f(w.q_bias), f(w.k_bias), f(w.v_bias), f(w.o_bias);
  };
  const auto mlp = [&](const MlpWeights& w) { f(w.up), f(w.down), f(w.up_bias), f(w.down_bias); };
  for (const TowerWeights* tower : {&weights.image, &weights.text}) {
    f(tower->positions), norm(tower->input_norm), norm(tower->norm);
    for (const EncoderLayerWeights& layer : tower->layers)
      attention(layer.attention), mlp(layer.mlp), norm(layer.attention_norm), norm(layer.mlp_norm);
  }
  f(weights.class_token), f(weights.distillation_token), f(weights.words);
  f(weights.logit_scale), f(weights.logit_bias);
  const AttentionPoolWeights& pooler = weights.attention_pooler;
  f(pooler.probe), attention(pooler.attention), norm(pooler.norm), mlp(pooler.mlp);
  for (const LinearHead* w : {&weights.patches, &weights.pooler, &weights.classifier, &weights.distillation_classifier,
                              &weights.image_projection, &weights.text_projection})
    head(*w);
}

/// A family of models that see images.
using VisionArchitecture = Architecture<VisionWeights, VisionConfig>;
using VisionRow = VisionArchitecture::Row;

}  // namespace weft::inline v0
