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
  const auto head = [&](const LinearHead& w) { f(w.weight), f(w.bias); };
  for (const TowerWeights* tower : {&weights.image, &weights.text}) {
    f(tower->positions), for_each_weight(tower->input_norm, f), for_each_weight(tower->norm, f);
    for (const EncoderLayerWeights& layer : tower->layers) for_each_weight(layer, f);
  }
  f(weights.class_token), f(weights.distillation_token), f(weights.words);
  f(weights.logit_scale), f(weights.logit_bias);
  const AttentionPoolWeights& pooler = weights.attention_pooler;
  f(pooler.probe), for_each_weight(pooler.attention, f), for_each_weight(pooler.norm, f),
      for_each_weight(pooler.mlp, f);
  for (const LinearHead* w : {&weights.patches, &weights.pooler, &weights.classifier, &weights.distillation_classifier,
                              &weights.image_projection, &weights.text_projection})
    head(*w);
}

/// A family of models that see images.
using VisionArchitecture = Architecture<VisionWeights, VisionConfig>;
using VisionRow = VisionArchitecture::Row;

}  // namespace weft::inline v0
