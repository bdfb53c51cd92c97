#pragma once

#include <bit>

#include <weft/cpu/avx2.hpp>

#if WEFT_X86_64

WEFT_BEGIN_TARGET("avx2,fma,f16c,avxvnni")

// The AVX2 set with int8 dot products: four products of unsigned weights and signed tokens a lane and instruction.
namespace weft::inline v0::cpu::avx2_vnni {

namespace vec = avx2;
#include <weft/cpu/kernels/use_vec.inl>

inline constexpr std::size_t i8_tokens = 3;         // with two vectors of rows, six sums and six dot products
inline constexpr std::size_t i8_direct_tokens = 2;  // three would be a fifth faster than a tile
inline constexpr bool i8_unsigned = true;
inline constexpr bool i8_streams = false;

using DotWeights = IntVec;
WEFT_ALWAYS_INLINE DotWeights dot_weights(IntVec codes) noexcept { return codes; }
WEFT_ALWAYS_INLINE IntVec dot(IntVec sum, DotWeights w, IntVec x) noexcept {
  return _mm256_dpbusd_avx_epi32(sum, w, x);
}

/// One cache line. Sums of products begin at the bits of a float, scale * 1.5 * 2^23, whose last place is the scale: as
/// they stay below 2^22, their bits are those of scale * (1.5 * 2^23 + sum), and one subtraction makes scale * sum of
/// them, which would else take a conversion and a multiplication where dot products are computed. Codes of weights lie
/// 128 above their values, so sums begin at -128 times those of the tokens as well.
struct alignas(64) I8Tokens {
  std::int32_t codes[8];
  std::int32_t half_start_[2];
  std::int32_t start_;
  std::int32_t origin_;  // scale * 1.5 * 2^23
  float sum;             // scale * sum of the codes
  float origin;          // once more: compilers would keep it in a register from the start to the end of a block

  /// Where sums begin when the code `Zero` stands for 0.
  template <int Zero>
  WEFT_ALWAYS_INLINE IntVec start() const noexcept {
    return from_origin<Zero>(start_);
  }
  template <int Zero>
  WEFT_ALWAYS_INLINE IntVec half_start(std::size_t half) const noexcept {
    return from_origin<Zero>(half_start_[half]);
  }
  WEFT_ALWAYS_INLINE IntVec quad(std::size_t j) const noexcept { return set_int(codes[j]); }
  WEFT_ALWAYS_INLINE Vec product(IntVec sum_of_dots) const noexcept {
    return sub(as_float(sum_of_dots), avx2::set(origin));
  }

 private:
  template <int Zero>
  WEFT_ALWAYS_INLINE IntVec from_origin(std::int32_t of_128) const noexcept {
    if constexpr (Zero == 0) return set_int(origin_);
    constexpr int halvings = Zero == 0 ? 0 : std::countr_zero(128u / static_cast<unsigned>(Zero == 0 ? 128 : Zero));
    return vec::add_ints(set_int(origin_), shift_right_signed<halvings>(set_int(of_128)));
  }
};

// clang-format off
#include <weft/cpu/kernels/shared_scales.inl>
// clang-format on

/// The codes of a block of a token.
WEFT_ALWAYS_INLINE IntVec block_codes(const Vec (&values)[4], Vec inverse) noexcept {
  const auto words = [&](Vec first, Vec second) noexcept {
    return _mm256_packs_epi32(_mm256_cvtps_epi32(mul(first, inverse)), _mm256_cvtps_epi32(mul(second, inverse)));
  };
  // A half of a register: four codes of each half of each vector.
  const __m256i bytes = _mm256_packs_epi16(words(values[0], values[1]), words(values[2], values[3]));
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/// Four blocks of a token, their scales and sums side by side.
WEFT_ALWAYS_INLINE void set_blocks(const Vec (&values)[4][4], const Vec (&largest)[4], I8Tokens* to,
                                   std::size_t stride) noexcept {
  float lanes[4];
  reduce_max4(largest[0], largest[1], largest[2], largest[3], lanes);
  const __m128i scale = shared_scale_bits(_mm_loadu_si128(reinterpret_cast<const __m128i*>(lanes)));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(lanes), inverse_bits(scale));
  IntVec sums[4];
  WEFT_UNROLL
  for (std::size_t b = 0; b < 4; ++b) {
    const IntVec codes = block_codes(values[b], set(lanes[b]));
    store_ints(to[b * stride].codes, codes);
    sums[b] = dot(set_int(0), set_byte(1), codes);
  }
  const __m256i both = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
  const __m128i first = _mm256_castsi256_si128(both), last = _mm256_extracti128_si256(both, 1);
  const __m128i all = _mm_add_epi32(first, last);
  const __m128i origin = origin_bits(scale);
  const __m128i halves[2] = {_mm_unpacklo_epi32(start(first), start(last)),
                             _mm_unpackhi_epi32(start(first), start(last))};
  const __m128i rest[2] = {_mm_unpacklo_epi32(start(all), origin), _mm_unpackhi_epi32(start(all), origin)};
  float origins[4];
  _mm_storeu_ps(origins, _mm_castsi128_ps(origin));
  _mm_storeu_ps(lanes, _mm_mul_ps(_mm_castsi128_ps(scale), _mm_cvtepi32_ps(all)));
  WEFT_UNROLL
  for (std::size_t b = 0; b < 4; ++b) {
    I8Tokens& block = to[b * stride];
    const __m128i fields =
        b % 2 == 0 ? _mm_unpacklo_epi64(halves[b / 2], rest[b / 2]) : _mm_unpackhi_epi64(halves[b / 2], rest[b / 2]);
    _mm_store_si128(reinterpret_cast<__m128i*>(block.half_start_), fields);
    block.sum = lanes[b];
    block.origin = origins[b];
  }
}

// clang-format off
#include <weft/cpu/kernels/tile.inl>
#include <weft/cpu/kernels/linear_i8.inl>
#include <weft/cpu/kernels/formats_i8.inl>
#include <weft/cpu/kernels/panel_i8.inl>
// clang-format on

inline constexpr Kernels table = [] {
  Kernels kernels = avx2::table;
  kernels.name = "avx2_vnni";
  kernels.i8 = i8_kernels;
  return kernels;
}();

}  // namespace weft::inline v0::cpu::avx2_vnni

WEFT_END_TARGET

#endif  // WEFT_X86_64
