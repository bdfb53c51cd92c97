#include <weft/ops/rope_table.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace weft;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

void expect_relative(const std::vector<float>& found, const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], tolerance * expected[i]) << i;
}

std::vector<double> unscaled(std::size_t rotary_dim, double theta) {
  std::vector<double> frequencies;
  for (std::size_t i = 0; i < rotary_dim / 2; ++i)
    frequencies.push_back(std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(rotary_dim)));
  return frequencies;
}

TEST(RopeFrequencies, FollowTheFormula) {
  for (const std::size_t dim : {2u, 8u, 10u, 64u, 128u})
    for (const float theta : {10000.f, 500000.f, 1e6f, 1.f}) {
      const std::vector<double> plain = unscaled(dim, static_cast<double>(theta));
      expect_relative(rope_frequencies(dim, {.theta = theta}), plain, 1e-6);
      std::vector<double> linear = plain, llama3;
      for (double& frequency : linear) frequency /= 4;
      expect_relative(rope_frequencies(dim, {.theta = theta, .scaling = LinearRopeScaling{4.f}}), linear, 1e-6);
      for (const double frequency : plain) {
        const double turns = 8192 * frequency / (2 * std::numbers::pi);  // turns within the original context
        const double kept = std::clamp((turns - 1) / (4 - 1), 0.0, 1.0);
        llama3.push_back((1 - kept) * frequency / 8 + kept * frequency);
      }
      expect_relative(rope_frequencies(dim, {.theta = theta, .scaling = Llama3RopeScaling{8.f, 1.f, 4.f, 8192}}),
                      llama3, 2e-6);
    }
}

TEST(RopeFrequencies, EqualTransformersNumbers) {
  // transformers 4.57, _compute_llama3_parameters: head_dim 64, theta 500000, factor 8, 1, 4, context 8192.
  const std::vector<double> llama31{1,
                                    0.663601279,
                                    0.440366626,
                                    0.292227834,
                                    0.193922758,
                                    0.128687382,
                                    0.0853971019,
                                    0.0566696189,
                                    0.0376060307,
                                    0.0249554086,
                                    0.0165604409,
                                    0.0109895291,
                                    0.00729266508,
                                    0.00483942125,
                                    0.00321144611,
                                    0.00137189368,
                                    0.000524846022,
                                    0.000178507791,
                                    7.78465546e-05,
                                    5.16590699e-05,
                                    3.42810235e-05,
                                    2.2748929e-05,
                                    1.50962178e-05,
                                    1.00178686e-05,
                                    6.64786967e-06,
                                    4.41153452e-06,
                                    2.92749974e-06,
                                    1.94269251e-06,
                                    1.28917316e-06,
                                    8.55496921e-07,
                                    5.6770881e-07,
                                    3.7673226e-07};
  expect_relative(rope_frequencies(64, {.theta = 500000.f, .scaling = Llama3RopeScaling{8.f, 1.f, 4.f, 8192}}), llama31,
                  3e-7);
  // The same function: head_dim 16, theta 10000, factor 32, 1, 4, context 64.
  const std::vector<double> small{
      1, 0.236687109, 0.00372535503, 0.000988211832, 0.000312499993, 9.88211832e-05, 3.12500015e-05, 9.88211832e-06};
  expect_relative(rope_frequencies(16, {.theta = 10000.f, .scaling = Llama3RopeScaling{32.f, 1.f, 4.f, 64}}), small,
                  3e-7);
  // _compute_linear_scaling_rope_parameters: head_dim 16, theta 10000, factor 2.5.
  const std::vector<double> linear{0.400000006,   0.1264911,     0.0399999991,   0.0126491114,
                                   0.00399999972, 0.00126491114, 0.000400000019, 0.000126491112};
  expect_relative(rope_frequencies(16, {.theta = 10000.f, .scaling = LinearRopeScaling{2.5f}}), linear, 3e-7);
}

TEST(RopeFrequencies, AreDividedByFactorsOfTheirOwn) {
  const std::vector<float> plain = rope_frequencies(8, {.theta = 1e4f});
  const std::vector<float> factors{1.f, 2.f, 0.5f, 8.f};
  const std::vector<float> divided = rope_frequencies(8, {.theta = 1e4f, .scaling = FactorsRopeScaling{factors}});
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(divided[i], plain[i] / factors[i]);
  EXPECT_THROW(rope_frequencies(6, {.theta = 1e4f, .scaling = FactorsRopeScaling{factors}}), ConfigError);
  EXPECT_THROW(rope_frequencies(2, {.theta = 1e4f, .scaling = FactorsRopeScaling{{0.f}}}), ConfigError);
}

