#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <weft/cuda/ops/attention_decode_kernel.cuh>

namespace weft::inline v0::cuda {

namespace detail {

/// The query heads that share one pass over the keys, for groups of so many.
constexpr int heads_together(std::size_t group) noexcept { return group > 4 ? 8 : group > 2 ? 4 : group > 1 ? 2 : 1; }
constexpr std::size_t padded_heads(std::size_t heads, std::size_t kv_heads) noexcept {
  const std::size_t group = kv_heads == 0 ? 1 : heads / kv_heads;
  const auto together = static_cast<std::size_t>(heads_together(group));
  return kv_heads * ((group + together - 1) / together) * together;
}
constexpr std::size_t decode_spans(std::size_t capacity) noexcept { return (capacity + decode_span - 1) / decode_span; }

/// The head sizes that kernels for single tokens are made for.
constexpr int decode_dim(std::size_t head_dim) noexcept { return head_dim <= 64 ? 64 : head_dim <= 128 ? 128 : 256; }

template <class F>
void with_decode_dim(std::size_t head_dim, F&& f) {
  if (head_dim > 256)
    raise<UnsupportedError>("attention: heads of ", head_dim, " elements; the device takes up to 256");
  switch (decode_dim(head_dim)) {
    case 64: return f(std::integral_constant<int, 64>{});
    case 128: return f(std::integral_constant<int, 128>{});
    default: return f(std::integral_constant<int, 256>{});
  }
}

template <class F>
void with_heads_together(std::size_t group, F&& f) {
  switch (heads_together(group)) {
    case 1: return f(std::integral_constant<int, 1>{});
    case 2: return f(std::integral_constant<int, 2>{});
    case 4: return f(std::integral_constant<int, 4>{});
    default: return f(std::integral_constant<int, 8>{});
  }
}

template <class T>
void attention_decode(DecodeArgs<T> args, std::size_t batch, std::size_t kv_heads, std::size_t capacity,
                      void* workspace, cudaStream_t stream) {
  const auto group = static_cast<std::size_t>(args.group);
  const std::size_t blocks = padded_heads(group, 1) / static_cast<std::size_t>(heads_together(group)) * kv_heads;
  args.tickets = static_cast<unsigned*>(workspace);
  args.states = reinterpret_cast<float*>(args.tickets + (batch * padded_heads(kv_heads * group, kv_heads) + 3) / 4 * 4);
  with_decode_dim(static_cast<std::size_t>(args.head_dim), [&](auto dim) {
    with_heads_together(group, [&](auto together) {
      constexpr int d = decltype(dim)::value;
      constexpr int g = decltype(together)::value;
      launch("attention_decode",
             {.grid = dim3(static_cast<unsigned>(std::max<std::size_t>(1, decode_spans(capacity))),
                           static_cast<unsigned>(blocks), static_cast<unsigned>(batch)),
              .block = dim3(decode_threads),
              .shared_bytes = static_cast<std::size_t>((decode_threads / 32 - 1) * g * (d + 2)) * sizeof(float),
              .stream = stream},
             attention_decode_kernel<T, d, g>, args);
    });
  });
}

}  // namespace detail

/// Bytes of workspace of attention_decode() for caches of up to `capacity` keys. All zero before the first call; every
/// call leaves zero what has to be.
constexpr std::size_t attention_decode_workspace_bytes(std::size_t batch, std::size_t heads, std::size_t kv_heads,
                                                       std::size_t head_dim, std::size_t capacity) noexcept {
  const auto padded = static_cast<std::size_t>(detail::decode_dim(head_dim));
  const std::size_t rows = batch * detail::padded_heads(heads, kv_heads);
  return ((rows + 3) / 4 * 4 + rows * detail::decode_spans(capacity) * (padded + 2)) * sizeof(float);
}

/// Attention of the latest token of each of several sequences to its cache; the equation stands at weft::attention. The
/// keys are divided among blocks in spans of 256 and read once for all query heads that share them; spans are merged in
/// their order, so that the result does not depend on batch nor device.
///
/// q, out: (batch, heads, head_dim). k, v: (batch, capacity, kv_heads, head_dim), or, with a page table, (pages,
/// page_keys, kv_heads, head_dim). Half or bfloat16 device memory of one type with contiguous heads. keys: (batch), on
/// the device, how many of its keys a token sees, its own the last of them, up to `capacity` = the second extent of k,
/// or pages_per_sequence * page_keys. A sequence that sees no key gets zeros. `params`: causal and offset follow from
/// keys; a key mask is (batch, capacity), and what lies at hidden keys does not matter. Sums in float. Throws
/// ShapeError, UnsupportedError, CudaError.
template <DeviceTensorLike Q, DeviceTensorLike K, DeviceTensorLike V, DeviceTensorLike O>
void attention_decode(const Q& q, const K& k, const V& v, const std::int32_t* keys, O&& out,
                      const AttentionParams& params, void* workspace, cudaStream_t stream = {},
                      const PageTable& table = {}) {
  using T = device_value_t<Q>;
  static_assert(HalfStorage<T>, "attention_decode: half or bfloat16");
  static_assert(device_rank_of<Q> == 3 && device_rank_of<K> == 4, "attention_decode: q has rank 3, k and v rank 4");
  const auto queries = device_view(q);
  const auto cached_keys = device_view(k);
  const auto cached_values = device_view(v);
  const auto result = device_view(out);
  weft::detail::require_shape("attention_decode", "v", cached_values.extents(), cached_keys.extents());
  weft::detail::require_shape("attention_decode", "out", result.extents(), queries.extents());
  weft::detail::require_extent("attention_decode", "head_dim of k", cached_keys.extent(3), queries.extent(2));
  detail::require_contiguous_heads<3>(queries, result);
  detail::require_contiguous_heads<4>(cached_keys, cached_values);
  if (table.pages) {
    weft::detail::require_extent("attention_decode", "the keys of a page", cached_keys.extent(1), table.page_keys);
  } else {
    weft::detail::require_extent("attention_decode", "the batch of k", cached_keys.extent(0), queries.extent(0));
  }
  const std::size_t kv_heads = cached_keys.extent(2);
  const std::size_t group = detail::grouped_heads(queries.extent(1), kv_heads);
  const std::size_t capacity = table.pages ? table.pages_per_sequence * table.page_keys : cached_keys.extent(1);
  if (!params.key_mask.empty())
    weft::detail::require_extent("attention_decode", "the key mask", params.key_mask.size(),
                                 queries.extent(0) * capacity);
  const detail::DecodeArgs<T> args{.q = queries.data(),
                                   .k = cached_keys.data(),
                                   .v = cached_values.data(),
                                   .out = result.data(),
                                   .q_strides = {queries.stride(0), queries.stride(1)},
                                   .k_strides = {cached_keys.stride(1), cached_keys.stride(2)},
                                   .v_strides = {cached_values.stride(1), cached_values.stride(2)},
                                   .out_strides = {result.stride(0), result.stride(1)},
                                   .k_block = cached_keys.stride(0),
                                   .v_block = cached_values.stride(0),
                                   .table = table,
                                   .keys = keys,
                                   .capacity = capacity,
                                   .group = static_cast<int>(group),
                                   .head_dim = static_cast<int>(queries.extent(2)),
                                   .aligned = detail::has_aligned_heads<3>(queries, result) &&
                                              detail::has_aligned_heads<4>(cached_keys, cached_values),
                                   .rule = detail::AttentionRule(params, queries.extent(1)),
                                   .states = nullptr,
                                   .tickets = nullptr};
  detail::attention_decode(args, queries.extent(0), kv_heads, capacity, workspace, stream);
}

}  // namespace weft::inline v0::cuda
