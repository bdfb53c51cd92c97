#pragma once

#include <weft/core/config.hpp>

#if WEFT_X86_64

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <weft/core/half.hpp>
#include <weft/cpu/vec_generic.hpp>

WEFT_BEGIN_TARGET("avx2,fma,f16c")

// Eight floats with AVX2, FMA and F16C; the contract of every function is stated in vec_generic.hpp.
namespace weft::inline v0::cpu::avx2 {

using Vec = __m256;
using IntVec = __m256i;

inline constexpr const char* isa_name = "avx2";
inline constexpr std::size_t width = 8;
inline constexpr std::size_t f32_tokens = 6;
inline constexpr std::size_t i8_tokens = 2;
inline constexpr std::size_t i8_direct_tokens = 1;
inline constexpr std::size_t gemm_vectors = 2;

WEFT_ALWAYS_INLINE Vec set(float value) noexcept { return _mm256_set1_ps(value); }
WEFT_ALWAYS_INLINE Vec zero() noexcept { return _mm256_setzero_ps(); }

WEFT_ALWAYS_INLINE Vec load(const float* p) noexcept { return _mm256_loadu_ps(p); }
WEFT_ALWAYS_INLINE Vec load(const bfloat16* p) noexcept {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
WEFT_ALWAYS_INLINE Vec load(const half* p) noexcept {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
template <class T>
WEFT_ALWAYS_INLINE Vec load_partial(const T* p, std::size_t n, float fill = 0.f) noexcept {
  float lanes[width] = {fill, fill, fill, fill, fill, fill, fill, fill};
  for (std::size_t i = 0; i < n; ++i) lanes[i] = static_cast<float>(p[i]);
  return _mm256_loadu_ps(lanes);
}

WEFT_ALWAYS_INLINE void store(float* p, Vec v) noexcept { _mm256_storeu_ps(p, v); }
WEFT_ALWAYS_INLINE void store(half* p, Vec v) noexcept {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
WEFT_ALWAYS_INLINE void store(bfloat16* p, Vec v) noexcept {
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(0x40));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  const __m256i kept = _mm256_blendv_epi8(rounded, quiet, nan);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(kept, kept), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}
template <class T>
WEFT_ALWAYS_INLINE void store_partial(T* p, Vec v, std::size_t n) noexcept {
  T lanes[width];
  store(lanes, v);
  for (std::size_t i = 0; i < n; ++i) p[i] = lanes[i];
}

WEFT_ALWAYS_INLINE Vec add(Vec a, Vec b) noexcept { return _mm256_add_ps(a, b); }
WEFT_ALWAYS_INLINE Vec sub(Vec a, Vec b) noexcept { return _mm256_sub_ps(a, b); }
WEFT_ALWAYS_INLINE Vec mul(Vec a, Vec b) noexcept { return _mm256_mul_ps(a, b); }
WEFT_ALWAYS_INLINE Vec div(Vec a, Vec b) noexcept { return _mm256_div_ps(a, b); }
WEFT_ALWAYS_INLINE Vec fma(Vec a, Vec b, Vec c) noexcept { return _mm256_fmadd_ps(a, b, c); }
WEFT_ALWAYS_INLINE Vec max(Vec a, Vec b) noexcept { return _mm256_max_ps(a, b); }
WEFT_ALWAYS_INLINE Vec min(Vec a, Vec b) noexcept { return _mm256_min_ps(a, b); }
WEFT_ALWAYS_INLINE Vec select_less(Vec a, Vec b, Vec x, Vec y) noexcept {
  return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
WEFT_ALWAYS_INLINE std::uint32_t less(Vec a, Vec b) noexcept {
  return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ)));
}
WEFT_ALWAYS_INLINE std::uint32_t unordered(Vec a, Vec b) noexcept {
  return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_UNORD_Q)));
}
WEFT_ALWAYS_INLINE Vec unfused(Vec product) noexcept {
  asm("" : "+x"(product));
  return product;
}
WEFT_ALWAYS_INLINE Vec abs(Vec a) noexcept { return _mm256_andnot_ps(_mm256_set1_ps(-0.f), a); }
WEFT_ALWAYS_INLINE Vec round(Vec a) noexcept {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
WEFT_ALWAYS_INLINE Vec pow2(Vec n) noexcept {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}

WEFT_ALWAYS_INLINE Vec scale_pow2(Vec a, Vec n) noexcept {
  const Vec half_n = round(mul(n, set(0.5f)));
  return mul(mul(a, pow2(half_n)), pow2(sub(n, half_n)));
}

WEFT_ALWAYS_INLINE Vec load_twice(const float* p) noexcept {
  return _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
}
WEFT_ALWAYS_INLINE Vec turn_pairs(Vec v) noexcept {
  return _mm256_xor_ps(_mm256_permute_ps(v, 0xb1), _mm256_setr_ps(-0.f, 0.f, -0.f, 0.f, -0.f, 0.f, -0.f, 0.f));
}

WEFT_ALWAYS_INLINE float reduce_add(Vec v) noexcept {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
WEFT_ALWAYS_INLINE float reduce_max(Vec v) noexcept {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
WEFT_ALWAYS_INLINE void reduce_add4(Vec a, Vec b, Vec c, Vec d, float* out) noexcept {
  const __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
  const __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
  const __m256 low = _mm256_shuffle_ps(ab, cd, 0x44);
  const __m256 high = _mm256_shuffle_ps(ab, cd, 0xee);
  const __m256 sum = _mm256_add_ps(low, high);
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1)));
}

