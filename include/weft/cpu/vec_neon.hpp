#pragma once

#include <weft/core/config.hpp>

#if WEFT_AARCH64

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <weft/core/half.hpp>
#include <weft/cpu/vec_generic.hpp>

WEFT_BEGIN_TARGET(WEFT_TARGET_NEON)

// Four floats with what every 64-bit ARM processor has; the contract of every function is stated in vec_generic.hpp.
namespace weft::inline v0::cpu::neon {

using Vec = float32x4_t;
using IntVec = int32x4_t;

inline constexpr const char* isa_name = "neon";
inline constexpr std::size_t width = 4;
inline constexpr std::size_t f32_tokens = 8;
inline constexpr std::size_t i8_tokens = 2;
inline constexpr std::size_t i8_direct_tokens = 1;
inline constexpr std::size_t gemm_vectors = 2;

WEFT_ALWAYS_INLINE Vec set(float value) noexcept { return vdupq_n_f32(value); }
WEFT_ALWAYS_INLINE Vec zero() noexcept { return set(0.f); }

WEFT_ALWAYS_INLINE Vec from_half(uint16x4_t bits) noexcept { return vcvt_f32_f16(vreinterpret_f16_u16(bits)); }
WEFT_ALWAYS_INLINE Vec from_bfloat16(uint16x4_t bits) noexcept { return vreinterpretq_f32_u32(vshll_n_u16(bits, 16)); }
WEFT_ALWAYS_INLINE uint16x4_t to_half(Vec v) noexcept { return vreinterpret_u16_f16(vcvt_f16_f32(v)); }
WEFT_ALWAYS_INLINE uint16x4_t to_bfloat16(Vec v) noexcept {
  const uint32x4_t bits = vreinterpretq_u32_f32(v);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
  return vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), rounded, quiet), 16);
}

