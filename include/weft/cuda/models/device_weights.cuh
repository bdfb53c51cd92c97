#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include <weft/cuda/core/device.cuh>
#include <weft/cuda/layers/upload.cuh>
#include <weft/layers/transformer_block.hpp>
#include <weft/models/causal_lm.hpp>

// The weights of a decoder in device memory, name for name as the host has them (models/architecture.hpp, layers/).
namespace weft::inline v0::cuda {

template <HalfStorage T>
struct DeviceDecoderWeights {
  DeviceMatrix<T> embedding, embedding_in, embedding_out;
  DeviceMatrix<T> positions;  // from that of position 0 on
  DeviceMatrix<T> output;     // none where it is the embedding
  NormWeightsOn<Backend<T>> embedding_norm, final_norm;
  std::vector<DecoderLayerWeightsOn<Backend<T>>> layers;
  DeviceTensor<float, 1> output_bias;
  DeviceTensor<float, 1> relative_bias;  // AttentionParams::relative_bias
  DeviceTensor<float, 1> alibi_slopes;
};

namespace detail {

/// Copies the weights of a decoder to the device.
template <HalfStorage T>
DeviceDecoderWeights<T> uploaded(const CausalLM& model, cudaStream_t stream) {
  const DecoderConfig& c = model.config();
  const DecoderWeights& w = model.weights();
  const cpu::Context ctx{.kernels = &model.kernels(), .executor = &model.executor()};
  const LayerUploader<T> upload(ctx, stream);
  DeviceDecoderWeights<T> d;
  d.embedding = upload.matrix(w.embedding);
  d.embedding_in = upload.matrix(w.embedding_in);
  d.embedding_out = upload.matrix(w.embedding_out);
  if (w.positions) d.positions = upload.matrix(w.positions.rows(c.position_offset, w.positions.extent(0)));
  if (!c.tied_embeddings) d.output = upload.matrix(w.output);
  d.embedding_norm = upload.norm(w.embedding_norm, c.hidden);
  d.final_norm = upload.norm(w.final_norm, c.hidden);
  for (const DecoderLayerWeights& from : w.layers) {
    DecoderLayerWeightsOn<Backend<T>>& to = d.layers.emplace_back();
    to.attention_norm = upload.norm(from.attention_norm, c.hidden);
    to.attention_post_norm = upload.norm(from.attention_post_norm, c.hidden);
    to.mlp_norm = upload.norm(from.mlp_norm, c.hidden);
    to.mlp_post_norm = upload.norm(from.mlp_post_norm, c.hidden);
    to.attention = upload.attention(from.attention);
    if (c.cross_attention) {
      to.cross_norm = upload.norm(from.cross_norm, c.hidden);
      to.cross = upload.attention(from.cross);
    }
    to.mlp = upload.mlp(from.mlp);
    to.moe = upload.moe(from.moe);
  }
  d.output_bias = upload.floats(w.output_bias);
  if (c.relative_bias) d.relative_bias = upload.floats(weft::relative_bias(w.relative_bias, c.buckets, ctx));
  d.alibi_slopes = upload.floats(c.alibi_slopes);
  cuda::check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  return d;
}

}  // namespace detail

/// A decoder whose weights lie in device memory, as elements of T or in blocks (DeviceMatrix): immutable, shared by any
/// number of DeviceSessions on that device, cheap to copy. The model it was made of stays where it was loaded, best
/// with Load::in_place: its weights then go from the mapped file to the device, and its pages are needed no more.
///
///   cuda::DeviceCausalLM model(load_causal_lm(path, {.load = Load::in_place}));
template <HalfStorage T = half>
class DeviceCausalLM {
 public:
  /// Copies the weights. Throws UnsupportedError for what the device does not run, CudaError where there is no device,
  /// and, before anything is copied, where there is too little memory, with how much is missing.
  explicit DeviceCausalLM(CausalLM model, cudaStream_t stream = {}) : parts_(load(std::move(model), stream)) {}

  const CausalLM& host() const noexcept { return parts_->model; }
  const DecoderConfig& config() const noexcept { return host().config(); }
  const DeviceDecoderWeights<T>& weights() const noexcept { return parts_->weights; }
  /// Where they lie: what was the current device when the weights were copied.
  int device() const noexcept { return parts_->device; }
  const DeviceMatrix<T>& output() const noexcept {
    return config().tied_embeddings ? weights().embedding : weights().output;
  }

  /// The table of embeddings, which another model may share.
  std::shared_ptr<const DeviceMatrix<T>> embedding() const noexcept { return {parts_, &parts_->weights.embedding}; }

  /// The device memory that the weights of a model take.
  static std::size_t bytes_for(const CausalLM& model) {
    detail::DeviceMemory<T> memory;
    for_each_weight(model.weights(), memory);
    if (model.config().tied_embeddings)
      memory.bytes -= detail::in_pieces(DeviceMatrix<T>::bytes_for(model.weights().output));
    for (const DecoderLayerWeights& layer : model.weights().layers)
      memory.bytes += 3 * detail::in_pieces(DeviceExpertMatrix<T>::bytes_for(layer.moe.experts.size()));
    return memory.bytes;
  }
  /// The device memory that is taken besides while they are copied.
  static std::size_t staging_bytes_for(const CausalLM& model) {
    detail::DeviceMemory<T> memory;
    for_each_weight(model.weights(), memory);
    return memory.staging_bytes;
  }

 private:
  struct Parts {
    CausalLM model;
    DeviceDecoderWeights<T> weights;
    int device;
  };

  static std::shared_ptr<const Parts> load(CausalLM model, cudaStream_t stream) {
    const DecoderConfig& c = model.config();
    if (c.head_dim > 256)
      raise<UnsupportedError>("DeviceCausalLM: heads of ", c.head_dim, " elements; the device takes up to 256");
    require_free_bytes("the model", bytes_for(model) + staging_bytes_for(model));
    DeviceDecoderWeights<T> weights = detail::uploaded<T>(model, stream);
    return std::make_shared<const Parts>(Parts{std::move(model), std::move(weights), current_device()});
  }

  std::shared_ptr<const Parts> parts_;
};

}  // namespace weft::inline v0::cuda
