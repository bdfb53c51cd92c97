#pragma once

#include <cstdint>

#include <weft/quant/scales_of_256.hpp>

namespace weft::inline v0 {

/// 256 elements in eight parts of 32: y[i] = scale * part scale * code[i] - minimum * part minimum. GGUF's Q5_K:
/// nibbles as in Q4_K, the fifth bit of element i of part p in bit p of fifths[i].
struct BlockQ5_K {
  static constexpr int elements = 256;
  detail::ScalesOf256Block scales;
  std::uint8_t fifths[32];
  std::uint8_t nibbles[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

/// Scales by search: detail::search_scale_and_minimum.
inline void encode(const float* x, BlockQ5_K& block) noexcept {
  std::uint8_t codes[256];
  detail::encode_256<31>(x, {-0.5f, 15}, block.scales, codes);
  for (int i = 0; i < 128; ++i) {
    const int at = i / 32 * 64 + i % 32;
    block.nibbles[i] = static_cast<std::uint8_t>((codes[at] & 15) | (codes[at + 32] & 15) << 4);
  }
  for (int i = 0; i < 32; ++i) {
    int bits = 0;
    for (int part = 0; part < 8; ++part) bits |= codes[32 * part + i] >> 4 << part;
    block.fifths[i] = static_cast<std::uint8_t>(bits);
  }
}

inline void decode(const BlockQ5_K& block, float* y) noexcept {
  for (int part = 0; part < 8; ++part) {
    const std::uint8_t* nibbles = block.nibbles + part / 2 * 32;
    const auto code = [&](int i) { return (nibbles[i] >> part % 2 * 4 & 15) | (block.fifths[i] >> part & 1) << 4; };
    detail::decode_part(block.scales, part, code, y + 32 * part);
  }
}

}  // namespace weft::inline v0
