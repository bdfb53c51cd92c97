#include <weft/layers/norm.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "random_weights.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

Rows naive_norm(const Rows& x, const NormWeights& weights, const NormParams& params) {
  Rows y = x;
  for (std::vector<double>& row : y) {
    if (params.kind == NormKind::scaled) {
      for (std::size_t i = 0; i < row.size(); ++i)
        row[i] = row[i] * static_cast<double>(weights.gain(i)) + static_cast<double>(weights.bias(i));
      continue;
    }
    const auto n = static_cast<double>(row.size());
    double mean = 0.0, squares = 0.0;
    if (params.kind == NormKind::layer)
      for (const double value : row) mean += value / n;
    for (const double value : row) squares += (value - mean) * (value - mean) / n;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const double gain = weights.gain.empty() ? 1.0 : static_cast<double>(weights.gain(i) + params.gain_offset);
      row[i] = (row[i] - mean) / std::sqrt(squares + static_cast<double>(params.eps)) * gain +
               (weights.bias.empty() ? 0.0 : static_cast<double>(weights.bias(i)));
    }
  }
  return y;
}

TEST(Norm, IsOfTheKindThatItSaysWithWhatWeightsThereAre) {
  for (const cpu::Kernels* kernels : all_kernels())
    for (const std::size_t width : {1u, 5u, 32u, 77u}) {
      Numbers numbers(width);
      const Tensor<float, 2> x = numbers.tensor<2>({4, width});
      const NormWeights gain{.gain = numbers.vector(width)};
      const NormWeights both{.gain = numbers.vector(width), .bias = numbers.vector(width)};
      const auto check = [&](const NormWeights& weights, const NormParams& params) {
        Tensor<float, 2> y = x;
        norm(y, weights, y, params, cpu::Context{.kernels = kernels});
        EXPECT_LT(max_difference(y, naive_norm(rows_of(x), weights, params)), 2e-5) << kernels->name << " " << width;
      };
      check(gain, {.eps = 1e-3f});
      check(gain, {.eps = 1e-3f, .gain_offset = 1.f});
      check(gain, {.eps = 1e-3f, .kind = NormKind::layer});
      check(both, {.eps = 1e-3f, .kind = NormKind::layer});
      check({}, {.eps = 1e-3f, .kind = NormKind::layer});
      check(both, {.eps = 1e-3f, .kind = NormKind::scaled});
    }
}

TEST(Norm, RefusesWeightsOfAnotherWidth) {
  Tensor<float, 2> x({2, 6});
  const NormWeights gain{.gain = Tensor<float, 1>({5})}, bias{.bias = Tensor<float, 1>({7})};
  EXPECT_THROW(norm(x, gain, x, {.eps = 0.f}, {}), ShapeError);
  EXPECT_THROW(norm(x, {}, x, {.eps = 0.f}, {}), ShapeError);
  EXPECT_THROW(norm(x, gain, x, {.eps = 0.f, .kind = NormKind::layer}, {}), ShapeError);
  EXPECT_THROW(norm(x, bias, x, {.eps = 0.f, .kind = NormKind::layer}, {}), ShapeError);
  const NormWeights gain_alone{.gain = Tensor<float, 1>({6})};
  EXPECT_THROW(norm(x, gain_alone, x, {.eps = 0.f, .kind = NormKind::scaled}, {}), ShapeError);
}

TEST(Norm, RefusesAnEpsThatIsNone) {
  Tensor<float, 2> x({2, 6});
  const NormWeights weights{.gain = Tensor<float, 1>({6}), .bias = Tensor<float, 1>({6})};
  for (const float eps : {-1e-5f, std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_THROW(norm(x, weights, x, {.eps = eps}, {}), ConfigError);
    EXPECT_THROW(norm(x, weights, x, {.eps = eps, .kind = NormKind::layer}, {}), ConfigError);
    EXPECT_NO_THROW(norm(x, weights, x, {.eps = eps, .kind = NormKind::scaled}, {})) << "has no root";
  }
}

}  // namespace
