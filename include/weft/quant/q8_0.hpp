#pragma once

#include <cmath>
#include <cstdint>

#include <weft/core/half.hpp>
#include <weft/quant/rounding.hpp>

namespace weft::inline v0 {

/// 32 elements: y[i] = scale * codes[i]. GGUF's Q8_0.
struct BlockQ8_0 {
  static constexpr int elements = 32;
  half scale;
  std::int8_t codes[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

/// scale = max |x| / 127, codes to nearest, ties away from zero.
inline void encode(const float* x, BlockQ8_0& block) noexcept {
  float largest = 0.f;
  for (int i = 0; i < 32; ++i) largest = std::fabs(x[i]) > largest ? std::fabs(x[i]) : largest;
  const float scale = largest / 127.f;
  const float inverse = detail::reciprocal_or_zero(scale);
  block.scale = half(scale);
  for (int i = 0; i < 32; ++i) block.codes[i] = static_cast<std::int8_t>(detail::nearest_int8(x[i] * inverse));
}

inline void decode(const BlockQ8_0& block, float* y) noexcept {
  const float scale = block.scale;
  for (int i = 0; i < 32; ++i) y[i] = scale * static_cast<float>(block.codes[i]);
}

}  // namespace weft::inline v0
