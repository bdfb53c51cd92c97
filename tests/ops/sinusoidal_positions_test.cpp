#include <weft/ops/sinusoidal_positions.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>

#include <weft/core/tensor.hpp>

namespace {

using namespace weft;

TEST(SinusoidalPositions, AreSinesThenCosines) {
  for (const bool last_is_theta : {false, true}) {
    Tensor<float, 2> y({700, 10});
    sinusoidal_positions(y, {.theta = 1000, .last_is_theta = last_is_theta});
    for (std::size_t p = 0; p < 700; ++p)
      for (std::size_t i = 0; i < 5; ++i) {
        const double angle =
            static_cast<double>(p) / std::pow(1000.0, static_cast<double>(i) / (last_is_theta ? 4.0 : 5.0));
        EXPECT_NEAR(y(p, i), std::sin(angle), 1e-6);
        EXPECT_NEAR(y(p, 5 + i), std::cos(angle), 1e-6);
      }
  }
}

TEST(SinusoidalPositions, OfTheSmallestWidth) {
  Tensor<float, 2> y({3, 2});
  sinusoidal_positions(y, {.last_is_theta = true});
  EXPECT_FLOAT_EQ(y(2, 0), std::sin(2.f));
  EXPECT_FLOAT_EQ(y(2, 1), std::cos(2.f));
}

TEST(SinusoidalPositions, WidthsAreEven) {
  Tensor<float, 2> y({3, 5});
  EXPECT_THROW(sinusoidal_positions(y), ShapeError);
  Tensor<float, 2> empty({0, 4});
  sinusoidal_positions(empty);
}

}  // namespace
