#include <weft/sampling/top_k.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "reference.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

static_assert(LogitsProcessor<TopK>);

std::vector<float> masked(std::vector<float> logits, const std::vector<bool>& kept) {
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (!kept[i]) logits[i] = -infinity;
  return logits;
}

// Logits of many kinds: smooth, with many ties, with a huge range, subnormal, partly -inf.
std::vector<float> any_logits(Philox& rng, std::size_t vocab, int kind) {
  std::vector<float> logits = random_logits(rng, vocab);
  for (float& x : logits) {
    if (kind == 1) x = static_cast<float>(static_cast<int>(x));
    if (kind == 2) x = x * 0x1p+125f;
    if (kind == 3) x = x * 0x1p-135f;
    if (kind == 4 && rng() % 4 != 0) x = -infinity;
    if (kind == 5) x = rng() % 2 != 0 ? 0.f : -0.f;
  }
  logits[rng() % vocab] = 0.f;
  return logits;
}

TEST(TopK, AgreesWithAFullSort) {
  Philox rng(21);
  for (int round = 0; round < 6000; ++round) {
    const std::size_t vocab = 1 + rng() % (round % 10 == 0 ? 3000 : 200);
    const std::vector<float> logits = any_logits(rng, vocab, round % 6);
    const std::size_t k = 1 + rng() % (vocab + 2);
    std::vector<float> found = logits;
    TopK top_k(k);
    top_k(found, {});
    ASSERT_EQ(found, masked(logits, kept_by_top_k(logits, k))) << "round " << round << ", k " << k;
  }
}

TEST(TopK, SmallKOfALargeVocabulary) {
  Philox rng(22);
  TopK top_k(40);
  for (int round = 0; round < 20; ++round) {
    const std::vector<float> logits = any_logits(rng, 32000 + rng() % 100, round % 6);
    std::vector<float> found = logits;
    top_k(found, {});
    ASSERT_EQ(found, masked(logits, kept_by_top_k(logits, 40))) << round;
  }
}

TEST(TopK, TheLowerIdsAmongEquals) {
  std::vector<float> logits(200, 1.f);
  logits[150] = 2.f;
  TopK(3)(logits, {});
  EXPECT_EQ(logits[150], 2.f);
  EXPECT_EQ(logits[0], 1.f);
  EXPECT_EQ(logits[1], 1.f);
  EXPECT_EQ(std::ranges::count(logits, -infinity), 197);
}

TEST(TopK, NamesWhatIsWrong) {
  EXPECT_EQ(message_of<ConfigError>([] { TopK k(0); }), "top_k is 0, allowed: at least 1");
  std::vector<float> logits{0.f, not_a_number};
  EXPECT_NE(message_of<NumericError>([&] { TopK(1)(logits, {}); }).find("logit[1] is "), std::string::npos);
}

TEST(SampleTopK, FollowsTheDistribution) {
  Philox rng(23);
  const std::vector<double> p = softmax(random_logits(rng, 100, 3.f));
  const std::vector<float> probabilities = as_floats(p);
  for (const std::size_t k : {std::size_t{1}, std::size_t{7}, std::size_t{40}, std::size_t{100}, std::size_t{1000}}) {
    const auto counts = tally(p.size(), 40000, [&] { return sample_top_k(probabilities, k, rng); });
    const ChiSquare test = chi_square(counts, renormalised(p, kept_by_top_k(probabilities, k)));
    EXPECT_LT(test.statistic, test.threshold) << k;
    EXPECT_FALSE(test.impossible) << k;
  }
}

TEST(SampleTopK, OneIsGreedy) {
  Philox rng(24);
  const std::vector<float> p{0.1f, 0.4f, 0.4f, 0.1f};
  for (int i = 0; i < 100; ++i) EXPECT_EQ(sample_top_k(p, 1, rng), 1);
}

TEST(SampleTopK, NamesWhatIsWrong) {
  Philox rng(0);
  EXPECT_EQ(message_of<ConfigError>([&] { sample_top_k(std::vector<float>{1.f}, 0, rng); }),
            "top_k is 0, allowed: at least 1");
}

}  // namespace
