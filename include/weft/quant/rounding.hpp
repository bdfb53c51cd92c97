#pragma once

#include <cmath>

// What the encoders of the block formats share.
namespace weft::inline v0::detail {

/// To the nearest whole number, ties to even; 0 for NaN and from 2^22 on.
inline int nearest(float x) noexcept {
  const float shifted = x + 0x1.8p23f;
  const float whole = shifted - 0x1.8p23f;
  return std::fabs(whole) < 0x1p22f ? static_cast<int>(whole) : 0;
}

/// To the nearest whole number of an int8, ties away from zero; 0 for NaN and beyond.
inline int nearest_int8(float x) noexcept {
  return std::fabs(x) < 127.5f ? static_cast<int>(x + std::copysign(0.5f, x)) : 0;
}

constexpr int clamped(int value, int low, int high) noexcept { return value < low ? low : value > high ? high : value; }

/// 1 / x, or 0 for 0.
inline float reciprocal_or_zero(float x) noexcept { return x != 0.f ? 1.f / x : 0.f; }

/// The element of largest magnitude, with its sign; the first of several.
template <int N>
float largest_magnitude(const float* x) noexcept {
  float largest = 0.f;
  for (int i = 0; i < N; ++i)
    if (std::fabs(x[i]) > std::fabs(largest)) largest = x[i];
  return largest;
}

/// A code from a non-negative number, rounded half up as the formats' reference does.
inline int truncated(float x, int most) noexcept {
  return x > 0.f ? (x < static_cast<float>(most) ? static_cast<int>(x) : most) : 0;
}

}  // namespace weft::inline v0::detail
