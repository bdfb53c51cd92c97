#include <weft/ops/layer_norm.hpp>

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

class LayerNorm : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Isa, LayerNorm, ::testing::ValuesIn(cpu::all_isas), isa_name);

std::vector<double> reference(TensorView<const float, 2> x, std::span<const float> gain, std::span<const float> bias,
                              double eps) {
  std::vector<double> y;
  const std::size_t n = x.extent(1);
  for (std::size_t t = 0; t < x.extent(0); ++t) {
    double mean = 0, variance = 0;
    for (std::size_t i = 0; i < n; ++i) mean += static_cast<double>(x(t, i)) / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i)
      variance += std::pow(static_cast<double>(x(t, i)) - mean, 2) / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i)
      y.push_back((static_cast<double>(x(t, i)) - mean) / std::sqrt(variance + eps) * static_cast<double>(gain[i]) +
                  (bias.empty() ? 0.0 : static_cast<double>(bias[i])));
  }
  return y;
}

TEST_P(LayerNorm, MatchesTheDoubleReference) {
  for (const std::size_t hidden : sizes) {
    auto x = random_floats<2>({3, hidden}, hidden, 4.f);
    for (std::size_t i = 0; i < hidden; ++i) x(2, i) += 100.f;  // far from zero: one pass would lose the variance
    const auto gain = random_floats<1>({hidden}, 1), bias = random_floats<1>({hidden}, 2);
    Tensor<float, 2> y({3, hidden});
    layer_norm(x, gain, bias, y, {.eps = 1e-2f}, ctx);
    EXPECT_TRUE(near(y.elements(), reference(x, gain.elements(), bias.elements(), 1e-2), 6e-5)) << hidden;
    layer_norm(x, gain, y, {.eps = 1e-2f}, ctx);
    EXPECT_TRUE(near(y.elements(), reference(x, gain.elements(), {}, 1e-2), 6e-5)) << hidden;
  }
}

TEST_P(LayerNorm, TakesGapsAndWorksInPlace) {
  constexpr std::size_t hidden = 53;
  auto memory = random_floats<2>({6, hidden + 4}, 1);
  const auto x = memory.view().slice(0, 1, 6, 2).narrow(1, 1, hidden);
  const auto gain = random_floats<1>({hidden}, 2), bias = random_floats<1>({hidden}, 3);
  Tensor<float, 2> y({3, hidden});
  layer_norm(x, gain, bias, y, {.eps = 1e-5f}, ctx);
  EXPECT_TRUE(near(y.elements(), reference(x, gain.elements(), bias.elements(), 1e-5), 5e-6));
  layer_norm(x, gain, bias, x, {.eps = 1e-5f}, ctx);
  EXPECT_TRUE(same_bits(x.contiguous().elements(), y.elements()));
}

TEST_P(LayerNorm, TouchesNothingBeyondItsRows) {
  for (const std::size_t hidden : sizes) {
    const Guarded<float> x(random_floats(hidden, 1)), gain(random_floats(hidden, 2)), bias(random_floats(hidden, 3));
    Guarded<float> y(hidden);
    layer_norm(TensorView<const float, 2>(x.data(), {1, hidden}), TensorView<const float, 1>(gain.data(), {hidden}),
               TensorView<const float, 1>(bias.data(), {hidden}), TensorView<float, 2>(y.data(), {1, hidden}),
               {.eps = 1e-5f}, ctx);
    EXPECT_TRUE(std::isfinite(y[hidden - 1]));
  }
}

TEST_P(LayerNorm, BitsDoNotDependOnThreads) {
  const auto x = random_floats<2>({50, 700}, 1);
  const auto gain = random_floats<1>({700}, 2), bias = random_floats<1>({700}, 3);
  Tensor<float, 2> one({50, 700}), two({50, 700});
  layer_norm(x, gain, bias, one, {.eps = 1e-5f}, ctx);
  ThreadPool pool(2);
  cpu::Context threaded = ctx;
  threaded.executor = &pool;
  layer_norm(x, gain, bias, two, {.eps = 1e-5f}, threaded);
  EXPECT_TRUE(same_bits(one.elements(), two.elements()));
}

TEST_P(LayerNorm, SpecialValuesStayInTheirRow) {
  auto x = random_floats<2>({4, 33}, 1);
  const auto gain = random_floats<1>({33}, 2), bias = random_floats<1>({33}, 3);
  x(1, 32) = nan;
  x(2, 0) = infinity;
  for (std::size_t i = 0; i < 33; ++i) x(3, i) = 5.f;
  Tensor<float, 2> y({4, 33});
  layer_norm(x, gain, bias, y, {.eps = 1e-5f}, ctx);
  for (std::size_t i = 0; i < 33; ++i) {
    EXPECT_TRUE(std::isfinite(y(0, i)));
    EXPECT_TRUE(std::isnan(y(1, i)));
    EXPECT_TRUE(std::isnan(y(2, i)));
    EXPECT_NEAR(y(3, i), bias(i), 1e-6) << "a constant row has no variance";
  }
}

TEST_P(LayerNorm, EmptyTensorsAndErrors) {
  const Tensor<float, 2> x({2, 8});
  const Tensor<float, 1> gain({8}), bias({8});
  Tensor<float, 2> y({2, 8}), none({0, 8});
  const LayerNormParams params{.eps = 1e-5f};
  EXPECT_NO_THROW(layer_norm(none, gain, bias, none, params, ctx));
  EXPECT_NO_THROW(layer_norm(x, gain, bias, y, params, ctx));
  for (const float eps : {-1e-5f, nan, -infinity}) {
    EXPECT_THROW(layer_norm(x, gain, bias, y, {.eps = eps}, ctx), ConfigError);
    EXPECT_THROW(layer_norm(x, gain, y, {.eps = eps}, ctx), ConfigError);
  }
  EXPECT_THROW(layer_norm(x, Tensor<float, 1>({7}), bias, y, params, ctx), ShapeError);
  EXPECT_THROW(layer_norm(x, gain, Tensor<float, 1>({9}), y, params, ctx), ShapeError);
  EXPECT_THROW(layer_norm(x, Tensor<float, 1>({7}), y, params, ctx), ShapeError);
  EXPECT_THROW(layer_norm(x, gain, Tensor<float, 1>({16}).slice(0, 0, 16, 2), y, params, ctx), ShapeError);
  EXPECT_THROW(layer_norm(x, gain, bias, Tensor<float, 2>({3, 8}), params, ctx), ShapeError);
  EXPECT_THROW(layer_norm(Tensor<float, 2>({8, 2}).transpose(0, 1), gain, bias, y, params, ctx), ShapeError);
}

}  // namespace
