#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/cuda/core/device.cuh>
#include <weft/cuda/models/device_experts.cuh>
#include <weft/cuda/models/device_matrix.cuh>
#include <weft/models/causal_lm.hpp>

// The weights of a decoder in device memory, name for name as the host has them (models/architecture.hpp, layers/).
namespace weft::inline v0::cuda {

/// A norm's gain, with 1 where the checkpoint has none, and its bias, or null.
struct DeviceNorm {
  DeviceTensor<float, 1> gain;
  DeviceTensor<float, 1> bias;
};

template <HalfStorage T>
struct DeviceAttentionWeights {
  DeviceMatrix<T> q, k, v, o;
  DeviceTensor<T, 1> q_bias, k_bias, v_bias, o_bias;
  DeviceNorm q_norm, k_norm;
  std::vector<DeviceNorm> q_head_norms, k_head_norms;
};

template <HalfStorage T>
struct DeviceMlpWeights {
  DeviceMatrix<T> gate, up, down;
  DeviceTensor<T, 1> gate_bias, up_bias, down_bias;
};

template <HalfStorage T>
struct DeviceMoeWeights {
  DeviceMatrix<T> router;
  std::vector<DeviceMlpWeights<T>> experts;
  DeviceMlpWeights<T> shared;
  DeviceMatrix<T> shared_gate;
  DeviceExpertMatrix<T> gates, ups, downs;  // all or none: the experts' matrices, which have no biases then
};

template <HalfStorage T>
struct DeviceLayerWeights {
  DeviceNorm attention_norm, attention_post_norm, mlp_norm, mlp_post_norm;
  DeviceAttentionWeights<T> attention;
  DeviceMlpWeights<T> mlp;
  DeviceMoeWeights<T> moe;
};

template <HalfStorage T>
struct DeviceDecoderWeights {
  DeviceMatrix<T> embedding, embedding_in, embedding_out;
  DeviceMatrix<T> positions;  // from that of position 0 on
  DeviceMatrix<T> output;     // none where it is the embedding
  DeviceNorm embedding_norm, final_norm;
  std::vector<DeviceLayerWeights<T>> layers;
  DeviceTensor<float, 1> output_bias;
  DeviceTensor<float, 1> relative_bias;  // AttentionParams::relative_bias
  DeviceTensor<float, 1> alibi_slopes;
};

namespace detail {

/// Copies weights to the device, in a stream.
template <HalfStorage T>
class Uploader {
 public:
  Uploader(const CausalLM& model, cudaStream_t stream)
      : model_(model), ctx_{.kernels = &model.kernels(), .executor = &model.executor()}, stream_(stream) {}

  DeviceDecoderWeights<T> all() const {
    const DecoderConfig& c = model_.config();
    const DecoderWeights& w = model_.weights();
    DeviceDecoderWeights<T> d;
    d.embedding = matrix(w.embedding);
    d.embedding_in = matrix(w.embedding_in);
    d.embedding_out = matrix(w.embedding_out);
    if (w.positions) d.positions = matrix(w.positions.rows(c.position_offset, w.positions.extent(0)));
    if (!c.tied_embeddings) d.output = matrix(w.output);
    d.embedding_norm = norm(w.embedding_norm, c.hidden);
    d.final_norm = norm(w.final_norm, c.hidden);
    for (const DecoderLayerWeights& from : w.layers) {
      DeviceLayerWeights<T>& to = d.layers.emplace_back();
      to.attention_norm = norm(from.attention_norm, c.hidden);
      to.attention_post_norm = norm(from.attention_post_norm, c.hidden);
      to.mlp_norm = norm(from.mlp_norm, c.hidden);
      to.mlp_post_norm = norm(from.mlp_post_norm, c.hidden);
      to.attention = attention(from.attention);
      to.mlp = mlp(from.mlp);
      to.moe = moe(from.moe);
    }
    d.output_bias = floats(w.output_bias);
    if (c.relative_bias) d.relative_bias = floats(weft::relative_bias(w.relative_bias, c.buckets, ctx_));
    d.alibi_slopes = floats(c.alibi_slopes);
    cuda::check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
    return d;
  }

 private:
  DeviceMatrix<T> matrix(const AnyTensor& weight) const { return {weight, ctx_, stream_}; }

  DeviceTensor<float, 1> floats(const Tensor<float, 1>& vector) const {
    return vector.empty() ? DeviceTensor<float, 1>() : DeviceTensor<float, 1>(vector, stream_);
  }
  DeviceTensor<float, 1> floats(const std::vector<float>& vector) const {
    if (vector.empty()) return {};
    return DeviceTensor<float, 1>(TensorView<const float, 1>(vector.data(), {vector.size()}), stream_);
  }
  DeviceTensor<T, 1> bias(const Tensor<float, 1>& vector) const {
    if (vector.empty()) return {};
    std::vector<T> rounded(vector.size());
    for (std::size_t i = 0; i < rounded.size(); ++i) rounded[i] = static_cast<T>(vector(i));
    return DeviceTensor<T, 1>(TensorView<const T, 1>(rounded.data(), {rounded.size()}), stream_);
  }
  /// Where a norm has no gain the device multiplies with ones.
  DeviceNorm norm(const NormWeights& weights, std::size_t width) const {
    if (weights.gain.empty()) return {floats(std::vector<float>(width, 1.f)), floats(weights.bias)};
    return {floats(weights.gain), floats(weights.bias)};
  }
  /// A norm of heads, where there is one.
  DeviceNorm head_norm(const NormWeights& weights) const { return {floats(weights.gain), floats(weights.bias)}; }
  std::vector<DeviceNorm> head_norms(const std::vector<NormWeights>& heads) const {
    std::vector<DeviceNorm> result;
    for (const NormWeights& head : heads) result.push_back(head_norm(head));
    return result;
  }
  DeviceAttentionWeights<T> attention(const AttentionWeights& w) const {
    return {matrix(w.q),
            matrix(w.k),
            matrix(w.v),
            matrix(w.o),
            bias(w.q_bias),
            bias(w.k_bias),
            bias(w.v_bias),
            bias(w.o_bias),
            head_norm(w.q_norm),
            head_norm(w.k_norm),
            head_norms(w.q_head_norms),
            head_norms(w.k_head_norms)};
  }
  DeviceMlpWeights<T> mlp(const MlpWeights& w) const {
    return {matrix(w.gate), matrix(w.up), matrix(w.down), bias(w.gate_bias), bias(w.up_bias), bias(w.down_bias)};
  }

