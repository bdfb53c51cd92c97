#pragma once

#include <cstdint>

#include <weft/core/half.hpp>
#include <weft/quant/rounding.hpp>

namespace weft::inline v0 {

/// 32 elements: y[i] = scale * (code[i] - 8). GGUF's Q4_0: the low nibbles are elements 0 to 15, the high ones 16
/// to 31.
struct BlockQ4_0 {
  static constexpr int elements = 32;
  half scale;
  std::uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

/// The element of largest magnitude gets code 0: scale = x / -8; codes to nearest, half up.
inline void encode(const float* x, BlockQ4_0& block) noexcept {
  const float scale = detail::largest_magnitude<32>(x) / -8.f;
  const float inverse = detail::reciprocal_or_zero(scale);
  block.scale = half(scale);
  for (int i = 0; i < 16; ++i) {
    const int low = detail::truncated(x[i] * inverse + 8.5f, 15);
    const int high = detail::truncated(x[i + 16] * inverse + 8.5f, 15);
    block.nibbles[i] = static_cast<std::uint8_t>(low | high << 4);
  }
}

inline void decode(const BlockQ4_0& block, float* y) noexcept {
  const float scale = block.scale;
  for (int i = 0; i < 16; ++i) {
    y[i] = static_cast<float>((block.nibbles[i] & 15) - 8) * scale;
    y[i + 16] = static_cast<float>((block.nibbles[i] >> 4) - 8) * scale;
  }
}

}  // namespace weft::inline v0
