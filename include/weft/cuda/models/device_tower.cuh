#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include <weft/cuda/core/stream.cuh>
#include <weft/cuda/layers/packed_sequences.cuh>
#include <weft/cuda/layers/residual.cuh>
#include <weft/cuda/layers/upload.cuh>
#include <weft/cuda/models/device_weights.cuh>
#include <weft/cuda/ops/elementwise.cuh>
#include <weft/models/tower.hpp>
#include <weft/models/vision.hpp>

namespace weft::inline v0::cuda {

struct DeviceTowerOptions {
  std::size_t rows = 4096;  ///< tokens that are processed at once, at least those of an image or of the longest text
};

/// The layers of a tower of a model of images, on the device, in a stream of their own: what VisionPass and TextPass
/// take with set_layers(), who compute the rest on the CPU. It belongs to one pass. All device memory is taken when it
/// is made.
///
///   VisionPass pass(model);
///   pass.set_layers(cuda::DeviceTower<half>::of_images(model));
template <HalfStorage T = half>
class DeviceTower {
 public:
  /// Copies the weights. Throws ConfigError for 0 rows, UnsupportedError for heads of more than 256 elements, CudaError
  /// where there is no device, and, before anything is taken, where there is too little memory, with how much is
  /// missing. What is returned throws ShapeError for a sequence of more than `rows` tokens, Cancelled, CudaError.
  static TowerLayers of_images(const VisionModel& model, const DeviceTowerOptions& options = {}) {
    return layers_of(model, model.config().image, model.weights().image, options);
  }
  static TowerLayers of_texts(const VisionModel& model, const DeviceTowerOptions& options = {}) {
    return layers_of(model, model.config().text, model.weights().text, options);
  }

  /// The device memory of a tower and its passes, at most.
  static std::size_t bytes_for(const TowerConfig& c, const TowerWeights& weights, std::size_t rows) {
    const detail::DeviceMemory<T> memory = memory_of(weights);
    const std::size_t width = 2 * c.hidden + 4 * c.query() + c.intermediate;
    return memory.bytes + memory.staging_bytes + memory.block_elements * sizeof(T) + SequenceBatches::bytes_for(rows) +
           weft::detail::checked_product(rows, width * sizeof(T) + c.hidden * sizeof(float)) + (std::size_t{32} << 20);
  }

  DeviceTower(const VisionModel& model, const TowerConfig& config, const TowerWeights& weights,
              const DeviceTowerOptions& options)
      : batches_(checked(config, weights, options.rows), stream_), products_{MatmulPlans(stream_), {}} {
    const LayerUploader<T> upload({.kernels = &model.kernels(), .executor = &model.executor()}, stream_);
    for (const EncoderLayerWeights& layer : weights.layers)
      layers_.push_back(upload.encoder_layer(layer, config.hidden));
    const auto make = [&](std::size_t width) { return DeviceTensor<T, 2>({options.rows, width}, stream_); };
    for (DeviceTensor<T, 2>* tensor : {&x_, &normed_}) *tensor = make(config.hidden);
    for (DeviceTensor<T, 2>* tensor : {&q_, &k_, &v_, &attention_out_}) *tensor = make(config.query());
    up_ = make(config.intermediate);
    floats_ = DeviceTensor<float, 2>({options.rows, config.hidden}, stream_);
    products_.elements = DeviceBuffer(memory_of(weights).block_elements * sizeof(T), stream_);
    stream_.synchronize();
  }

  /// TowerLayers.
  void operator()(std::span<const PackedSequence> sequences, const EncoderLayerParams& params, TensorView<float, 2> x,
                  const std::stop_token& stop) {
    std::vector<std::size_t> lengths;
    for (const PackedSequence& sequence : sequences) lengths.push_back(sequence.tokens);
    batches_.for_each(lengths, [&](std::size_t first, const DeviceSequences& part) {
      run(part, params, x.narrow(0, sequences[first].begin, part.tokens), stop);
    });
  }

 private:
  static TowerLayers layers_of(const VisionModel& model, const TowerConfig& config, const TowerWeights& weights,
                               const DeviceTowerOptions& options) {
    const auto tower = std::make_shared<DeviceTower>(model, config, weights, options);
    return [tower](std::span<const PackedSequence> sequences, const EncoderLayerParams& params, TensorView<float, 2> x,
                   const std::stop_token& stop) { (*tower)(sequences, params, x, stop); };
  }
  static std::size_t checked(const TowerConfig& config, const TowerWeights& weights, std::size_t rows) {
    if (rows == 0) raise<ConfigError>("DeviceTower: there are 0 rows, expected at least one");
    if (config.head_dim > 256)
      raise<UnsupportedError>("DeviceTower: heads of ", config.head_dim, " elements; the device takes up to 256");
    detail::require_free_bytes("the tower", bytes_for(config, weights, rows));
    return rows;
  }
  static detail::DeviceMemory<T> memory_of(const TowerWeights& weights) {
    detail::DeviceMemory<T> memory;
    for (const EncoderLayerWeights& layer : weights.layers) for_each_weight(layer, memory);
    return memory;
  }

  void run(const DeviceSequences& sequences, const EncoderLayerParams& params, TensorView<float, 2> host,
           const std::stop_token& stop) {
    const auto rows = [&](auto& tensor) { return tensor.view().narrow(0, 0, sequences.tokens); };
    const TensorView<float, 2> floats = rows(floats_);
    const std::size_t bytes = floats.size() * sizeof(float);
    const EncoderLayerBuffersOn<Backend<T>> buffers{
        .normed = rows(normed_),
        .attention = {.q = rows(q_), .k = rows(k_), .v = rows(v_), .out = rows(attention_out_)},
        .gate = {},
        .up = rows(up_)};
    check(cudaMemcpyAsync(floats.data(), host.data(), bytes, cudaMemcpyHostToDevice, stream_), "cudaMemcpyAsync");
    copy(floats, rows(x_), stream_);
    const DeviceLayerContext ctx{products_, stream_};
    DeviceResidual<T> x(rows(x_));
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (stop.stop_requested()) raise<Cancelled>("forward: stopped before layer ", i);
      encoder_block(layers_[i], sequences, params, buffers, x, nullptr, {}, ctx);
    }
    copy(x.rows(stream_), floats, stream_);
    check(cudaMemcpyAsync(host.data(), floats.data(), bytes, cudaMemcpyDeviceToHost, stream_), "cudaMemcpyAsync");
    stream_.synchronize();
  }

  Stream stream_;
  SequenceBatches batches_;
  DeviceProducts products_;
  std::vector<EncoderLayerWeightsOn<Backend<T>>> layers_;
  // Scratch, (rows, width) each.
  DeviceTensor<T, 2> x_, normed_, q_, k_, v_, attention_out_, up_;
  DeviceTensor<float, 2> floats_;
};

}  // namespace weft::inline v0::cuda
