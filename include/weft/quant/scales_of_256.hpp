#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <weft/core/half.hpp>
#include <weft/quant/rounding.hpp>
#include <weft/quant/scale_search.hpp>

// What GGUF's Q4_K and Q5_K share: 256 elements in eight parts, y = scale * part scale * code - minimum * part minimum,
// the parts' scales and minima in six bits each.
namespace weft::inline v0::detail {

struct ScalesOf256Block {
  half scale;
  half minimum;
  // The lower six bits of bytes 0 to 3: scales of parts 0 to 3; of bytes 4 to 7: their minima. Bytes 8 to 11: the lower
  // four bits of scale and minimum of parts 4 to 7, whose upper two are in the upper two of bytes 0 to 3 and 4 to 7.
  std::uint8_t parts[12];

  int part_scale(int part) const noexcept {
    return part < 4 ? parts[part] & 63 : (parts[part + 4] & 15) | (parts[part - 4] >> 6) << 4;
  }
  int part_minimum(int part) const noexcept {
    return part < 4 ? parts[part + 4] & 63 : (parts[part + 4] >> 4) | (parts[part] >> 6) << 4;
  }
  void set_part(int part, int scale_bits, int minimum_bits) noexcept {
    const auto byte = [](int value) { return static_cast<std::uint8_t>(value); };
    if (part < 4) {
      parts[part] = byte(scale_bits);
      parts[part + 4] = byte(minimum_bits);
    } else {
      parts[part + 4] = byte((scale_bits & 15) | (minimum_bits & 15) << 4);
      parts[part - 4] = byte(parts[part - 4] | (scale_bits >> 4) << 6);
      parts[part] = byte(parts[part] | (minimum_bits >> 4) << 6);
    }
  }
};
static_assert(sizeof(ScalesOf256Block) == 16);

/// Chooses the scales of 256 elements and their codes in [0, Most], weighted by |x| plus the root of its mean square in
/// the part.
template <int Most>
void encode_256(const float* x, SearchSteps search, ScalesOf256Block& block, std::uint8_t (&codes)[256]) noexcept {
  ScaleAndMinimum found[8];
  float largest_scale = 0.f, largest_minimum = 0.f;
  for (int part = 0; part < 8; ++part) {
    float squares = 0.f;
    for (int i = 32 * part; i < 32 * part + 32; ++i) squares += x[i] * x[i];
    const float spread = std::sqrt(squares / 32);
    float weights[32];
    for (int i = 0; i < 32; ++i) weights[i] = spread + std::fabs(x[32 * part + i]);
    found[part] =
        search_scale_and_minimum<Most, 32, Deviation::squared>(x + 32 * part, weights, search, codes + 32 * part);
    largest_scale = std::max(largest_scale, found[part].scale);
    largest_minimum = std::max(largest_minimum, found[part].minimum);
  }
  const float inverse_scale = largest_scale > 0.f ? 63.f / largest_scale : 0.f;
  const float inverse_minimum = largest_minimum > 0.f ? 63.f / largest_minimum : 0.f;
  for (int part = 0; part < 8; ++part)
    block.set_part(part, clamped(nearest(inverse_scale * found[part].scale), 0, 63),
                   clamped(nearest(inverse_minimum * found[part].minimum), 0, 63));
  block.scale = half(largest_scale / 63.f);
  block.minimum = half(largest_minimum / 63.f);
  for (int part = 0; part < 8; ++part) {
    const float scale = static_cast<float>(block.scale) * static_cast<float>(block.part_scale(part));
    const float minimum = static_cast<float>(block.minimum) * static_cast<float>(block.part_minimum(part));
    if (scale == 0.f) continue;
    for (int i = 32 * part; i < 32 * part + 32; ++i)
      codes[i] = static_cast<std::uint8_t>(clamped(nearest((x[i] + minimum) / scale), 0, Most));
  }
}

/// y of one part, whose codes code(i) gives.
template <class Code>
void decode_part(const ScalesOf256Block& block, int part, const Code& code, float* y) noexcept {
  const float scale = static_cast<float>(block.scale) * static_cast<float>(block.part_scale(part));
  const float minimum = static_cast<float>(block.minimum) * static_cast<float>(block.part_minimum(part));
  for (int i = 0; i < 32; ++i) y[i] = scale * static_cast<float>(code(i)) - minimum;
}

}  // namespace weft::inline v0::detail
