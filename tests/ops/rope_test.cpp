#include <weft/ops/rope.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/thread_pool.hpp>

#include "../cpu/guarded_memory.hpp"
#include "../cpu/instruction_sets.hpp"

namespace {

using namespace weft;
using weft::testing::EveryIsa;
using weft::testing::Guarded;
using weft::testing::isa_name;
using weft::testing::nan;
using weft::testing::random_floats;
using weft::testing::same_bits;

class Rope : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Isa, Rope, ::testing::ValuesIn(cpu::all_isas), isa_name);

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

TEST_P(Rope, RotatesEveryHeadByItsPosition) {
  const std::vector<std::int32_t> positions{0, 5, 5, 123, 2};
  for (const std::size_t head_dim : {2u, 6u, 10u, 32u, 34u, 66u, 128u})
    for (const std::size_t rotary_dim : {std::size_t{0}, std::size_t{2}, head_dim / 4 * 2})
      for (const RopePairing pairing : {RopePairing::halves, RopePairing::interleaved}) {
        if (rotary_dim == 0 && head_dim / 4 * 2 == 0) continue;
        const RopeParams params{.theta = 10000.f, .pairing = pairing, .rotary_dim = rotary_dim};
        const RopeTable table(head_dim, 124, params);
        const auto x = random_floats<3>({5, 3, head_dim}, head_dim, 2.f);
        Tensor<float, 3> y = x, direct = x;
        apply_rope(y, positions, table, ctx);
        apply_rope(direct, positions, params, ctx);
        EXPECT_TRUE(same_bits(direct.elements(), y.elements())) << "table and direct";
        const std::size_t rotary = rotary_dim == 0 ? head_dim : rotary_dim;
        const std::vector<double> frequencies = unscaled(rotary, 10000);
        for (std::size_t t = 0; t < 5; ++t)
          for (std::size_t h = 0; h < 3; ++h) {
            for (std::size_t i = 0; i < rotary / 2; ++i) {
              const std::size_t first = pairing == RopePairing::halves ? i : 2 * i;
              const std::size_t second = pairing == RopePairing::halves ? i + rotary / 2 : 2 * i + 1;
              const double angle = positions[t] * frequencies[i];
              const double a = static_cast<double>(x(t, h, first)), b = static_cast<double>(x(t, h, second));
              ASSERT_NEAR(y(t, h, first), a * std::cos(angle) - b * std::sin(angle), 4e-5);
              ASSERT_NEAR(y(t, h, second), b * std::cos(angle) + a * std::sin(angle), 4e-5);
            }
            for (std::size_t i = rotary; i < head_dim; ++i) ASSERT_EQ(y(t, h, i), x(t, h, i)) << "does not rotate";
          }
        for (std::size_t i = 0; i < 3 * head_dim; ++i) ASSERT_EQ(y.data()[i], x.data()[i]) << "position 0";
      }
}

TEST_P(Rope, EqualsTransformersNumbers) {
  // transformers 4.57, apply_rotary_pos_emb: head_dim 8, theta 10000, position 7, x = -3.5, -2.5, ... 3.5.
  const std::vector<float> expected{-2.96715117f, -2.87843204f,  -1.67118371f, -0.524487555f,
                                    -1.92250192f, -0.463280916f, 2.38896346f,  3.49641418f};
  Tensor<float, 3> x({1, 1, 8}), paired({1, 1, 8});
  for (std::size_t i = 0; i < 8; ++i) x.data()[i] = static_cast<float>(i) - 3.5f;
  for (std::size_t i = 0; i < 8; ++i) paired.data()[i] = x.data()[i / 2 + i % 2 * 4];
  const std::vector<std::int32_t> positions{7};
  apply_rope(x, positions, {.theta = 10000.f}, ctx);
  apply_rope(paired, positions, {.theta = 10000.f, .pairing = RopePairing::interleaved}, ctx);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_NEAR(x.data()[i], expected[i], 1e-6);
    EXPECT_NEAR(paired.data()[i], expected[i / 2 + i % 2 * 4], 1e-6) << "the same pairs, stored side by side";
  }
}

