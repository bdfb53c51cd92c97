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

using DotWeights = IntVec;
WEFT_ALWAYS_INLINE DotWeights dot_weights(IntVec codes) noexcept { return codes; }
WEFT_ALWAYS_INLINE IntVec dot(IntVec sum, DotWeights w, IntVec x) noexcept { return _mm512_dpbusd_epi32(sum, w, x); }

/// One cache line. Codes of weights lie 128 above their values, so sums begin at -128 times those of the tokens.
struct alignas(64) I8Tokens {
  std::int32_t codes[8];
  std::int32_t start_;
  std::int32_t half_start_[2];
  std::int32_t exponent;  // of the scale, at its place in a float
  float sum;              // scale * sum of the codes

  WEFT_ALWAYS_INLINE float set_scale(float largest) noexcept {
    const std::int32_t bits = generic::shared_scale_bits(largest);
    exponent = bits - (127 << 23);
    return generic::reciprocal_power_of_two(bits);
  }
  WEFT_ALWAYS_INLINE void set_codes(std::size_t i, Vec v) noexcept {
    _mm_store_si128(reinterpret_cast<__m128i*>(codes) + i, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
  }
  WEFT_ALWAYS_INLINE void set_sums(float first, float last) noexcept {
    half_start_[0] = -128 * static_cast<std::int32_t>(first);
    half_start_[1] = -128 * static_cast<std::int32_t>(last);
    start_ = half_start_[0] + half_start_[1];
    sum = generic::power_of_two(exponent + (127 << 23)) * (first + last);
  }
  /// Where sums begin when the code `Zero` stands for 0.
  template <int Zero>
  WEFT_ALWAYS_INLINE IntVec start() const noexcept {
    return scaled<Zero>(set_int(start_));
  }
  template <int Zero>
  WEFT_ALWAYS_INLINE IntVec half_start(std::size_t half) const noexcept {
    return scaled<Zero>(set_int(half_start_[half]));
  }
  WEFT_ALWAYS_INLINE IntVec quad(std::size_t j) const noexcept { return set_int(codes[j]); }

 private:
  template <int Zero>
  static WEFT_ALWAYS_INLINE IntVec scaled(IntVec v) noexcept {
    if constexpr (Zero == 0) return set_int(0);
    return shift_right_signed < Zero == 0
               ? 0
               : std::countr_zero(128u / static_cast<unsigned>(Zero == 0 ? 128 : Zero)) > (v);
  }
};

/// Multiplies by a power of two by adding to the exponents, which keeps the multipliers free for dot products; scales
/// that are zero, infinite or no number stay what they are.
struct BlockScale {
  IntVec bits;
  __mmask16 ordinary;
  explicit WEFT_ALWAYS_INLINE BlockScale(Vec s) noexcept
      : bits(_mm512_castps_si512(s)), ordinary(_knot_mask16(_mm512_fpclass_ps_mask(s, 0x9f))) {}
  WEFT_ALWAYS_INLINE Vec times(const I8Tokens& x) const noexcept {
    return as_float(_mm512_mask_add_epi32(bits, ordinary, bits, set_int(x.exponent)));
  }
};

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
