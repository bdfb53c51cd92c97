#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/layers/mlp.hpp>
#include <weft/ops/attention.hpp>
#include <weft/ops/linear.hpp>
#include <weft/ops/rope.hpp>

namespace weft::inline v0 {

/// Projections of one self-attention layer; query = heads * head_dim, key_value = kv_heads * head_dim. A bias without
/// elements is none.
struct AttentionWeights {
  AnyTensor q;                // (query, hidden)
  AnyTensor k;                // (key_value, hidden)
  AnyTensor v;                // (key_value, hidden)
  AnyTensor o;                // (hidden, query)
  Tensor<float, 1> q_bias{};  // (query)
  Tensor<float, 1> k_bias{};  // (key_value)
  Tensor<float, 1> v_bias{};  // (key_value)
  Tensor<float, 1> o_bias{};  // (hidden)
};

/// One layer of a key/value cache of runtime element type (f32, f16 or bf16): keys and values of every position, each
/// head's one after the other.
struct CacheLayer {
  DType dtype = DType::f32;
  std::byte* k = nullptr;  // (kv_heads, context, head_dim)
  std::byte* v = nullptr;  // (kv_heads, context, head_dim)
  std::size_t kv_heads = 0;
  std::size_t context = 0;
  std::size_t head_dim = 0;
};

namespace detail {

/// The first `keys` positions of a cached tensor as (keys, kv_heads, head_dim).
template <class T>
TensorView<T, 3> cached(const CacheLayer& cache, std::byte* data, std::size_t keys) {
  return {reinterpret_cast<T*>(data),
          {keys, cache.kv_heads, cache.head_dim},
          {cache.head_dim, cache.context * cache.head_dim, 1}};
}

/// Writes x (tokens, kv_heads, head_dim) at `position` of the cache.
inline void store_in_cache(const CacheLayer& cache, std::byte* data, std::size_t position, TensorView<const float, 3> x,
                           const cpu::Context& ctx) {
  visit_among<float, half, bfloat16>(cache.dtype, "key/value cache", [&]<class T>(std::type_identity<T>) {
    const TensorView<T, 3> to = cached<T>(cache, data, position + x.extent(0));
    for (std::size_t t = 0; t < x.extent(0); ++t)
      for (std::size_t h = 0; h < cache.kv_heads; ++h) {
        const float* from = &x(t, h, 0);
        T* slot = &to(position + t, h, 0);
        if constexpr (std::is_same_v<T, half>) {
          ctx.kernels->to_f16(from, cache.head_dim, slot);
        } else if constexpr (std::is_same_v<T, bfloat16>) {
          ctx.kernels->to_bf16(from, cache.head_dim, slot);
        } else {
          std::copy_n(from, cache.head_dim, slot);
        }
      }
  });
}

}  // namespace detail

/// Scratch of an attention block for `tokens` tokens.
struct AttentionBuffers {
  TensorView<float, 2> q;    // (tokens, query)
  TensorView<float, 2> k;    // (tokens, key_value)
  TensorView<float, 2> v;    // (tokens, key_value)
  TensorView<float, 2> out;  // (tokens, query)
};

/// Self-attention of tokens at `positions` (consecutive, beginning at params.offset) that are appended to the cache:
/// projects x, rotates, stores keys and values, attends to everything cached so far, projects back into y, which is
/// also added to `residual`, if there is one. x, y, residual: (tokens, hidden); y may be x.
inline void attention_block(const AttentionWeights& weights, const CacheLayer& cache, const RopeTable& rope,
                            std::span<const std::int32_t> positions, const AttentionParams& params,
                            TensorView<const float, 2> x, const AttentionBuffers& buffers, TensorView<float, 2> y,
                            const cpu::Context& ctx, std::optional<TensorView<float, 2>> residual = std::nullopt) {
  const std::size_t tokens = x.extent(0);
  const std::array<LinearOutput, 3> outputs{LinearOutput{weights.q, buffers.q, detail::bias_or_null(weights.q_bias)},
                                            LinearOutput{weights.k, buffers.k, detail::bias_or_null(weights.k_bias)},
                                            LinearOutput{weights.v, buffers.v, detail::bias_or_null(weights.v_bias)}};
  linear(x, outputs, ctx);
  const auto heads = [&](TensorView<float, 2> flat) { return flat.reshape(tokens, dynamic, cache.head_dim); };
  const TensorView<float, 3> q = heads(buffers.q);
  const TensorView<float, 3> k = heads(buffers.k);
  apply_rope(q, positions, rope, ctx);
  apply_rope(k, positions, rope, ctx);
  detail::store_in_cache(cache, cache.k, params.offset, k, ctx);
  detail::store_in_cache(cache, cache.v, params.offset, heads(buffers.v), ctx);
  visit_among<float, half, bfloat16>(cache.dtype, "key/value cache", [&]<class T>(std::type_identity<T>) {
    const std::size_t keys = params.offset + tokens;
    attention(q, detail::cached<const T>(cache, cache.k, keys), detail::cached<const T>(cache, cache.v, keys),
              heads(buffers.out), params, ctx);
  });
  detail::linear_onto(buffers.out, weights.o, detail::bias_or_null(weights.o_bias), y, ctx, residual);
}

}  // namespace weft::inline v0
