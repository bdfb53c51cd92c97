#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <weft/core/half.hpp>
#include <weft/quant/scale_search.hpp>

namespace weft::inline v0 {

/// 256 elements in 16 parts of 16: y[i] = scale * part scale * code[i] - minimum * part minimum. GGUF's Q2_K: the low
/// half of byte p of the parts is the scale of part p, the high half its minimum; in each half of 128, byte l of the 32
/// bytes of codes holds elements l, l + 32, l + 64 and l + 96, two bits each.
///
/// There are no kernels for it: weights become Q8_0 where they are multiplied (kernel_dtype), which moves an element by
/// less than 1/220 of the largest of its block of 32.
struct BlockQ2_K {
  static constexpr int elements = 256;
  std::uint8_t parts[16];
  std::uint8_t codes[64];
  half scale;
  half minimum;
};
static_assert(sizeof(BlockQ2_K) == 84);

/// Scales by search: detail::search_scale_and_minimum.
inline void encode(const float* x, BlockQ2_K& block) noexcept {
  std::uint8_t codes[256];
  detail::ScaleAndMinimum found[16];
  float largest_scale = 0.f, largest_minimum = 0.f;
  for (int part = 0; part < 16; ++part) {
    float weights[16];
    for (int i = 0; i < 16; ++i) weights[i] = std::fabs(x[16 * part + i]);
    found[part] = detail::search_scale_and_minimum<3, 16, detail::Deviation::absolute>(x + 16 * part, weights,
                                                                                       {-0.5f, 15}, codes + 16 * part);
    largest_scale = std::max(largest_scale, found[part].scale);
    largest_minimum = std::max(largest_minimum, found[part].minimum);
  }
  block = {};
  block.scale = half(largest_scale / 15.f);
  block.minimum = half(largest_minimum / 15.f);
  const float inverse_scale = largest_scale > 0.f ? 15.f / largest_scale : 0.f;
  const float inverse_minimum = largest_minimum > 0.f ? 15.f / largest_minimum : 0.f;
  for (int part = 0; part < 16; ++part) {
    const int scale_code = detail::clamped(detail::nearest(inverse_scale * found[part].scale), 0, 15);
    const int minimum_code = detail::clamped(detail::nearest(inverse_minimum * found[part].minimum), 0, 15);
    block.parts[part] = static_cast<std::uint8_t>(scale_code | minimum_code << 4);
    const float scale = static_cast<float>(block.scale) * static_cast<float>(scale_code);
    const float minimum = static_cast<float>(block.minimum) * static_cast<float>(minimum_code);
    if (scale == 0.f) continue;
    for (int i = 16 * part; i < 16 * part + 16; ++i)
      codes[i] = static_cast<std::uint8_t>(detail::clamped(detail::nearest((x[i] + minimum) / scale), 0, 3));
  }
  for (int i = 0; i < 256; ++i) {
    std::uint8_t& byte = block.codes[i / 128 * 32 + i % 32];
    byte = static_cast<std::uint8_t>(byte | codes[i] << i % 128 / 32 * 2);
  }
}

inline void decode(const BlockQ2_K& block, float* y) noexcept {
  for (int i = 0; i < 256; ++i) {
    const int part = block.parts[i / 16];
    const float scale = static_cast<float>(block.scale) * static_cast<float>(part & 15);
    const float minimum = static_cast<float>(block.minimum) * static_cast<float>(part >> 4);
    const int code = block.codes[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
    y[i] = scale * static_cast<float>(code) - minimum;
  }
}

}  // namespace weft::inline v0
