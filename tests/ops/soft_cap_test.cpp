#include <weft/ops/soft_cap.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include <weft/core/tensor.hpp>

#include "../layers/random_weights.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

TEST(SoftCap, IsTheEquation) {
  for (const cpu::Kernels* kernels : all_kernels())
    for (const float cap : {0.5f, 30.f})
      for (const std::size_t n : {1u, 7u, 33u, 200u}) {
        Tensor<float, 2> x = Numbers(n).tensor<2>({3, n});
        for (std::size_t i = 0; i < x.size(); ++i) x.elements()[i] *= static_cast<float>(std::pow(10.0, i % 7));
        Tensor<float, 2> y(x.extents());
        soft_cap(x, y, cap, {.kernels = kernels});
        for (std::size_t i = 0; i < x.size(); ++i) {
          const double expected = double{cap} * std::tanh(static_cast<double>(x.elements()[i]) / double{cap});
          EXPECT_NEAR(y.elements()[i], expected, 1e-6 * double{cap}) << kernels->name << " " << x.elements()[i];
        }
        soft_cap(x, x, cap, {.kernels = kernels});
        EXPECT_EQ(std::memcmp(x.data(), y.data(), x.size() * sizeof(float)), 0) << "in place";
      }
}

TEST(SoftCap, ExtremesAndNan) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  Tensor<float, 1> x({5}, {infinity, -infinity, 3e38f, -3e38f, std::numeric_limits<float>::quiet_NaN()});
  soft_cap(x, x, 30.f);
  EXPECT_EQ(x(0), 30.f);
  EXPECT_EQ(x(1), -30.f);
  EXPECT_EQ(x(2), 30.f);
  EXPECT_EQ(x(3), -30.f);
  EXPECT_TRUE(std::isnan(x(4)));
}

TEST(SoftCap, RefusesWhatIsNoCap) {
  Tensor<float, 1> x({2}), y({3});
  for (const float cap : {0.f, -1.f, std::numeric_limits<float>::quiet_NaN()})
    EXPECT_THROW(soft_cap(x, x, cap), ConfigError);
  EXPECT_THROW(soft_cap(x, y, 1.f), ShapeError);
}

}  // namespace
