#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <concepts>
#include <cstddef>
#include <cstdint>

#include <weft/core/half.hpp>

// The element types that kernels read and write, and sums over a warp. CUDA's own names of the two half-precision types
// are accepted beside weft's.
namespace weft::inline v0::cuda {

/// Types that kernels load, widen to float, and store.
template <class T>
concept Storage = std::same_as<T, float> || std::same_as<T, half> || std::same_as<T, bfloat16> ||
    std::same_as<T, __half> || std::same_as<T, __nv_bfloat16>;

/// The half-precision ones, which tensor cores multiply.
template <class T>
concept HalfStorage = Storage<T> && sizeof(T) == 2;

namespace detail {

template <class T>
inline constexpr bool is_bfloat16 = std::same_as<T, bfloat16> || std::same_as<T, __nv_bfloat16>;

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(half x) { return __half2float(__ushort_as_half(x.bits)); }
__device__ __forceinline__ float to_float(bfloat16 x) { return __uint_as_float(std::uint32_t{x.bits} << 16); }
__device__ __forceinline__ float to_float(__half x) { return __half2float(x); }
__device__ __forceinline__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

template <Storage T>
__device__ __forceinline__ T from_float(float x) {
  if constexpr (std::same_as<T, float>) {
    return x;
  } else if constexpr (std::same_as<T, __half>) {
    return __float2half_rn(x);
  } else if constexpr (std::same_as<T, __nv_bfloat16>) {
    return __float2bfloat16_rn(x);
  } else {
    T result;
    result.bits = is_bfloat16<T> ? __bfloat16_as_ushort(__float2bfloat16_rn(x)) : __half_as_ushort(__float2half_rn(x));
    return result;
  }
}

/// Two floats as two neighbouring elements of type T, the first in the lower half.
template <HalfStorage T>
__device__ __forceinline__ std::uint32_t pack_two(float low, float high) {
  if constexpr (is_bfloat16<T>) {
    const __nv_bfloat162 two = __floats2bfloat162_rn(low, high);
    return std::uint32_t{__bfloat16_as_ushort(two.x)} | std::uint32_t{__bfloat16_as_ushort(two.y)} << 16;
  } else {
    const __half2 two = __floats2half2_rn(low, high);
    return std::uint32_t{__half_as_ushort(two.x)} | std::uint32_t{__half_as_ushort(two.y)} << 16;
  }
}

/// Neighbouring elements that are loaded or stored by one instruction.
template <class T, int N>
struct alignas(sizeof(T) * N) Raw {
  T at[N];
};

/// Elements of one load or store of 16 bytes.
template <class T>
inline constexpr int vector_width = 16 / static_cast<int>(sizeof(T));

/// W neighbouring elements as floats. For W > 1 they lie at a multiple of 16 bytes, or of their own size if less.
template <int W>
struct Pack {
  float at[W];

  template <Storage T>
  __device__ __forceinline__ void load(const T* from) {
    constexpr int n = W < vector_width<T> ? W : vector_width<T>;
#pragma unroll
    for (int i = 0; i < W; i += n) {
      const Raw<T, n> raw = *reinterpret_cast<const Raw<T, n>*>(from + i);
#pragma unroll
      for (int j = 0; j < n; ++j) at[i + j] = to_float(raw.at[j]);
    }
  }
  template <Storage T>
  __device__ __forceinline__ void store(T* to) const {
    constexpr int n = W < vector_width<T> ? W : vector_width<T>;
#pragma unroll
    for (int i = 0; i < W; i += n) {
      Raw<T, n> raw;
#pragma unroll
      for (int j = 0; j < n; ++j) raw.at[j] = from_float<T>(at[i + j]);
      *reinterpret_cast<Raw<T, n>*>(to + i) = raw;
    }
  }
};

inline constexpr unsigned warp_threads = 32;
inline constexpr unsigned whole_warp = 0xffffffffu;

/// The sum over groups of `Threads` neighbouring threads of a warp, in each of them.
template <int Threads = 32>
__device__ __forceinline__ float group_sum(float x) {
#pragma unroll
  for (int distance = Threads / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(whole_warp, x, distance);
  return x;
}

/// The maximum; NaN where there is one.
template <int Threads = 32>
__device__ __forceinline__ float group_max(float x) {
#pragma unroll
  for (int distance = Threads / 2; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(whole_warp, x, distance);
    x = other > x || other != other ? other : x;
  }
  return x;
}

}  // namespace detail
}  // namespace weft::inline v0::cuda
