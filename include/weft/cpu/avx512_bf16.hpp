#pragma once

#include <weft/cpu/avx512.hpp>

#if WEFT_X86_64

WEFT_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,f16c")

// The AVX-512 set with bfloat16 dot products: two products a lane and instruction, added in float.
namespace weft::inline v0::cpu::avx512_bf16 {

inline constexpr std::size_t linear_tokens = avx512::linear_tokens;
inline constexpr std::size_t linear_rows = avx512::linear_rows;
inline constexpr std::size_t pairs = 32;  // elements of one vector

WEFT_ALWAYS_INLINE __m512i load_first(const bfloat16* p, std::size_t n) noexcept {
  return _mm512_maskz_loadu_epi16(static_cast<__mmask32>((1ull << n) - 1ull), p);
}

inline void pack_tokens(const float* x, std::size_t x_stride, std::size_t tokens, std::size_t k,
                        bfloat16* packed) noexcept {
  for (std::size_t begin = 0; begin < k; begin += linear_granule) {
    const std::size_t n = k - begin < linear_granule ? k - begin : linear_granule;
    for (std::size_t t = 0; t < tokens; ++t) {
      const float* from = x + t * x_stride + begin;
      const __m512 low = n >= 16 ? avx512::load(from) : avx512::load_partial(from, n);
      const __m512 high = n >= 32  ? avx512::load(from + 16)
                          : n > 16 ? avx512::load_partial(from + 16, n - 16)
                                   : avx512::zero();
      avx512::store(packed, low);
      avx512::store(packed + 16, high);
      packed += linear_granule;
    }
  }
}

template <std::size_t T>
WEFT_ALWAYS_INLINE void linear_tile(const bfloat16* const (&weight)[linear_rows], const bfloat16* x, std::size_t k,
                                    float (&y)[T][linear_rows]) noexcept {
  __m512 sums[T][linear_rows];
  WEFT_UNROLL
  for (std::size_t t = 0; t < T; ++t) {
    WEFT_UNROLL
    for (std::size_t r = 0; r < linear_rows; ++r) sums[t][r] = _mm512_setzero_ps();
  }
  const auto step = [&](std::size_t at, auto&& read) noexcept {
    __m512i xs[T];
    WEFT_UNROLL
    for (std::size_t t = 0; t < T; ++t) xs[t] = _mm512_loadu_si512(x + t * linear_granule);
    WEFT_UNROLL
    for (std::size_t r = 0; r < linear_rows; ++r) {
      const __m512i w = read(weight[r] + at);
      WEFT_UNROLL
      for (std::size_t t = 0; t < T; ++t)
        sums[t][r] = _mm512_dpbf16_ps(sums[t][r], reinterpret_cast<__m512bh>(w), reinterpret_cast<__m512bh>(xs[t]));
    }
  };
  std::size_t at = 0;
  for (; at + pairs <= k; at += pairs, x += T * linear_granule)
    step(at, [&](const bfloat16* p) noexcept { return _mm512_loadu_si512(p); });
  if (at < k) step(at, [&](const bfloat16* p) noexcept { return load_first(p, k - at); });
  WEFT_UNROLL
  for (std::size_t t = 0; t < T; ++t) avx512::reduce_add4(sums[t][0], sums[t][1], sums[t][2], sums[t][3], y[t]);
}

#include <weft/cpu/kernels/linear_loop.inl>

inline constexpr Kernels table = [] {
  Kernels kernels = avx512::table;
  kernels.name = "avx512_bf16";
  kernels.pack_tokens_bf16 = pack_tokens;
  kernels.linear_bf16_dot = linear<bfloat16, bfloat16>;
  return kernels;
}();

}  // namespace weft::inline v0::cpu::avx512_bf16

WEFT_END_TARGET

#endif  // WEFT_X86_64
