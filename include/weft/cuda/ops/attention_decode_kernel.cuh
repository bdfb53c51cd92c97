#pragma once

#include <cstddef>
#include <cstdint>

#include <weft/cuda/ops/attention_rule.cuh>

namespace weft::inline v0::cuda {

/// A cache in pages: key j of a sequence lies in page pages[sequence * pages_per_sequence + j / page_keys].
struct PageTable {
  const std::int32_t* pages = nullptr;  ///< device memory; null: no pages, each sequence lies as one
  std::size_t pages_per_sequence = 0;
  std::size_t page_keys = 0;
};

namespace detail {

/// Keys of a sequence that one block attends to: the unit in which a long cache is divided. Its borders depend on
/// nothing else, so that results do not depend on the batch nor on the device.
inline constexpr int decode_span = 256;
inline constexpr int decode_threads = 128;

template <class T>
struct DecodeArgs {
  const T* q;
  const T* k;
  const T* v;
  T* out;
  HeadStrides q_strides;  // token: from sequence to sequence
  HeadStrides k_strides;
  HeadStrides v_strides;
  HeadStrides out_strides;  // token: from sequence to sequence
  std::size_t k_block;      // from sequence to sequence, or from page to page
  std::size_t v_block;
  PageTable table;
  const std::int32_t* keys;  // (batch)
  std::size_t capacity;      // of keys of a sequence, in the key mask
  int group;
  int head_dim;
  bool aligned;
  AttentionRule rule;
  float* states;      // (batch, heads, spans, head_dim + 2)
  unsigned* tickets;  // (batch, gridDim.y), zero before and after
};

/// A running softmax of G heads over some keys, in the threads that share a key: eight elements of the sums of values
/// to each.
template <int G>
struct DecodeState {
  float largest[G];
  float sum[G];
  float values[G][8];

  __device__ __forceinline__ DecodeState() {
#pragma unroll
    for (int g = 0; g < G; ++g) {
      largest[g] = -INFINITY;
      sum[g] = 0.f;
#pragma unroll
      for (int j = 0; j < 8; ++j) values[g][j] = 0.f;
    }
  }

  /// Adds the state of other keys.
  __device__ __forceinline__ void merge(int g, float other_largest, float other_sum, const float (&other)[8]) {
    const float together = fmaxf(largest[g], other_largest);
    const float zero = together == -INFINITY ? 0.f : together;
    const float mine = __expf(largest[g] - zero);
    const float theirs = __expf(other_largest - zero);
    largest[g] = together;
    sum[g] = sum[g] * mine + other_sum * theirs;
#pragma unroll
    for (int j = 0; j < 8; ++j) values[g][j] = values[g][j] * mine + other[j] * theirs;
  }
};

/// Attention of one token of each sequence, blocks for (span of keys, some heads of a group, sequence); the last block
/// of those heads merges the spans in their order. D / 8 threads share a key, and G query
/// heads its products; heads of fewer elements are padded with zeros.
template <class T, int D, int G>
class DecodeBlock {
  static constexpr int key_threads = D / 8;
  static constexpr int keys_at_once = decode_threads / key_threads;  // of the block
  static constexpr int unroll = 4;
  static constexpr int warps = decode_threads / 32;

 public:
  __device__ explicit DecodeBlock(const DecodeArgs<T>& args, float* shared)
      : a_(args), shared_(shared), sequence_(blockIdx.z), at_(static_cast<int>(threadIdx.x) % key_threads * 8) {
    const int chunks = (args.group + G - 1) / G;
    kv_head_ = static_cast<int>(blockIdx.y) / chunks;
    first_of_group_ = static_cast<int>(blockIdx.y) % chunks * G;
    keys_ = args.keys[sequence_];
    first_key_ = args.rule.first_key(keys_ - 1);
  }

  __device__ __forceinline__ void run() {
    const int span = static_cast<int>(blockIdx.x);
    const int first_span = first_key_ / decode_span;
    const int last_span = keys_ > 0 ? (keys_ - 1) / decode_span : first_span;
    if (span < first_span || span > last_span) return;
    load_queries();
    DecodeState<G> state;
    attend(state, max(first_key_, span * decode_span), min(keys_, (span + 1) * decode_span));
    merge_warp(state);
    merge_block(state);
    if (first_span == last_span) return finish(state);
    leave(state, span);
    if (!is_last(static_cast<unsigned>(last_span - first_span + 1))) return;
    if (threadIdx.x >= key_threads) return;
    DecodeState<G> all;
    for (int s = first_span; s <= last_span; ++s) collect(all, s);
    finish(all);
  }

