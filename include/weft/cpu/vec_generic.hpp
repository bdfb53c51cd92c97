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
inline constexpr std::size_t linear_tokens = 2;  // token rows of a register tile of linear.inl
inline constexpr std::size_t gemm_vectors = 2;   // column vectors of a register tile of gemm.inl

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
WEFT_ALWAYS_INLINE Vec abs(Vec a) noexcept { return a < set(0.f) ? -a : a; }
/// To the nearest integer, |a| < 2^22.
WEFT_ALWAYS_INLINE Vec round(Vec a) noexcept {
  IntVec whole = __builtin_convertvector(a + (a < set(0.f) ? set(-0.5f) : set(0.5f)), IntVec);
  return __builtin_convertvector(whole, Vec);
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

/// to[i][j] = from[j][i]: `width` rows of `width` elements.
WEFT_ALWAYS_INLINE void transpose(Vec (&rows)[width]) noexcept {
  for (std::size_t i = 0; i < width; ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const float held = rows[i][j];
      rows[i][j] = rows[j][i];
      rows[j][i] = held;
    }
}

}  // namespace weft::inline v0::cpu::generic
