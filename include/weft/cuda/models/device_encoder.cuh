#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include <weft/cuda/models/device_heads.cuh>
#include <weft/cuda/models/device_weights.cuh>
#include <weft/models/encoder.hpp>

namespace weft::inline v0::cuda {

/// EncoderWeights.
template <HalfStorage T>
struct DeviceEncoderWeights {
  std::shared_ptr<const DeviceMatrix<T>> embedding;
  DeviceMatrix<T> token_types;
  DeviceMatrix<T> positions;  // from that of position 0 on
  NormWeightsOn<Backend<T>> embedding_norm, final_norm;
  DeviceMatrix<T> projection;
  DeviceTensor<T, 1> projection_bias;
  DeviceTensor<float, 1> relative_bias;                   // AttentionParams::relative_bias
  std::vector<EncoderLayerWeightsOn<Backend<T>>> layers;  // those of groups one group after the other
  std::vector<BottleneckLayerWeightsOn<Backend<T>>> bottleneck_layers;
  DeviceEncoderHeads<T> heads;
};

namespace detail {

/// Copies the weights of an encoder to the device.
template <HalfStorage T>
DeviceEncoderWeights<T> uploaded(const Encoder& model, std::shared_ptr<const DeviceMatrix<T>> embedding,
                                 cudaStream_t stream) {
  const EncoderConfig& c = model.config();
  const EncoderWeights& w = model.weights();
  const cpu::Context ctx{.kernels = &model.kernels(), .executor = &model.executor()};
  const LayerUploader<T> upload(ctx, stream);
  DeviceEncoderWeights<T> d;
  d.embedding = embedding ? std::move(embedding) : std::make_shared<const DeviceMatrix<T>>(upload.matrix(w.embedding));
  d.token_types = upload.matrix(w.token_types);
  if (w.positions) d.positions = upload.matrix(w.positions.rows(c.position_offset, w.positions.extent(0)));
  d.embedding_norm = upload.norm(w.embedding_norm);
  d.final_norm = upload.norm(w.final_norm);
  d.projection = upload.matrix(w.projection.weight);
  d.projection_bias = upload.bias(w.projection.bias);
  if (c.relative_bias) d.relative_bias = upload.floats(weft::relative_bias(w.relative_bias, c.buckets, ctx));
  for (const EncoderLayerWeights& layer : w.layers) d.layers.push_back(upload.encoder_layer(layer, c.hidden));
  for (const EncoderGroupWeights& group : w.groups)
    for (const EncoderLayerWeights& layer : group.layers) d.layers.push_back(upload.encoder_layer(layer, c.hidden));
  for (const BottleneckLayerWeights& layer : w.bottleneck_layers)
    d.bottleneck_layers.push_back(upload.bottleneck_layer(layer));
  d.heads = uploaded_heads(upload, w);
  cuda::check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  return d;
}

}  // namespace detail

/// An encoder whose weights lie in device memory, as elements of T or in blocks
/// (DeviceMatrix): immutable, shared by any number of DeviceEncoderPasses on that device, cheap to copy. The model it
/// was made of stays where it was loaded.
///
///   cuda::DeviceEncoder model(load_encoder(path, {.load = Load::in_place}));
template <HalfStorage T = half>
class DeviceEncoder {
 public:
  /// Copies the weights. Throws UnsupportedError for heads of more than 256 elements, CudaError where there is no
  /// device, and, before anything is copied, where there is too little memory, with how much is missing. embedding:
  /// that of another model on the device that has the same; none: it is copied too.
  explicit DeviceEncoder(Encoder model, cudaStream_t stream = {},
                         std::shared_ptr<const DeviceMatrix<T>> embedding = nullptr)
      : parts_(load(std::move(model), stream, std::move(embedding))) {}

  const Encoder& host() const noexcept { return parts_->model; }
  const EncoderConfig& config() const noexcept { return host().config(); }
  const DeviceEncoderWeights<T>& weights() const noexcept { return parts_->weights; }
  /// Where they lie: what was the current device when the weights were copied.
  int device() const noexcept { return parts_->device; }

  /// The device memory that the weights of a model take.
  static std::size_t bytes_for(const Encoder& model) {
    detail::DeviceMemory<T> memory;
    for_each_weight(model.weights(), memory);
    return memory.bytes;
  }
  /// The device memory that is taken besides while they are copied.
  static std::size_t staging_bytes_for(const Encoder& model) {
    detail::DeviceMemory<T> memory;
    for_each_weight(model.weights(), memory);
    return memory.staging_bytes;
  }

 private:
  struct Parts {
    Encoder model;
    DeviceEncoderWeights<T> weights;
    int device;
  };

  static std::shared_ptr<const Parts> load(Encoder model, cudaStream_t stream,
                                           std::shared_ptr<const DeviceMatrix<T>> embedding) {
    if (model.config().head_dim > 256)
      raise<UnsupportedError>("DeviceEncoder: heads of ", model.config().head_dim,
                              " elements; the device takes up to 256");
    const std::size_t there = embedding ? DeviceMatrix<T>::bytes_for(model.weights().embedding) : 0;
    require_free_bytes("the model", bytes_for(model) + staging_bytes_for(model) - there);
    DeviceEncoderWeights<T> weights = detail::uploaded<T>(model, std::move(embedding), stream);
    return std::make_shared<const Parts>(Parts{std::move(model), std::move(weights), current_device()});
  }

  std::shared_ptr<const Parts> parts_;
};

}  // namespace weft::inline v0::cuda
