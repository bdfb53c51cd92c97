#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <weft/core/token_id.hpp>
#include <weft/cuda/layers/products.cuh>
#include <weft/cuda/ops/attention.cuh>
#include <weft/cuda/ops/attention_decode.cuh>
#include <weft/cuda/ops/traverse.cuh>
#include <weft/layers/attention_block.hpp>

// What weft/layers/cached_sequences.hpp has, of one sequence on a device.
namespace weft::inline v0::cuda {

/// One layer of a cache of keys and values, (context, kv_heads, head_dim) each.
template <HalfStorage T>
struct DeviceCacheLayer {
  TensorView<T, 3> k;
  TensorView<T, 3> v;
};

/// Tokens of one sequence; the arrays are of device memory.
struct DeviceTokens {
  const TokenId* ids;             ///< (count)
  const std::int32_t* positions;  ///< (count)
  const std::int32_t* keys;       ///< of one token: the keys it sees, its own the last
  std::size_t count;
  std::size_t position;  ///< of the first of several tokens; that of one token stands in `positions` alone
};

/// A sequence and what it attends to.
template <HalfStorage T>
struct DeviceSequence {
  DeviceTokens tokens;
  DeviceCacheLayer<T> cache;
  DeviceCacheLayer<T> source;  ///< what cross-attention sees, where the layer has it

  bool empty() const noexcept { return tokens.count == 0; }
};

namespace detail {

/// Into [-limit, limit]; NaN stays NaN.
struct ClipElement {
  float limit;
  template <Storage T>
  __device__ __forceinline__ T operator()(T x) const {
    const float value = to_float(x);
    return value > limit ? from_float<T>(limit) : value < -limit ? from_float<T>(-limit) : x;
  }
};

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

template <HalfStorage T>
TensorView<T, 3> heads_of(const DeviceSequence<T>& sequence, TensorView<T, 2> rows) {
  return rows.reshape(rows.extent(0), dynamic, sequence.cache.k.extent(2));
}

template <HalfStorage T>
void clip_rows(TensorView<T, 2> x, float limit, cudaStream_t stream) {
  detail::transform("clip", detail::ClipElement{limit}, x, stream, x);
}

/// The positions of the tokens lie inside the cache.
template <HalfStorage T>
void store_in_caches(const DeviceSequence<T>& sequence, TensorView<T, 2> k, TensorView<T, 2> v, cudaStream_t stream) {
  const DeviceCacheLayer<T>& cache = sequence.cache;
  const std::size_t tokens = k.extent(0);
  const std::size_t width = k.extent(1);
  constexpr auto together = static_cast<std::size_t>(detail::vector_width<T>);
  detail::with_row_width<T>(width % together == 0 && detail::is_aligned(k.data()) && detail::is_aligned(v.data()),
                            [&](auto w) {
                              detail::launch("store_in_cache", detail::flat_launch(2 * tokens * (width / w()), stream),
                                             detail::store_in_cache_kernel<T, decltype(w)::value>, k.data(), v.data(),
                                             cache.k.data(), cache.v.data(), sequence.tokens.positions, tokens, width);
                            });
}

template <HalfStorage T>
void attend_to_caches(const DeviceSequence<T>& sequence, const AttentionParams& params, TensorView<T, 2> q,
                      TensorView<T, 2> out, const DeviceLayerContext& ctx) {
  const DeviceTokens& tokens = sequence.tokens;
  const DeviceCacheLayer<T>& cache = sequence.cache;
  if (tokens.count == 1) {
    const auto all = [&](const TensorView<T, 3>& rows) {
      return rows.reshape(1, rows.extent(0), rows.extent(1), dynamic);
    };
    return attention_decode(heads_of(sequence, q), all(cache.k), all(cache.v), tokens.keys, heads_of(sequence, out),
                            params, ctx.decode_workspace, ctx.stream);
  }
  AttentionParams scores = params;
  scores.offset = tokens.position;
  const auto filled = [&](const TensorView<T, 3>& rows) { return rows.narrow(0, 0, tokens.position + tokens.count); };
  attention(heads_of(sequence, q), filled(cache.k), filled(cache.v), heads_of(sequence, out), scores, ctx.stream);
}

template <HalfStorage T>
void attend_to_sources(const DeviceSequence<T>& sequence, const AttentionParams& params, TensorView<T, 2> q,
                       TensorView<T, 2> out, cudaStream_t stream) {
  attention(heads_of(sequence, q), sequence.source.k, sequence.source.v, heads_of(sequence, out), params, stream);
}

/// What weft::cross_keys_and_values computes, of one source: x (tokens, hidden), of device memory, fills `source`.
/// Throws ShapeError, CudaError.
template <HalfStorage T>
void cross_keys_and_values(const AttentionWeightsOn<Backend<T>>& w, TensorView<T, 2> x,
                           const DeviceCacheLayer<T>& source, const DeviceLayerContext& ctx) {
  const auto rows = [](const TensorView<T, 3>& heads) { return heads.reshape(heads.extent(0), dynamic); };
  linear(x,
         std::array{DeviceProduct<T>{w.k, rows(source.k), w.k_bias.data()},
                    DeviceProduct<T>{w.v, rows(source.v), w.v_bias.data()}},
         ctx);
}

}  // namespace weft::inline v0::cuda
