#pragma once

#include <bit>
#include <cstdint>

namespace weft::inline v0 {

namespace detail {

constexpr std::uint16_t half_bits_from_float(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // rounds past 65504
  if (magnitude < 0x38800000u) {                                                    // below 2^-14: subnormal
    if (magnitude < 0x33000000u) return static_cast<std::uint16_t>(sign);           // below 2^-25: zero
    const std::uint32_t shift = 126u - (magnitude >> 23);
    const std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    const std::uint32_t kept = mantissa >> shift;
    const std::uint32_t rest = mantissa & ((1u << shift) - 1u);
    const std::uint32_t middle = 1u << (shift - 1u);
    const std::uint32_t up = (rest > middle || (rest == middle && (kept & 1u))) ? 1u : 0u;
    return static_cast<std::uint16_t>(sign | (kept + up));
  }
  const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

constexpr float float_from_half_bits(std::uint16_t half) noexcept {
  const std::uint32_t sign = (static_cast<std::uint32_t>(half) & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1fu;
  const std::uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0x1fu) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0u) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

constexpr std::uint16_t bfloat16_bits_from_float(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

constexpr float float_from_bfloat16_bits(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

}  // namespace detail

/// IEEE 754 binary16. A storage type: converts from float (round to nearest even, overflow to infinity) and to float
/// (exact); arithmetic happens in float.
/// The compiler takes it for memory of any type (may_alias), because checkpoints and Eigen hold the same bits under
/// other names.
struct [[gnu::may_alias]] half {
  std::uint16_t bits = 0;

  constexpr half() noexcept = default;
  constexpr explicit half(float value) noexcept : bits(detail::half_bits_from_float(value)) {}
  constexpr operator float() const noexcept { return detail::float_from_half_bits(bits); }

  static constexpr half from_bits(std::uint16_t bits) noexcept {
    half result;
    result.bits = bits;
    return result;
  }
};

/// bfloat16: the upper half of a binary32. A storage type like half, with round to nearest even and quiet NaNs.
struct [[gnu::may_alias]] bfloat16 {
  std::uint16_t bits = 0;

  constexpr bfloat16() noexcept = default;
  constexpr explicit bfloat16(float value) noexcept : bits(detail::bfloat16_bits_from_float(value)) {}
  constexpr operator float() const noexcept { return detail::float_from_bfloat16_bits(bits); }

  static constexpr bfloat16 from_bits(std::uint16_t bits) noexcept {
    bfloat16 result;
    result.bits = bits;
    return result;
  }
};

static_assert(sizeof(half) == 2 && sizeof(bfloat16) == 2);

}  // namespace weft::inline v0
