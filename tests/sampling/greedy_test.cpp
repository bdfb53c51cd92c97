#include <weft/sampling/greedy.hpp>

#include <gtest/gtest.h>

#include <vector>

#include "reference.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

TEST(SampleGreedy, TakesTheLargest) {
  EXPECT_EQ(sample_greedy(std::vector<float>{0.1f, 0.7f, 0.2f}), 1);
  EXPECT_EQ(sample_greedy(std::vector<float>{-3.f}), 0);
  EXPECT_EQ(sample_greedy(std::vector<float>{-infinity, -2e38f, -infinity}), 1);
}

TEST(SampleGreedy, TheLowestIdAmongEquals) {
  std::vector<float> logits(100, 1.f);
  EXPECT_EQ(sample_greedy(logits), 0);
  logits[37] = logits[38] = logits[99] = 2.f;
  EXPECT_EQ(sample_greedy(logits), 37);
  EXPECT_EQ(sample_greedy(std::vector<float>{-0.f, 0.f}), 0);
  EXPECT_EQ(sample_greedy(std::vector<float>{0.f, -0.f}), 0);
}

TEST(SampleGreedy, AgreesWithAScan) {
  Philox rng(8);
  for (int round = 0; round < 2000; ++round) {
    const std::vector<float> logits = random_logits(rng, 1 + rng() % 300);
    EXPECT_EQ(sample_greedy(logits), std::ranges::max_element(logits) - logits.begin());
  }
}

TEST(SampleGreedy, NamesWhatIsWrong) {
  EXPECT_NE(message_of<NumericError>([] {
              sample_greedy(std::vector<float>{1.f, not_a_number});
            }).find("value[1] is"),
            std::string::npos);
  EXPECT_NE(message_of<NumericError>([] {
              sample_greedy(std::vector<float>{infinity, 0.f});
            }).find("value[0] is"),
            std::string::npos);
  EXPECT_EQ(message_of<NumericError>([] { sample_greedy(std::vector<float>{-infinity}); }),
            "value: all 1 are -inf, no token can be chosen");
  EXPECT_EQ(message_of<ShapeError>([] { sample_greedy(std::vector<float>{}); }),
            "sample_greedy: there are no values, expected at least one");
}

}  // namespace