 private:
  __device__ __forceinline__ int head(int g) const { return kv_head_ * a_.group + first_of_group_ + g; }
  __device__ __forceinline__ bool has_head(int g) const { return first_of_group_ + g < a_.group; }

  __device__ __forceinline__ void load_queries() {
#pragma unroll
    for (int g = 0; g < G; ++g) {
      biases_[g] = a_.rule.bias(has_head(g) ? head(g) : head(0));
      const T* q = a_.q + sequence_ * a_.q_strides.token +
                   static_cast<std::size_t>(has_head(g) ? head(g) : head(0)) * a_.q_strides.head;
      const Raw<T, 8> raw = load_eight(q, at_, a_.head_dim, a_.aligned);
#pragma unroll
      for (int j = 0; j < 8; ++j) q_[g][j] = to_float(raw.at[j]);
    }
  }

  __device__ __forceinline__ std::size_t place(int key, std::size_t block_stride, const HeadStrides& strides) const {
    const std::size_t of_head = static_cast<std::size_t>(kv_head_) * strides.head;
    if (!a_.table.pages) return sequence_ * block_stride + static_cast<std::size_t>(key) * strides.token + of_head;
    const int page_keys = static_cast<int>(a_.table.page_keys);
    const auto page =
        a_.table.pages[sequence_ * a_.table.pages_per_sequence + static_cast<std::size_t>(key / page_keys)];
    return static_cast<std::size_t>(page) * block_stride + static_cast<std::size_t>(key % page_keys) * strides.token +
           of_head;
  }

  __device__ __forceinline__ bool is_seen(int key) const {
    return !a_.rule.key_mask || a_.rule.key_mask[sequence_ * a_.capacity + static_cast<std::size_t>(key)];
  }

  __device__ __forceinline__ void attend(DecodeState<G>& state, int begin, int end) {
    const int own = static_cast<int>(threadIdx.x) / key_threads;
    for (int base = begin; base < end; base += unroll * keys_at_once) {
      Raw<T, 8> k[unroll];
      Raw<T, 8> v[unroll];
#pragma unroll
      for (int u = 0; u < unroll; ++u) {
        const int key = min(base + u * keys_at_once + own, end - 1);
        k[u] = load_eight(a_.k + place(key, a_.k_block, a_.k_strides), at_, a_.head_dim, a_.aligned);
        v[u] = load_eight(a_.v + place(key, a_.v_block, a_.v_strides), at_, is_seen(key) ? a_.head_dim : 0, a_.aligned);
      }
      float scores[unroll][G];
#pragma unroll
      for (int u = 0; u < unroll; ++u) {
        const int key = base + u * keys_at_once + own;
        float wide[8];
#pragma unroll
        for (int j = 0; j < 8; ++j) wide[j] = to_float(k[u].at[j]);
#pragma unroll
        for (int g = 0; g < G; ++g) {
          float product = 0.f;
#pragma unroll
          for (int j = 0; j < 8; ++j) product = fmaf(q_[g][j], wide[j], product);
          product = group_sum<key_threads>(product);
          scores[u][g] = key < end && is_seen(key) ? a_.rule.score(product, biases_[g], key - (keys_ - 1)) : -INFINITY;
        }
      }
#pragma unroll
      for (int g = 0; g < G; ++g) {
        float largest = state.largest[g];
#pragma unroll
        for (int u = 0; u < unroll; ++u) largest = fmaxf(largest, scores[u][g]);
        const float zero = largest == -INFINITY ? 0.f : largest;
        const float shrink = __expf(state.largest[g] - zero);
        state.largest[g] = largest;
        state.sum[g] *= shrink;
#pragma unroll
        for (int j = 0; j < 8; ++j) state.values[g][j] *= shrink;
#pragma unroll
        for (int u = 0; u < unroll; ++u) {
          scores[u][g] = __expf(scores[u][g] - zero);
          state.sum[g] += scores[u][g];
        }
      }
#pragma unroll
      for (int u = 0; u < unroll; ++u) {
        float wide[8];
#pragma unroll
        for (int j = 0; j < 8; ++j) wide[j] = to_float(v[u].at[j]);
#pragma unroll
        for (int g = 0; g < G; ++g)
#pragma unroll
          for (int j = 0; j < 8; ++j) state.values[g][j] = fmaf(scores[u][g], wide[j], state.values[g][j]);
      }
    }
  }

