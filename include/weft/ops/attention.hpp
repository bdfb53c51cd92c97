#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor_view.hpp>
#include <weft/cpu/context.hpp>
#include <weft/ops/params.hpp>
#include <weft/quant/q8_0.hpp>

namespace weft::inline v0 {

/// What holds keys and values of type K: K itself, the bytes of blocks.
template <class K>
using CacheElement = std::conditional_t<std::is_same_v<K, BlockQ8_0>, std::uint8_t, K>;

/// The extent of a head of head_dim elements in a cache of K.
template <class K>
constexpr std::size_t cache_width(std::size_t head_dim) noexcept {
  if constexpr (std::is_same_v<K, BlockQ8_0>) return head_dim / BlockQ8_0::elements * sizeof(BlockQ8_0);
  return head_dim;
}

/// One of several sequences that attention() runs at once: what attention() takes for one.
template <class K>
struct AttentionSequence {
  TensorView<const float, 3> q;            // (tokens, heads, head_dim)
  TensorView<const CacheElement<K>, 3> k;  // (keys, kv_heads, cache_width of head_dim)
  TensorView<const CacheElement<K>, 3> v;  // (keys, kv_heads, cache_width of head_dim)
  TensorView<float, 3> out;                // (tokens, heads, head_dim)
  AttentionParams params;
};

namespace detail {

template <class K>
void check_attention(const AttentionSequence<K>& s) {
  require_shape("attention", "v", s.v.extents(), s.k.extents());
  require_shape("attention", "out", s.out.extents(), s.q.extents());
  if (std::is_same_v<K, BlockQ8_0> && s.q.extent(2) % BlockQ8_0::elements != 0)
    raise<ShapeError>("attention: heads of ", s.q.extent(2), " elements do not fill blocks of q8_0");
  require_extent("attention", "head_dim of k", s.k.extent(2), cache_width<K>(s.q.extent(2)));
  require_groups(s.q.extent(1), s.k.extent(1));
  if (s.q.extent(1) / s.k.extent(1) > cpu::attention_rows)
    raise<UnsupportedError>("attention: at most ", cpu::attention_rows, " query heads per key/value head, found ",
                            s.q.extent(1) / s.k.extent(1));
  const auto contiguous = [](const auto& x) { return x.extent(2) <= 1 || x.stride(2) == 1; };
  if (!contiguous(s.q) || !contiguous(s.k) || !contiguous(s.v) || !contiguous(s.out))
    raise<ShapeError>("attention: the elements of a head must be contiguous");
  require_keys(s.params, s.q.extent(0), s.k.extent(0));
  require_biases(s.params, s.q.extent(1));
}

template <class K>
cpu::AttentionKernels::Attend attention_kernel(const cpu::Context& ctx) {
  const cpu::AttentionKernels& kernels = ctx.kernels->attention;
  if constexpr (std::is_same_v<K, half>) {
    return kernels.f16;
  } else if constexpr (std::is_same_v<K, bfloat16>) {
    return ctx.compute == Compute::native && kernels.bf16_native ? kernels.bf16_native : kernels.bf16;
  } else if constexpr (std::is_same_v<K, BlockQ8_0>) {
    return kernels.q8_0;
  } else {
    static_assert(std::is_same_v<K, float>, "attention: keys and values are float, half, bfloat16 or BlockQ8_0");
    return kernels.f32;
  }
}

template <class K>
cpu::AttentionArgs attention_args(const AttentionSequence<K>& s) {
  return {.q = s.q.data(),
          .q_token = s.q.stride(0),
          .q_head = s.q.stride(1),
          .k = s.k.data(),
          .k_token = s.k.stride(0) * sizeof(CacheElement<K>),
          .k_head = s.k.stride(1) * sizeof(CacheElement<K>),
          .v = s.v.data(),
          .v_token = s.v.stride(0) * sizeof(CacheElement<K>),
          .v_head = s.v.stride(1) * sizeof(CacheElement<K>),
          .out = s.out.data(),
          .out_token = s.out.stride(0),
          .out_head = s.out.stride(1),
          .keys = s.k.extent(0),
          .offset = s.params.offset,
          .group = s.q.extent(1) / s.k.extent(1),
          .head_dim = s.q.extent(2),
          .scale = s.params.scale,
          .soft_cap = s.params.soft_cap,
          .window = s.params.window,
          .causal = s.params.causal,
          .key_mask = s.params.key_mask.empty() ? nullptr : s.params.key_mask.data(),
          .alibi_slopes = s.params.alibi_slopes.empty() ? nullptr : s.params.alibi_slopes.data(),
          .relative_bias = s.params.relative_bias.empty() ? nullptr : s.params.relative_bias.data(),
          .relative_radius = s.params.relative_bias.empty() ? 0 : s.params.relative_bias.size() / s.q.extent(1) / 2};
}

/// How the attention of one sequence is divided: tiles of tokens for every key/value head, and, where one tile holds
/// all tokens, spans of keys for every key/value head.
class AttentionPlan {
 public:
  AttentionPlan(const cpu::AttentionArgs& args, std::size_t tokens, std::size_t kv_heads) noexcept
      : args_(args),
        tokens_(tokens),
        kv_heads_(kv_heads),
        tile_(std::max<std::size_t>(1, cpu::attention_rows / std::max<std::size_t>(1, args.group))) {
    if (tokens == 0) return;
    tiles_ = (tokens + tile_ - 1) / tile_;
    first_ = cpu::attention_first_key(args, 0);
    last_ = cpu::attention_last_key(args, tokens - 1);
    if (tiles_ == 1 && last_ > first_) spans_ = (last_ - 1) / cpu::attention_span - first_ / cpu::attention_span + 1;
  }