WEFT_ALWAYS_INLINE void reduce_max4(Vec a, Vec b, Vec c, Vec d, float* out) noexcept {
  const __m256 ab = _mm256_max_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
  const __m256 cd = _mm256_max_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
  const __m256 all = _mm256_max_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
  _mm_storeu_ps(out, _mm_max_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
}

WEFT_ALWAYS_INLINE void transpose(Vec (&r)[width]) noexcept {
  Vec t[width];
  WEFT_UNROLL
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  WEFT_UNROLL
  for (int i = 0; i < 2; ++i) {
    r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
  WEFT_UNROLL
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
    t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
  }
  WEFT_UNROLL
  for (int i = 0; i < 8; ++i) r[i] = t[i];
}

WEFT_ALWAYS_INLINE IntVec load_ints(const void* p) noexcept {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
WEFT_ALWAYS_INLINE void store_ints(void* p, IntVec v) noexcept { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }
WEFT_ALWAYS_INLINE IntVec set_int(std::int32_t value) noexcept { return _mm256_set1_epi32(value); }
WEFT_ALWAYS_INLINE IntVec set_byte(int value) noexcept { return _mm256_set1_epi8(static_cast<char>(value)); }
WEFT_ALWAYS_INLINE IntVec bit_and(IntVec a, IntVec b) noexcept { return _mm256_and_si256(a, b); }
WEFT_ALWAYS_INLINE IntVec bit_or(IntVec a, IntVec b) noexcept { return _mm256_or_si256(a, b); }
WEFT_ALWAYS_INLINE IntVec bit_xor(IntVec a, IntVec b) noexcept { return _mm256_xor_si256(a, b); }
WEFT_ALWAYS_INLINE IntVec add_ints(IntVec a, IntVec b) noexcept { return _mm256_add_epi32(a, b); }
WEFT_ALWAYS_INLINE std::uint32_t reduce_add_ints(IntVec v) noexcept {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1))));
}
WEFT_ALWAYS_INLINE IntVec add_bytes(IntVec a, IntVec b) noexcept { return _mm256_add_epi8(a, b); }
WEFT_ALWAYS_INLINE IntVec multiply(IntVec a, IntVec b) noexcept { return _mm256_mullo_epi32(a, b); }
template <int N>
WEFT_ALWAYS_INLINE IntVec shift_left(IntVec v) noexcept {
  return _mm256_slli_epi32(v, N);
}
template <int N>
WEFT_ALWAYS_INLINE IntVec shift_right(IntVec v) noexcept {
  return _mm256_srli_epi32(v, N);
}
WEFT_ALWAYS_INLINE IntVec shift_right_by(IntVec v, int n) noexcept {
  // A count for every element: on Intel's processors one for all takes two operations.
  return _mm256_srlv_epi32(v, _mm256_set1_epi32(n));
}
template <int N>
WEFT_ALWAYS_INLINE IntVec shift_right_signed(IntVec v) noexcept {
  return _mm256_srai_epi32(v, N);
}
WEFT_ALWAYS_INLINE Vec to_float(IntVec v) noexcept { return _mm256_cvtepi32_ps(v); }
WEFT_ALWAYS_INLINE Vec as_float(IntVec v) noexcept { return _mm256_castsi256_ps(v); }
WEFT_ALWAYS_INLINE IntVec as_ints(Vec v) noexcept { return _mm256_castps_si256(v); }
template <class T>
WEFT_ALWAYS_INLINE Vec low_element(IntVec v) noexcept {
  if constexpr (std::is_same_v<T, bfloat16>) return as_float(shift_left<16>(v));
  const __m256i low = bit_and(v, set_int(0xffff));
  return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}

