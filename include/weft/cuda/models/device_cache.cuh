#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <weft/cuda/core/device_tensor.cuh>
#include <weft/cuda/ops/rows.cuh>
#include <weft/models/decoder_config.hpp>

namespace weft::inline v0::cuda {

namespace detail {

template <class T, int W>
__global__ void __launch_bounds__(row_threads)
    store_in_cache_kernel(const T* k, const T* v, T* cached_k, T* cached_v, const std::int32_t* positions,
                          std::size_t tokens, std::size_t width) {
  const std::size_t packs = width / W;
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < 2 * tokens * packs; i += step) {
    const std::size_t token = i / 2 / packs;
    const std::size_t at = i / 2 % packs * W;
    const std::size_t from = token * width + at;
    const std::size_t to = static_cast<std::size_t>(positions[token]) * width + at;
    if (i % 2 == 0) {
      *reinterpret_cast<Raw<T, W>*>(cached_k + to) = *reinterpret_cast<const Raw<T, W>*>(k + from);
    } else {
      *reinterpret_cast<Raw<T, W>*>(cached_v + to) = *reinterpret_cast<const Raw<T, W>*>(v + from);
    }
  }
}

}  // namespace detail

/// Keys and values of one sequence in device memory, for every layer (context, kv_heads, head_dim).
template <HalfStorage T>
class DeviceCache {
 public:
  /// Throws CudaError.
  DeviceCache(const DecoderConfig& config, std::size_t context, cudaStream_t stream)
      : context_(context), kv_heads_(config.kv_heads), head_dim_(config.head_dim) {
    for (std::size_t i = 0; i < 2 * config.layers; ++i)
      tensors_.push_back(DeviceTensor<T, 4>({1, context, kv_heads_, head_dim_}, stream));
  }

  /// The device memory of such a cache.
  static std::size_t bytes_for(const DecoderConfig& config, std::size_t context) {
    const std::size_t tensor = weft::detail::checked_product(context, config.key_value()) * sizeof(T);
    return weft::detail::checked_product(2 * config.layers, tensor);
  }

  std::size_t context() const noexcept { return context_; }
  // (1, context, kv_heads, head_dim)
  TensorView<T, 4> keys(std::size_t layer) noexcept { return tensors_[2 * layer].view(); }
  TensorView<T, 4> values(std::size_t layer) noexcept { return tensors_[2 * layer + 1].view(); }

  /// Writes k and v (tokens, kv_heads * head_dim), contiguous, at positions (tokens), on the device, all of them inside
  /// the context.
  void store(std::size_t layer, const T* k, const T* v, const std::int32_t* positions, std::size_t tokens,
             cudaStream_t stream) {
    const std::size_t width = kv_heads_ * head_dim_;
    constexpr auto together = static_cast<std::size_t>(detail::vector_width<T>);
    detail::with_row_width<T>(width % together == 0 && detail::is_aligned(k) && detail::is_aligned(v), [&](auto w) {
      detail::launch("store_in_cache", detail::flat_launch(2 * tokens * (width / w()), stream),
                     detail::store_in_cache_kernel<T, decltype(w)::value>, k, v, keys(layer).data(),
                     values(layer).data(), positions, tokens, width);
    });
  }

 private:
  std::size_t context_;
  std::size_t kv_heads_;
  std::size_t head_dim_;
  std::vector<DeviceTensor<T, 4>> tensors_;  // keys and values of every layer, in turn
};

}  // namespace weft::inline v0::cuda
