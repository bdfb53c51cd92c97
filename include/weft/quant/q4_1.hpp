#pragma once

#include <algorithm>
#include <cstdint>

#include <weft/core/half.hpp>
#include <weft/quant/rounding.hpp>

namespace weft::inline v0 {

/// 32 elements: y[i] = scale * code[i] + minimum. GGUF's Q4_1, nibbles as in Q4_0.
struct BlockQ4_1 {
  static constexpr int elements = 32;
  half scale;
  half minimum;
  std::uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

/// The smallest element gets code 0, the largest 15; codes to nearest, half up.
inline void encode(const float* x, BlockQ4_1& block) noexcept {
  const auto [least, most] = std::minmax_element(x, x + 32);
  const float minimum = *least;
  const float scale = (*most - minimum) / 15.f;
  const float inverse = detail::reciprocal_or_zero(scale);
  block.scale = half(scale);
  block.minimum = half(minimum);
  for (int i = 0; i < 16; ++i) {
    const int low = detail::truncated((x[i] - minimum) * inverse + 0.5f, 15);
    const int high = detail::truncated((x[i + 16] - minimum) * inverse + 0.5f, 15);
    block.nibbles[i] = static_cast<std::uint8_t>(low | high << 4);
  }
}

inline void decode(const BlockQ4_1& block, float* y) noexcept {
  const float scale = block.scale;
  const float minimum = block.minimum;
  for (int i = 0; i < 16; ++i) {
    y[i] = static_cast<float>(block.nibbles[i] & 15) * scale + minimum;
    y[i + 16] = static_cast<float>(block.nibbles[i] >> 4) * scale + minimum;
  }
}

}  // namespace weft::inline v0