  DeviceMoeWeights<T> moe(const MoeWeights& w) const {
    DeviceMoeWeights<T> d;
    d.router = matrix(w.router);
    d.shared = mlp(w.shared);
    d.shared_gate = matrix(w.shared_gate);
    for (const MlpWeights& expert : w.experts) d.experts.push_back(mlp(expert));
    const auto matrices = [&](DeviceMatrix<T> DeviceMlpWeights<T>::*which) {
      std::vector<const DeviceMatrix<T>*> all;
      for (const DeviceMlpWeights<T>& expert : d.experts) all.push_back(&(expert.*which));
      return DeviceExpertMatrix<T>(all, stream_);
    };
    for (const DeviceMlpWeights<T>& e : d.experts)
      if (e.gate_bias.size() + e.up_bias.size() + e.down_bias.size() != 0) return d;
    DeviceExpertMatrix<T> gates = matrices(&DeviceMlpWeights<T>::gate);
    DeviceExpertMatrix<T> ups = matrices(&DeviceMlpWeights<T>::up);
    DeviceExpertMatrix<T> downs = matrices(&DeviceMlpWeights<T>::down);
    if (!gates || !ups || !downs || gates.format() != ups.format() || gates.rows() != ups.rows()) return d;
    d.gates = std::move(gates);
    d.ups = std::move(ups);
    d.downs = std::move(downs);
    return d;
  }

  const CausalLM& model_;
  cpu::Context ctx_;
  cudaStream_t stream_;
};

/// Throws CudaError that says how much is missing unless so many bytes of device memory are free.
inline void require_free_bytes(const char* what, std::size_t bytes) {
  const std::size_t free = free_bytes();
  if (bytes > free)
    raise<CudaError>("device memory: ", what, " takes ", bytes, " bytes, ", free, " are free, ", bytes - free,
                     " are missing");
}

/// Device memory is taken in pieces of so many bytes.
inline constexpr std::size_t piece_bytes = 512;
inline constexpr std::size_t in_pieces(std::size_t bytes) noexcept {
  return (bytes + piece_bytes - 1) / piece_bytes * piece_bytes;
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
  const DeviceMatrix<T>& output() const noexcept {
    return config().tied_embeddings ? weights().embedding : weights().output;
  }

  /// The device memory that the weights of a model take.
  static std::size_t bytes_for(const CausalLM& model) {
    std::size_t bytes = 0;
    for_each_weight(model.weights(), [&](const auto& weight) { bytes += detail::in_pieces(bytes_of(weight)); });
    if (model.config().tied_embeddings) bytes -= detail::in_pieces(bytes_of(model.weights().output));
    for (const DecoderLayerWeights& layer : model.weights().layers)
      bytes += 3 * detail::in_pieces(DeviceExpertMatrix<T>::bytes_for(layer.moe.experts.size()));
    return bytes;
  }
  /// The device memory that is taken besides while they are copied.
  static std::size_t staging_bytes_for(const CausalLM& model) {
    std::size_t most = 0;
    for_each_weight(model.weights(), [&](const auto& weight) {
      if constexpr (std::same_as<std::remove_cvref_t<decltype(weight)>, AnyTensor>)
        most = std::max(most, DeviceMatrix<T>::staging_bytes_for(weight));
    });
    return most;
  }

 private:
  struct Parts {
    CausalLM model;
    DeviceDecoderWeights<T> weights;
  };

  static std::size_t bytes_of(const AnyTensor& matrix) { return DeviceMatrix<T>::bytes_for(matrix); }
  static std::size_t bytes_of(const Tensor<float, 1>& vector) { return vector.size() * sizeof(float); }

  static std::shared_ptr<const Parts> load(CausalLM model, cudaStream_t stream) {
    const DecoderConfig& c = model.config();
    if (c.cross_attention) raise<UnsupportedError>("DeviceCausalLM: the device does not run cross-attention");
    if (c.head_dim > 256)
      raise<UnsupportedError>("DeviceCausalLM: heads of ", c.head_dim, " elements; the device takes up to 256");
    detail::require_free_bytes("the model", bytes_for(model) + staging_bytes_for(model));
    DeviceDecoderWeights<T> weights = detail::Uploader<T>(model, stream).all();
    return std::make_shared<const Parts>(Parts{std::move(model), std::move(weights)});
  }

  std::shared_ptr<const Parts> parts_;
};

}  // namespace weft::inline v0::cuda
