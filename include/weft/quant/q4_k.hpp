#pragma once

#include <cstdint>

#include <weft/quant/scales_of_256.hpp>

namespace weft::inline v0 {

/// 256 elements in eight parts of 32: y[i] = scale * part scale * code[i] - minimum * part minimum. GGUF's Q4_K: bytes
/// 32 p to 32 p + 31 of the nibbles hold part 2 p in their low halves and part 2 p + 1 in their high ones.
struct BlockQ4_K {
  static constexpr int elements = 256;
  detail::ScalesOf256Block scales;
  std::uint8_t nibbles[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

/// Scales by search: detail::search_scale_and_minimum.
inline void encode(const float* x, BlockQ4_K& block) noexcept {
  std::uint8_t codes[256];
  detail::encode_256<15>(x, {-1.f, 20}, block.scales, codes);
  for (int i = 0; i < 128; ++i) {
    const int at = i / 32 * 64 + i % 32;
    block.nibbles[i] = static_cast<std::uint8_t>(codes[at] | codes[at + 32] << 4);
  }
}

inline void decode(const BlockQ4_K& block, float* y) noexcept {
  for (int part = 0; part < 8; ++part) {
    const std::uint8_t* nibbles = block.nibbles + part / 2 * 32;
    detail::decode_part(
        block.scales, part, [&](int i) { return nibbles[i] >> part % 2 * 4 & 15; }, y + 32 * part);
  }
}

}  // namespace weft::inline v0
