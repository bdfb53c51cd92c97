#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <weft/cuda/ops/attention_rule.cuh>

namespace weft::inline v0::cuda {

/// One of several sequences whose tokens and keys lie one after the other: a batch of unequal lengths without padding.
struct SequenceRange {
  std::int32_t first_token;
  std::int32_t tokens;
  std::int32_t first_key;
  std::int32_t keys;
  std::int32_t offset;  ///< the key that belongs to token 0
};

namespace detail {

template <class T>
struct AttentionArgs {
  const T* q;
  const T* k;
  const T* v;
  T* out;
  HeadStrides q_strides;
  HeadStrides k_strides;
  HeadStrides v_strides;
  HeadStrides out_strides;
  const SequenceRange* sequences;  // (batch), device memory; null: `sequence` alone
  SequenceRange sequence;
  int group;  // query heads per key/value head
  int head_dim;
  bool aligned;
  AttentionRule rule;
};

/// The tile of a kernel for heads of D elements: 4 warps, each with M times 16 tokens, and so many keys at a time.
template <int D>
struct AttentionTile {
  static constexpr int warps = 4;
  static constexpr int row_tiles = D <= 128 ? 2 : 1;
  static constexpr int rows = 16 * warps * row_tiles;
  static constexpr int keys = D <= 64 ? 64 : 32;
  static constexpr int pitch = D + 8;  // elements from row to row: no two of eight rows meet in a bank
  static constexpr std::size_t shared_elements = static_cast<std::size_t>(rows + 4 * keys) * pitch;
};

/// Attention of a tile of tokens in one head (FlashAttention-2, Dao 2023, arXiv:2307.08691): scores of a tile of keys
/// in registers, a running maximum and sum per token, sums of values in float; the next keys and values are copied in
/// the background.
template <class T, int D>
class AttentionBlock {
  using Tile = AttentionTile<D>;
  static constexpr int M = Tile::row_tiles;
  static constexpr int key_parts = Tile::keys / 8;
  static constexpr int value_parts = D / 8;

 public:
  __device__ AttentionBlock(const AttentionArgs<T>& args, const SequenceRange& sequence, int first_token, int head)
      : a_(args),
        s_(sequence),
        first_(first_token),
        head_(head),
        lane_(static_cast<int>(threadIdx.x) % 32),
        warp_(static_cast<int>(threadIdx.x) / 32),
        q_(dynamic_shared<T>()),
        kv_(q_ + Tile::rows * Tile::pitch),
        bias_(args.rule.bias(head)) {
#pragma unroll
    for (int m = 0; m < M; ++m) max_[m][0] = max_[m][1] = -INFINITY;
  }

  __device__ __forceinline__ void run() {
    const int last_token = min(first_ + Tile::rows, s_.tokens) - 1;
    const int begin = a_.rule.first_key(s_.offset + first_) / Tile::keys * Tile::keys;
    const int end = a_.rule.end_key(s_.offset + last_token, s_.keys);
    load_queries();
    if (begin < end) load_keys(begin, 0);
    copy_async_commit();
    int buffer = 0;
    for (int key = begin; key < end; key += Tile::keys, buffer ^= 1) {
      if (key + Tile::keys < end) load_keys(key + Tile::keys, buffer ^ 1);
      copy_async_commit();
      copy_async_wait<1>();
      __syncthreads();
      attend(key, buffer);
      __syncthreads();
    }
    copy_async_wait<0>();
    write();
  }

