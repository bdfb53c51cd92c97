#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include <weft/core/half.hpp>
#include <weft/quant/rounding.hpp>

namespace weft::inline v0 {

/// 32 elements: y[i] = scale * code[i] + minimum. GGUF's Q5_1: nibbles as in Q4_0, fifth bits as in Q5_0.
struct BlockQ5_1 {
  static constexpr int elements = 32;
  half scale;
  half minimum;
  std::uint8_t fifths[4];
  std::uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

/// The smallest element gets code 0, the largest 31; codes to nearest, half up.
inline void encode(const float* x, BlockQ5_1& block) noexcept {
  const auto [least, most] = std::minmax_element(x, x + 32);
  const float minimum = *least;
  const float scale = (*most - minimum) / 31.f;
  const float inverse = detail::reciprocal_or_zero(scale);
  block.scale = half(scale);
  block.minimum = half(minimum);
  std::uint32_t fifths = 0;
  for (int i = 0; i < 16; ++i) {
    const int low = detail::truncated((x[i] - minimum) * inverse + 0.5f, 31);
    const int high = detail::truncated((x[i + 16] - minimum) * inverse + 0.5f, 31);
    block.nibbles[i] = static_cast<std::uint8_t>((low & 15) | (high & 15) << 4);
    fifths |= static_cast<std::uint32_t>(low >> 4) << i | static_cast<std::uint32_t>(high >> 4) << (i + 16);
  }
  std::memcpy(block.fifths, &fifths, sizeof fifths);
}

inline void decode(const BlockQ5_1& block, float* y) noexcept {
  const float scale = block.scale;
  const float minimum = block.minimum;
  std::uint32_t fifths = 0;
  std::memcpy(&fifths, block.fifths, sizeof fifths);
  for (int i = 0; i < 16; ++i) {
    const int low = (block.nibbles[i] & 15) | static_cast<int>(fifths >> i & 1u) << 4;
    const int high = (block.nibbles[i] >> 4) | static_cast<int>(fifths >> (i + 16) & 1u) << 4;
    y[i] = static_cast<float>(low) * scale + minimum;
    y[i + 16] = static_cast<float>(high) * scale + minimum;
  }
}

}  // namespace weft::inline v0