  /// Adds the states of the keys of one warp.
  __device__ __forceinline__ void merge_warp(DecodeState<G>& state) {
#pragma unroll
    for (int distance = key_threads; distance < 32; distance *= 2)
#pragma unroll
      for (int g = 0; g < G; ++g) {
        float other[8];
#pragma unroll
        for (int j = 0; j < 8; ++j) other[j] = __shfl_xor_sync(whole_warp, state.values[g][j], distance);
        const float largest = __shfl_xor_sync(whole_warp, state.largest[g], distance);
        const float sum = __shfl_xor_sync(whole_warp, state.sum[g], distance);
        state.merge(g, largest, sum, other);
      }
  }

  /// Adds the states of the warps, in the first threads of the block.
  __device__ __forceinline__ void merge_block(DecodeState<G>& state) {
    constexpr int record = D + 2;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    if (threadIdx.x % 32 < key_threads && warp > 0) {
#pragma unroll
      for (int g = 0; g < G; ++g) {
        float* to = shared_ + ((warp - 1) * G + g) * record;
        for (int j = 0; j < 8; ++j) to[at_ + j] = state.values[g][j];
        if (at_ == 0) {
          to[D] = state.largest[g];
          to[D + 1] = state.sum[g];
        }
      }
    }
    __syncthreads();
    if (threadIdx.x >= key_threads) return;
    for (int w = 0; w + 1 < warps; ++w)
#pragma unroll
      for (int g = 0; g < G; ++g) {
        const float* from = shared_ + (w * G + g) * record;
        float other[8];
#pragma unroll
        for (int j = 0; j < 8; ++j) other[j] = from[at_ + j];
        state.merge(g, from[D], from[D + 1], other);
      }
  }

  __device__ __forceinline__ float* state_of(int g, int span) const {
    const std::size_t heads = static_cast<std::size_t>(gridDim.y) * G;
    const std::size_t row = (sequence_ * heads + blockIdx.y * G + static_cast<std::size_t>(g)) * gridDim.x;
    return a_.states + (row + static_cast<std::size_t>(span)) * (D + 2);
  }

  __device__ __forceinline__ void leave(const DecodeState<G>& state, int span) {
    if (threadIdx.x >= key_threads) return;
#pragma unroll
    for (int g = 0; g < G; ++g) {
      float* to = state_of(g, span);
      for (int j = 0; j < 8; ++j) to[at_ + j] = state.values[g][j];
      if (at_ == 0) {
        to[D] = state.largest[g];
        to[D + 1] = state.sum[g];
      }
    }
  }

  __device__ __forceinline__ void collect(DecodeState<G>& all, int span) {
#pragma unroll
    for (int g = 0; g < G; ++g) {
      const volatile float* from = state_of(g, span);
      float other[8];
#pragma unroll
      for (int j = 0; j < 8; ++j) other[j] = from[at_ + j];
      all.merge(g, from[D], from[D + 1], other);
    }
  }

  /// Whether all other spans of these heads are done; their states can be read then.
  __device__ __forceinline__ bool is_last(unsigned spans) {
    __threadfence();
    __syncthreads();
    auto* ticket = reinterpret_cast<unsigned*>(shared_);
    if (threadIdx.x == 0) {
      unsigned* tickets = a_.tickets + sequence_ * gridDim.y + blockIdx.y;
      *ticket = atomicAdd(tickets, 1u);
      if (*ticket == spans - 1) *tickets = 0;
      __threadfence();
    }
    __syncthreads();
    return *ticket == spans - 1;
  }

  __device__ __forceinline__ void finish(const DecodeState<G>& state) {
    if (threadIdx.x >= key_threads) return;
#pragma unroll
    for (int g = 0; g < G; ++g) {
      if (!has_head(g)) continue;
      T* out = a_.out + sequence_ * a_.out_strides.token + static_cast<std::size_t>(head(g)) * a_.out_strides.head;
      const float scale = state.sum[g] == 0.f ? 0.f : 1.f / state.sum[g];
#pragma unroll
      for (int j = 0; j < 8; ++j)
        if (at_ + j < a_.head_dim) out[at_ + j] = from_float<T>(state.values[g][j] * scale);
    }
  }

  const DecodeArgs<T>& a_;
  float* shared_;
  std::size_t sequence_;
  int at_;  // the thread's first element of a head
  int kv_head_;
  int first_of_group_;
  int keys_;
  int first_key_;
  float q_[G][8];
  HeadBias biases_[G];
};

template <class T, int D, int G>
__global__ void __launch_bounds__(decode_threads) attention_decode_kernel(DecodeArgs<T> args) {
  DecodeBlock<T, D, G>(args, dynamic_shared<float>()).run();
}

}  // namespace detail
}  // namespace weft::inline v0::cuda
