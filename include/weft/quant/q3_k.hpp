#pragma once

#include <cmath>
#include <cstdint>

#include <weft/core/half.hpp>
#include <weft/quant/q6_k.hpp>
#include <weft/quant/scale_search.hpp>

namespace weft::inline v0 {

/// 256 elements in 16 parts of 16: y[i] = scale * (part scale - 32) * (code[i] - 4). GGUF's Q3_K: in each half of 128,
/// byte l of the 32 bytes of lower codes holds elements l, l + 32, l + 64 and l + 96, two bits each; the third bit of
/// element i is bit i / 32 of thirds[i % 32]. The lower four bits of the scales of parts p and p + 8 are the halves of
/// byte p of the parts, the upper two of part p are bits 2 (p / 4) of byte 8 + p % 4.
///
/// There are no kernels for it: weights become Q6_K where they are multiplied (kernel_dtype), which is exact.
struct BlockQ3_K {
  static constexpr int elements = 256;
  std::uint8_t thirds[32];
  std::uint8_t lower[64];
  std::uint8_t parts[12];
  half scale;

  int part_scale(int part) const noexcept {
    const int low = part < 8 ? parts[part] & 15 : parts[part - 8] >> 4;
    return (low | (parts[8 + part % 4] >> part / 4 * 2 & 3) << 4) - 32;
  }
  void set_part(int part, int code) noexcept {
    code += 32;
    std::uint8_t& low = parts[part % 8];
    std::uint8_t& high = parts[8 + part % 4];
    low = static_cast<std::uint8_t>(low | (code & 15) << part / 8 * 4);
    high = static_cast<std::uint8_t>(high | code >> 4 << part / 4 * 2);
  }
  int code(int i) const noexcept {
    const int low = lower[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
    return (low | (thirds[i % 32] >> i / 32 & 1) << 2) - 4;
  }
};
static_assert(sizeof(BlockQ3_K) == 110);

/// Scales by search: detail::refine_scale; the part scale of largest magnitude becomes -32.
inline void encode(const float* x, BlockQ3_K& block) noexcept {
  std::int8_t codes[256];
  float scales[16];
  float largest = 0.f;
  for (int part = 0; part < 16; ++part) {
    scales[part] = detail::refine_scale<4>(x + 16 * part, codes + 16 * part);
    if (std::fabs(scales[part]) > std::fabs(largest)) largest = scales[part];
  }
  block = {};
  const float inverse = largest != 0.f ? -32.f / largest : 0.f;
  if (largest != 0.f) block.scale = half(1.f / inverse);
  for (int part = 0; part < 16; ++part) {
    if (largest != 0.f) block.set_part(part, detail::clamped(detail::nearest(inverse * scales[part]), -32, 31));
    const float scale = static_cast<float>(block.scale) * static_cast<float>(block.part_scale(part));
    if (scale == 0.f) continue;
    for (int i = 16 * part; i < 16 * part + 16; ++i)
      codes[i] = static_cast<std::int8_t>(detail::clamped(detail::nearest(x[i] / scale), -4, 3));
  }
  for (int i = 0; i < 256; ++i) {
    const int code = codes[i] + 4;
    std::uint8_t& low = block.lower[i / 128 * 32 + i % 32];
    std::uint8_t& third = block.thirds[i % 32];
    low = static_cast<std::uint8_t>(low | (code & 3) << i % 128 / 32 * 2);
    third = static_cast<std::uint8_t>(third | (code >> 2) << i / 32);
  }
}

inline void decode(const BlockQ3_K& block, float* y) noexcept {
  for (int i = 0; i < 256; ++i) {
    const float scale = static_cast<float>(block.scale) * static_cast<float>(block.part_scale(i / 16));
    y[i] = scale * static_cast<float>(block.code(i));
  }
}

/// The same elements in Q6_K, exactly.
inline void convert(const BlockQ3_K& from, BlockQ6_K& to) noexcept {
  to = {};
  to.scale = from.scale;
  for (int part = 0; part < 16; ++part) to.parts[part] = static_cast<std::int8_t>(from.part_scale(part));
  for (int i = 0; i < 256; ++i) to.set_code(i, from.code(i));
}

}  // namespace weft::inline v0
