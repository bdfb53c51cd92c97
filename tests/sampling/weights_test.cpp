#include <weft/sampling/weights.hpp>

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "reference.hpp"

namespace {

using namespace weft;
using namespace weft_test;

TEST(ExpWeight, IsWithinTwoUnitsInTheLastPlace) {
  const std::uint32_t zero = detail::opaque_zero();
  double worst = 0;
  for (int i = 0; i <= 1 << 20; ++i) {
    const float d = -31.f * static_cast<float>(i) * 0x1p-20f;
    const double expected = std::exp(static_cast<double>(d));
    const double unit = std::ldexp(1.0, std::ilogb(expected) - 23);
    worst = std::max(worst, std::abs(static_cast<double>(detail::exp_weight(d, zero)) - expected) / unit);
  }
  EXPECT_LT(worst, 2.0);
}

TEST(ExpWeight, Ends) {
  const std::uint32_t zero = detail::opaque_zero();
  EXPECT_EQ(detail::exp_weight(0.f, zero), 1.f);
  EXPECT_EQ(detail::exp_weight(-0.f, zero), 1.f);
  EXPECT_LE(detail::exp_weight(-std::numeric_limits<float>::denorm_min(), zero), 1.f);
  EXPECT_LE(detail::exp_weight(-0x1p-24f, zero), 1.f);
  EXPECT_GT(detail::exp_weight(-31.f, zero), 0.f);
  EXPECT_EQ(detail::exp_weight(-31.001f, zero), 0.f);
  EXPECT_EQ(detail::exp_weight(-std::numeric_limits<float>::max(), zero), 0.f);
  EXPECT_EQ(detail::exp_weight(-infinity, zero), 0.f);
}

TEST(Units, CountMultiplesOfTwoToTheMinus43) {
  for (const float w :
       {0.f, 1.f, 1.75f, 0x1p-43f, 0x1.8p-43f, 0x1p-44f, 0x1.000002p-44f, 0x1p-60f, 0.1f, 0x1.fffffep+0f})
    EXPECT_EQ(detail::units(w), count_units(w)) << w;
  EXPECT_EQ(detail::units(1.f), std::uint64_t{1} << 43);
}

TEST(TotalUnits, IsExactForEverySize) {
  Philox rng(4);
  for (std::size_t size = 0; size < 200; ++size) {
    std::vector<float> weights(size);
    std::uint64_t expected = 0;
    for (float& w : weights) expected += count_units(w = uniform_float(rng) * 0x1p-3f);
    EXPECT_EQ(detail::total_units(weights), expected);
  }
}

TEST(TotalUnits, DoesNotOverflowAtTheLargestVocabulary) {
  const std::vector<float> weights(detail::max_sampling_vocab, 0x1.fffffep+0f);
  EXPECT_EQ(detail::total_units(weights), detail::units(weights[0]) * detail::max_sampling_vocab);
}

TEST(CheckedMax, FindsTheLargest) {
  for (std::size_t size = 1; size < 70; ++size) {
    std::vector<float> values(size, -5.f);
    values[size / 2] = -1.f;
    EXPECT_EQ(detail::checked_max(values, "logit"), -1.f);
    values.assign(size, -infinity);
    values[size - 1] = std::numeric_limits<float>::lowest();
    EXPECT_EQ(detail::checked_max(values, "logit"), std::numeric_limits<float>::lowest());
  }
}

TEST(CheckedMax, NamesWhatIsWrong) {
  for (const std::size_t at : {std::size_t{0}, std::size_t{15}, std::size_t{16}, std::size_t{40}}) {
    std::vector<float> values(41, 1.f);
    for (const float bad : {not_a_number, -not_a_number, infinity}) {
      values[at] = bad;
      const std::string message = message_of<NumericError>([&] { detail::checked_max(values, "logit"); });
      EXPECT_EQ(message.find("logit[" + std::to_string(at) + "] is "), 0u) << message;
    }
  }
  const std::vector<float> nothing(20, -infinity);
  EXPECT_EQ(message_of<NumericError>([&] { detail::checked_max(nothing, "logit"); }),
            "logit: all 20 are -inf, no token can be chosen");
}

TEST(FirstIndexOf, IsTheFirst) {
  for (std::size_t size = 1; size < 70; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::vector<float> values(size, 0.f);
      std::fill(values.begin() + static_cast<std::ptrdiff_t>(at), values.end(), 2.f);
      EXPECT_EQ(detail::first_index_of(values, 2.f), at);
    }
  }
}

TEST(DropBelow, KeepsTheEdge) {
  std::vector<float> weights(19, 0.25f);
  weights[3] = 0x1.fffffep-3f;
  weights[18] = 0.f;
  detail::drop_below(weights, 0.25f);
  EXPECT_EQ(weights[3], 0.f);
  EXPECT_EQ(weights[18], 0.f);
  EXPECT_EQ(std::ranges::count(weights, 0.25f), 17);
}

}  // namespace