// transformers 5.23, _compute_yarn_parameters: head_dim 16, theta 10000, factor 4, original context 64.
TEST(RopeFrequencies, YarnEqualsTransformersNumbers) {
  RopeParams params{.theta = 10000.f, .scaling = YarnRopeScaling{.factor = 4.f, .original_context = 64}};
  const std::vector<double> truncated{1,      0.237170815,    0.049999997,    0.00790569466,
                                      0.0025, 0.000790569466, 0.000250000012, 7.90569466e-05};
  expect_relative(rope_frequencies(16, params), truncated, 3e-7);
  std::get<YarnRopeScaling>(params.scaling).truncate = false;
  const std::vector<double> exact{1,      0.198583528,    0.0255952496,   0.00790569466,
                                  0.0025, 0.000790569466, 0.000250000012, 7.90569466e-05};
  expect_relative(rope_frequencies(16, params), exact, 1e-6);
  EXPECT_NEAR(yarn_attention_factor(4.f, 1.f), 1.138629436, 1e-6);
  EXPECT_NEAR(yarn_attention_factor(4.f, 0.7f) / yarn_attention_factor(4.f, 1.3f), 0.929523492, 1e-6);
  EXPECT_EQ(yarn_attention_factor(1.f, 1.f), 1.f);
}

// transformers 5.23, _compute_dynamic_ntk_parameters: head_dim 16, theta 10000, factor 3, context 128, at length 400.
TEST(RopeFrequencies, DynamicScalingGrowsWithTheContext) {
  const RopeParams params{.theta = 10000.f, .scaling = DynamicRopeScaling{.factor = 3.f, .original_context = 128}};
  const std::vector<double> plain{1, 0.316227764, 0.1, 0.0316227786, 0.01, 0.00316227786, 0.001, 0.000316227786};
  const std::vector<double> stretched{
      1, 0.237702638, 0.0565025434, 0.0134308031, 0.00319253746, 0.000758874579, 0.000180386472, 4.28783387e-05};
  expect_relative(rope_frequencies(16, params, 50), plain, 3e-7);
  expect_relative(rope_frequencies(16, params, 128), plain, 3e-7);
  expect_relative(rope_frequencies(16, params, 400), stretched, 2e-6);
  EXPECT_TRUE(rotates_alike(params.scaling, 50, 128));
  EXPECT_FALSE(rotates_alike(params.scaling, 128, 129));
}

TEST(RopeFrequencies, LongScalingChoosesItsFactorsByTheContext) {
  const RopeParams params{
      .theta = 100.f,
      .scaling = LongRopeScaling{.short_factor = {1.f, 2.f}, .long_factor = {4.f, 8.f}, .original_context = 32}};
  expect_relative(rope_frequencies(4, params, 32), {1.0, 0.05}, 3e-7);
  expect_relative(rope_frequencies(4, params, 33), {0.25, 0.0125}, 3e-7);
  EXPECT_TRUE(rotates_alike(params.scaling, 33, 1000));
  EXPECT_FALSE(rotates_alike(params.scaling, 32, 33));
  EXPECT_NEAR(long_rope_attention_factor(4.f, 32), std::sqrt(1.4), 1e-6);
  EXPECT_EQ(long_rope_attention_factor(0.5f, 32), 1.f);
}

TEST(RopeTable, AttentionFactorsScaleCosinesAndSines) {
  const RopeTable plain(4, 5, {.theta = 100.f, .scaling = YarnRopeScaling{.factor = 1.f, .original_context = 64}});
  const RopeTable scaled(
      4, 5,
      {.theta = 100.f, .scaling = YarnRopeScaling{.factor = 1.f, .original_context = 64, .attention_factor = 1.5f}});
  for (std::size_t i = 0; i < plain.cos().size(); ++i) {
    EXPECT_EQ(scaled.cos().data()[i], 1.5f * plain.cos().data()[i]);
    EXPECT_EQ(scaled.sin().data()[i], 1.5f * plain.sin().data()[i]);
  }
}

