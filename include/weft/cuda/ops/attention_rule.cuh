#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>

#include <weft/cuda/ops/rows.cuh>
#include <weft/ops/params.hpp>

// What the attention of prompts and that of single tokens share.
namespace weft::inline v0::cuda::detail {

/// What is added to the scores of one query head by the distance of a key.
struct HeadBias {
  float slope;          // 0: no ALiBi
  const float* biases;  // from that of distance 0 on, both ways; null: none
};

/// AttentionParams as kernels take them; the pointers are of device memory.
struct AttentionRule {
  float scale;
  float soft_cap;  // 0: none
  int window;      // 0: all
  bool causal;
  const bool* key_mask;                  // (keys); null: all visible
  const float* alibi_slopes;             // (heads); null: none
  const float* relative_bias = nullptr;  // (heads, 2 * relative_radius + 1); null: none
  int relative_radius = 0;

  AttentionRule(const AttentionParams& params, std::size_t heads)
      : scale(params.scale),
        soft_cap(params.soft_cap),
        window(static_cast<int>(std::min<std::size_t>(params.window, std::numeric_limits<int>::max()))),
        causal(params.causal),
        key_mask(params.key_mask.empty() ? nullptr : params.key_mask.data()),
        alibi_slopes(params.alibi_slopes.empty() ? nullptr : params.alibi_slopes.data()) {
    weft::detail::require_biases(params, heads);
    if (params.relative_bias.empty()) return;
    relative_bias = params.relative_bias.data();
    relative_radius = static_cast<int>(params.relative_bias.size() / heads / 2);
  }

  __device__ __forceinline__ HeadBias bias(int head) const {
    return {alibi_slopes ? alibi_slopes[head] : 0.f,
            relative_bias ? relative_bias + head * (2 * relative_radius + 1) + relative_radius : nullptr};
  }

  /// The score of a product q . k, `distance` keys after the query's own.
  __device__ __forceinline__ float score(float product, const HeadBias& bias, int distance) const {
    float s = product * scale;
    if (soft_cap != 0.f) s = soft_cap * tanhf(s / soft_cap);
    if (bias.slope != 0.f) s += bias.slope * static_cast<float>(distance);
    if (bias.biases) s += bias.biases[max(-relative_radius, min(relative_radius, distance))];
    return s;
  }
  /// The first key that the token whose own key this is sees.
  __device__ __forceinline__ int first_key(int own) const {
    return window != 0 && own + 1 > window ? own + 1 - window : 0;
  }
  /// The key behind the last one it sees.
  __device__ __forceinline__ int end_key(int own, int keys) const { return causal && own + 1 < keys ? own + 1 : keys; }
};

/// Strides of (tokens, heads, head_dim) in elements; those of a head lie one after the other.
struct HeadStrides {
  std::size_t token;
  std::size_t head;
};

/// Eight elements from element `at` of a head of `head_dim`, zero beyond it; `aligned` to 16 bytes, or element by
/// element.
template <class T>
__device__ __forceinline__ Raw<T, 8> load_eight(const T* head, int at, int head_dim, bool aligned) {
  if (aligned && at + 8 <= head_dim) return *reinterpret_cast<const Raw<T, 8>*>(head + at);
  Raw<T, 8> result;
#pragma unroll
  for (int j = 0; j < 8; ++j) result.at[j] = at + j < head_dim ? head[at + j] : from_float<T>(0.f);
  return result;
}

/// The head sizes kernels are made for; others are padded with zeros to the next.
template <class F>
void with_head_dim(std::size_t head_dim, F&& f) {
  if (head_dim <= 64) return f(std::integral_constant<int, 64>{});
  if (head_dim <= 80) return f(std::integral_constant<int, 80>{});
  if (head_dim <= 96) return f(std::integral_constant<int, 96>{});
  if (head_dim <= 128) return f(std::integral_constant<int, 128>{});
  if (head_dim <= 256) return f(std::integral_constant<int, 256>{});
  raise<UnsupportedError>("attention: heads of ", head_dim, " elements; the device takes up to 256");
}

inline std::size_t grouped_heads(std::size_t heads, std::size_t kv_heads) {
  weft::detail::require_groups(heads, kv_heads);
  return heads / kv_heads;
}

template <std::size_t Rank, class... V>
void require_contiguous_heads(const V&... views) {
  const auto contiguous = [](const auto& x) { return x.extent(Rank - 1) <= 1 || x.stride(Rank - 1) == 1; };
  if (!(contiguous(views) && ...)) raise<ShapeError>("attention: the elements of a head must be contiguous");
}

/// Whether every head of the views can be loaded 16 bytes at a time.
template <std::size_t Rank, class... V>
bool has_aligned_heads(const V&... views) {
  const auto aligned = [](const auto& x) {
    bool all = is_aligned(x.data());
    for (std::size_t d = 0; d + 1 < Rank; ++d) all = all && (x.extent(d) == 1 || x.stride(d) % 8 == 0);
    return all;
  };
  return (aligned(views) && ...);
}

}  // namespace weft::inline v0::cuda::detail
