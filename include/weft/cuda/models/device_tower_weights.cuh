#pragma once

#include <cstddef>
#include <vector>

#include <weft/cuda/models/device_heads.cuh>
#include <weft/cuda/models/device_weights.cuh>
#include <weft/models/tower.hpp>
#include <weft/models/vision.hpp>

// The weights of a tower in device memory, name for name as the host has them (models/vision_weights.hpp).
namespace weft::inline v0::cuda {

enum class TowerKind : unsigned char { images, texts };

/// AttentionPoolWeights.
template <HalfStorage T>
struct DeviceAttentionPool {
  DeviceTensor<T, 1> probe;
  AttentionWeightsOn<Backend<T>> attention;
  NormWeightsOn<Backend<T>> norm;
  MlpWeightsOn<Backend<T>> mlp;
};

/// What VisionWeights has of one tower, with its heads.
template <HalfStorage T>
struct DeviceTowerWeights {
  LinearHeadOn<Backend<T>> patches;  // of images
  DeviceMatrix<T> words, positions;  // of texts; the host adds those of images up
  NormWeightsOn<Backend<T>> input_norm, norm;
  std::vector<EncoderLayerWeightsOn<Backend<T>>> layers;
  LinearHeadOn<Backend<T>> pooler, projection, classifier, distillation_classifier;
  DeviceAttentionPool<T> pool;

  const LinearHeadOn<Backend<T>>& head(TowerHead which) const noexcept {
    switch (which) {
      case TowerHead::pooler: return pooler;
      case TowerHead::projection: return projection;
      case TowerHead::classifier: return classifier;
      case TowerHead::distillation_classifier: break;
    }
    return distillation_classifier;
  }
};

namespace detail {

inline const TowerConfig& config_of(const VisionModel& model, TowerKind kind) noexcept {
  return kind == TowerKind::images ? model.config().image : model.config().text;
}

/// Calls f(which, head) for every head of a tower, absent ones too.
template <class F>
void for_each_head(const VisionWeights& w, TowerKind kind, F&& f) {
  if (kind == TowerKind::texts) return f(TowerHead::projection, w.text_projection);
  f(TowerHead::pooler, w.pooler), f(TowerHead::projection, w.image_projection);
  f(TowerHead::classifier, w.classifier), f(TowerHead::distillation_classifier, w.distillation_classifier);
}

/// What uploaded_tower() takes.
template <HalfStorage T>
DeviceMemory<T> tower_memory(const VisionModel& model, TowerKind kind) {
  const VisionWeights& w = model.weights();
  const bool images = kind == TowerKind::images;
  const TowerWeights& tower = images ? w.image : w.text;
  DeviceMemory<T> memory;
  const auto head = [&](const LinearHead& from) { memory(from.weight), memory(from.bias); };
  for (const EncoderLayerWeights& layer : tower.layers) for_each_weight(layer, memory);
  for_each_weight(tower.input_norm, memory), for_each_weight(tower.norm, memory);
  for_each_head(w, kind, [&](TowerHead, const LinearHead& from) { head(from); });
  if (!images) {
    memory(w.words), memory(tower.positions);
    return memory;
  }
  const AttentionPoolWeights& pool = w.attention_pooler;
  head(w.patches), memory(pool.probe);
  for_each_weight(pool.attention, memory), for_each_weight(pool.norm, memory), for_each_weight(pool.mlp, memory);
  return memory;
}

/// Copies the weights of a tower to the device.
template <HalfStorage T>
DeviceTowerWeights<T> uploaded_tower(const VisionModel& model, TowerKind kind, cudaStream_t stream) {
  const VisionWeights& w = model.weights();
  const bool images = kind == TowerKind::images;
  const TowerWeights& from = images ? w.image : w.text;
  const std::size_t hidden = config_of(model, kind).hidden;
  const LayerUploader<T> upload({.kernels = &model.kernels(), .executor = &model.executor()}, stream);
  const auto head = [&](const LinearHead& host) { return uploaded_head(upload, host); };
  DeviceTowerWeights<T> to;
  for (const EncoderLayerWeights& layer : from.layers) to.layers.push_back(upload.encoder_layer(layer, hidden));
  to.input_norm = upload.norm(from.input_norm, hidden);
  to.norm = upload.norm(from.norm, hidden);
  if (images) {
    const AttentionPoolWeights& pool = w.attention_pooler;
    to.patches = head(w.patches);
    to.pooler = head(w.pooler);
    to.projection = head(w.image_projection);
    to.classifier = head(w.classifier);
    to.distillation_classifier = head(w.distillation_classifier);
    to.pool = {upload.bias(pool.probe), upload.attention(pool.attention), upload.norm(pool.norm), upload.mlp(pool.mlp)};
  } else {
    to.words = upload.matrix(w.words);
    to.positions = upload.matrix(from.positions);
    to.projection = head(w.text_projection);
  }
  cuda::check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  return to;
}

}  // namespace detail

}  // namespace weft::inline v0::cuda
