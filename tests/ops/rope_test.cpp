#include <weft/ops/rope.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
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
        for (std::size_t t = 0; t < 5; ++t)
          for (std::size_t h = 0; h < 3; ++h) {
            for (std::size_t i = 0; i < rotary / 2; ++i) {
              const std::size_t first = pairing == RopePairing::halves ? i : 2 * i;
              const std::size_t second = pairing == RopePairing::halves ? i + rotary / 2 : 2 * i + 1;
              const double turned = -2.0 * static_cast<double>(i) / static_cast<double>(rotary);
              const double angle = positions[t] * std::pow(10000.0, turned);
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
  constexpr std::int32_t last = std::numeric_limits<std::int32_t>::max();
  EXPECT_THROW(apply_rope(x, std::vector<std::int32_t>{0, last}, RopeParams{.theta = 1e4f}, ctx), ConfigError);
  EXPECT_THROW(apply_rope(x, std::vector<std::int32_t>{0}, table, ctx), ShapeError);
  EXPECT_THROW(apply_rope(Tensor<float, 3>({2, 3, 6}), positions, table, ctx), ShapeError);
  EXPECT_THROW(apply_rope(Tensor<float, 3>({2, 8, 3}).transpose(1, 2), positions, table, ctx), ShapeError);
  Tensor<float, 3> none({0, 3, 8});
  EXPECT_NO_THROW(apply_rope(none, std::vector<std::int32_t>{}, table, ctx));
  EXPECT_NO_THROW(apply_rope(none, std::vector<std::int32_t>{}, RopeParams{.theta = 1e4f}, ctx));
}

}  // namespace