// Not with the intrinsics for loads and stores, which take the type of the pointer for that of the memory.
template <class V>
WEFT_ALWAYS_INLINE V load_as(const void* p) noexcept {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class V>
WEFT_ALWAYS_INLINE void store_as(void* p, V v) noexcept {
  std::memcpy(p, &v, sizeof v);
}

WEFT_ALWAYS_INLINE Vec load(const float* p) noexcept { return load_as<Vec>(p); }
WEFT_ALWAYS_INLINE Vec load(const bfloat16* p) noexcept { return from_bfloat16(load_as<uint16x4_t>(p)); }
WEFT_ALWAYS_INLINE Vec load(const half* p) noexcept { return from_half(load_as<uint16x4_t>(p)); }
template <class T>
WEFT_ALWAYS_INLINE Vec load_partial(const T* p, std::size_t n, float fill = 0.f) noexcept {
  float lanes[width] = {fill, fill, fill, fill};
  for (std::size_t i = 0; i < n; ++i) lanes[i] = static_cast<float>(p[i]);
  return load(lanes);
}

WEFT_ALWAYS_INLINE void store(float* p, Vec v) noexcept { store_as(p, v); }
WEFT_ALWAYS_INLINE void store(half* p, Vec v) noexcept { store_as(p, to_half(v)); }
WEFT_ALWAYS_INLINE void store(bfloat16* p, Vec v) noexcept { store_as(p, to_bfloat16(v)); }
template <class T>
WEFT_ALWAYS_INLINE void store_partial(T* p, Vec v, std::size_t n) noexcept {
  T lanes[width];
  store(lanes, v);
  for (std::size_t i = 0; i < n; ++i) p[i] = lanes[i];
}

WEFT_ALWAYS_INLINE Vec add(Vec a, Vec b) noexcept { return vaddq_f32(a, b); }
WEFT_ALWAYS_INLINE Vec sub(Vec a, Vec b) noexcept { return vsubq_f32(a, b); }
WEFT_ALWAYS_INLINE Vec mul(Vec a, Vec b) noexcept { return vmulq_f32(a, b); }
WEFT_ALWAYS_INLINE Vec div(Vec a, Vec b) noexcept { return vdivq_f32(a, b); }
WEFT_ALWAYS_INLINE Vec fma(Vec a, Vec b, Vec c) noexcept { return vfmaq_f32(c, a, b); }
WEFT_ALWAYS_INLINE Vec max(Vec a, Vec b) noexcept { return vbslq_f32(vcgtq_f32(a, b), a, b); }
WEFT_ALWAYS_INLINE Vec min(Vec a, Vec b) noexcept { return vbslq_f32(vcltq_f32(a, b), a, b); }
WEFT_ALWAYS_INLINE std::uint32_t lanes(uint32x4_t mask) noexcept {
  return vaddvq_u32(vandq_u32(mask, uint32x4_t{1, 2, 4, 8}));
}
WEFT_ALWAYS_INLINE std::uint32_t less(Vec a, Vec b) noexcept { return lanes(vcltq_f32(a, b)); }
WEFT_ALWAYS_INLINE std::uint32_t unordered(Vec a, Vec b) noexcept {
  return lanes(vmvnq_u32(vandq_u32(vceqq_f32(a, a), vceqq_f32(b, b))));
}
WEFT_ALWAYS_INLINE Vec select_less(Vec a, Vec b, Vec x, Vec y) noexcept { return vbslq_f32(vcltq_f32(a, b), x, y); }
WEFT_ALWAYS_INLINE Vec abs(Vec a) noexcept { return vabsq_f32(a); }
WEFT_ALWAYS_INLINE Vec round(Vec a) noexcept { return vrndnq_f32(a); }
WEFT_ALWAYS_INLINE Vec pow2(Vec n) noexcept {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}
WEFT_ALWAYS_INLINE Vec scale_pow2(Vec a, Vec n) noexcept {
  const Vec half_n = round(mul(n, set(0.5f)));
  return mul(mul(a, pow2(half_n)), pow2(sub(n, half_n)));
}

WEFT_ALWAYS_INLINE Vec load_twice(const float* p) noexcept {
  const auto v = load_as<float32x2_t>(p);
  return vcombine_f32(vdup_lane_f32(v, 0), vdup_lane_f32(v, 1));
}
WEFT_ALWAYS_INLINE Vec turn_pairs(Vec v) noexcept {
  const uint64x2_t signs = vdupq_n_u64(0x80000000);  // of the even lanes
  return vreinterpretq_f32_u64(veorq_u64(vreinterpretq_u64_f32(vrev64q_f32(v)), signs));
}

WEFT_ALWAYS_INLINE float reduce_add(Vec v) noexcept { return vaddv_f32(vadd_f32(vget_low_f32(v), vget_high_f32(v))); }
WEFT_ALWAYS_INLINE float reduce_max(Vec v) noexcept { return vmaxvq_f32(v); }
WEFT_ALWAYS_INLINE void reduce_add4(Vec a, Vec b, Vec c, Vec d, float* out) noexcept {
  store(out, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)));
}
WEFT_ALWAYS_INLINE void reduce_max4(Vec a, Vec b, Vec c, Vec d, float* out) noexcept {
  store(out, vpmaxq_f32(vpmaxq_f32(a, b), vpmaxq_f32(c, d)));
}

WEFT_ALWAYS_INLINE void transpose(Vec (&r)[width]) noexcept {
  const auto pairs = [](Vec v) noexcept { return vreinterpretq_f64_f32(v); };
  const Vec even[2] = {vtrn1q_f32(r[0], r[1]), vtrn1q_f32(r[2], r[3])};
  const Vec odd[2] = {vtrn2q_f32(r[0], r[1]), vtrn2q_f32(r[2], r[3])};
  r[0] = vreinterpretq_f32_f64(vtrn1q_f64(pairs(even[0]), pairs(even[1])));
  r[1] = vreinterpretq_f32_f64(vtrn1q_f64(pairs(odd[0]), pairs(odd[1])));
  r[2] = vreinterpretq_f32_f64(vtrn2q_f64(pairs(even[0]), pairs(even[1])));
  r[3] = vreinterpretq_f32_f64(vtrn2q_f64(pairs(odd[0]), pairs(odd[1])));
}

WEFT_ALWAYS_INLINE int8x16_t as_bytes(IntVec v) noexcept { return vreinterpretq_s8_s32(v); }
WEFT_ALWAYS_INLINE uint32x4_t as_unsigned(IntVec v) noexcept { return vreinterpretq_u32_s32(v); }

