#include <weft/ops/rms_norm.hpp>

#include <cmath>
#include <cstddef>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/thread_pool.hpp>

#include "../cpu/guarded_memory.hpp"
#include "../cpu/instruction_sets.hpp"

namespace {

using namespace weft;
using weft::testing::EveryIsa;
using weft::testing::Guarded;
using weft::testing::infinity;
using weft::testing::isa_name;
using weft::testing::nan;
using weft::testing::near;
using weft::testing::random_floats;
using weft::testing::same_bits;
using weft::testing::sizes;

class RmsNorm : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Isa, RmsNorm, ::testing::ValuesIn(cpu::all_isas), isa_name);

std::vector<double> reference(TensorView<const float, 2> x, std::span<const float> gain, double eps, double offset) {
  std::vector<double> y;
  for (std::size_t t = 0; t < x.extent(0); ++t) {
    double squares = 0;
    for (std::size_t i = 0; i < x.extent(1); ++i) squares += std::pow(static_cast<double>(x(t, i)), 2);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(x.extent(1)) + eps);
    for (std::size_t i = 0; i < x.extent(1); ++i)
      y.push_back(static_cast<double>(x(t, i)) * scale * (static_cast<double>(gain[i]) + offset));
  }
  return y;
}

TEST_P(RmsNorm, MatchesTheDoubleReference) {
  for (const std::size_t hidden : sizes) {
    const auto x = random_floats<2>({3, hidden}, hidden, 4.f);
    const auto gain = random_floats<1>({hidden}, 1);
    for (const float offset : {0.f, 1.f}) {
      Tensor<float, 2> y({3, hidden});
      rms_norm(x, gain, y, {.eps = 1e-5f, .gain_offset = offset}, ctx);
      EXPECT_TRUE(near(y.elements(), reference(x, gain.elements(), 1e-5, static_cast<double>(offset)), 4e-6)) << hidden;
    }
  }
}

TEST_P(RmsNorm, TakesGapsEveryRankAndWorksInPlace) {
  constexpr std::size_t hidden = 37;
  auto memory = random_floats<3>({4, 6, hidden + 5}, 1);
  const auto x = memory.view().slice(0, 0, 4, 2).slice(1, 1, 6, 3).narrow(2, 3, hidden);  // (2, 2, hidden)
  const auto gain = random_floats<1>({hidden + 1}, 2);
  const auto gains = gain.view().narrow(0, 1, hidden);
  const auto flat = x.contiguous();
  const auto expected = reference(flat.view().reshape(4, hidden), std::span(gain.elements()).subspan(1), 1e-6, 0);
  Tensor<float, 3> y({2, 2, hidden});
  rms_norm(x, gains, y, {.eps = 1e-6f}, ctx);
  EXPECT_TRUE(near(y.elements(), expected, 4e-6));
  const Tensor<float, 3> before = memory;
  rms_norm(x, gains, x, {.eps = 1e-6f}, ctx);
  EXPECT_TRUE(same_bits(x.contiguous().elements(), y.elements()));
  std::size_t changed = 0;
  for (std::size_t i = 0; i < memory.size(); ++i) changed += memory.data()[i] != before.data()[i];
  EXPECT_LE(changed, 4 * hidden) << "only the elements of the view are written";
  Tensor<float, 1> vector({hidden});
  rms_norm(flat.select(0, 0).select(0, 0), gains, vector, {.eps = 1e-6f}, ctx);
  EXPECT_TRUE(near(vector.elements(), std::span(expected).first(hidden), 4e-6));
}

TEST_P(RmsNorm, TouchesNothingBeyondItsRows) {
  for (const std::size_t hidden : sizes) {
    const Guarded<float> x(random_floats(hidden, 1)), gain(random_floats(hidden, 2));
    Guarded<float> y(hidden);
    rms_norm(TensorView<const float, 2>(x.data(), {1, hidden}), TensorView<const float, 1>(gain.data(), {hidden}),
             TensorView<float, 2>(y.data(), {1, hidden}), {.eps = 1e-5f}, ctx);
    EXPECT_TRUE(std::isfinite(y[hidden - 1]));
  }
}

