#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "../../../bench/cuda/measure.hpp"

// What bench/cuda reckons from what it measures.
namespace bench {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

TEST(BenchTable, TheMedianIsTheMiddle) {
  EXPECT_EQ(median({3.0, 1.0, 2.0}), 2.0);
  EXPECT_EQ(median({4.0, 1.0, 3.0, 2.0}), 2.5);
  EXPECT_TRUE(std::isnan(median({})));
}

TEST(BenchTable, NumbersHaveTheirDigits) {
  EXPECT_EQ(in_digits(4.31649, 4), "4.316");
  EXPECT_EQ(in_digits(43164.9, 4), "43165");
  EXPECT_EQ(in_digits(0.00123456, 3), "0.00123");
  EXPECT_EQ(in_digits(0.0, 3), "0.00");
  EXPECT_EQ(in_digits(nan, 3), "not measured");
  EXPECT_EQ(in_percent(0.9), "90.0 %");
  EXPECT_EQ(in_percent(INFINITY), "not measured");
}

TEST(BenchTable, ALineSaysWhetherItsGoalIsReached) {
  const Line share{"decode", "tokens/s", "the stream", {.least_share = 0.9}, {}};
  EXPECT_EQ(row(share, {262.14, 0.9}), "| decode | 262.1 tokens/s | 90.0 % of the stream | >= 90.0 % | yes |\n");
  EXPECT_EQ(row(share, {262.14, 0.8999}), "| decode | 262.1 tokens/s | 90.0 % of the stream | >= 90.0 % | no |\n");
  EXPECT_EQ(row(share, {262.14, nan}), "| decode | 262.1 tokens/s | not measured | >= 90.0 % |  |\n");
  EXPECT_EQ(row(share, {nan, 1.0}), "| decode | not measured | not measured | >= 90.0 % |  |\n");
  const Line value{"sampling", "us", "", {.most_value = 30.0}, {}};
  EXPECT_EQ(row(value, {29.9}), "| sampling | 29.90 us |  | < 30.0 us | yes |\n");
  EXPECT_EQ(row(value, {30.0}), "| sampling | 30.00 us |  | < 30.0 us | no |\n");
  EXPECT_EQ(row(value, {nan}), "| sampling | not measured |  | < 30.0 us |  |\n");
}

TEST(BenchTable, WhatThrowsWasNotMeasuredAndTheRestIs) {
  std::ostringstream out;
  std::ostringstream errors;
  const std::vector<Line> lines{{"first", "s", "", {}, []() -> Found { throw std::runtime_error("no memory"); }},
                                {"second", "s", "", {}, [] { return Found{2.0}; }}};
  const auto values = measure(lines, out, errors);
  std::string table(table_head);
  table += "| first | not measured |  |  |  |\n| second | 2.000 s |  |  |  |\n";
  EXPECT_EQ(out.str(), table);
  EXPECT_EQ(errors.str(), "first: no memory\n");
  ASSERT_EQ(values.size(), 2u);
  EXPECT_TRUE(std::isnan(values[0].second));
  EXPECT_EQ(values[1].second, 2.0);
}

TEST(BenchTable, WhatThereIsNoTimeForWasNotMeasured) {
  std::ostringstream out;
  std::ostringstream errors;
  int left = 1;
  const std::vector<Line> lines{{"first", "s", "", {}, [] { return Found{1.0}; }},
                                {"second", "s", "", {.most_value = 3.0}, [] { return Found{2.0}; }}};
  const auto values = measure(lines, out, errors, [&] { return left-- > 0; });
  std::string table(table_head);
  table += "| first | 1.000 s |  |  |  |\n| second | not measured |  | < 3.00 s |  |\n";
  EXPECT_EQ(out.str(), table);
  EXPECT_EQ(errors.str(), "second: there is no time left\n");
  EXPECT_TRUE(std::isnan(values.at(1).second));
}

TEST(BenchTable, NothingIsAShareOfARoofThatIsNotKnown) {
  EXPECT_EQ(share_of(3.0, 4.0), 0.75);
  EXPECT_TRUE(std::isnan(share_of(3.0, 0.0)));
}

// Of the published models: 8.03e9 and 1.236e9 parameters, of which 128256 * 4096 are the embedding of the larger one;
// norms are left out.
TEST(BenchShapes, ATokenReadsAllProducts) {
  EXPECT_NEAR(bytes_per_token(llama_8b, weft::DType::f16), 2.0 * (8.030261248e9 - 128256.0 * 4096.0), 1e6);
  EXPECT_NEAR(bytes_per_token(llama_1b, weft::DType::f16), 2.0 * 1.235814400e9, 2e5);
  const double halves = bytes_per_token(llama_8b, weft::DType::f16);
  EXPECT_NEAR(bytes_per_token(llama_8b, weft::DType::q8_0), halves * 8.5 / 16.0, 1.0);
  EXPECT_NEAR(bytes_per_token(llama_8b, weft::DType::q4_0), halves * 4.5 / 16.0, 1.0);
}

TEST(BenchShapes, CausalAttentionCountsWhatIsSeen) {
  double operations = 0.0;
  for (int token = 0; token < 70; ++token)
    for (int key = 0; key <= token; ++key) operations += 2.0 * (2.0 * 128.0) * 32.0;
  EXPECT_EQ(causal_attention_operations(70, 32, 128), operations);
}

}  // namespace
}  // namespace bench