  std::size_t tiles() const noexcept { return tiles_ * kv_heads_; }
  std::size_t spans() const noexcept { return spans_; }
  std::size_t multiplications() const noexcept { return tokens_ * kv_heads_ * args_.group * last_ * args_.head_dim; }
  /// Rows of queries in the states of all spans of one key/value head.
  std::size_t state_floats() const noexcept {
    return cpu::attention_state_floats(std::min(tokens_, tile_) * args_.group, args_.head_dim);
  }

  /// All keys for one tile. The last tiles see the most keys: they come first.
  cpu::AttentionTask tile(std::size_t item) const noexcept {
    const std::size_t begin = (tiles_ - 1 - item / kv_heads_) * tile_;
    const std::size_t end = std::min(tokens_, begin + tile_);
    return {.kv_head = item % kv_heads_,
            .token_begin = begin,
            .token_end = end,
            .key_begin = cpu::attention_first_key(args_, begin),
            .key_end = cpu::attention_last_key(args_, end - 1)};
  }
  /// One span of the keys for all tokens.
  cpu::AttentionTask span(std::size_t kv_head, std::size_t index) const noexcept {
    const std::size_t begin = (first_ / cpu::attention_span + index) * cpu::attention_span;
    return {.kv_head = kv_head,
            .token_begin = 0,
            .token_end = tokens_,
            .key_begin = std::max(first_, begin),
            .key_end = std::min(last_, begin + cpu::attention_span)};
  }

