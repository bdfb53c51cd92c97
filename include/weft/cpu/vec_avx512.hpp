#pragma once

#include <weft/core/config.hpp>

#if WEFT_X86_64

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <weft/core/half.hpp>

WEFT_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")

// Sixteen floats with AVX-512 F, BW, VL and DQ; the contract of every function is stated in vec_generic.hpp.
namespace weft::inline v0::cpu::avx512 {

using Vec = __m512;
using IntVec = __m512i;

inline constexpr const char* isa_name = "avx512";
inline constexpr std::size_t width = 16;
inline constexpr std::size_t f32_tokens = 12;
inline constexpr std::size_t gemm_vectors = 4;

WEFT_ALWAYS_INLINE __mmask16 first(std::size_t n) noexcept { return static_cast<__mmask16>((1u << n) - 1u); }

WEFT_ALWAYS_INLINE Vec set(float value) noexcept { return _mm512_set1_ps(value); }
WEFT_ALWAYS_INLINE Vec zero() noexcept { return _mm512_setzero_ps(); }

WEFT_ALWAYS_INLINE Vec from_bfloat16(__m256i bits) noexcept {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

WEFT_ALWAYS_INLINE Vec load(const float* p) noexcept { return _mm512_loadu_ps(p); }
WEFT_ALWAYS_INLINE Vec load(const bfloat16* p) noexcept {
  return from_bfloat16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
WEFT_ALWAYS_INLINE Vec load(const half* p) noexcept {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
WEFT_ALWAYS_INLINE Vec load_partial(const float* p, std::size_t n, float fill = 0.f) noexcept {
  return _mm512_mask_loadu_ps(set(fill), first(n), p);
}
WEFT_ALWAYS_INLINE Vec load_partial(const bfloat16* p, std::size_t n, float fill = 0.f) noexcept {
  return _mm512_mask_mov_ps(set(fill), first(n), from_bfloat16(_mm256_maskz_loadu_epi16(first(n), p)));
}
WEFT_ALWAYS_INLINE Vec load_partial(const half* p, std::size_t n, float fill = 0.f) noexcept {
  return _mm512_mask_mov_ps(set(fill), first(n), _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p)));
}

WEFT_ALWAYS_INLINE __m256i to_half(Vec v) noexcept { return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT); }
WEFT_ALWAYS_INLINE __m256i to_bfloat16(Vec v) noexcept {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16));
}
WEFT_ALWAYS_INLINE void store(float* p, Vec v) noexcept { _mm512_storeu_ps(p, v); }
WEFT_ALWAYS_INLINE void store(half* p, Vec v) noexcept {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), to_half(v));
}
WEFT_ALWAYS_INLINE void store(bfloat16* p, Vec v) noexcept {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), to_bfloat16(v));
}
WEFT_ALWAYS_INLINE void store_partial(float* p, Vec v, std::size_t n) noexcept {
  _mm512_mask_storeu_ps(p, first(n), v);
}
WEFT_ALWAYS_INLINE void store_partial(half* p, Vec v, std::size_t n) noexcept {
  _mm256_mask_storeu_epi16(p, first(n), to_half(v));
}
WEFT_ALWAYS_INLINE void store_partial(bfloat16* p, Vec v, std::size_t n) noexcept {
  _mm256_mask_storeu_epi16(p, first(n), to_bfloat16(v));
}

WEFT_ALWAYS_INLINE Vec add(Vec a, Vec b) noexcept { return _mm512_add_ps(a, b); }
WEFT_ALWAYS_INLINE Vec sub(Vec a, Vec b) noexcept { return _mm512_sub_ps(a, b); }
WEFT_ALWAYS_INLINE Vec mul(Vec a, Vec b) noexcept { return _mm512_mul_ps(a, b); }
WEFT_ALWAYS_INLINE Vec div(Vec a, Vec b) noexcept { return _mm512_div_ps(a, b); }
WEFT_ALWAYS_INLINE Vec fma(Vec a, Vec b, Vec c) noexcept { return _mm512_fmadd_ps(a, b, c); }
WEFT_ALWAYS_INLINE Vec max(Vec a, Vec b) noexcept { return _mm512_max_ps(a, b); }
WEFT_ALWAYS_INLINE Vec min(Vec a, Vec b) noexcept { return _mm512_min_ps(a, b); }
WEFT_ALWAYS_INLINE Vec select_less(Vec a, Vec b, Vec x, Vec y) noexcept {
  return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), x);
}
WEFT_ALWAYS_INLINE std::uint32_t less(Vec a, Vec b) noexcept { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
WEFT_ALWAYS_INLINE std::uint32_t unordered(Vec a, Vec b) noexcept { return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q); }
WEFT_ALWAYS_INLINE Vec unfused(Vec product) noexcept {
  asm("" : "+v"(product));
  return product;
}
WEFT_ALWAYS_INLINE Vec abs(Vec a) noexcept { return _mm512_abs_ps(a); }
WEFT_ALWAYS_INLINE Vec round(Vec a) noexcept {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
WEFT_ALWAYS_INLINE Vec scale_pow2(Vec a, Vec n) noexcept { return _mm512_scalef_ps(a, n); }

WEFT_ALWAYS_INLINE Vec load_twice(const float* p) noexcept {
  const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  return _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(p)));
}
WEFT_ALWAYS_INLINE Vec turn_pairs(Vec v) noexcept {
  const __m512 signs = _mm512_castsi512_ps(_mm512_set1_epi64(0x80000000));  // of the even lanes
  return _mm512_xor_ps(_mm512_permute_ps(v, 0xb1), signs);
}