inline constexpr bool i8_unsigned = false;
inline constexpr bool i8_streams = false;
/// Bytes of unsigned times signed products would saturate, so codes are widened to 16 bits: the even and the odd ones.
struct DotWeights {
  __m256i even, odd;
};
WEFT_ALWAYS_INLINE DotWeights dot_weights(IntVec codes) noexcept {
  return {_mm256_srai_epi16(_mm256_slli_epi16(codes, 8), 8), _mm256_srai_epi16(codes, 8)};
}
WEFT_ALWAYS_INLINE IntVec dot(IntVec sum, DotWeights w, DotWeights x) noexcept {
  const __m256i products = _mm256_add_epi32(_mm256_madd_epi16(w.even, x.even), _mm256_madd_epi16(w.odd, x.odd));
  return _mm256_add_epi32(sum, products);
}

struct I8Tokens {
  std::int16_t codes[8][2][2];  // (quad, even or odd, 2)
  float scale;
  float sum;

  WEFT_ALWAYS_INLINE float set_scale(float largest) noexcept {
    const std::int32_t bits = generic::shared_scale_bits(largest);
    scale = generic::power_of_two(bits);
    return generic::reciprocal_power_of_two(bits);
  }
  WEFT_ALWAYS_INLINE void set_codes(std::size_t i, Vec v) noexcept {
    const __m256i ints = _mm256_cvtps_epi32(v);
    const __m256i last = shift_left<16>(_mm256_shuffle_epi32(ints, 0x0e));
    const __m256i pairs = bit_or(bit_and(ints, set_int(0xffff)), last);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(codes[2 * i]), _mm256_castsi256_si128(pairs));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(codes[2 * i + 1]), _mm256_extracti128_si256(pairs, 1));
  }
  WEFT_ALWAYS_INLINE void set_sums(float first, float last) noexcept { sum = scale * (first + last); }

  template <int Zero>
  WEFT_ALWAYS_INLINE IntVec start() const noexcept {
    return set_int(0);
  }
  template <int Zero>
  WEFT_ALWAYS_INLINE IntVec half_start(std::size_t) const noexcept {
    return set_int(0);
  }
  WEFT_ALWAYS_INLINE DotWeights quad(std::size_t j) const noexcept {
    std::int32_t pair[2];
    __builtin_memcpy(pair, codes[j], sizeof pair);
    return {set_int(pair[0]), set_int(pair[1])};
  }
  WEFT_ALWAYS_INLINE Vec product(IntVec sum_of_dots) const noexcept {
    return mul(to_float(sum_of_dots), cpu::avx2::set(scale));
  }
};

}  // namespace weft::inline v0::cpu::avx2

WEFT_END_TARGET

#endif  // WEFT_X86_64