TEST_P(RmsNorm, BitsDoNotDependOnThreadsNorOnOtherRows) {
  const auto x = random_floats<2>({50, 700}, 1);
  const auto gain = random_floats<1>({700}, 2);
  Tensor<float, 2> one({50, 700}), two({50, 700}), row({1, 700});
  rms_norm(x, gain, one, {.eps = 1e-5f}, ctx);
  ThreadPool pool(2);
  cpu::Context threaded = ctx;
  threaded.executor = &pool;
  rms_norm(x, gain, two, {.eps = 1e-5f}, threaded);
  EXPECT_TRUE(same_bits(one.elements(), two.elements()));
  for (std::size_t t = 0; t < 50; ++t) {
    rms_norm(x.view().narrow(0, t, 1), gain, row, {.eps = 1e-5f}, ctx);
    EXPECT_TRUE(same_bits(row.elements(), one.elements().subspan(t * 700, 700)));
  }
}

TEST_P(RmsNorm, SpecialValuesStayInTheirRow) {
  auto x = random_floats<2>({5, 33}, 1);
  const auto gain = random_floats<1>({33}, 2);
  x(1, 32) = nan;
  x(2, 0) = infinity;
  for (std::size_t i = 0; i < 33; ++i) x(3, i) = 0.f;
  for (std::size_t i = 0; i < 33; ++i) x(4, i) = 1e-42f;
  Tensor<float, 2> y({5, 33});
  rms_norm(x, gain, y, {.eps = 1e-5f}, ctx);
  for (std::size_t i = 0; i < 33; ++i) {
    EXPECT_TRUE(std::isfinite(y(0, i)));
    EXPECT_TRUE(std::isnan(y(1, i)));
    EXPECT_EQ(std::isnan(y(2, i)), i == 0) << "infinity / infinity is NaN, a number / infinity is zero";
    EXPECT_EQ(y(3, i), 0.f);
    EXPECT_NEAR(y(4, i), static_cast<double>(1e-42f) / std::sqrt(1e-5) * static_cast<double>(gain(i)), 1e-43);
  }
}

TEST_P(RmsNorm, NothingToDoForEmptyTensors) {
  Tensor<float, 2> none({0, 8}), y({0, 8}), thin({3, 0});
  EXPECT_NO_THROW(rms_norm(none, Tensor<float, 1>({8}), y, {.eps = 1e-5f}, ctx));
  EXPECT_NO_THROW(rms_norm(thin, Tensor<float, 1>({0}), thin, {.eps = 1e-5f}, ctx));
}

TEST_P(RmsNorm, WhatDoesNotFitIsAnError) {
  const Tensor<float, 2> x({2, 8});
  const Tensor<float, 1> gain({8});
  Tensor<float, 2> y({2, 8});
  const RmsNormParams params{.eps = 1e-5f};
  EXPECT_NO_THROW(rms_norm(x, gain, y, params, ctx));
  for (const float eps : {-1e-5f, nan, -infinity}) EXPECT_THROW(rms_norm(x, gain, y, {.eps = eps}, ctx), ConfigError);
  EXPECT_NO_THROW(rms_norm(x, gain, y, {.eps = 0.f}, ctx));
  EXPECT_THROW(rms_norm(x, Tensor<float, 1>({7}), y, params, ctx), ShapeError);
  EXPECT_THROW(rms_norm(x, Tensor<float, 1>({16}).slice(0, 0, 16, 2), y, params, ctx), ShapeError);
  EXPECT_THROW(rms_norm(x, gain, Tensor<float, 2>({3, 8}), params, ctx), ShapeError);
  EXPECT_THROW(rms_norm(x, gain, Tensor<float, 2>({8, 2}).transpose(0, 1), params, ctx), ShapeError);
  EXPECT_THROW(rms_norm(Tensor<float, 2>({8, 2}).transpose(0, 1), gain, y, params, ctx), ShapeError);
}

}  // namespace
