#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor_view.hpp>
#include <weft/cpu/context.hpp>

namespace weft::inline v0 {

/// What changes scores and visibility; the neutral values change nothing.
struct AttentionParams {
  float scale;                               ///< usually 1 / sqrt(head_dim)
  bool causal = true;                        ///< a token sees keys up to its own
  std::size_t offset = 0;                    ///< the key that belongs to token 0: tokens already in the cache
  std::size_t window = 0;                    ///< a token sees its own key and the window - 1 before it; 0: all
  float soft_cap = 0.f;                      ///< score = cap * tanh(score / cap); 0: none
  std::span<const bool> key_mask = {};       ///< (keys): false hides a key, as padding; empty: all visible
  std::span<const float> alibi_slopes = {};  ///< (heads): slope * (key - position) is added; empty: none
};

namespace detail {

template <class K>
void check_attention(TensorView<const float, 3> q, TensorView<const K, 3> k, TensorView<const K, 3> v,
                     TensorView<float, 3> out, const AttentionParams& params) {
  require_shape("attention", "v", v.extents(), k.extents());
  require_shape("attention", "out", out.extents(), q.extents());
  require_extent("attention", "head_dim of k", k.extent(2), q.extent(2));
  if (k.extent(1) == 0 || q.extent(1) % k.extent(1) != 0)
    raise<ShapeError>("attention: ", q.extent(1), " query heads cannot share ", k.extent(1), " key/value heads");
  if (q.extent(1) / k.extent(1) > cpu::attention_rows)
    raise<UnsupportedError>("attention: at most ", cpu::attention_rows, " query heads per key/value head, found ",
                            q.extent(1) / k.extent(1));
  for (const std::size_t stride : {q.stride(2), k.stride(2), v.stride(2), out.stride(2)})
    if (q.extent(2) > 1 && stride != 1) raise<ShapeError>("attention: the elements of a head must be contiguous");
  if (params.causal && params.offset + q.extent(0) > k.extent(0))
    raise<ShapeError>("attention: token ", q.extent(0) - 1, " belongs to key ", params.offset + q.extent(0) - 1,
                      ", but there are ", k.extent(0), " keys");
  if (!params.key_mask.empty()) require_extent("attention", "the key mask", params.key_mask.size(), k.extent(0));
  if (!params.alibi_slopes.empty())
    require_extent("attention", "the number of ALiBi slopes", params.alibi_slopes.size(), q.extent(1));
}

template <class K>
auto attention_kernel(const cpu::Context& ctx) {
  const cpu::Kernels& kernels = *ctx.kernels;
  if constexpr (std::is_same_v<K, half>) {
    return kernels.attention_f16;
  } else if constexpr (std::is_same_v<K, bfloat16>) {
    const bool native = ctx.compute == Compute::native && kernels.attention_bf16_native;
    return native ? kernels.attention_bf16_native : kernels.attention_bf16;
  } else {
    static_assert(std::is_same_v<K, float>, "attention: keys and values are float, half or bfloat16");
    return kernels.attention_f32;
  }
}

}  // namespace detail

/// Scaled dot-product attention, Vaswani et al. 2017 (arXiv:1706.03762), equation 1, with grouped key/value heads
/// (Ainslie et al. 2023, arXiv:2305.13245):
///   out[t, h] = sum_j softmax_j(f(scale * q[t, h] . k[j, h / group])) v[j, h / group]
/// over the keys j that token t may see, f being soft cap and ALiBi. A token that sees no key gets zeros.
///
/// q, out: (tokens, heads, head_dim) float. k, v: (keys, kv_heads, head_dim) float, half or bfloat16, any strides with
/// contiguous heads: a cache as it lies. out must not overlap the others. Scores are never held for more than 64 keys
/// at a time, whatever the length; sums are float; with Compute::native and bfloat16 keys and values, q and the
/// probabilities are rounded to bfloat16 where the processor multiplies it; results do not depend on threads nor on how
/// tokens are divided among calls. Throws ShapeError, UnsupportedError for more than 96 query heads per key/value head.
template <class K>
void attention(TensorView<const float, 3> q, TensorView<const K, 3> k, TensorView<const K, 3> v,
               TensorView<float, 3> out, const AttentionParams& params, const cpu::Context& ctx = {}) {
  detail::check_attention(q, k, v, out, params);
  const std::size_t tokens = q.extent(0);
  const std::size_t kv_heads = k.extent(1);
  if (q.empty()) return;
  const cpu::AttentionArgs args{.q = q.data(),
                                .q_token = q.stride(0),
                                .q_head = q.stride(1),
                                .k = k.data(),
                                .k_token = k.stride(0),
                                .k_head = k.stride(1),
                                .v = v.data(),
                                .v_token = v.stride(0),
                                .v_head = v.stride(1),
                                .out = out.data(),
                                .out_token = out.stride(0),
                                .out_head = out.stride(1),
                                .keys = k.extent(0),
                                .offset = params.offset,
                                .group = q.extent(1) / kv_heads,
                                .head_dim = q.extent(2),
                                .scale = params.scale,
                                .soft_cap = params.soft_cap,
                                .window = params.window,
                                .causal = params.causal,
                                .key_mask = params.key_mask.empty() ? nullptr : params.key_mask.data(),
                                .alibi_slopes = params.alibi_slopes.empty() ? nullptr : params.alibi_slopes.data()};
  const std::size_t tile = std::max<std::size_t>(1, cpu::attention_rows / args.group);
  const std::size_t tiles = (tokens + tile - 1) / tile;
  const std::size_t floats = cpu::attention_scratch(args.head_dim);
  const detail::Scratch scratch(ctx, ctx.concurrency() * floats * sizeof(float));
  const auto kernel = detail::attention_kernel<K>(ctx);
  // The last tiles see the most keys: they go first.
  const auto run = [&](std::size_t item, std::size_t slot) {
    const std::size_t begin = (tiles - 1 - item / kv_heads) * tile;
    kernel(args, item % kv_heads, begin, std::min(tokens, begin + tile), scratch.as<float>() + slot * floats);
  };
  if (tokens * q.extent(1) * k.extent(0) * args.head_dim < 65536) {
    for (std::size_t item = 0; item < tiles * kv_heads; ++item) run(item, 0);
  } else {
    detail::parallel_for(ctx, tiles * kv_heads, run);
  }
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