 private:
  /// Copies rows; zeros for those that is_there(row) denies, which are not read.
  template <class IsThere>
  __device__ __forceinline__ void copy_rows(T* to, const T* from, std::size_t stride, int rows, IsThere&& is_there) {
    constexpr int chunks = D / 8;
    for (int i = static_cast<int>(threadIdx.x); i < rows * chunks; i += 32 * Tile::warps) {
      const int row = i / chunks;
      const int at = i % chunks * 8;
      T* place = to + row * Tile::pitch + at;
      const bool valid = is_there(row);
      const T* source = from + static_cast<std::size_t>(valid ? row : 0) * stride;
      if (a_.aligned && a_.head_dim % 8 == 0) {
        const bool there = valid && at < a_.head_dim;
        copy_async_16(place, source + (there ? at : 0), there);
      } else {
        *reinterpret_cast<Raw<T, 8>*>(place) = load_eight(source, at, valid ? a_.head_dim : 0, false);
      }
    }
  }
  __device__ __forceinline__ void load_queries() {
    const T* q = a_.q + static_cast<std::size_t>(s_.first_token + first_) * a_.q_strides.token +
                 static_cast<std::size_t>(head_) * a_.q_strides.head;
    copy_rows(q_, q, a_.q_strides.token, Tile::rows, [&](int row) { return row < s_.tokens - first_; });
  }
  __device__ __forceinline__ T* keys_of(int buffer) { return kv_ + buffer * 2 * Tile::keys * Tile::pitch; }
  __device__ __forceinline__ T* values_of(int buffer) { return keys_of(buffer) + Tile::keys * Tile::pitch; }
  /// What lies at a key that no token of the tile sees counts for nothing, not even if it is NaN.
  __device__ __forceinline__ void load_keys(int key, int buffer) {
    const int last_own = s_.offset + min(first_ + Tile::rows, s_.tokens) - 1;
    const int begin = a_.rule.first_key(s_.offset + first_);
    const int end = a_.rule.end_key(last_own, s_.keys);
    const bool* mask = a_.rule.key_mask ? a_.rule.key_mask + s_.first_key : nullptr;
    const auto is_seen = [&](int row) { return key + row >= begin && key + row < end && (!mask || mask[key + row]); };
    const auto kv_head = static_cast<std::size_t>(head_ / a_.group);
    const auto first = static_cast<std::size_t>(s_.first_key + key);
    copy_rows(keys_of(buffer), a_.k + first * a_.k_strides.token + kv_head * a_.k_strides.head, a_.k_strides.token,
              Tile::keys, is_seen);
    copy_rows(values_of(buffer), a_.v + first * a_.v_strides.token + kv_head * a_.v_strides.head, a_.v_strides.token,
              Tile::keys, is_seen);
  }

  /// The address that a thread gives load_matrices for the 16 x 16 elements at (row, column) of a tile: in the order
  /// (0, 0), (8, 0), (0, 8), (8, 8) of 8 x 8.
  __device__ __forceinline__ const T* matrix(const T* tile, int row, int column) const {
    return tile + (row + lane_ % 16) * Tile::pitch + column + lane_ / 16 * 8;
  }
  /// The token of the tile that element pair `half` (rows g and g + 8 of a fragment) of row tile m belongs to.
  __device__ __forceinline__ int row_of(int m, int half) const { return (warp_ * M + m) * 16 + lane_ / 4 + 8 * half; }

  __device__ __forceinline__ void attend(int key, int buffer) {
    float scores[M][key_parts][4] = {};
    const T* keys = keys_of(buffer);
#pragma unroll
    for (int d = 0; d < D; d += 16) {
      std::uint32_t q[M][4];
#pragma unroll
      for (int m = 0; m < M; ++m) load_matrices(q[m], matrix(q_, (warp_ * M + m) * 16, d));
#pragma unroll
      for (int part = 0; part < key_parts; part += 2) {
        std::uint32_t k[4];
        load_matrices(k, matrix(keys, part * 8, d));
#pragma unroll
        for (int m = 0; m < M; ++m) {
          multiply_add<T>(scores[m][part], q[m], k[0], k[2]);
          multiply_add<T>(scores[m][part + 1], q[m], k[1], k[3]);
        }
      }
    }
    shape(scores, key);
    weigh(scores);
    add_values(scores, values_of(buffer));
  }

  /// Products become scores in powers of two; -infinity where a token does not see a key.
  __device__ __forceinline__ void shape(float (&scores)[M][key_parts][4], int key) {
    constexpr float log2_e = 1.44269504f;
    const int own_first = s_.offset + first_;
    const int own_last = own_first + Tile::rows - 1;
    const bool all_visible = key + Tile::keys <= a_.rule.end_key(own_first, s_.keys) &&
                             key >= a_.rule.first_key(own_last) && !a_.rule.key_mask;
    const bool plain = bias_.slope == 0.f && !bias_.biases && a_.rule.soft_cap == 0.f;
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int own = own_first + row_of(m, half);
        const int first = a_.rule.first_key(own);
        const int end = a_.rule.end_key(own, s_.keys);
#pragma unroll
        for (int part = 0; part < key_parts; ++part)
#pragma unroll
          for (int j = 0; j < 2; ++j) {
            float& s = scores[m][part][2 * half + j];
            const int at = key + part * 8 + lane_ % 4 * 2 + j;
            s = log2_e * (plain ? s * a_.rule.scale : a_.rule.score(s, bias_, at - own));
            if (!all_visible && (at < first || at >= end || (a_.rule.key_mask && !a_.rule.key_mask[s_.first_key + at])))
              s = -INFINITY;
          }
      }
  }

