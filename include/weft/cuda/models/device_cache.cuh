#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include <weft/cuda/core/device_tensor.cuh>
#include <weft/cuda/layers/cached_sequences.cuh>
#include <weft/models/decoder_config.hpp>

namespace weft::inline v0::cuda {

/// Keys and values of one sequence in device memory, for every layer (context, kv_heads, head_dim).
template <HalfStorage T>
class DeviceCache {
 public:
  /// Throws CudaError.
  DeviceCache(const DecoderConfig& config, std::size_t context, cudaStream_t stream) : context_(context) {
    for (std::size_t i = 0; i < 2 * config.layers; ++i)
      tensors_.push_back(DeviceTensor<T, 3>({context, config.kv_heads, config.head_dim}, stream));
  }

  /// The device memory of such a cache.
  static std::size_t bytes_for(const DecoderConfig& config, std::size_t context) {
    const std::size_t tensor = weft::detail::checked_product(context, config.key_value()) * sizeof(T);
    return weft::detail::checked_product(2 * config.layers, tensor);
  }

  std::size_t context() const noexcept { return context_; }
  std::size_t layers() const noexcept { return tensors_.size() / 2; }
  DeviceCacheLayer<T> layer(std::size_t index) noexcept {
    return {tensors_[2 * index].view(), tensors_[2 * index + 1].view()};
  }

 private:
  std::size_t context_;
  std::vector<DeviceTensor<T, 3>> tensors_;  // keys and values of every layer, in turn
};

/// What a decoder reads of a source: the keys and values of its cross-attention, made once by a DeviceSourceEncoder;
/// its context is the tokens of the source. Any number of sessions may read it at the same time.
template <HalfStorage T>
using DeviceEncodedSource = std::shared_ptr<DeviceCache<T>>;

}  // namespace weft::inline v0::cuda