WEFT_ALWAYS_INLINE IntVec load_ints(const void* p) noexcept { return load_as<IntVec>(p); }
WEFT_ALWAYS_INLINE void store_ints(void* p, IntVec v) noexcept { store_as(p, v); }
WEFT_ALWAYS_INLINE IntVec set_int(std::int32_t value) noexcept { return vdupq_n_s32(value); }
WEFT_ALWAYS_INLINE IntVec set_byte(int value) noexcept {
  return vreinterpretq_s32_s8(vdupq_n_s8(static_cast<std::int8_t>(value)));
}
WEFT_ALWAYS_INLINE IntVec bit_and(IntVec a, IntVec b) noexcept { return vandq_s32(a, b); }
WEFT_ALWAYS_INLINE IntVec bit_or(IntVec a, IntVec b) noexcept { return vorrq_s32(a, b); }
WEFT_ALWAYS_INLINE IntVec bit_xor(IntVec a, IntVec b) noexcept { return veorq_s32(a, b); }
WEFT_ALWAYS_INLINE IntVec add_ints(IntVec a, IntVec b) noexcept { return vaddq_s32(a, b); }
WEFT_ALWAYS_INLINE IntVec add_bytes(IntVec a, IntVec b) noexcept {
  return vreinterpretq_s32_s8(vaddq_s8(as_bytes(a), as_bytes(b)));
}
WEFT_ALWAYS_INLINE IntVec multiply(IntVec a, IntVec b) noexcept { return vmulq_s32(a, b); }
// Shift counts are immediate operands, which 0 and 32 may not be in every instruction.
WEFT_ALWAYS_INLINE IntVec shift_right_by(IntVec v, int n) noexcept {
  return vreinterpretq_s32_u32(vshlq_u32(as_unsigned(v), vdupq_n_s32(-n)));
}
template <int N>
WEFT_ALWAYS_INLINE IntVec shift_left(IntVec v) noexcept {
  return vshlq_n_s32(v, N);
}
template <int N>
WEFT_ALWAYS_INLINE IntVec shift_right(IntVec v) noexcept {
  if constexpr (N == 0) return v;
  return vreinterpretq_s32_u32(vshrq_n_u32(as_unsigned(v), N == 0 ? 1 : N));
}
template <int N>
WEFT_ALWAYS_INLINE IntVec shift_right_signed(IntVec v) noexcept {
  return vshrq_n_s32(v, N);
}
WEFT_ALWAYS_INLINE Vec to_float(IntVec v) noexcept { return vcvtq_f32_s32(v); }
WEFT_ALWAYS_INLINE Vec as_float(IntVec v) noexcept { return vreinterpretq_f32_s32(v); }
WEFT_ALWAYS_INLINE IntVec as_ints(Vec v) noexcept { return vreinterpretq_s32_f32(v); }
template <class T>
WEFT_ALWAYS_INLINE Vec low_element(IntVec v) noexcept {
  if constexpr (std::is_same_v<T, bfloat16>) return as_float(shift_left<16>(v));
  return from_half(vmovn_u32(as_unsigned(v)));
}

inline constexpr bool i8_unsigned = false;
inline constexpr bool i8_streams = false;
using DotWeights = IntVec;
WEFT_ALWAYS_INLINE DotWeights dot_weights(IntVec codes) noexcept { return codes; }
/// Two products of codes in [-128, 127] with tokens in [-127, 127] fit 16 bits.
WEFT_ALWAYS_INLINE IntVec dot(IntVec sum, DotWeights w, IntVec x) noexcept {
  const int16x8_t low = vmull_s8(vget_low_s8(as_bytes(w)), vget_low_s8(as_bytes(x)));
  return vpadalq_s16(sum, vpaddq_s16(low, vmull_high_s8(as_bytes(w), as_bytes(x))));
}

struct I8Tokens {
  std::int8_t codes[32];
  float scale;
  float sum;

  WEFT_ALWAYS_INLINE float set_scale(float largest) noexcept {
    const std::int32_t bits = generic::shared_scale_bits(largest);
    scale = generic::power_of_two(bits);
    return generic::reciprocal_power_of_two(bits);
  }
  WEFT_ALWAYS_INLINE void set_codes(std::size_t i, Vec v) noexcept {
    const int16x4_t four = vmovn_s32(vcvtq_s32_f32(v));
    const std::int32_t bits = vreinterpret_s32_s8(vmovn_s16(vcombine_s16(four, four)))[0];
    std::memcpy(codes + i * width, &bits, sizeof bits);
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
  WEFT_ALWAYS_INLINE IntVec quad(std::size_t j) const noexcept { return set_int(load_as<std::int32_t>(codes + 4 * j)); }
  WEFT_ALWAYS_INLINE Vec product(IntVec sum_of_dots) const noexcept {
    return mul(to_float(sum_of_dots), cpu::neon::set(scale));
  }
};

}  // namespace weft::inline v0::cpu::neon

WEFT_END_TARGET

#endif  // WEFT_AARCH64
