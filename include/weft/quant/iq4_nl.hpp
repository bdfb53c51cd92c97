#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include <weft/core/half.hpp>
#include <weft/quant/q8_0.hpp>
#include <weft/quant/rounding.hpp>

namespace weft::inline v0 {

/// 32 elements: y[i] = scale * levels[code[i]], with levels that lie closer together near zero. GGUF's IQ4_NL: the low
/// nibbles are elements 0 to 15, the high ones 16 to 31.
///
/// There are no kernels for it: weights become Q8_0 where they are multiplied (kernel_dtype), which is exact.
struct BlockIQ4_NL {
  static constexpr int elements = 32;
  static constexpr std::array<std::int8_t, 16> levels{-127, -104, -83, -65, -49, -35, -22, -10,
                                                      1,    13,   25,  38,  53,  69,  89,  113};
  half scale;
  std::uint8_t nibbles[16];

  int level(int i) const noexcept { return levels[static_cast<std::size_t>(nibbles[i % 16] >> i / 16 * 4 & 15)]; }
};
static_assert(sizeof(BlockIQ4_NL) == 18);

namespace detail {

/// The code of the level nearest to x, the greater one of two.
inline int nearest_level(float x) noexcept {
  int code = 0;
  for (std::size_t i = 1; i < BlockIQ4_NL::levels.size(); ++i) {
    const auto low = static_cast<float>(BlockIQ4_NL::levels[i - 1]);
    const auto high = static_cast<float>(BlockIQ4_NL::levels[i]);
    if (x - low >= high - x) code = static_cast<int>(i);
  }
  return code;
}

}  // namespace detail

/// The element of largest magnitude gets the level -127; then the scale that fits the codes best, weighted by x^2. A
/// block below 1e-15 becomes zeros.
inline void encode(const float* x, BlockIQ4_NL& block) noexcept {
  const float largest = detail::largest_magnitude<32>(x);
  int codes[32];
  float scale = 0.f;
  if (std::fabs(largest) < 1e-15f) {
    for (int& code : codes) code = detail::nearest_level(0.f);
  } else {
    const float inverse = 1.f / (largest / static_cast<float>(BlockIQ4_NL::levels[0]));
    float product = 0.f, square = 0.f;
    for (int i = 0; i < 32; ++i) {
      codes[i] = detail::nearest_level(inverse * x[i]);
      const auto level = static_cast<float>(BlockIQ4_NL::levels[static_cast<std::size_t>(codes[i])]);
      const float weight = x[i] * x[i];
      product += weight * level * x[i];
      square += weight * level * level;
    }
    scale = square > 0.f ? product / square : 0.f;
  }
  block.scale = half(scale);
  for (int i = 0; i < 16; ++i) block.nibbles[i] = static_cast<std::uint8_t>(codes[i] | codes[i + 16] << 4);
}

inline void decode(const BlockIQ4_NL& block, float* y) noexcept {
  const float scale = block.scale;
  for (int i = 0; i < 32; ++i) y[i] = scale * static_cast<float>(block.level(i));
}

/// The same elements in Q8_0, exactly.
inline void convert(const BlockIQ4_NL& from, BlockQ8_0& to) noexcept {
  to.scale = from.scale;
  for (int i = 0; i < 32; ++i) to.codes[i] = static_cast<std::int8_t>(from.level(i));
}

}  // namespace weft::inline v0
