#include <weft/ops/multinomial.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "layouts.hpp"

namespace {

using namespace weft;
using weft::testing::for_each_layout;
using weft::testing::random_tensor;
using weft::testing::values;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

/// The chi-square statistic of counts against probabilities.
double chi_square(const std::vector<double>& counts, const std::vector<double>& probabilities) {
  double total = 0;
  for (const double count : counts) total += count;
  double statistic = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double expected = total * probabilities[i];
    statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  return statistic;
}

TEST(Multinomial, WithReplacementFollowsTheWeights) {
  const Tensor<float, 1> weights({6}, {2.f, 0.f, 1.f, 4.f, 0.f, 3.f});  // not normalised
  Philox rng(1);
  const auto draws = multinomial(weights, 100'000, rng, {.replacement = true});
  std::vector<double> counts(6);
  for (const std::int64_t i : draws.elements()) counts.at(static_cast<std::size_t>(i)) += 1;
  EXPECT_EQ(counts[1], 0);
  EXPECT_EQ(counts[4], 0);
  // 3 degrees of freedom: above 21.1 once in ten thousand times.
  EXPECT_LT(chi_square({counts[0], counts[2], counts[3], counts[5]}, {0.2, 0.1, 0.4, 0.3}), 21.1);
}

TEST(Multinomial, WithoutReplacementFollowsTheOrderedDistribution) {
  const std::array<double, 3> w{1, 2, 5};
  const Tensor<double, 1> weights({3}, {1, 2, 5});
  Philox rng(2);
  std::map<std::pair<std::int64_t, std::int64_t>, double> counts;
  for (int i = 0; i < 60'000; ++i) {
    const auto draw = multinomial(weights, 2, rng);
    counts[{draw[0], draw[1]}] += 1;
  }
  std::vector<double> found;
  std::vector<double> probabilities;
  for (std::size_t a = 0; a < 3; ++a) {
    for (std::size_t b = 0; b < 3; ++b) {
      if (a == b) continue;
      found.push_back(counts[{static_cast<std::int64_t>(a), static_cast<std::int64_t>(b)}]);
      probabilities.push_back(w[a] / 8 * w[b] / (8 - w[a]));
    }
  }
  EXPECT_EQ(counts.size(), 6u);
  // 5 degrees of freedom: above 25.7 once in ten thousand times.
  EXPECT_LT(chi_square(found, probabilities), 25.7);
}

TEST(Multinomial, WithoutReplacementDrawsEachCategoryOnce) {
  for (const std::size_t categories : {1u, 2u, 31u, 257u}) {
    auto weights = random_tensor<float, 2>({3, categories}, categories);
    for (float& weight : weights.elements()) weight = std::abs(weight) + 0.125f;
    Philox rng(3);
    const auto draws = multinomial(weights, categories, rng);
    for (std::size_t row = 0; row < 3; ++row) {
      std::set<std::int64_t> seen;
      for (std::size_t i = 0; i < categories; ++i) seen.insert(draws(row, i));
      EXPECT_EQ(seen.size(), categories);
      EXPECT_EQ(*seen.begin(), 0);
      EXPECT_EQ(*seen.rbegin(), static_cast<std::int64_t>(categories) - 1);
    }
  }
}

TEST(Multinomial, WeightsOfZeroAreNeverDrawn) {
  const Tensor<float, 1> weights({5}, {0.f, 1e-30f, -0.f, 1e-45f, 0.f});
  Philox rng(4);
  for (int i = 0; i < 200; ++i) {
    auto both = values(multinomial(weights, 2, rng));
    std::sort(both.begin(), both.end());
    EXPECT_EQ(both, (std::vector<std::int64_t>{1, 3}));
    const auto one = multinomial(weights, 1, rng, {.replacement = true});
    EXPECT_TRUE(one[0] == 1 || one[0] == 3);
  }
}

TEST(Multinomial, TheSameSeedGivesTheSameDrawsInEveryLayout) {
  auto weights = random_tensor<half, 2>({4, 9}, 5);
  for (half& weight : weights.elements()) weight = half(std::abs(float(weight)) + 0.125f);
  for (const bool replacement : {false, true}) {
    Philox first(6);
    const auto expected = values(multinomial(weights, 5, first, {.replacement = replacement}));
    for_each_layout(weights, [&](const auto& v) {
      Philox rng(6);
      EXPECT_EQ(values(multinomial(v, 5, rng, {.replacement = replacement})), expected);
    });
    EXPECT_NE(values(multinomial(weights, 5, first, {.replacement = replacement})), expected);
  }
}

TEST(Multinomial, RowsAreDrawnFromTheirOwnWeights) {
  const Tensor<float, 2> weights({3, 3}, {0, 0, 1, 1, 0, 0, 0, 7, 0});
  Philox rng(7);
  EXPECT_EQ(values(multinomial(weights, 1, rng)), (std::vector<std::int64_t>{2, 0, 1}));
  EXPECT_EQ(values(multinomial(weights, 2, rng, {.replacement = true})), (std::vector<std::int64_t>{2, 2, 0, 0, 1, 1}));
  EXPECT_EQ(multinomial(Tensor<float, 2>({0, 3}), 2, rng).extents(), (Dims<2>{0, 2}));
}

TEST(Multinomial, RejectsWhatIsNoDistribution) {
  Philox rng(8);
  for (const bool replacement : {false, true}) {
    const auto draw = [&](float a, float b, std::size_t samples) {
      return multinomial(Tensor<float, 1>({2}, {a, b}), samples, rng, {.replacement = replacement});
    };
    EXPECT_THROW(draw(1, -1, 1), NumericError);
    EXPECT_THROW(draw(1, nan, 1), NumericError);
    EXPECT_THROW(draw(infinity, 1, 1), NumericError);
    EXPECT_THROW(draw(0, 0, 1), NumericError);
    EXPECT_THROW(draw(1, 1, 0), ShapeError);
    EXPECT_NO_THROW(draw(3e38f, 3e38f, 1));
  }
  const Tensor<float, 1> two({2}, {1, 1});
  EXPECT_THROW(multinomial(two, 3, rng), ShapeError);
  EXPECT_NO_THROW(multinomial(two, 3, rng, {.replacement = true}));
  EXPECT_THROW(multinomial(Tensor<float, 1>({2}, {1, 0}), 2, rng), NumericError);
  EXPECT_THROW(multinomial(Tensor<double, 1>({2}, {1e308, 1e308}), 1, rng), NumericError);
  EXPECT_THROW(multinomial(Tensor<float, 1>({0}), 1, rng, {.replacement = true}), NumericError);
}

TEST(Multinomial, ThrowsBeforeTheGeneratorMoves) {
  Philox rng(9);
  Philox untouched(9);
  EXPECT_THROW(multinomial(Tensor<float, 2>({2, 2}, {1, 1, 0, 0}), 1, rng), NumericError);
  EXPECT_EQ(rng(), untouched());
}

}  // namespace