  /// Scores become weights relative to the running maximum, to which all sums are brought.
  __device__ __forceinline__ void weigh(float (&scores)[M][key_parts][4]) {
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float largest = max_[m][half];
#pragma unroll
        for (int part = 0; part < key_parts; ++part)
          largest = fmaxf(largest, fmaxf(scores[m][part][2 * half], scores[m][part][2 * half + 1]));
        largest = fmaxf(largest, __shfl_xor_sync(whole_warp, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(whole_warp, largest, 2));
        const float zero = largest == -INFINITY ? 0.f : largest;  // where nothing is visible yet
        const float shrink = exp2f(max_[m][half] - zero);
        max_[m][half] = largest;
        float sum = 0.f;
#pragma unroll
        for (int part = 0; part < key_parts; ++part)
#pragma unroll
          for (int j = 0; j < 2; ++j) {
            float& s = scores[m][part][2 * half + j];
            s = exp2f(s - zero);
            sum += s;
          }
        sum_[m][half] = sum_[m][half] * shrink + sum;
#pragma unroll
        for (int part = 0; part < value_parts; ++part) {
          out_[m][part][2 * half] *= shrink;
          out_[m][part][2 * half + 1] *= shrink;
        }
      }
  }

  __device__ __forceinline__ void add_values(const float (&weights)[M][key_parts][4], const T* values) {
#pragma unroll
    for (int step = 0; step < key_parts / 2; ++step) {
      std::uint32_t p[M][4];
#pragma unroll
      for (int m = 0; m < M; ++m) {
        const float(&low)[4] = weights[m][2 * step];
        const float(&high)[4] = weights[m][2 * step + 1];
        p[m][0] = pack_two<T>(low[0], low[1]);
        p[m][1] = pack_two<T>(low[2], low[3]);
        p[m][2] = pack_two<T>(high[0], high[1]);
        p[m][3] = pack_two<T>(high[2], high[3]);
      }
#pragma unroll
      for (int part = 0; part < value_parts; part += 2) {
        std::uint32_t v[4];
        load_matrices_transposed(v, matrix(values, step * 16, part * 8));
#pragma unroll
        for (int m = 0; m < M; ++m) {
          multiply_add<T>(out_[m][part], p[m], v[0], v[1]);
          multiply_add<T>(out_[m][part + 1], p[m], v[2], v[3]);
        }
      }
    }
  }

  __device__ __forceinline__ void write() {
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float sum = sum_[m][half];
        sum += __shfl_xor_sync(whole_warp, sum, 1);
        sum += __shfl_xor_sync(whole_warp, sum, 2);
        const float scale = sum == 0.f ? 0.f : 1.f / sum;
        const int token = first_ + row_of(m, half);
        if (token >= s_.tokens) continue;
        T* out = a_.out + static_cast<std::size_t>(s_.first_token + token) * a_.out_strides.token +
                 static_cast<std::size_t>(head_) * a_.out_strides.head;
#pragma unroll
        for (int part = 0; part < value_parts; ++part) {
          const int at = part * 8 + lane_ % 4 * 2;
          const float low = out_[m][part][2 * half] * scale;
          const float high = out_[m][part][2 * half + 1] * scale;
          if (a_.aligned && at + 1 < a_.head_dim) {
            *reinterpret_cast<std::uint32_t*>(out + at) = pack_two<T>(low, high);
          } else {
            if (at < a_.head_dim) out[at] = from_float<T>(low);
            if (at + 1 < a_.head_dim) out[at + 1] = from_float<T>(high);
          }
        }
      }
  }

  const AttentionArgs<T>& a_;
  const SequenceRange& s_;
  int first_;  // token of the tile
  int head_;
  int lane_;
  int warp_;
  T* q_;
  T* kv_;  // keys and values, twice
  HeadBias bias_;
  float max_[M][2];
  float sum_[M][2] = {};
  float out_[M][value_parts][4] = {};
};

template <class T, int D>
__global__ void __launch_bounds__(32 * AttentionTile<D>::warps) attention_kernel(AttentionArgs<T> args) {
  const SequenceRange sequence = args.sequences ? args.sequences[blockIdx.z] : args.sequence;
  // The last tiles see the most keys: they come first.
  const int first = static_cast<int>(gridDim.x - 1 - blockIdx.x) * AttentionTile<D>::rows;
  if (first >= sequence.tokens) return;
  AttentionBlock<T, D>(args, sequence, first, static_cast<int>(blockIdx.y)).run();
}

template <class T>
void attention(const AttentionArgs<T>& args, std::size_t heads, std::size_t batch, std::size_t most_tokens,
               cudaStream_t stream) {
  with_head_dim(static_cast<std::size_t>(args.head_dim), [&](auto dim) {
    using Tile = AttentionTile<decltype(dim)::value>;
    launch("attention",
           {.grid = dim3(static_cast<unsigned>((most_tokens + Tile::rows - 1) / Tile::rows),
                         static_cast<unsigned>(heads), static_cast<unsigned>(batch)),
            .block = dim3(32 * Tile::warps),
            .shared_bytes = Tile::shared_elements * sizeof(T),
            .stream = stream},
           attention_kernel<T, decltype(dim)::value>, args);
  });
}

