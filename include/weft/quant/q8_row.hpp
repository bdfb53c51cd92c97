#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <weft/quant/rounding.hpp>

namespace weft::inline v0 {

/// A whole row of n elements, a multiple of 32: a float, then n int8: y[i] = scale * codes[i]. weft's own.
/// scale = max |x| / 127, codes to nearest.
inline void encode_q8_row(const float* x, std::size_t n, std::byte* row) noexcept {
  float largest = 0.f;
  for (std::size_t i = 0; i < n; ++i) largest = std::fabs(x[i]) > largest ? std::fabs(x[i]) : largest;
  const float scale = largest / 127.f;
  const float inverse = detail::reciprocal_or_zero(scale);
  std::memcpy(row, &scale, sizeof scale);
  auto* codes = reinterpret_cast<std::int8_t*>(row + sizeof scale);
  for (std::size_t i = 0; i < n; ++i)
    codes[i] = static_cast<std::int8_t>(detail::clamped(detail::nearest(x[i] * inverse), -127, 127));
}

inline void decode_q8_row(const std::byte* row, std::size_t n, float* y) noexcept {
  float scale = 0.f;
  std::memcpy(&scale, row, sizeof scale);
  const auto* codes = reinterpret_cast<const std::int8_t*>(row + sizeof scale);
  for (std::size_t i = 0; i < n; ++i) y[i] = scale * static_cast<float>(codes[i]);
}

}  // namespace weft::inline v0
