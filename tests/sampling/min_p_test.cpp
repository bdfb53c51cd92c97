#include <weft/sampling/min_p.hpp>

#include <gtest/gtest.h>

#include <vector>

#include "reference.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

static_assert(LogitsProcessor<MinP>);

std::vector<bool> kept_by_min_p(const std::vector<double>& p, double share) {
  const double max = *std::ranges::max_element(p);
  std::vector<bool> kept;
  for (const double x : p) kept.push_back(x >= share * max);
  return kept;
}

TEST(MinP, AgreesWithItsDefinition) {
  Philox rng(41);
  for (int round = 0; round < 2000; ++round) {
    const std::vector<float> logits = random_logits(rng, 1 + rng() % 300, 6.f);
    const float share = uniform_float(rng);
    std::vector<float> found = logits;
    MinP min_p(share);
    min_p(found, {});
    const std::vector<double> p = softmax(logits);
    const double max = *std::ranges::max_element(p);
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double ratio = p[i] / max;
      if (std::abs(ratio - static_cast<double>(share)) < 1e-6) continue;  // too close to call in float
      ASSERT_EQ(found[i], ratio >= static_cast<double>(share) ? logits[i] : -infinity) << round;
    }
  }
}

TEST(MinP, KeepsEqualsOfTheBestAndZeroKeepsAll) {
  std::vector<float> logits{1.f, 1.f, 0.f, -60.f};
  MinP(0.f)(logits, {});
  EXPECT_EQ(logits, (std::vector<float>{1.f, 1.f, 0.f, -60.f}));
  MinP(1.f - 0x1p-24f)(logits, {});
  EXPECT_EQ(logits, (std::vector<float>{1.f, 1.f, -infinity, -infinity}));
}

TEST(MinP, NamesWhatIsWrong) {
  EXPECT_EQ(message_of<ConfigError>([] { MinP p(1.f); }), "min_p is 1, allowed: at least 0 and below 1");
  EXPECT_EQ(message_of<ConfigError>([] { MinP p(-0.1f); }), "min_p is -0.1, allowed: at least 0 and below 1");
  EXPECT_NE(message_of<ConfigError>([] { MinP p(not_a_number); }).find("min_p is "), std::string::npos);
  std::vector<float> logits{-infinity};
  EXPECT_NE(message_of<NumericError>([&] { MinP(0.5f)(logits, {}); }).find("all 1 are -inf"), std::string::npos);
}

TEST(SampleMinP, FollowsTheDistribution) {
  Philox rng(42);
  const std::vector<double> p = softmax(random_logits(rng, 100, 3.f));
  const std::vector<float> probabilities = as_floats(p);
  for (const float share : {0.f, 0.05f, 0.3f, 0.999f}) {
    const auto counts = tally(p.size(), 40000, [&] { return sample_min_p(probabilities, share, rng); });
    const ChiSquare test = chi_square(counts, renormalised(p, kept_by_min_p(p, static_cast<double>(share))));
    EXPECT_LT(test.statistic, test.threshold) << share;
    EXPECT_FALSE(test.impossible) << share;
  }
  EXPECT_NE(message_of<ConfigError>([&] { sample_min_p(probabilities, 1.f, rng); }).find("min_p is 1"),
            std::string::npos);
}

}  // namespace
