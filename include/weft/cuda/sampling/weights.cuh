#pragma once

#include <cstdint>

#include <weft/cuda/core/device_code.cuh>

// The arithmetic of sampling, bit for bit that of the CPU (cpu/kernels/sampling.inl, sampling/weights.hpp): no product
// is fused with a sum unless it is exact, and weights are added up as integers in units of 2^-43.
namespace weft::inline v0::cuda::detail {

/// e^((x - max) / temperature), 0 below e^-31; e^0 is exactly 1.
__device__ __forceinline__ float weight_of(float x, float max, float temperature) {
  float d = __fsub_rn(x, max);
  if (temperature != 1.f) d = __fdiv_rn(d, temperature);
  constexpr float to_integer = 0x1.8p23f;
  const float shifted = __fadd_rn(__fmul_rn(d, 0x1.715476p+0f), to_integer);
  const float n = __fsub_rn(shifted, to_integer);
  const float r = __fsub_rn(__fmaf_rn(n, -0x1.62ep-1f, d), __fmul_rn(n, 0x1.0bfbe8p-15f));
  float p = 1.f / 5040.f;
  p = __fadd_rn(__fmul_rn(p, r), 1.f / 720.f);
  p = __fadd_rn(__fmul_rn(p, r), 1.f / 120.f);
  p = __fadd_rn(__fmul_rn(p, r), 1.f / 24.f);
  p = __fadd_rn(__fmul_rn(p, r), 1.f / 6.f);
  p = __fadd_rn(__fmul_rn(p, r), 0.5f);
  p = __fadd_rn(__fmul_rn(p, r), 1.f);
  p = __fadd_rn(__fmul_rn(p, r), 1.f);
  const std::uint32_t bits = __float_as_uint(p) + (__float_as_uint(shifted) << 23);
  return d < -31.f ? 0.f : __uint_as_float(bits);
}

/// A weight in [0, 2) in units.
__device__ __forceinline__ unsigned long long units_of(float weight) {
  constexpr long long shift_bits = 0x4080000000000000;  // 512, around which doubles lie one unit apart
  return static_cast<unsigned long long>(__double_as_longlong(__dadd_rn(static_cast<double>(weight), 512.0)) -
                                         shift_bits);
}

/// An integer that falls as the value grows, the same for 0 and -0; no NaN.
__device__ __forceinline__ std::uint32_t falling_key(float value) {
  const std::uint32_t bits = __float_as_uint(__fadd_rn(value, 0.f));
  return ~(bits ^ (0x80000000u | (0u - (bits >> 31))));
}

/// The n-th uniform_double of Philox(seed, stream).
__device__ __forceinline__ double uniform_double(std::uint64_t seed, std::uint64_t stream, std::uint64_t n) {
  std::uint32_t c[4] = {static_cast<std::uint32_t>(n / 2), static_cast<std::uint32_t>(n / 2 >> 32),
                        static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)};
  std::uint32_t k0 = static_cast<std::uint32_t>(seed);
  std::uint32_t k1 = static_cast<std::uint32_t>(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c[2];
    c[0] = static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0;
    c[1] = static_cast<std::uint32_t>(p1);
    c[2] = static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1;
    c[3] = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  const std::uint64_t high = (n % 2 == 0 ? c[0] : c[2]) >> 5;
  const std::uint64_t low = (n % 2 == 0 ? c[1] : c[3]) >> 6;
  return static_cast<double>((high << 26) | low) * 0x1p-53;
}

}  // namespace weft::inline v0::cuda::detail