 private:
  const cpu::AttentionArgs& args_;
  std::size_t tokens_;
  std::size_t kv_heads_;
  std::size_t tile_;
  std::size_t tiles_ = 0;
  std::size_t spans_ = 1;
  std::size_t first_ = 0;
  std::size_t last_ = 0;
};

/// Asks for the first keys and values of a task that comes next.
template <class K>
void ask_for(const AttentionSequence<K>& s, const cpu::AttentionTask& task) noexcept {
  const std::size_t bytes = s.k.extent(2) * sizeof(CacheElement<K>);
  const std::size_t end = std::min(task.key_end, task.key_begin + cpu::attention_block);
  for (std::size_t key = task.key_begin; key < end; ++key)
    for (const auto* row : {&s.k(key, task.kv_head, 0), &s.v(key, task.kv_head, 0)})
      for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(reinterpret_cast<const std::byte*>(row) + i);
  asm volatile("");  // g++ leaves out calls of what does nothing else
}

/// Floats of scratch of a thread that takes tiles: a state, and what the kernel needs.
constexpr std::size_t attention_tile_floats(std::size_t head_dim) noexcept {
  return cpu::attention_state_floats(cpu::attention_rows, head_dim) + cpu::attention_scratch(head_dim);
}
/// The bytes of scratch memory that attention() borrows at most for single tokens with `keys` keys or fewer: who
/// reserves as many has none allocated while a cache fills.
constexpr std::size_t attention_bytes(std::size_t keys, std::size_t heads, std::size_t kv_heads, std::size_t head_dim,
                                      std::size_t concurrency) noexcept {
  if (keys == 0 || kv_heads == 0) return 0;
  const std::size_t spans = (keys - 1) / cpu::attention_span + 1;
  const std::size_t states = spans * kv_heads * cpu::attention_state_floats(heads / kv_heads, head_dim);
  const std::size_t in_tiles = concurrency * attention_tile_floats(head_dim);
  const std::size_t in_spans = concurrency * cpu::attention_scratch(head_dim) + states + kv_heads;
  return std::max(in_tiles, in_spans) * sizeof(float);
}

/// Tiles of all sequences, one after the other.
template <class K>
void attend_tiles(std::span<const AttentionSequence<K>> sequences, std::size_t tiles, const cpu::Context& ctx) {
  const std::size_t head_dim = sequences[0].q.extent(2);
  const std::size_t state_floats = cpu::attention_state_floats(cpu::attention_rows, head_dim);
  const std::size_t slot_floats = attention_tile_floats(head_dim);
  const Scratch scratch(ctx, ctx.concurrency() * slot_floats * sizeof(float));
  const auto kernel = attention_kernel<K>(ctx);
  parallel_shares(ctx, tiles, [&](std::size_t item, std::size_t slot, std::size_t next) {
    for (const AttentionSequence<K>& sequence : sequences) {
      const cpu::AttentionArgs args = attention_args(sequence);
      const AttentionPlan plan(args, sequence.q.extent(0), sequence.k.extent(1));
      if (item < plan.tiles()) {
        if (next < plan.tiles()) ask_for(sequence, plan.tile(next));
        float* state = scratch.as<float>() + slot * slot_floats;
        const cpu::AttentionTask task = plan.tile(item);
        kernel(args, task, state, state + state_floats);
        return ctx.kernels->attention.finish(args, task, state);
      }
      item -= plan.tiles();
      next -= plan.tiles();
    }
  });
}

/// Spans of one sequence's keys for all its tokens; who is the last to finish one of a head merges them.
template <class K>
void attend_spans(const AttentionSequence<K>& sequence, const cpu::Context& ctx) {
  const cpu::AttentionArgs args = attention_args(sequence);
  const std::size_t kv_heads = sequence.k.extent(1);
  const AttentionPlan plan(args, sequence.q.extent(0), kv_heads);
  const std::size_t slot_floats = cpu::attention_scratch(args.head_dim);
  const std::size_t states = ctx.concurrency() * slot_floats;
  const std::size_t counters = states + plan.spans() * kv_heads * plan.state_floats();
  const Scratch scratch(ctx, counters * sizeof(float) + kv_heads * sizeof(std::uint32_t));
  auto* left = scratch.as<std::uint32_t>(counters * sizeof(float));
  std::fill_n(left, kv_heads, static_cast<std::uint32_t>(plan.spans()));
  const auto kernel = attention_kernel<K>(ctx);
  const std::size_t rows = sequence.q.extent(0) * args.group;
  parallel_for(ctx, plan.spans() * kv_heads, [&](std::size_t item, std::size_t slot) {
    const std::size_t kv_head = item / plan.spans();
    float* first = scratch.as<float>() + states + kv_head * plan.spans() * plan.state_floats();
    const cpu::AttentionTask task = plan.span(kv_head, item % plan.spans());
    kernel(args, task, first + item % plan.spans() * plan.state_floats(), scratch.as<float>() + slot * slot_floats);
    if (std::atomic_ref(left[kv_head]).fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    for (std::size_t i = 1; i < plan.spans(); ++i)
      ctx.kernels->attention.merge(first + i * plan.state_floats(), rows, args.head_dim, first);
    ctx.kernels->attention.finish(args, task, first);
  });
}

}  // namespace detail

/// The attention below for several sequences, each with its own tokens, keys and parameters, in one parallel pass: a
/// batch of unequal lengths without padding. All have the same head_dim.
template <class K>
void attention(std::span<const AttentionSequence<K>> sequences, const cpu::Context& ctx = {}) {
  std::size_t tiles = 0, multiplications = 0;
  for (const AttentionSequence<K>& sequence : sequences) {
    detail::check_attention(sequence);
    detail::require_extent("attention", "head_dim of every sequence", sequence.q.extent(2), sequences[0].q.extent(2));
    const cpu::AttentionArgs args = detail::attention_args(sequence);
    const detail::AttentionPlan plan(args, sequence.q.extent(0), sequence.k.extent(1));
    tiles += plan.tiles();
    multiplications += plan.multiplications();
  }
  if (tiles == 0 || sequences[0].q.extent(2) == 0) return;
  // Too little work for a second thread.
  if (multiplications < 16384) {
    cpu::Context alone = ctx;
    alone.executor = nullptr;
    return detail::attend_tiles(sequences, tiles, alone);
  }
  // Threads are kept busy evenly by some tiles each, or else by spans of a long cache.
  const std::size_t even = 4 * ctx.concurrency();
  if (ctx.concurrency() == 1 || tiles >= even) return detail::attend_tiles(sequences, tiles, ctx);
  for (const AttentionSequence<K>& sequence : sequences) {
    const cpu::AttentionArgs args = detail::attention_args(sequence);
    const detail::AttentionPlan plan(args, sequence.q.extent(0), sequence.k.extent(1));
    if (plan.spans() > 1) {
      detail::attend_spans(sequence, ctx);
    } else {
      detail::attend_tiles(std::span(&sequence, 1), plan.tiles(), ctx);
    }
  }
}

/// Scaled dot-product attention, Vaswani et al. 2017 (arXiv:1706.03762), equation 1, with grouped key/value heads
/// (Ainslie et al. 2023, arXiv:2305.13245):
///   out[t, h] = sum_j softmax_j(f(scale * q[t, h] . k[j, h / group])) v[j, h / group]
/// over the keys j that token t may see, f being soft cap, ALiBi and relative bias. A token that sees no key gets
/// zeros.
///
/// q, out: (tokens, heads, head_dim) float. k, v: (keys, kv_heads, head_dim) float, half or bfloat16, or, for
/// attention<BlockQ8_0>, (keys, kv_heads, head_dim / 32 * 34) the bytes of blocks, any strides with contiguous heads: a
/// cache as it lies. out must not overlap
/// the others. Scores are never held for more than 64 keys at a time, whatever the length; sums are float; with
/// Compute::native and bfloat16 keys and values, q and the probabilities are rounded to bfloat16 where the processor
/// multiplies it; for finite keys and values results do not depend on threads nor on how tokens are divided among
/// calls. Throws ShapeError, UnsupportedError for more than 96 query heads per key/value head.
template <class K>
void attention(TensorView<const float, 3> q, TensorView<const CacheElement<K>, 3> k,
               TensorView<const CacheElement<K>, 3> v, TensorView<float, 3> out, const AttentionParams& params,
               const cpu::Context& ctx = {}) {
  const AttentionSequence<K> sequence{q, k, v, out, params};
  attention(std::span<const AttentionSequence<K>>(&sequence, 1), ctx);
}

/// attention() on anything tensor-like.
template <TensorLike Q, TensorLike K, TensorLike V, TensorLike O>
void attention(const Q& q, const K& k, const V& v, O&& out, const AttentionParams& params,
               const cpu::Context& ctx = {}) {
  static_assert(rank_of<Q> == 3 && rank_of<K> == 3, "attention: q, k, v and out are (tokens, heads, head_dim)");
  static_assert(detail::same_shape<Q, O>, "attention: q and out have different shapes");
  static_assert(detail::same_shape<K, V>, "attention: k and v have different shapes");
  static_assert(detail::same_extent<Q, 2, K, 2>, "attention: q and k have different head_dim");
  static_assert(std::is_same_v<value_t<Q>, float> && std::is_same_v<value_t<K>, value_t<V>>,
                "attention: q is float, k and v have one element type");
  attention<value_t<K>>(TensorView<const float, 3>(view(q)), TensorView<const value_t<K>, 3>(view(k)),
                        TensorView<const value_t<K>, 3>(view(v)), TensorView<float, 3>(view(out)), params, ctx);
}

}  // namespace weft::inline v0
