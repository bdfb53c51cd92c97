#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/ops/attention.hpp>
#include <weft/ops/rope.hpp>
#include <weft/ops/rows.hpp>
#include <weft/quant/quantize.hpp>

namespace weft::inline v0 {

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
void attend_to(std::span<const CachedSequence> sequences, const AttentionParams& params, TensorView<const float, 3> q,
               TensorView<float, 3> out, const cpu::Context& ctx, Attended&& attended) {
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

}  // namespace detail

/// Rows of queries, keys or values (tokens, heads * head_dim) head by head.
inline TensorView<float, 3> heads_of(std::span<const CachedSequence> sequences, TensorView<float, 2> rows) {
  return rows.reshape(rows.extent(0), dynamic, sequences[0].cache.head_dim);
}

/// Appends rows of keys and values (tokens, key_value) to the cache of each sequence.
inline void store_in_caches(std::span<const CachedSequence> sequences, TensorView<float, 2> k, TensorView<float, 2> v,
                            const cpu::Context& ctx) {
  for (const CachedSequence& s : sequences) {
    detail::store_in_cache(s.cache, s.cache.k, s.position, heads_of(sequences, k).narrow(0, s.begin, s.tokens), ctx);
    detail::store_in_cache(s.cache, s.cache.v, s.position, heads_of(sequences, v).narrow(0, s.begin, s.tokens), ctx);
  }
}

/// Attention of the tokens of every sequence to all that is in its cache so far. q, out: (tokens, query). The caches
/// have one element type; params.offset is that of each sequence, whatever it says.
inline void attend_to_caches(std::span<const CachedSequence> sequences, const AttentionParams& params,
                             TensorView<float, 2> q, TensorView<float, 2> out, const cpu::Context& ctx) {
  detail::attend_to(sequences, params, heads_of(sequences, q), heads_of(sequences, out), ctx,
                    [](const CachedSequence& s) {
                      return detail::AttendedCache{s.cache, s.position + s.tokens, s.position};
                    });
}

/// Attention of the tokens of every sequence to its source. q, out: (tokens, query). The sources have one element type.
inline void attend_to_sources(std::span<const CachedSequence> sequences, const AttentionParams& params,
                              TensorView<float, 2> q, TensorView<float, 2> out, const cpu::Context& ctx) {
  const auto heads = [&](TensorView<float, 2> rows) {
    return rows.reshape(rows.extent(0), dynamic, sequences[0].source.head_dim);
  };
  detail::attend_to(sequences, params, heads(q), heads(out), ctx, [](const CachedSequence& s) {
    return detail::AttendedCache{s.source, s.source_tokens, 0};
  });
}

/// Brings every element into [-limit, limit]; NaN stays NaN.
inline void clip_rows(TensorView<float, 2> x, float limit, const cpu::Context& ctx) {
  detail::for_each_row("clip", x, x, ctx, [&](const float* from, std::size_t n, float* to) {
    for (std::size_t i = 0; i < n; ++i) to[i] = from[i] > limit ? limit : from[i] < -limit ? -limit : from[i];
  });
}

}  // namespace weft::inline v0