TEST(RopeFrequencies, RejectWhatIsNoRule) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_THROW(rope_frequencies(8, {.theta = 0.f}), ConfigError);
  EXPECT_THROW(rope_frequencies(8, {.theta = -1.f}), ConfigError);
  EXPECT_THROW(rope_frequencies(8, {.theta = nan}), ConfigError);
  EXPECT_THROW(rope_frequencies(0, {.theta = 1e4f}), ConfigError);
  EXPECT_THROW(rope_frequencies(7, {.theta = 1e4f}), ConfigError);
  for (const float factor : {0.f, -2.f, nan}) {
    EXPECT_THROW(rope_frequencies(8, {.theta = 1e4f, .scaling = LinearRopeScaling{factor}}), ConfigError);
    EXPECT_THROW(rope_frequencies(8, {.theta = 1e4f, .scaling = Llama3RopeScaling{factor, 1.f, 4.f, 64}}), ConfigError);
    EXPECT_THROW(rope_frequencies(8, {.theta = 1e4f, .scaling = Llama3RopeScaling{8.f, factor, 4.f, 64}}), ConfigError);
  }
  for (const float high : {1.f, 0.5f, nan})
    EXPECT_THROW(rope_frequencies(8, {.theta = 1e4f, .scaling = Llama3RopeScaling{8.f, 1.f, high, 64}}), ConfigError);
  EXPECT_THROW(rope_frequencies(8, {.theta = 1e4f, .scaling = Llama3RopeScaling{8.f, 1.f, 4.f, 0}}), ConfigError);
  EXPECT_NO_THROW(rope_frequencies(8, {.theta = infinity}));
  const auto refused = [](RopeScaling scaling) {
    EXPECT_THROW(RopeTable(8, 4, {.theta = 1e4f, .scaling = std::move(scaling)}), ConfigError);
  };
  for (const float bad : {0.f, -2.f, nan}) {
    refused(DynamicRopeScaling{bad, 64});
    refused(YarnRopeScaling{.factor = bad, .original_context = 64});
    refused(YarnRopeScaling{.factor = 2.f, .original_context = 64, .beta_fast = bad});
    refused(YarnRopeScaling{.factor = 2.f, .original_context = 64, .attention_factor = bad});
    refused(LongRopeScaling{{1.f, 1.f, 1.f, bad}, {1.f, 1.f, 1.f, 1.f}, 64});
  }
  refused(DynamicRopeScaling{2.f, 0});
  refused(YarnRopeScaling{.factor = 2.f, .original_context = 0});
  refused(LongRopeScaling{{1.f, 1.f, 1.f}, {1.f, 1.f, 1.f, 1.f}, 64});
  refused(LongRopeScaling{{1.f, 1.f, 1.f, 1.f}, {}, 64});
}

TEST(RopeTable, HoldsCosinesAndSinesOfEveryPosition) {
  const RopeTable table(20, 300, {.theta = 10000.f, .pairing = RopePairing::interleaved, .rotary_dim = 12});
  EXPECT_EQ(table.positions(), 300u);
  EXPECT_EQ(table.pairs(), 6u);
  EXPECT_EQ(table.head_dim(), 20u);
  EXPECT_EQ(table.pairing(), RopePairing::interleaved);
  const std::vector<double> frequencies = unscaled(12, 10000);
  for (std::size_t p = 0; p < 300; ++p)
    for (std::size_t i = 0; i < 6; ++i) {
      const double angle = static_cast<double>(p) * frequencies[i];
      EXPECT_NEAR(table.cos()(p, i), std::cos(angle), 1e-6 + 2e-7 * angle);
      EXPECT_NEAR(table.sin()(p, i), std::sin(angle), 1e-6 + 2e-7 * angle);
    }
  EXPECT_THROW(RopeTable(8, 4, {.theta = 1e4f, .rotary_dim = 10}), ConfigError);
  EXPECT_THROW(RopeTable(9, 4, {.theta = 1e4f}), ConfigError);
  EXPECT_EQ(RopeTable(8, 0, {.theta = 1e4f}).positions(), 0u);
}

// 2^24 + 1 is no float: its angle would be that of the position before.
TEST(RopeTable, RefusesPositionsThatAreNoFloats) {
  EXPECT_EQ(static_cast<float>(RopeTable::max_positions), static_cast<float>(RopeTable::max_positions + 1));
  EXPECT_NE(static_cast<float>(RopeTable::max_positions - 2), static_cast<float>(RopeTable::max_positions - 1));
  for (const std::size_t positions : {RopeTable::max_positions + 1, std::size_t{1} << 31, ~std::size_t{0}})
    EXPECT_THROW(RopeTable(8, positions, {.theta = 1e4f}), ConfigError);
}

}  // namespace
