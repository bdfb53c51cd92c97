#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include <weft/core/tensor.hpp>
#include <weft/cuda/layers/moe.cuh>
#include <weft/layers/bottleneck_block.hpp>

namespace weft::inline v0::cuda {

/// Copies the weights of layers to the device, in a stream, name for name as the host has them.
template <HalfStorage T>
class LayerUploader {
 public:
  using Norm = NormWeightsOn<Backend<T>>;
  using Attention = AttentionWeightsOn<Backend<T>>;
  using Mlp = MlpWeightsOn<Backend<T>>;

  LayerUploader(const cpu::Context& ctx, cudaStream_t stream) : ctx_(ctx), stream_(stream) {}

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
  Norm norm(const NormWeights& weights, std::size_t width) const {
    if (weights.gain.empty()) return {floats(std::vector<float>(width, 1.f)), floats(weights.bias)};
    return norm(weights);
  }
  /// The same, or none.
  Norm norm(const NormWeights& weights) const { return {floats(weights.gain), floats(weights.bias)}; }

  Attention attention(const AttentionWeights& w) const {
    return {matrix(w.q),    matrix(w.k),    matrix(w.v),           matrix(w.o),
            bias(w.q_bias), bias(w.k_bias), bias(w.v_bias),        bias(w.o_bias),
            norm(w.q_norm), norm(w.k_norm), norms(w.q_head_norms), norms(w.k_head_norms)};
  }
  Mlp mlp(const MlpWeights& w) const {
    return {matrix(w.gate), matrix(w.up), matrix(w.down), bias(w.gate_bias), bias(w.up_bias), bias(w.down_bias)};
  }
  DeviceMoeWeights<T> moe(const MoeWeights& w) const {
    DeviceMoeWeights<T> d;
    d.router = matrix(w.router);
    d.shared = mlp(w.shared);
    d.shared_gate = matrix(w.shared_gate);
    for (const MlpWeights& expert : w.experts) d.experts.push_back(mlp(expert));
    const auto matrices = [&](DeviceMatrix<T> Mlp::*which) {
      std::vector<const DeviceMatrix<T>*> all;
      for (const Mlp& expert : d.experts) all.push_back(&(expert.*which));
      return DeviceExpertMatrix<T>(all, stream_);
    };
    for (const Mlp& e : d.experts)
      if (e.gate_bias.size() + e.up_bias.size() + e.down_bias.size() != 0) return d;
    DeviceExpertMatrix<T> gates = matrices(&Mlp::gate);
    DeviceExpertMatrix<T> ups = matrices(&Mlp::up);
    DeviceExpertMatrix<T> downs = matrices(&Mlp::down);
    if (!gates || !ups || !downs || gates.rows() != ups.rows()) return d;
    d.gates = std::move(gates);
    d.ups = std::move(ups);
    d.downs = std::move(downs);
    return d;
  }
  EncoderLayerWeightsOn<Backend<T>> encoder_layer(const EncoderLayerWeights& w, std::size_t hidden) const {
    return {attention(w.attention), norm(w.attention_norm, hidden), mlp(w.mlp), norm(w.mlp_norm, hidden)};
  }
  BottleneckLayerWeightsOn<Backend<T>> bottleneck_layer(const BottleneckLayerWeights& w) const {
    const auto bottleneck = [&](const BottleneckWeights& from) {
      return BottleneckWeightsOn<Backend<T>>{matrix(from.weight), bias(from.bias), norm(from.norm)};
    };
    const auto normed_mlp = [&](const NormedMlpWeights& from) {
      return NormedMlpWeightsOn<Backend<T>>{mlp(from.mlp), norm(from.norm)};
    };
    BottleneckLayerWeightsOn<Backend<T>> result{
        bottleneck(w.input), bottleneck(w.query_key), attention(w.attention), norm(w.attention_norm), {},
        normed_mlp(w.last),  bottleneck(w.output)};
    for (const NormedMlpWeights& part : w.feed_forward) result.feed_forward.push_back(normed_mlp(part));
    return result;
  }

 private:
  std::vector<Norm> norms(const std::vector<NormWeights>& heads) const {
    std::vector<Norm> result;
    for (const NormWeights& head : heads) result.push_back(norm(head));
    return result;
  }

  cpu::Context ctx_;
  cudaStream_t stream_;
};

namespace detail {

/// Device memory is taken in pieces of so many bytes.
inline constexpr std::size_t piece_bytes = 512;
inline constexpr std::size_t in_pieces(std::size_t bytes) noexcept {
  return (bytes + piece_bytes - 1) / piece_bytes * piece_bytes;
}

/// Called with weights of a model: the device memory they take, what is taken besides while they are copied, and the
/// elements of the largest matrix in blocks.
template <HalfStorage T>
struct DeviceMemory {
  std::size_t bytes = 0;
  std::size_t staging_bytes = 0;
  std::size_t block_elements = 0;

  void operator()(const AnyTensor& matrix) {
    bytes += in_pieces(DeviceMatrix<T>::bytes_for(matrix));
    staging_bytes = std::max(staging_bytes, DeviceMatrix<T>::staging_bytes_for(matrix));
    block_elements = std::max(block_elements, DeviceMatrix<T>::elements_for(matrix));
  }
  void operator()(const Tensor<float, 1>& vector) { bytes += in_pieces(vector.size() * sizeof(float)); }
};

}  // namespace detail

}  // namespace weft::inline v0::cuda
