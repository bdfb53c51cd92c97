#pragma once

#include <cstdint>
#include <cstring>

#include <weft/core/half.hpp>
#include <weft/quant/rounding.hpp>

namespace weft::inline v0 {

/// 32 elements: y[i] = scale * (code[i] - 16). GGUF's Q5_0: nibbles as in Q4_0, the fifth bit of element i in bit i of
/// a little-endian word.
struct BlockQ5_0 {
  static constexpr int elements = 32;
  half scale;
  std::uint8_t fifths[4];
  std::uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

/// The element of largest magnitude gets code 0: scale = x / -16; codes to nearest, half up.
inline void encode(const float* x, BlockQ5_0& block) noexcept {
  const float scale = detail::largest_magnitude<32>(x) / -16.f;
  const float inverse = detail::reciprocal_or_zero(scale);
  block.scale = half(scale);
  std::uint32_t fifths = 0;
  for (int i = 0; i < 16; ++i) {
    const int low = detail::truncated(x[i] * inverse + 16.5f, 31);
    const int high = detail::truncated(x[i + 16] * inverse + 16.5f, 31);
    block.nibbles[i] = static_cast<std::uint8_t>((low & 15) | (high & 15) << 4);
    fifths |= static_cast<std::uint32_t>(low >> 4) << i | static_cast<std::uint32_t>(high >> 4) << (i + 16);
  }
  std::memcpy(block.fifths, &fifths, sizeof fifths);
}

inline void decode(const BlockQ5_0& block, float* y) noexcept {
  const float scale = block.scale;
  std::uint32_t fifths = 0;
  std::memcpy(&fifths, block.fifths, sizeof fifths);
  for (int i = 0; i < 16; ++i) {
    const int low = (block.nibbles[i] & 15) | static_cast<int>(fifths >> i & 1u) << 4;
    const int high = (block.nibbles[i] >> 4) | static_cast<int>(fifths >> (i + 16) & 1u) << 4;
    y[i] = static_cast<float>(low - 16) * scale;
    y[i + 16] = static_cast<float>(high - 16) * scale;
  }
}

}  // namespace weft::inline v0
