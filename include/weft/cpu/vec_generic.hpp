#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <weft/core/config.hpp>
#include <weft/core/half.hpp>

// Four floats in portable C++ (the vector extension of GCC and clang): the reference for what the other vec_*.hpp give,
// and what runs on processors they do not cover.
namespace weft::inline v0::cpu::generic {

using Vec = float __attribute__((vector_size(16)));
using IntVec = std::int32_t __attribute__((vector_size(16)));

inline constexpr const char* isa_name = "generic";
inline constexpr std::size_t width = 4;
inline constexpr std::size_t f32_tokens = 4;        // token rows of a register tile of linear.inl
inline constexpr std::size_t i8_tokens = 2;         // and of linear_i8.inl
inline constexpr std::size_t i8_direct_tokens = 0;  // tokens that formats_i8.inl multiplies as it reads
inline constexpr std::size_t gemm_vectors = 2;      // column vectors of a register tile of gemm.inl

WEFT_ALWAYS_INLINE Vec set(float value) noexcept { return Vec{value, value, value, value}; }
WEFT_ALWAYS_INLINE Vec zero() noexcept { return set(0.f); }

WEFT_ALWAYS_INLINE Vec load(const float* p) noexcept {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
WEFT_ALWAYS_INLINE Vec load(const bfloat16* p) noexcept { return Vec{p[0], p[1], p[2], p[3]}; }
WEFT_ALWAYS_INLINE Vec load(const half* p) noexcept { return Vec{p[0], p[1], p[2], p[3]}; }

/// The first n < width elements, then `fill`.
template <class T>
WEFT_ALWAYS_INLINE Vec load_partial(const T* p, std::size_t n, float fill = 0.f) noexcept {
  float lanes[width] = {fill, fill, fill, fill};
  for (std::size_t i = 0; i < n; ++i) lanes[i] = static_cast<float>(p[i]);
  return load(lanes);
}

WEFT_ALWAYS_INLINE void store(float* p, Vec v) noexcept { std::memcpy(p, &v, sizeof v); }
template <class T>
WEFT_ALWAYS_INLINE void store(T* p, Vec v) noexcept {
  for (std::size_t i = 0; i < width; ++i) p[i] = T(v[i]);
}
template <class T>
WEFT_ALWAYS_INLINE void store_partial(T* p, Vec v, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) p[i] = T(v[i]);
}

WEFT_ALWAYS_INLINE Vec add(Vec a, Vec b) noexcept { return a + b; }
WEFT_ALWAYS_INLINE Vec sub(Vec a, Vec b) noexcept { return a - b; }
WEFT_ALWAYS_INLINE Vec mul(Vec a, Vec b) noexcept { return a * b; }
WEFT_ALWAYS_INLINE Vec div(Vec a, Vec b) noexcept { return a / b; }
WEFT_ALWAYS_INLINE Vec fma(Vec a, Vec b, Vec c) noexcept { return a * b + c; }
/// NaN where b is NaN.
WEFT_ALWAYS_INLINE Vec max(Vec a, Vec b) noexcept { return a > b ? a : b; }
WEFT_ALWAYS_INLINE Vec min(Vec a, Vec b) noexcept { return a < b ? a : b; }
/// a < b ? x : y in every lane; y where either is NaN.
WEFT_ALWAYS_INLINE Vec select_less(Vec a, Vec b, Vec x, Vec y) noexcept { return a < b ? x : y; }
/// Bit i is set where a[i] < b[i]; where a[i] or b[i] is NaN.
WEFT_ALWAYS_INLINE std::uint32_t less(Vec a, Vec b) noexcept {
  const IntVec lanes = (a < b) & IntVec{1, 2, 4, 8};
  return static_cast<std::uint32_t>(lanes[0] | lanes[1] | lanes[2] | lanes[3]);
}
WEFT_ALWAYS_INLINE std::uint32_t unordered(Vec a, Vec b) noexcept {
  const IntVec lanes = ((a != a) | (b != b)) & IntVec{1, 2, 4, 8};
  return static_cast<std::uint32_t>(lanes[0] | lanes[1] | lanes[2] | lanes[3]);
}
/// A product that the compiler must not fuse with the sum it becomes a part of.
WEFT_ALWAYS_INLINE Vec unfused(Vec product) noexcept {
#if WEFT_X86_64
  asm("" : "+x"(product));
#elif WEFT_AARCH64
  asm("" : "+w"(product));
#else
  asm("" : "+m"(product));
#endif
  return product;
}
WEFT_ALWAYS_INLINE Vec abs(Vec a) noexcept { return a < set(0.f) ? -a : a; }
/// To the nearest integer, ties to even, |a| < 2^22.
WEFT_ALWAYS_INLINE Vec round(Vec a) noexcept {
  const Vec shifted = a + set(0x1.8p23f);
  return shifted - set(0x1.8p23f);
}
/// 2^n for whole n in [-126, 127].
WEFT_ALWAYS_INLINE Vec pow2(Vec n) noexcept {
  const IntVec bits = (__builtin_convertvector(n, IntVec) + 127) << 23;
  Vec result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}
/// a * 2^n for whole n in [-252, 254]; in two steps, so that results beyond 2^127 and denormal ones come out right.
WEFT_ALWAYS_INLINE Vec scale_pow2(Vec a, Vec n) noexcept {
  const Vec half_n = round(n * 0.5f);
  return a * pow2(half_n) * pow2(n - half_n);
}

/// p[0], p[0], p[1], p[1], ...: width / 2 elements, twice each.
WEFT_ALWAYS_INLINE Vec load_twice(const float* p) noexcept { return Vec{p[0], p[0], p[1], p[1]}; }
/// The elements of every pair of lanes swapped, the first of them then negated: (a, b) becomes (-b, a).
WEFT_ALWAYS_INLINE Vec turn_pairs(Vec v) noexcept { return Vec{-v[1], v[0], -v[3], v[2]}; }

WEFT_ALWAYS_INLINE float reduce_add(Vec v) noexcept { return (v[0] + v[2]) + (v[1] + v[3]); }
WEFT_ALWAYS_INLINE float reduce_max(Vec v) noexcept {
  const float a = v[0] > v[2] ? v[0] : v[2];
  const float b = v[1] > v[3] ? v[1] : v[3];
  return a > b ? a : b;
}
/// out[i] = the sum of the lanes of the i-th argument.
WEFT_ALWAYS_INLINE void reduce_add4(Vec a, Vec b, Vec c, Vec d, float* out) noexcept {
  out[0] = reduce_add(a);
  out[1] = reduce_add(b);
  out[2] = reduce_add(c);
  out[3] = reduce_add(d);
}

/// out[i] = the largest lane of the i-th argument, none of them NaN.
WEFT_ALWAYS_INLINE void reduce_max4(Vec a, Vec b, Vec c, Vec d, float* out) noexcept {
  out[0] = reduce_max(a);
  out[1] = reduce_max(b);
  out[2] = reduce_max(c);
  out[3] = reduce_max(d);
}

/// to[i][j] = from[j][i]: `width` rows of `width` elements.
WEFT_ALWAYS_INLINE void transpose(Vec (&rows)[width]) noexcept {
  for (std::size_t i = 0; i < width; ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const float held = rows[i][j];
      rows[i][j] = rows[j][i];
      rows[j][i] = held;
    }
}

// Lanes of 32 bits.
WEFT_ALWAYS_INLINE IntVec load_ints(const void* p) noexcept {
  IntVec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
WEFT_ALWAYS_INLINE void store_ints(void* p, IntVec v) noexcept { std::memcpy(p, &v, sizeof v); }
WEFT_ALWAYS_INLINE IntVec set_int(std::int32_t value) noexcept { return IntVec{value, value, value, value}; }
/// Every byte.
WEFT_ALWAYS_INLINE IntVec set_byte(int value) noexcept {
  return set_int(static_cast<std::int32_t>(static_cast<std::uint32_t>(value & 0xff) * 0x01010101u));
}
WEFT_ALWAYS_INLINE IntVec bit_and(IntVec a, IntVec b) noexcept { return a & b; }
WEFT_ALWAYS_INLINE IntVec bit_or(IntVec a, IntVec b) noexcept { return a | b; }
WEFT_ALWAYS_INLINE IntVec bit_xor(IntVec a, IntVec b) noexcept { return a ^ b; }
/// Modulo 2^32.
WEFT_ALWAYS_INLINE IntVec add_ints(IntVec a, IntVec b) noexcept {
  using Unsigned = std::uint32_t __attribute__((vector_size(16)));
  return reinterpret_cast<IntVec>(reinterpret_cast<Unsigned>(a) + reinterpret_cast<Unsigned>(b));
}
WEFT_ALWAYS_INLINE std::uint32_t reduce_add_ints(IntVec v) noexcept {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < width; ++i) sum += static_cast<std::uint32_t>(v[i]);
  return sum;
}
/// Bytes modulo 256.
WEFT_ALWAYS_INLINE IntVec add_bytes(IntVec a, IntVec b) noexcept {
  using Bytes = std::uint8_t __attribute__((vector_size(16)));
  return reinterpret_cast<IntVec>(reinterpret_cast<Bytes>(a) + reinterpret_cast<Bytes>(b));
}
WEFT_ALWAYS_INLINE IntVec multiply(IntVec a, IntVec b) noexcept { return a * b; }
template <int N>
WEFT_ALWAYS_INLINE IntVec shift_left(IntVec v) noexcept {
  using Unsigned = std::uint32_t __attribute__((vector_size(16)));
  return reinterpret_cast<IntVec>(reinterpret_cast<Unsigned>(v) << N);
}
template <int N>
WEFT_ALWAYS_INLINE IntVec shift_right(IntVec v) noexcept {
  using Unsigned = std::uint32_t __attribute__((vector_size(16)));
  return reinterpret_cast<IntVec>(reinterpret_cast<Unsigned>(v) >> N);
}
WEFT_ALWAYS_INLINE IntVec shift_right_by(IntVec v, int n) noexcept {
  using Unsigned = std::uint32_t __attribute__((vector_size(16)));
  return reinterpret_cast<IntVec>(reinterpret_cast<Unsigned>(v) >> static_cast<std::uint32_t>(n));
}
template <int N>
WEFT_ALWAYS_INLINE IntVec shift_right_signed(IntVec v) noexcept {
  return v >> N;
}
WEFT_ALWAYS_INLINE Vec to_float(IntVec v) noexcept { return __builtin_convertvector(v, Vec); }
/// The same bits.
WEFT_ALWAYS_INLINE Vec as_float(IntVec v) noexcept { return reinterpret_cast<Vec>(v); }
WEFT_ALWAYS_INLINE IntVec as_ints(Vec v) noexcept { return reinterpret_cast<IntVec>(v); }
/// The half or bfloat16 in the lower 16 bits of every lane.
template <class T>
WEFT_ALWAYS_INLINE Vec low_element(IntVec v) noexcept {
  Vec result;
  for (std::size_t i = 0; i < width; ++i)
    result[i] = static_cast<float>(T::from_bits(static_cast<std::uint16_t>(v[i] & 0xffff)));
  return result;
}

// For products of int8: what a vector of four codes a lane becomes before it meets tokens, and the product of every
// lane's four codes with four of a token.
inline constexpr bool i8_unsigned = false;  // codes are int8, not 128 above
using DotWeights = IntVec;
WEFT_ALWAYS_INLINE DotWeights dot_weights(IntVec codes) noexcept { return codes; }
WEFT_ALWAYS_INLINE IntVec dot(IntVec sum, DotWeights w, const std::int8_t* x) noexcept {
  sum += shift_right_signed<24>(shift_left<24>(w)) * set_int(x[0]);
  sum += shift_right_signed<24>(shift_left<16>(w)) * set_int(x[1]);
  sum += shift_right_signed<24>(shift_left<8>(w)) * set_int(x[2]);
  return sum + shift_right_signed<24>(w) * set_int(x[3]);
}

/// The bits of the smallest power of two p in [2^-60, 2^60] with |x| <= 127 p for all x up to `largest`.
inline std::int32_t shared_scale_bits(float largest) noexcept {
  std::int32_t bits = 0;
  std::memcpy(&bits, &largest, sizeof bits);
  // 127 is 1.984375 * 2^6.
  const std::int32_t exponent = (bits >> 23) - 6 + ((bits & 0x7fffff) > 0x7e0000 ? 1 : 0);
  return (exponent < 127 - 60 ? 127 - 60 : exponent > 127 + 60 ? 127 + 60 : exponent) << 23;
}
/// The power of two with these bits, and its reciprocal.
inline float power_of_two(std::int32_t bits) noexcept {
  float value = 0.f;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline float reciprocal_power_of_two(std::int32_t bits) noexcept { return power_of_two((254 << 23) - bits); }

/// A block of 32 elements of one token: 8-bit codes that share a power of two.
struct I8Tokens {
  std::int8_t codes[32];
  float scale;
  float sum;  // scale * sum of the codes

  /// Chooses the scale for elements up to `largest`; returns its reciprocal.
  WEFT_ALWAYS_INLINE float set_scale(float largest) noexcept {
    const std::int32_t bits = shared_scale_bits(largest);
    scale = power_of_two(bits);
    return reciprocal_power_of_two(bits);
  }
  /// The i-th vector of codes, whole numbers.
  WEFT_ALWAYS_INLINE void set_codes(std::size_t i, Vec v) noexcept {
    for (std::size_t j = 0; j < width; ++j) codes[i * width + j] = static_cast<std::int8_t>(v[j]);
  }
  /// The sums of the first and of the last 16 codes.
  WEFT_ALWAYS_INLINE void set_sums(float first, float last) noexcept { sum = scale * (first + last); }

  /// Where sums begin when the code `Zero` stands for 0, for all 32 and for one half.
  template <int Zero>
  WEFT_ALWAYS_INLINE IntVec start() const noexcept {
    return set_int(0);
  }
  template <int Zero>
  WEFT_ALWAYS_INLINE IntVec half_start(std::size_t) const noexcept {
    return set_int(0);
  }
  /// Four codes.
  WEFT_ALWAYS_INLINE const std::int8_t* quad(std::size_t j) const noexcept { return codes + 4 * j; }
};

/// The scales of a block of weights of every row.
struct BlockScale {
  Vec scale;
  explicit WEFT_ALWAYS_INLINE BlockScale(Vec s) noexcept : scale(s) {}
  WEFT_ALWAYS_INLINE Vec add(Vec sum, const I8Tokens& x, IntVec dots) const noexcept {
    return fma(mul(scale, cpu::generic::set(x.scale)), to_float(dots), sum);
  }
};

}  // namespace weft::inline v0::cpu::generic