template <class Q, class K, class V, class O>
auto attention_args(const Q& q, const K& k, const V& v, const O& out, const AttentionParams& params) {
  weft::detail::require_shape("attention", "v", v.extents(), k.extents());
  weft::detail::require_shape("attention", "out", out.extents(), q.extents());
  weft::detail::require_extent("attention", "head_dim of k", k.extent(2), q.extent(2));
  require_contiguous_heads<3>(q, k, v, out);
  return AttentionArgs<typename O::value_type>{.q = q.data(),
                                               .k = k.data(),
                                               .v = v.data(),
                                               .out = out.data(),
                                               .q_strides = {q.stride(0), q.stride(1)},
                                               .k_strides = {k.stride(0), k.stride(1)},
                                               .v_strides = {v.stride(0), v.stride(1)},
                                               .out_strides = {out.stride(0), out.stride(1)},
                                               .sequences = nullptr,
                                               .sequence = {},
                                               .group = static_cast<int>(grouped_heads(q.extent(1), k.extent(1))),
                                               .head_dim = static_cast<int>(q.extent(2)),
                                               .aligned = has_aligned_heads<3>(q, k, v, out),
                                               .rule = AttentionRule(params, q.extent(1))};
}

inline void require_countable(std::size_t tokens, std::size_t keys, std::size_t offset) {
  constexpr std::size_t most = std::size_t{1} << 30;
  if (const std::size_t largest = std::max({tokens, keys, offset}); largest > most)
    raise<UnsupportedError>("attention: the device counts tokens and keys up to ", most, ", found ", largest);
}

}  // namespace detail

/// Scaled dot-product attention of many tokens on tensor cores; the equation stands at weft::attention. A token that
/// sees no key gets zeros; what lies at hidden keys and at keys behind those of the last token does not matter.
///
/// q, out: (tokens, heads, head_dim). k, v: (keys, kv_heads, head_dim). Half or bfloat16 device memory of one type, any
/// strides with contiguous heads of up to 256 elements; out must not overlap the others. The spans of `params` are of
/// device memory. Products and sums in float, probabilities rounded to the element type. Throws ShapeError,
/// UnsupportedError, CudaError.
template <DeviceTensorLike Q, DeviceTensorLike K, DeviceTensorLike V, DeviceTensorLike O>
void attention(const Q& q, const K& k, const V& v, O&& out, const AttentionParams& params, cudaStream_t stream = {}) {
  static_assert(HalfStorage<device_value_t<Q>>, "attention: half or bfloat16");
  const auto queries = device_view(q);
  const auto keys = device_view(k);
  auto args = detail::attention_args(queries, keys, device_view(v), device_view(out), params);
  const std::size_t tokens = queries.extent(0);
  weft::detail::require_keys(params, tokens, keys.extent(0));
  detail::require_countable(tokens, keys.extent(0), params.offset);
  args.sequence = {.first_token = 0,
                   .tokens = static_cast<std::int32_t>(tokens),
                   .first_key = 0,
                   .keys = static_cast<std::int32_t>(keys.extent(0)),
                   .offset = static_cast<std::int32_t>(params.offset)};
  detail::attention(args, queries.extent(1), 1, tokens, stream);
}

/// The same for several sequences at once. `sequences` (batch) is device memory; none has more than `most_tokens`
/// tokens, and all lie inside q and k, which is not checked. A key mask is (keys) of k; the offset of `params` counts
/// for nothing.
template <DeviceTensorLike Q, DeviceTensorLike K, DeviceTensorLike V, DeviceTensorLike O>
void attention(const Q& q, const K& k, const V& v, O&& out, const SequenceRange* sequences, std::size_t batch,
               std::size_t most_tokens, const AttentionParams& params, cudaStream_t stream = {}) {
  static_assert(HalfStorage<device_value_t<Q>>, "attention: half or bfloat16");
  auto args = detail::attention_args(device_view(q), device_view(k), device_view(v), device_view(out), params);
  detail::require_countable(device_view(q).extent(0), device_view(k).extent(0), 0);
  if (!params.key_mask.empty())
    weft::detail::require_extent("attention", "the key mask", params.key_mask.size(), device_view(k).extent(0));
  args.sequences = sequences;
  detail::attention(args, device_view(q).extent(1), batch, most_tokens, stream);
}

}  // namespace weft::inline v0::cuda