TEST_P(Rope, KeepsLengthsAndRelativeAngles) {
  const RopeTable table(64, 1000, {.theta = 10000.f});
  const auto score = [&](std::int32_t from, std::int32_t to) {
    Tensor<float, 3> q = random_floats<3>({1, 1, 64}, 1), k = random_floats<3>({1, 1, 64}, 2);
    apply_rope(q, std::vector<std::int32_t>{from}, table, ctx);
    apply_rope(k, std::vector<std::int32_t>{to}, table, ctx);
    double dot = 0, length = 0;
    for (std::size_t i = 0; i < 64; ++i) {
      dot += static_cast<double>(q.data()[i]) * static_cast<double>(k.data()[i]);
      length += static_cast<double>(q.data()[i]) * static_cast<double>(q.data()[i]);
    }
    return std::pair(dot, length);
  };
  EXPECT_NEAR(score(3, 17).first, score(503, 517).first, 5e-4);
  EXPECT_NEAR(score(0, 0).second, score(999, 0).second, 1e-5);
}

TEST_P(Rope, TakesViewsAndTouchesNothingElse) {
  constexpr std::size_t head_dim = 26;
  const std::vector<std::int32_t> positions{4, 9};
  const RopeTable table(head_dim, 10, {.theta = 10000.f, .rotary_dim = 22});
  auto memory = random_floats<3>({4, 5, head_dim + 3}, 1);
  const Tensor<float, 3> before = memory;
  const auto x = memory.view().slice(0, 1, 4, 2).slice(1, 0, 5, 2).narrow(2, 1, head_dim);  // (2, 3, head_dim)
  Tensor<float, 3> expected = x.contiguous();
  apply_rope(expected, positions, table, ctx);
  apply_rope(x, positions, table, ctx);
  EXPECT_TRUE(same_bits(x.contiguous().elements(), expected.elements()));
  std::size_t changed = 0;
  for (std::size_t i = 0; i < memory.size(); ++i) changed += memory.data()[i] != before.data()[i];
  EXPECT_LE(changed, 2 * 3 * 22u);
  for (const std::size_t dim : {2u, 6u, 18u, 30u, 34u, 64u}) {
    Guarded<float> guarded(random_floats(2 * dim, 1));
    apply_rope(TensorView<float, 3>(guarded.data(), {2, 1, dim}), positions, {.theta = 10000.f}, ctx);
    EXPECT_TRUE(std::isfinite(guarded[2 * dim - 1]));
  }
}

TEST_P(Rope, BitsDoNotDependOnThreads) {
  std::vector<std::int32_t> positions(100);
  for (std::size_t t = 0; t < 100; ++t) positions[t] = static_cast<std::int32_t>(t);
  const RopeTable table(64, 100, {.theta = 10000.f});
  Tensor<float, 3> one = random_floats<3>({100, 8, 64}, 1), two = one;
  apply_rope(one, positions, table, ctx);
  ThreadPool pool(2);
  cpu::Context threaded = ctx;
  threaded.executor = &pool;
  apply_rope(two, positions, table, threaded);
  EXPECT_TRUE(same_bits(one.elements(), two.elements()));
}

TEST_P(Rope, NaNStaysInItsPair) {
  Tensor<float, 3> x = random_floats<3>({1, 1, 40}, 1);
  x(0, 0, 3) = nan;
  apply_rope(x, std::vector<std::int32_t>{2}, {.theta = 10000.f}, ctx);
  for (std::size_t i = 0; i < 40; ++i) EXPECT_EQ(std::isnan(x(0, 0, i)), i == 3 || i == 23);
}

TEST_P(Rope, WhatDoesNotFitIsAnError) {
  const RopeTable table(8, 10, {.theta = 10000.f});
  Tensor<float, 3> x({2, 3, 8});
  const std::vector<std::int32_t> positions{0, 9};
  EXPECT_NO_THROW(apply_rope(x, positions, table, ctx));
  EXPECT_THROW(apply_rope(x, std::vector<std::int32_t>{0, 10}, table, ctx), ShapeError);
  EXPECT_THROW(apply_rope(x, std::vector<std::int32_t>{0, -1}, table, ctx), ShapeError);
  EXPECT_THROW(apply_rope(x, std::vector<std::int32_t>{0, -1}, RopeParams{.theta = 1e4f}, ctx), ShapeError);
  EXPECT_THROW(apply_rope(x, std::vector<std::int32_t>{0}, table, ctx), ShapeError);
  EXPECT_THROW(apply_rope(Tensor<float, 3>({2, 3, 6}), positions, table, ctx), ShapeError);
  EXPECT_THROW(apply_rope(Tensor<float, 3>({2, 8, 3}).transpose(1, 2), positions, table, ctx), ShapeError);
  Tensor<float, 3> none({0, 3, 8});
  EXPECT_NO_THROW(apply_rope(none, std::vector<std::int32_t>{}, table, ctx));
  EXPECT_NO_THROW(apply_rope(none, std::vector<std::int32_t>{}, RopeParams{.theta = 1e4f}, ctx));
}

}  // namespace