WEFT_ALWAYS_INLINE __m128 add_quarters(Vec v) noexcept {
  const __m256 halves = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  return _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
}
WEFT_ALWAYS_INLINE float reduce_add(Vec v) noexcept {
  __m128 s = add_quarters(v);
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
WEFT_ALWAYS_INLINE float reduce_max(Vec v) noexcept {
  const __m256 halves = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
WEFT_ALWAYS_INLINE void reduce_add4(Vec a, Vec b, Vec c, Vec d, float* out) noexcept {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512 low = _mm512_shuffle_ps(ab, cd, 0x44);
  const __m512 high = _mm512_shuffle_ps(ab, cd, 0xee);
  _mm_storeu_ps(out, add_quarters(_mm512_add_ps(low, high)));
}

WEFT_ALWAYS_INLINE __m128 max4(Vec a, Vec b, Vec c, Vec d) noexcept {
  const __m512 ab = _mm512_max_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_max_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512 all = _mm512_max_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
  const __m256 halves = _mm256_max_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  return _mm_max_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
}
WEFT_ALWAYS_INLINE void reduce_max4(Vec a, Vec b, Vec c, Vec d, float* out) noexcept {
  _mm_storeu_ps(out, max4(a, b, c, d));
}

WEFT_ALWAYS_INLINE void transpose(Vec (&r)[width]) noexcept {
  Vec t[width];
  WEFT_UNROLL
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  WEFT_UNROLL
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    r[4 * i + 1] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    r[4 * i + 2] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    r[4 * i + 3] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
  WEFT_UNROLL
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
  }
  WEFT_UNROLL
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

WEFT_ALWAYS_INLINE IntVec load_ints(const void* p) noexcept { return _mm512_loadu_si512(p); }
WEFT_ALWAYS_INLINE void store_ints(void* p, IntVec v) noexcept { _mm512_storeu_si512(p, v); }
WEFT_ALWAYS_INLINE IntVec set_int(std::int32_t value) noexcept { return _mm512_set1_epi32(value); }
WEFT_ALWAYS_INLINE IntVec set_byte(int value) noexcept { return _mm512_set1_epi8(static_cast<char>(value)); }
WEFT_ALWAYS_INLINE IntVec bit_and(IntVec a, IntVec b) noexcept { return _mm512_and_si512(a, b); }
WEFT_ALWAYS_INLINE IntVec bit_or(IntVec a, IntVec b) noexcept { return _mm512_or_si512(a, b); }
WEFT_ALWAYS_INLINE IntVec bit_xor(IntVec a, IntVec b) noexcept { return _mm512_xor_si512(a, b); }
WEFT_ALWAYS_INLINE IntVec add_ints(IntVec a, IntVec b) noexcept { return _mm512_add_epi32(a, b); }
WEFT_ALWAYS_INLINE std::uint32_t reduce_add_ints(IntVec v) noexcept {
  const __m256i halves = _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1))));
}
WEFT_ALWAYS_INLINE IntVec add_bytes(IntVec a, IntVec b) noexcept { return _mm512_add_epi8(a, b); }
WEFT_ALWAYS_INLINE IntVec multiply(IntVec a, IntVec b) noexcept { return _mm512_mullo_epi32(a, b); }
template <int N>
WEFT_ALWAYS_INLINE IntVec shift_left(IntVec v) noexcept {
  return _mm512_slli_epi32(v, N);
}
template <int N>
WEFT_ALWAYS_INLINE IntVec shift_right(IntVec v) noexcept {
  return _mm512_srli_epi32(v, N);
}
WEFT_ALWAYS_INLINE IntVec shift_right_by(IntVec v, int n) noexcept {
  // A count for every element: on Intel's processors one for all takes two operations.
  return _mm512_srlv_epi32(v, _mm512_set1_epi32(n));
}
template <int N>
WEFT_ALWAYS_INLINE IntVec shift_right_signed(IntVec v) noexcept {
  return _mm512_srai_epi32(v, N);
}
WEFT_ALWAYS_INLINE Vec to_float(IntVec v) noexcept { return _mm512_cvtepi32_ps(v); }
WEFT_ALWAYS_INLINE Vec as_float(IntVec v) noexcept { return _mm512_castsi512_ps(v); }
WEFT_ALWAYS_INLINE IntVec as_ints(Vec v) noexcept { return _mm512_castps_si512(v); }
template <class T>
WEFT_ALWAYS_INLINE Vec low_element(IntVec v) noexcept {
  if constexpr (std::is_same_v<T, bfloat16>) return as_float(shift_left<16>(v));
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}

}  // namespace weft::inline v0::cpu::avx512

WEFT_END_TARGET

#endif  // WEFT_X86_64
