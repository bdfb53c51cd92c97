#include <weft/sampling/top_p.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "reference.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

static_assert(LogitsProcessor<TopP>);

// Weights of many kinds: smooth, with many ties, over the whole range, all equal, with zeros, all but one tiny, binary
// fractions whose sums fall on the limit.
std::vector<float> any_weights(Philox& rng, std::size_t vocab, int kind) {
  std::vector<float> weights(vocab);
  for (float& w : weights) {
    const float u = uniform_float(rng);
    switch (kind) {
      case 0: w = u; break;
      case 1: w = static_cast<float>(rng() % 5) * 0.25f; break;
      case 2: w = std::ldexp(1.f + u, -static_cast<int>(rng() % 60)); break;
      case 3: w = 1.f; break;
      case 4: w = rng() % 3 != 0 ? 0.f : u; break;
      case 5: w = u * 0x1p-40f; break;
      case 6: w = std::ldexp(1.f, -static_cast<int>(rng() % 6)); break;
      default: w = std::ldexp(u, -static_cast<int>(rng() % 149)); break;
    }
    if (w >= 2.f) w = 0.5f;
  }
  weights[rng() % vocab] = 1.f;
  return weights;
}

float any_p(Philox& rng, int kind) {
  switch (kind) {
    case 0: return 0.9f;
    case 1: return 0.5f;
    case 2: return 1.f - 0x1p-24f;
    case 3: return 1e-30f;
    case 4: return 0.25f;
    default: return (1.f + static_cast<float>(rng() % 9998)) * 1e-4f;
  }
}

std::vector<float> kept_weights(detail::TopPFinder& finder, const cpu::SamplingKernels& kernels,
                                std::vector<float> weights, float p) {
  const std::uint64_t total = kernels.sum_from(weights.data(), weights.size(), 0.f, nullptr);
  const float lowest = finder.cut(kernels, weights, total, p);
  for (float& w : weights) w = w >= lowest ? w : 0.f;
  return weights;
}

void expect_agreement_with_a_full_sort(const std::vector<float>& weights, float p) {
  const std::vector<bool> kept = kept_by_top_p(weights, p);
  detail::TopPFinder finder;
  for (const cpu::SamplingKernels* kernels : every_kernels()) {
    const std::vector<float> found = kept_weights(finder, *kernels, weights, p);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      // A weight that counts as nothing may stay: nothing draws it.
      if (count_units(weights[i]) == 0) continue;
      ASSERT_EQ(found[i], kept[i] ? weights[i] : 0.f) << "p " << p << ", token " << i << " of " << weights.size();
    }
  }
}

TEST(TopPFinder, AgreesWithAFullSort) {
  Philox rng(31);
  for (int round = 0; round < 4000; ++round) {
    const std::size_t vocab = 1 + rng() % (round % 10 == 0 ? 4000 : 120);
    expect_agreement_with_a_full_sort(any_weights(rng, vocab, round % 8), any_p(rng, static_cast<int>(rng() % 6)));
  }
}

TEST(TopPFinder, AgreesWithAFullSortOfALargeVocabulary) {
  Philox rng(36);
  for (int round = 0; round < 40; ++round) {
    std::vector<float> weights = any_weights(rng, 20000 + rng() % 3000, round % 8);
    // Likely ones where the sample does not look, unlikely ones where it does, and the other way round.
    if (round >= 16)
      for (std::size_t i = 0; i < weights.size(); ++i) weights[i] *= (i % 5 == 0) == (round < 32) ? 0x1p-9f : 1.f;
    expect_agreement_with_a_full_sort(weights, any_p(rng, static_cast<int>(rng() % 6)));
  }
}

TEST(TopPFinder, MovesTheLimitWithTheMass) {
  // Four equal tokens: a token goes only where the mass before it exceeds p.
  const std::vector<std::pair<float, int>> cases{{0.2f, 1}, {0.25f, 2}, {0.3f, 2}, {0.5f, 3}, {0.74f, 3}, {0.75f, 4}};
  detail::TopPFinder finder;
  for (const auto& [p, expected] : cases) {
    const std::vector<float> weights =
        kept_weights(finder, cpu::best_sampling_kernels(), std::vector<float>(4, 1.f), p);
    EXPECT_EQ(std::ranges::count(weights, 1.f), expected) << p;
    EXPECT_TRUE(std::ranges::is_sorted(weights, std::greater<>())) << "lower ids stay";
  }
}

