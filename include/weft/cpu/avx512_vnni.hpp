#pragma once

#include <bit>

#include <weft/cpu/avx512.hpp>

#if WEFT_X86_64

WEFT_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")

// The AVX-512 set with int8 dot products: four products of unsigned weights and signed tokens a lane and instruction.
namespace weft::inline v0::cpu::avx512_vnni {

namespace vec = avx512;
#include <weft/cpu/kernels/use_vec.inl>

inline constexpr std::size_t i8_tokens = 6;
inline constexpr std::size_t i8_direct_tokens = 4;
inline constexpr bool i8_unsigned = true;
inline constexpr bool i8_streams = true;

using DotWeights = IntVec;
WEFT_ALWAYS_INLINE DotWeights dot_weights(IntVec codes) noexcept { return codes; }
WEFT_ALWAYS_INLINE IntVec dot(IntVec sum, DotWeights w, IntVec x) noexcept { return _mm512_dpbusd_epi32(sum, w, x); }

/// One cache line. Codes of weights lie 128 above their values, so sums begin at -128 times those of the tokens. They
/// are counted in the bits of a float: from zero_, 1.5 * 2^23 times the scale, on, every integer below 2^22 in
/// magnitude is as many units in the last place, of which the scale is one.
struct alignas(64) I8Tokens {
  std::int32_t codes[8];
  std::int32_t half_start_[2];
  std::int32_t start_;
  std::int32_t zero_;
  std::int32_t half_offset_[2];  // half_start_ and start_ without zero_
  std::int32_t offset_;
  float sum;  // scale * sum of the codes

  /// Where sums begin when the code `Zero` stands for 0.
  template <int Zero>
  WEFT_ALWAYS_INLINE IntVec start() const noexcept {
    return begin<Zero>(start_, offset_);
  }
  template <int Zero>
  WEFT_ALWAYS_INLINE IntVec half_start(std::size_t half) const noexcept {
    return begin<Zero>(half_start_[half], half_offset_[half]);
  }
  WEFT_ALWAYS_INLINE IntVec quad(std::size_t j) const noexcept { return set_int(codes[j]); }
  /// A sum times the scale.
  WEFT_ALWAYS_INLINE Vec product(IntVec sum_of_dots) const noexcept {
    return sub(as_float(sum_of_dots), as_float(set_int(zero_)));
  }

 private:
  template <int Zero>
  WEFT_ALWAYS_INLINE IntVec begin(std::int32_t at_128, std::int32_t offset) const noexcept {
    if constexpr (Zero == 128) return set_int(at_128);
    if constexpr (Zero == 0) return set_int(zero_);
    return vec::add_ints(set_int(zero_),
                         shift_right_signed<std::countr_zero(Zero == 0 ? 1u : 128u / Zero)>(set_int(offset)));
  }
};

/// The codes of two blocks, and the sums of their halves.
struct TwoBlocks {
  __m512i codes;
  __m128i halves;

  WEFT_ALWAYS_INLINE TwoBlocks(const Vec (&first)[2], const Vec (&second)[2], __m128 inverse,
                               __m128 next_inverse) noexcept {
    // A quarter of a register: four codes of each half of each block.
    const __m512i bytes = _mm512_packs_epi16(words(first, inverse), words(second, next_inverse));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    codes = _mm512_permutexvar_epi32(order, bytes);
    const __m512i sums = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), bytes);
    const __m256i both = _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti32x8_epi32(sums, 1));
    halves = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
  }

 private:
  static WEFT_ALWAYS_INLINE __m512i words(const Vec (&values)[2], __m128 inverse) noexcept {
    const Vec factor = _mm512_broadcastss_ps(inverse);
    constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    return _mm512_packs_epi32(_mm512_cvt_roundps_epi32(mul(values[0], factor), nearest),
                              _mm512_cvt_roundps_epi32(mul(values[1], factor), nearest));
  }
};

// clang-format off
#include <weft/cpu/kernels/shared_scales.inl>
// clang-format on

/// Four blocks of a token, their scales and sums side by side.
WEFT_ALWAYS_INLINE void set_blocks(const Vec (&values)[4][2], const Vec (&largest)[4], I8Tokens* to,
                                   std::size_t stride) noexcept {
  const __m128i scale =
      shared_scale_bits(_mm_castps_si128(avx512::max4(largest[0], largest[1], largest[2], largest[3])));
  const __m128 inverse = _mm_castsi128_ps(inverse_bits(scale));
  const TwoBlocks first(values[0], values[1], inverse, _mm_permute_ps(inverse, 1));
  const TwoBlocks last(values[2], values[3], _mm_permute_ps(inverse, 2), _mm_permute_ps(inverse, 3));
  const __m128i sums = _mm_hadd_epi32(first.halves, last.halves);
  const __m128i offsets = start(sums), zeros = origin_bits(scale);
  const __m128i starts = _mm_add_epi32(zeros, offsets);
  const __m128i scaled = _mm_castps_si128(_mm_mul_ps(_mm_castsi128_ps(scale), _mm_cvtepi32_ps(sums)));
  // Of two blocks each: starts and zeros in turn; offsets and scaled sums in turn; zeros, each twice.
  const auto store = [stride](I8Tokens* at, const TwoBlocks& blocks, __m128i counted, __m128i plain,
                              __m128i zero_twice) noexcept {
    I8Tokens* next = at + stride;
    _mm256_store_si256(reinterpret_cast<__m256i*>(at->codes), _mm512_castsi512_si256(blocks.codes));
    _mm256_store_si256(reinterpret_cast<__m256i*>(next->codes), _mm512_extracti32x8_epi32(blocks.codes, 1));
    const __m128i offset = start(blocks.halves), half = _mm_add_epi32(zero_twice, offset);
    _mm_store_si128(reinterpret_cast<__m128i*>(at->half_start_), _mm_unpacklo_epi64(half, counted));
    _mm_store_si128(reinterpret_cast<__m128i*>(next->half_start_), _mm_unpackhi_epi64(half, counted));
    _mm_store_si128(reinterpret_cast<__m128i*>(at->half_offset_), _mm_unpacklo_epi64(offset, plain));
    _mm_store_si128(reinterpret_cast<__m128i*>(next->half_offset_), _mm_unpackhi_epi64(offset, plain));
  };
  store(to, first, _mm_unpacklo_epi32(starts, zeros), _mm_unpacklo_epi32(offsets, scaled),
        _mm_unpacklo_epi32(zeros, zeros));
  store(to + 2 * stride, last, _mm_unpackhi_epi32(starts, zeros), _mm_unpackhi_epi32(offsets, scaled),
        _mm_unpackhi_epi32(zeros, zeros));
}

// clang-format off
#include <weft/cpu/kernels/tile.inl>
#include <weft/cpu/kernels/linear_i8.inl>
#include <weft/cpu/kernels/formats_i8.inl>
#include <weft/cpu/kernels/panel_i8.inl>
// clang-format on

inline constexpr Kernels table = [] {
  Kernels kernels = avx512::table;
  kernels.name = "avx512_vnni";
  kernels.i8 = i8_kernels;
  return kernels;
}();

}  // namespace weft::inline v0::cpu::avx512_vnni

WEFT_END_TARGET

#endif  // WEFT_X86_64
