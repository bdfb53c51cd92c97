#pragma once

#include <cmath>
#include <cstdint>

#include <weft/core/half.hpp>
#include <weft/quant/rounding.hpp>

namespace weft::inline v0 {

/// 128 elements: y[i] = scale * codes[i]. weft's own: Q8_0 with a quarter of the scales.
struct BlockQ8_128 {
  static constexpr int elements = 128;
  half scale;
  std::int8_t codes[128];
};
static_assert(sizeof(BlockQ8_128) == 130);

/// scale = max |x| / 127 rounded to half, codes to nearest.
inline void encode(const float* x, BlockQ8_128& block) noexcept {
  float largest = 0.f;
  for (int i = 0; i < 128; ++i) largest = std::fabs(x[i]) > largest ? std::fabs(x[i]) : largest;
  block.scale = half(largest / 127.f);
  const float inverse = detail::reciprocal_or_zero(block.scale);
  for (int i = 0; i < 128; ++i)
    block.codes[i] = static_cast<std::int8_t>(detail::clamped(detail::nearest(x[i] * inverse), -127, 127));
}

inline void decode(const BlockQ8_128& block, float* y) noexcept {
  const float scale = block.scale;
  for (int i = 0; i < 128; ++i) y[i] = scale * static_cast<float>(block.codes[i]);
}

}  // namespace weft::inline v0
