#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/cuda/layers/device_matrix.cuh>
#include <weft/cuda/layers/norm.cuh>
#include <weft/cuda/ops/attention.cuh>
#include <weft/cuda/ops/attention_decode.cuh>
#include <weft/cuda/ops/rope.cuh>
#include <weft/layers/attention_block.hpp>

namespace weft::inline v0::cuda {

/// AttentionWeights.
template <HalfStorage T>
struct DeviceAttentionWeights {
  DeviceMatrix<T> q, k, v, o;
  DeviceTensor<T, 1> q_bias, k_bias, v_bias, o_bias;
  DeviceNorm q_norm, k_norm;
  std::vector<DeviceNorm> q_head_norms, k_head_norms;
};

/// Scratch of attention for `tokens` tokens.
template <HalfStorage T>
struct DeviceAttentionBuffers {
  TensorView<T, 2> q;                // (tokens, query)
  TensorView<T, 2> k;                // (tokens, key_value)
  TensorView<T, 2> v;                // (tokens, key_value)
  TensorView<T, 2> out;              // (tokens, query)
  void* decode_workspace = nullptr;  ///< attention_decode_workspace_bytes() for the cache
};

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

/// Writes k and v (tokens, key_value) at positions (tokens), on the device, all of them inside the cache.
template <HalfStorage T>
void store_in_cache(TensorView<T, 2> k, TensorView<T, 2> v, const DeviceCacheLayer<T>& cache,
                    const std::int32_t* positions, cudaStream_t stream) {
  const std::size_t tokens = k.extent(0);
  const std::size_t width = k.extent(1);
  constexpr auto together = static_cast<std::size_t>(vector_width<T>);
  with_row_width<T>(width % together == 0 && is_aligned(k.data()) && is_aligned(v.data()), [&](auto w) {
    launch("store_in_cache", flat_launch(2 * tokens * (width / w()), stream),
           store_in_cache_kernel<T, decltype(w)::value>, k.data(), v.data(), cache.k.data(), cache.v.data(), positions,
           tokens, width);
  });
}

/// Queries, keys and values of x.
template <HalfStorage T>
void project(const DeviceAttentionWeights<T>& w, TensorView<T, 2> x, const DeviceAttentionBuffers<T>& to,
             const DeviceLayerContext& ctx) {
  multiply_all(ctx.products, x,
               std::array{DeviceProduct<T>{w.q, w.q_bias.data(), to.q}, DeviceProduct<T>{w.k, w.k_bias.data(), to.k},
                          DeviceProduct<T>{w.v, w.v_bias.data(), to.v}},
               ctx.stream);
}

/// Normalises runs of as many elements as the norm has gains, or every head by weights of its own.
template <HalfStorage T>
void norm_heads(TensorView<T, 2> x, const DeviceNorm& w, const std::vector<DeviceNorm>& of_heads,
                const NormParams& params, cudaStream_t stream) {
  if (w.gain.size() != 0) {
    const TensorView<T, 2> runs(x.data(), {x.size() / w.gain.size(), w.gain.size()});
    norm(runs, w, runs, params, stream);
  }
  for (std::size_t h = 0; h < of_heads.size(); ++h) {
    const std::size_t width = x.extent(1) / of_heads.size();
    const TensorView<T, 2> head = x.narrow(1, h * width, width);
    norm(head, of_heads[h], head, params, stream);
  }
}

}  // namespace detail

/// What weft::attention_block computes, of the tokens of one sequence: `rope` null rotates nothing. x, y: (tokens,
/// hidden), of device memory; y may be x. What is launched for one token does not depend on its position. The spans of
/// params.scores are of device memory. Throws ShapeError, CudaError.
template <HalfStorage T>
void attention_block(const DeviceAttentionWeights<T>& w, const DeviceTokens& tokens, const DeviceCacheLayer<T>& cache,
                     const DeviceRopeTable* rope, const AttentionBlockParams& params, TensorView<T, 2> x,
                     const DeviceAttentionBuffers<T>& buffers, TensorView<T, 2> y, const DeviceLayerContext& ctx) {
  const auto [q, k, v, out, workspace] = buffers;
  detail::project(w, x, buffers, ctx);
  detail::norm_heads(q, w.q_norm, w.q_head_norms, params.norm, ctx.stream);
  detail::norm_heads(k, w.k_norm, w.k_head_norms, params.norm, ctx.stream);
  if (params.clip != 0.f)
    for (const TensorView<T, 2>& rows : {q, k, v})
      detail::transform("clip", detail::ClipElement{params.clip}, rows, ctx.stream, rows);
  const auto heads = [&](TensorView<T, 2> rows) { return rows.reshape(tokens.count, dynamic, cache.k.extent(2)); };
  if (rope) {
    const TensorView<const std::int32_t, 1> positions(tokens.positions, {tokens.count});
    apply_rope(heads(q), positions, *rope, ctx.stream);
    apply_rope(heads(k), positions, *rope, ctx.stream);
  }
  detail::store_in_cache(k, v, cache, tokens.positions, ctx.stream);
  if (tokens.count == 1) {
    const auto all = [&](const TensorView<T, 3>& rows) {
      return rows.reshape(1, rows.extent(0), rows.extent(1), dynamic);
    };
    attention_decode(heads(q), all(cache.k), all(cache.v), tokens.keys, heads(out), params.scores, workspace,
                     ctx.stream);
  } else {
    AttentionParams scores = params.scores;
    scores.offset = tokens.position;
    const auto filled = [&](const TensorView<T, 3>& rows) { return rows.narrow(0, 0, tokens.position + tokens.count); };
    attention(heads(q), filled(cache.k), filled(cache.v), heads(out), scores, ctx.stream);
  }
  w.o.multiply(ctx.products, out, w.o_bias.data(), y, ctx.stream);
}

}  // namespace weft::inline v0::cuda
