#include <weft/ops/accumulate.hpp>

#include <concepts>
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

namespace {

using namespace weft;

static_assert(std::same_as<detail::accumulate_t<half>, double> && std::same_as<detail::accumulate_t<float>, double>);
static_assert(std::same_as<detail::accumulate_t<bool>, std::int64_t>);
static_assert(std::same_as<detail::sum_t<bfloat16>, bfloat16> &&
              std::same_as<detail::sum_t<std::uint8_t>, std::int64_t>);
static_assert(std::same_as<decltype(detail::arithmetic(half())), float>);
static_assert(std::same_as<decltype(detail::arithmetic(std::int8_t())), std::int8_t>);

TEST(Accumulate, CastsRoundOnceToTheElement) {
  EXPECT_EQ(detail::element_cast<half>(0.1).bits, half(0.1f).bits);
  EXPECT_EQ(detail::element_cast<bfloat16>(std::int64_t{3}), 3.f);
  EXPECT_EQ(detail::element_cast<float>(0.1), 0.1f);
  EXPECT_EQ(detail::element_cast<std::int64_t>(std::int64_t{-7}), -7);
}

TEST(Accumulate, IntegerSumsWrapAround) {
  constexpr auto highest = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(detail::wrapping_add(highest, std::int64_t{1}), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(detail::wrapping_add(0.5, 0.25), 0.75);
}

TEST(Accumulate, NanIsTheGreatest) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr float infinity = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(detail::ordered_after(nan, infinity));
  EXPECT_FALSE(detail::ordered_after(infinity, nan));
  EXPECT_FALSE(detail::ordered_after(nan, nan));
  EXPECT_FALSE(detail::ordered_after(0.f, -0.f));
  EXPECT_FALSE(detail::ordered_after(-0.f, 0.f));
  EXPECT_TRUE(detail::ordered_after(half(2.f), half(-3.f)));
  EXPECT_TRUE(detail::ordered_after(half(nan), half(infinity)));
  EXPECT_TRUE(detail::ordered_after(true, false));
}

}  // namespace