TEST(TopP, AgreesWithTheRuleInDoublePrecision) {
  Philox rng(32);
  int compared = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::size_t vocab = 2 + rng() % 500;
    const std::vector<float> logits = random_logits(rng, vocab, round % 2 == 0 ? 3.f : 12.f);
    const float p = any_p(rng, 5);
    std::vector<float> found = logits;
    TopP top_p(p);
    top_p(found, {});
    const std::vector<double> probabilities = softmax(logits);
    double before = 0;
    for (const std::size_t i : descending(logits)) {
      if (std::abs(before - static_cast<double>(p)) < 1e-6) break;  // too close to call in float
      ASSERT_EQ(found[i], before > static_cast<double>(p) ? -infinity : logits[i]) << round;
      before += probabilities[i];
      ++compared;
    }
  }
  EXPECT_GT(compared, 100000);
}

TEST(TopP, OneKeepsAllAndTinyKeepsTheBest) {
  Philox rng(33);
  const std::vector<float> logits = random_logits(rng, 100);
  std::vector<float> found = logits;
  TopP(1.f)(found, {});
  EXPECT_EQ(found, logits);
  TopP smallest(std::numeric_limits<float>::denorm_min());
  smallest(found, {});
  EXPECT_EQ(std::ranges::count(found, -infinity), 99);
  EXPECT_EQ(std::ranges::max(found), std::ranges::max(logits));
}

TEST(TopP, NamesWhatIsWrong) {
  EXPECT_EQ(message_of<ConfigError>([] { TopP p(0.f); }), "top_p is 0, allowed: above 0 and at most 1");
  EXPECT_EQ(message_of<ConfigError>([] { TopP p(1.5f); }), "top_p is 1.5, allowed: above 0 and at most 1");
  EXPECT_EQ(message_of<ConfigError>([] { TopP p(-0.5f); }), "top_p is -0.5, allowed: above 0 and at most 1");
  EXPECT_NE(message_of<ConfigError>([] { TopP p(not_a_number); }).find("top_p is "), std::string::npos);
  std::vector<float> logits{0.f, not_a_number};
  EXPECT_NE(message_of<NumericError>([&] { TopP(0.5f)(logits, {}); }).find("logit[1] is "), std::string::npos);
}

TEST(SampleTopP, FollowsTheDistribution) {
  Philox rng(34);
  const std::vector<double> p = softmax(random_logits(rng, 100, 3.f));
  const std::vector<float> probabilities = as_floats(p);
  for (const float top_p : {0.05f, 0.5f, 0.9f, 0.99f, 1.f}) {
    const auto counts = tally(p.size(), 40000, [&] { return sample_top_p(probabilities, top_p, rng); });
    std::vector<bool> kept(p.size(), false);
    double before = 0;
    for (const std::size_t i : descending(probabilities)) {
      kept[i] = before <= static_cast<double>(top_p);
      before += p[i];
    }
    const ChiSquare test = chi_square(counts, renormalised(p, kept));
    EXPECT_LT(test.statistic, test.threshold) << top_p;
    EXPECT_FALSE(test.impossible) << top_p;
  }
}

TEST(SampleTopP, PIsAShareOfTheSum) {
  Philox rng(35);
  const std::vector<float> p{30.f, 50.f, 20.f};
  for (int i = 0; i < 100; ++i) EXPECT_EQ(sample_top_p(p, 0.4f, rng), 1);
}

TEST(SampleTopP, NamesWhatIsWrong) {
  Philox rng(0);
  const std::vector<float> p{1.f};
  EXPECT_EQ(message_of<ConfigError>([&] { sample_top_p(p, 0.f, rng); }), "top_p is 0, allowed: above 0 and at most 1");
  EXPECT_NE(message_of<NumericError>([&] {
              sample_top_p(std::vector<float>{not_a_number}, 0.5f, rng);
            }).find("probability[0]"),
            std::string::npos);
}

}  // namespace
