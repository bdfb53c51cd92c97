#pragma once

#include <cmath>
#include <cstdint>

#include <weft/core/half.hpp>
#include <weft/quant/scale_search.hpp>

namespace weft::inline v0 {

/// 256 elements in 16 parts of 16: y[i] = scale * part scale * (code[i] - 32). GGUF's Q6_K: in each half of 128, byte l
/// of the 64 bytes of nibbles holds elements l (low) and l + 64 (high); two bits of elements l, l + 32, l + 64 and l +
/// 96 are in byte l of the 32 bytes of upper bits.
struct BlockQ6_K {
  static constexpr int elements = 256;
  std::uint8_t nibbles[128];
  std::uint8_t upper[64];
  std::int8_t parts[16];
  half scale;

  /// In [-32, 32).
  int code(int i) const noexcept {
    const int half_at = i / 128, quarter = i % 128 / 32, l = i % 32;
    const int nibble = nibbles[64 * half_at + 32 * (quarter % 2) + l] >> quarter / 2 * 4 & 15;
    return (nibble | (upper[32 * half_at + l] >> 2 * quarter & 3) << 4) - 32;
  }
  /// Of an element whose bits are zeros.
  void set_code(int i, int code) noexcept {
    const int half_at = i / 128, quarter = i % 128 / 32, l = i % 32;
    std::uint8_t& nibble = nibbles[64 * half_at + 32 * (quarter % 2) + l];
    std::uint8_t& high = upper[32 * half_at + l];
    nibble = static_cast<std::uint8_t>(nibble | ((code + 32) & 15) << quarter / 2 * 4);
    high = static_cast<std::uint8_t>(high | ((code + 32) >> 4) << 2 * quarter);
  }
};
static_assert(sizeof(BlockQ6_K) == 210);

/// Scales by search: detail::search_scale; the part scale of largest magnitude becomes -128.
inline void encode(const float* x, BlockQ6_K& block) noexcept {
  std::int8_t codes[256];
  float scales[16];
  float largest = 0.f;
  for (int part = 0; part < 16; ++part) {
    scales[part] = detail::search_scale<32>(x + 16 * part, codes + 16 * part);
    if (std::fabs(scales[part]) > std::fabs(largest)) largest = scales[part];
  }
  block = {};
  if (std::fabs(largest) < 1e-15f) return;
  const float inverse = -128.f / largest;
  block.scale = half(1.f / inverse);
  for (int part = 0; part < 16; ++part) {
    block.parts[part] = static_cast<std::int8_t>(detail::clamped(detail::nearest(inverse * scales[part]), -128, 127));
    const float scale = static_cast<float>(block.scale) * static_cast<float>(block.parts[part]);
    if (scale == 0.f) continue;
    for (int i = 16 * part; i < 16 * part + 16; ++i)
      codes[i] = static_cast<std::int8_t>(detail::clamped(detail::nearest(x[i] / scale), -32, 31));
  }
  for (int i = 0; i < 256; ++i) block.set_code(i, codes[i]);
}

inline void decode(const BlockQ6_K& block, float* y) noexcept {
  const float scale = block.scale;
  for (int i = 0; i < 256; ++i)
    y[i] = scale * static_cast<float>(block.parts[i / 16]) * static_cast<float>(block.code(i));
}

}  // namespace weft::inline v0
