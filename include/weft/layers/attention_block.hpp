#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/layers/adapted_rows.hpp>
#include <weft/layers/mlp.hpp>
#include <weft/layers/norm.hpp>
#include <weft/ops/attention.hpp>
#include <weft/ops/linear.hpp>
#include <weft/ops/rope.hpp>
#include <weft/quant/quantize.hpp>

namespace weft::inline v0 {

/// Projections of one self-attention layer; query = heads * head_dim, key_value = kv_heads * head_dim. A bias or a norm
/// without elements is none.
struct AttentionWeights {
  AnyTensor q;                // (query, hidden)
  AnyTensor k;                // (key_value, hidden)
  AnyTensor v;                // (key_value, hidden)
  AnyTensor o;                // (hidden, query)
  Tensor<float, 1> q_bias{};  // (query)
  Tensor<float, 1> k_bias{};  // (key_value)
  Tensor<float, 1> v_bias{};  // (key_value)
  Tensor<float, 1> o_bias{};  // (hidden)
  NormWeights q_norm{};       // of every head (head_dim), or of all of them at once (query)
  NormWeights k_norm{};       // (head_dim) or (key_value)
  // (heads) and (kv_heads): of every head with weights of its own (head_dim).
  std::vector<NormWeights> q_head_norms{}, k_head_norms{};
};

struct AttentionBlockParams {
  AttentionParams scores;
  NormParams norm{.eps = 0.f};  ///< of queries and keys
  float clip = 0.f;             ///< queries, keys and values are brought into [-clip, clip]; 0: they are not
};

/// One layer of a key/value cache of runtime element type (f32, f16, bf16 or q8_0): keys and values of every position,
/// each head's one after the other.
struct CacheLayer {
  DType dtype = DType::f32;
  std::byte* k = nullptr;  // (kv_heads, context, head_dim)
  std::byte* v = nullptr;  // (kv_heads, context, head_dim)
  std::size_t kv_heads = 0;
  std::size_t context = 0;
  std::size_t head_dim = 0;
};

/// One sequence among those of a pass: `tokens` rows of x from `begin` on, which are appended to its cache.
struct CachedSequence {
  CacheLayer cache;
  std::size_t begin;
  std::size_t tokens;
  std::size_t position;           ///< of the first token: how many are cached before it
  CacheLayer source = {};         ///< keys and values that cross-attention sees
  std::size_t source_tokens = 0;  ///< how many
};

namespace detail {

template <class F>
void visit_cache(DType dtype, F&& f) {
  if (dtype == DType::q8_0) return f(std::type_identity<BlockQ8_0>{});
  visit_among<float, half, bfloat16>(dtype, "key/value cache", std::forward<F>(f));
}

/// The first `keys` positions of a cached tensor of T as (keys, kv_heads, cache_width of head_dim).
template <class T>
TensorView<CacheElement<T>, 3> cached(const CacheLayer& cache, std::byte* data, std::size_t keys) {
  const std::size_t width = cache_width<T>(cache.head_dim);
  return {reinterpret_cast<CacheElement<T>*>(data), {keys, cache.kv_heads, width}, {width, cache.context * width, 1}};
}

/// Writes x (tokens, kv_heads, head_dim) at `position` of the cache.
inline void store_in_cache(const CacheLayer& cache, std::byte* data, std::size_t position, TensorView<const float, 3> x,
                           const cpu::Context& ctx) {
  visit_cache(cache.dtype, [&]<class T>(std::type_identity<T>) {
    const TensorView<CacheElement<T>, 3> to = cached<T>(cache, data, position + x.extent(0));
    const auto store = [&](std::size_t t, std::size_t) {
      for (std::size_t h = 0; h < cache.kv_heads; ++h) {
        const float* from = &x(t, h, 0);
        CacheElement<T>* slot = &to(position + t, h, 0);
        if constexpr (std::is_same_v<T, half>) {
          ctx.kernels->to_f16(from, cache.head_dim, slot);
        } else if constexpr (std::is_same_v<T, bfloat16>) {
          ctx.kernels->to_bf16(from, cache.head_dim, slot);
        } else if constexpr (std::is_same_v<T, BlockQ8_0>) {
          quantize_row(DType::q8_0, from, cache.head_dim, reinterpret_cast<std::byte*>(slot));
        } else {
          std::copy_n(from, cache.head_dim, slot);
        }
      }
    };
    if (x.size() < 16384) {
      for (std::size_t t = 0; t < x.extent(0); ++t) store(t, 0);
    } else {
      parallel_for(ctx, x.extent(0), store);
    }
  });
}

/// The keys and values that the tokens of a sequence attend to: the first `keys` of a cache.
struct AttendedCache {
  CacheLayer cache;
  std::size_t keys;
  std::size_t offset;  ///< AttentionParams::offset
};

/// Attention of every sequence to all that a cache of it holds: the one that attended(sequence) returns.
template <class Attended>
void attend_to_caches(std::span<const CachedSequence> sequences, const AttentionParams& params,
                      TensorView<const float, 3> q, TensorView<float, 3> out, const cpu::Context& ctx,
                      Attended&& attended) {
  constexpr std::size_t most = 16;  // sequences of one parallel pass
  visit_cache(attended(sequences[0]).cache.dtype, [&]<class T>(std::type_identity<T>) {
    for (std::size_t begin = 0; begin < sequences.size(); begin += most) {
      const std::span<const CachedSequence> some = sequences.subspan(begin, std::min(most, sequences.size() - begin));
      std::array<AttentionSequence<T>, most> calls;
      for (std::size_t i = 0; i < some.size(); ++i) {
        const CachedSequence& s = some[i];
        const AttendedCache a = attended(s);
        calls[i] = {.q = q.narrow(0, s.begin, s.tokens),
                    .k = cached<T>(a.cache, a.cache.k, a.keys),
                    .v = cached<T>(a.cache, a.cache.v, a.keys),
                    .out = out.narrow(0, s.begin, s.tokens),
                    .params = params};
        calls[i].params.offset = a.offset;
      }
      attention(std::span<const AttentionSequence<T>>(calls.data(), some.size()), ctx);
    }
  });
}

/// Brings every element into [-limit, limit]; NaN stays NaN.
inline void clip_rows(TensorView<float, 2> x, float limit, const cpu::Context& ctx) {
  for_each_row("clip", x, x, ctx, [&](const float* from, std::size_t n, float* to) {
    for (std::size_t i = 0; i < n; ++i) to[i] = from[i] > limit ? limit : from[i] < -limit ? -limit : from[i];
  });
}

/// Normalises runs of as many elements as the norm has gains.
inline void norm_heads(TensorView<float, 2> x, const NormWeights& weights, const NormParams& params,
                       const LayerContext& ctx) {
  if (weights.gain.empty()) return;
  const TensorView<float, 2> runs = x.reshape(dynamic, weights.gain.size());
  norm(runs, weights, runs, params, ctx, x.extent(1) / weights.gain.size());
}

/// Normalises every head by weights of its own.
inline void norm_each_head(TensorView<float, 2> x, std::span<const NormWeights> heads, const NormParams& params,
                           const LayerContext& ctx) {
  for (std::size_t h = 0; h < heads.size(); ++h) {
    const std::size_t width = x.extent(1) / heads.size();
    const TensorView<float, 2> head = x.narrow(1, h * width, width);
    norm(head, heads[h], head, params, ctx);
  }
}

}  // namespace detail

/// Scratch of an attention block for `tokens` tokens.
struct AttentionBuffers {
  TensorView<float, 2> q;    // (tokens, query)
  TensorView<float, 2> k;    // (tokens, key_value)
  TensorView<float, 2> v;    // (tokens, key_value)
  TensorView<float, 2> out;  // (tokens, query)
};

/// Self-attention of the tokens of one or several sequences, which together are the rows of x, at `positions`: projects
/// x, normalises queries and keys, clips, rotates (an empty table rotates nothing), stores keys and values in each
/// sequence's cache, attends to everything in it so far, projects back into y, which is also added to `residual`, if
/// there is one. x, y, residual: (tokens, hidden); y may be x. The caches have one element type; params.scores.offset
/// is that of each sequence, whatever it says.
inline void attention_block(const AttentionWeights& weights, std::span<const CachedSequence> sequences,
                            const RopeTable& rope, std::span<const std::int32_t> positions,
                            const AttentionBlockParams& params, TensorView<const float, 2> x,
                            const AttentionBuffers& buffers, TensorView<float, 2> y, const LayerContext& ctx,
                            std::optional<TensorView<float, 2>> residual = std::nullopt) {
  if (sequences.empty()) return;
  const std::size_t tokens = x.extent(0);
  const std::array<LinearOutput, 3> outputs{LinearOutput{weights.q, buffers.q, detail::bias_or_null(weights.q_bias)},
                                            LinearOutput{weights.k, buffers.k, detail::bias_or_null(weights.k_bias)},
                                            LinearOutput{weights.v, buffers.v, detail::bias_or_null(weights.v_bias)}};
  linear(x, outputs, ctx);
  detail::norm_heads(buffers.q, weights.q_norm, params.norm, ctx);
  detail::norm_heads(buffers.k, weights.k_norm, params.norm, ctx);
  detail::norm_each_head(buffers.q, weights.q_head_norms, params.norm, ctx);
  detail::norm_each_head(buffers.k, weights.k_head_norms, params.norm, ctx);
  if (params.clip != 0.f)
    for (const LinearOutput& output : outputs) detail::clip_rows(output.y, params.clip, ctx);
  const auto heads = [&](TensorView<float, 2> flat) {
    return flat.reshape(tokens, dynamic, sequences[0].cache.head_dim);
  };
  const TensorView<float, 3> q = heads(buffers.q);
  const TensorView<float, 3> k = heads(buffers.k);
  if (rope.positions() > 0) {
    apply_rope(q, positions, rope, ctx);
    apply_rope(k, positions, rope, ctx);
  }
  for (const CachedSequence& s : sequences) {
    detail::store_in_cache(s.cache, s.cache.k, s.position, k.narrow(0, s.begin, s.tokens), ctx);
    detail::store_in_cache(s.cache, s.cache.v, s.position, heads(buffers.v).narrow(0, s.begin, s.tokens), ctx);
  }
  detail::attend_to_caches(sequences, params.scores, q, heads(buffers.out), ctx, [](const CachedSequence& s) {
    return detail::AttendedCache{s.cache, s.position + s.tokens, s.position};
  });
  detail::linear_onto(buffers.out, weights.o, detail::bias_or_null(weights.o_bias), y, ctx, residual);
}

}  // namespace weft::inline v0
