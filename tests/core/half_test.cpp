#include <weft/core/half.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

namespace {

using namespace weft;

/// A binary format with `mantissa` stored bits whose least normal exponent is `least`.
struct Format {
  int mantissa;
  int least;
  double greatest;
};
constexpr Format binary16{10, -14, 65504.0};
constexpr Format bfloat{7, -126, 0x1.fep127};

/// The value of the format nearest to a finite x, ties to even, in exact double arithmetic.
double nearest(double x, const Format& format) {
  if (x == 0) return x;
  const int exponent = std::max(std::ilogb(x), format.least);
  const double unit = std::ldexp(1.0, exponent - format.mantissa);
  const double scaled = std::fabs(x) / unit;
  double whole = std::floor(scaled);
  const double rest = scaled - whole;
  if (rest > 0.5 || (rest == 0.5 && std::fmod(whole, 2.0) == 1.0)) whole += 1;
  const double magnitude = whole * unit;
  return std::copysign(magnitude > format.greatest ? std::numeric_limits<double>::infinity() : magnitude, x);
}

/// The value that bits of a format mean, from the definition.
double value_of(std::uint16_t bits, int exponent_bits, const Format& format) {
  const int mantissa = bits & ((1 << format.mantissa) - 1);
  const int exponent = (bits >> format.mantissa) & ((1 << exponent_bits) - 1);
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1)
    return mantissa ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(mantissa, format.least - format.mantissa);
  return sign * std::ldexp(mantissa + (1 << format.mantissa), format.least + exponent - 1 - format.mantissa);
}

bool same(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

template <class T>
struct Named;
template <>
struct Named<half> {
  static constexpr Format format = binary16;
  static constexpr int exponent_bits = 5;
  static constexpr std::uint16_t quiet = 0x0200;
};
template <>
struct Named<bfloat16> {
  static constexpr Format format = bfloat;
  static constexpr int exponent_bits = 8;
  static constexpr std::uint16_t quiet = 0x0040;
};

template <class T>
class SixteenBits : public ::testing::Test {};
using Types = ::testing::Types<half, bfloat16>;
TYPED_TEST_SUITE(SixteenBits, Types);

TYPED_TEST(SixteenBits, EveryPatternMeansItsValueAndComesBack) {
  using N = Named<TypeParam>;
  for (std::uint32_t pattern = 0; pattern <= 0xffff; ++pattern) {
    const auto bits = static_cast<std::uint16_t>(pattern);
    const float value = TypeParam::from_bits(bits);
    ASSERT_TRUE(same(value, value_of(bits, N::exponent_bits, N::format))) << pattern;
    const std::uint16_t expected = std::isnan(value) ? static_cast<std::uint16_t>(bits | N::quiet) : bits;
    ASSERT_EQ(TypeParam(value).bits, expected) << pattern;
  }
}

template <class T>
void expect_nearest(float x) {
  const double expected = nearest(x, Named<T>::format);
  ASSERT_TRUE(same(float(T(x)), expected)) << x << " gave " << float(T(x)) << ", expected " << expected;
}

TYPED_TEST(SixteenBits, RoundsToNearestEvenAroundEveryValue) {
  for (std::uint32_t pattern = 0; pattern < 0x8000; ++pattern) {
    const float value = TypeParam::from_bits(static_cast<std::uint16_t>(pattern));
    const float next = TypeParam::from_bits(static_cast<std::uint16_t>(pattern + 1));
    if (!std::isfinite(value) || !std::isfinite(next)) continue;
    const float tie = value + (next - value) / 2;  // exact: float has bits to spare
    for (const float x : {value, tie, std::nextafter(tie, value), std::nextafter(tie, next)}) {
      expect_nearest<TypeParam>(x);
      expect_nearest<TypeParam>(-x);
    }
  }
}

TYPED_TEST(SixteenBits, RoundsFloatsOfEveryMagnitude) {
  for (std::uint64_t pattern = 0; pattern < 0x7f800000u; pattern += 4093) {
    const float x = std::bit_cast<float>(static_cast<std::uint32_t>(pattern));
    expect_nearest<TypeParam>(x);
    expect_nearest<TypeParam>(-x);
  }
}

TYPED_TEST(SixteenBits, OverflowsToInfinityPastTheLastTie) {
  const double greatest = Named<TypeParam>::format.greatest;
  const double unit = greatest - double(float(TypeParam::from_bits(TypeParam(static_cast<float>(greatest)).bits - 1)));
  const auto tie = static_cast<float>(greatest + unit / 2);
  EXPECT_EQ(TypeParam(static_cast<float>(greatest)), static_cast<float>(greatest));
  EXPECT_TRUE(std::isinf(float(TypeParam(tie))));
  EXPECT_EQ(TypeParam(std::nextafter(tie, 0.f)), static_cast<float>(greatest));
  EXPECT_EQ(TypeParam(-std::numeric_limits<float>::max()), -std::numeric_limits<float>::infinity());
  EXPECT_EQ(TypeParam(std::numeric_limits<float>::infinity()), std::numeric_limits<float>::infinity());
}

TYPED_TEST(SixteenBits, KeepsNanAndTheSignOfZero) {
  for (const std::uint32_t bits : {0x7f800001u, 0x7fc00000u, 0xff800001u, 0xffffffffu, 0x7fffffffu}) {
    const TypeParam value(std::bit_cast<float>(bits));
    EXPECT_TRUE(std::isnan(float(value))) << bits;
    EXPECT_TRUE(value.bits & Named<TypeParam>::quiet) << bits;
    EXPECT_EQ(value.bits >> 15, bits >> 31) << bits;
  }
  EXPECT_EQ(TypeParam(-0.f).bits, 0x8000);
  EXPECT_EQ(TypeParam().bits, 0);
  EXPECT_EQ(TypeParam(-std::numeric_limits<float>::denorm_min()).bits, 0x8000);
}

TEST(Half, ConvertsAtCompileTime) {
  static_assert(half(1.5f).bits == 0x3e00 && float(half::from_bits(0x0001)) == 0x1p-24f);
  static_assert(bfloat16(1.5f).bits == 0x3fc0 && float(bfloat16::from_bits(0x0001)) == 0x1p-133f);
  EXPECT_EQ(half(0x1p-25f).bits, 0x0000);  // the tie below the least subnormal goes to even
  EXPECT_EQ(half(0x1.8p-24f).bits, 0x0002);
}

}  // namespace
