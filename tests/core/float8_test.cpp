#include <weft/core/float8.hpp>

#include <cmath>
#include <cstdint>

#include <gtest/gtest.h>

namespace {

using namespace weft;

/// The value of eight bits from the definition: a sign, `exponent_bits` of exponent, the rest of mantissa.
double value_of(int bits, int exponent_bits) {
  const int mantissa_bits = 7 - exponent_bits;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const int exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double fraction = std::ldexp(mantissa, -mantissa_bits);
  const double magnitude = exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1.0 + fraction, exponent - bias);
  return bits & 0x80 ? -magnitude : magnitude;
}

TEST(Float8, E4M3HasNoInfinities) {
  for (int bits = 0; bits < 256; ++bits) {
    const float value = float8_e4m3{static_cast<std::uint8_t>(bits)};
    if ((bits & 0x7f) == 0x7f) {
      EXPECT_TRUE(std::isnan(value)) << bits;
    } else {
      EXPECT_EQ(value, value_of(bits, 4)) << bits;
      EXPECT_EQ(std::signbit(value), bits >= 128) << bits;
    }
  }
  EXPECT_EQ(float8_e4m3{0x7e}, 448.f);
}

TEST(Float8, E5M2HasInfinities) {
  for (int bits = 0; bits < 256; ++bits) {
    const float value = float8_e5m2{static_cast<std::uint8_t>(bits)};
    const int magnitude = bits & 0x7f;
    if (magnitude > 0x7c) {
      EXPECT_TRUE(std::isnan(value)) << bits;
    } else if (magnitude == 0x7c) {
      EXPECT_TRUE(std::isinf(value)) << bits;
    } else {
      EXPECT_EQ(value, value_of(bits, 5)) << bits;
    }
    EXPECT_EQ(std::signbit(value), bits >= 128) << bits;
  }
  EXPECT_EQ(float8_e5m2{0x7b}, 57344.f);
}

}  // namespace
