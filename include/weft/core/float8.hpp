#pragma once

#include <bit>
#include <cstdint>

#include <weft/core/half.hpp>

namespace weft::inline v0 {

namespace detail {

constexpr float float_from_e4m3_bits(std::uint8_t bits) noexcept {
  const std::uint32_t sign = (static_cast<std::uint32_t>(bits) & 0x80u) << 24;
  const std::uint32_t exponent = (bits >> 3) & 0xfu;
  const std::uint32_t mantissa = bits & 0x7u;
  if ((bits & 0x7fu) == 0x7fu) return std::bit_cast<float>(sign | 0x7fc00000u);
  if (exponent == 0u) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-9f;
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 120u) << 23) | (mantissa << 20));
}

}  // namespace detail

/// An 8-bit number with 4 bits of exponent (bias 7) and 3 of mantissa, no infinities, and NaN where all bits but the
/// sign are set: "E4M3" of the OCP 8-bit floating point specification, torch.float8_e4m3fn. A storage type that
/// converts to float (exact).
struct [[gnu::may_alias]] float8_e4m3 {
  std::uint8_t bits = 0;

  constexpr operator float() const noexcept { return detail::float_from_e4m3_bits(bits); }
};

/// An 8-bit number with 5 bits of exponent and 2 of mantissa, the upper half of an IEEE 754 binary16: "E5M2",
/// torch.float8_e5m2. A storage type like float8_e4m3.
struct [[gnu::may_alias]] float8_e5m2 {
  std::uint8_t bits = 0;

  constexpr operator float() const noexcept {
    return detail::float_from_half_bits(static_cast<std::uint16_t>(bits << 8));
  }
};

static_assert(sizeof(float8_e4m3) == 1 && sizeof(float8_e5m2) == 1);

}  // namespace weft::inline v0
