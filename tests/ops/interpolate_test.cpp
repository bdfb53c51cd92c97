#include <weft/ops/interpolate.hpp>

#include <cmath>
#include <cstddef>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace weft;

/// torch.nn.functional.interpolate(x, size, mode="bicubic", align_corners=False) of x[0, 0, r, c] = (7 r + 3 c) % 5 of
/// 3 rows of 2 (PyTorch 2.15).
struct Case {
  std::size_t height, width;
  std::vector<float> expected;
};

Tensor<float, 3> grid(std::size_t height, std::size_t width, std::size_t channels = 1) {
  Tensor<float, 3> x({height, width, channels});
  for (std::size_t r = 0; r < height; ++r)
    for (std::size_t c = 0; c < width; ++c)
      for (std::size_t i = 0; i < channels; ++i)
        x(r, c, i) = static_cast<float>((7 * r + 3 * c) % 5) + static_cast<float>(i);
  return x;
}

TEST(InterpolateBicubic, GivesTheNumbersOfPyTorch) {
  const std::vector<Case> cases{
      {5,
       3,
       {-0.494083f, 1.548000f, 3.590083f, 0.539987f, 1.162000f, 1.784013f, 2.173612f, 1.000000f, -0.173611f, 3.572862f,
        2.188000f, 0.803140f, 4.365613f, 3.192000f, 2.018390f}},
      {2, 1, {1.316406f, 2.529297f}},
      {1, 4, {2.210938f, 1.546875f, 0.453125f, -0.210938f}},
      {3, 2, {0.000000f, 3.000000f, 2.000000f, 0.000000f, 4.000000f, 2.000000f}},
  };
  const Tensor<float, 3> x = grid(3, 2);
  for (const Case& c : cases) {
    Tensor<float, 3> y({c.height, c.width, 1});
    interpolate_bicubic(x, y);
    for (std::size_t i = 0; i < y.size(); ++i)
      EXPECT_NEAR(y.data()[i], c.expected[i], 1e-5f) << c.height << " x " << c.width << " at " << i;
  }
}

TEST(InterpolateBicubic, TheSameSizeGivesTheSameBits) {
  Tensor<float, 3> x = grid(3, 5, 2), y({3, 5, 2});
  for (float& value : x.elements()) value = std::sin(value) * 1e3f;
  interpolate_bicubic(x, y);
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(x.data()[i], y.data()[i]);
}

// Weights add up to 1, and those of neighbours have the right centre: planes are kept away from the edges.
TEST(InterpolateBicubic, KeepsConstantsAndSlopes) {
  Tensor<float, 3> flat({4, 3, 1}), slope({20, 1, 1}), y({7, 5, 1}), z({31, 1, 1});
  for (float& value : flat.elements()) value = 2.5f;
  interpolate_bicubic(flat, y);
  for (const float value : y.elements()) EXPECT_FLOAT_EQ(value, 2.5f);
  for (std::size_t i = 0; i < 20; ++i) slope(i, 0, 0) = static_cast<float>(i);
  interpolate_bicubic(slope, z);
  for (std::size_t i = 4; i < 27; ++i)
    EXPECT_NEAR(z(i, 0, 0), (static_cast<double>(i) + 0.5) * 20.0 / 31.0 - 0.5, 0.1) << i;
}

TEST(InterpolateBicubic, EveryChannelAlone) {
  const Tensor<float, 3> one = grid(3, 4), three = grid(3, 4, 3);
  Tensor<float, 3> y({5, 2, 1}), z({5, 2, 3});
  interpolate_bicubic(one, y);
  interpolate_bicubic(three, z);
  for (std::size_t r = 0; r < 5; ++r)
    for (std::size_t c = 0; c < 2; ++c)
      for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(z(r, c, i), y(r, c, 0) + static_cast<float>(i), 1e-5f);
}

TEST(InterpolateBicubic, TakesAnyStrides) {
  const Tensor<float, 3> x = grid(4, 3, 2);
  const Tensor<float, 3> turned = x.view().permute({2, 0, 1}).contiguous();
  Tensor<float, 3> y({6, 5, 2}), z({6, 5, 2});
  interpolate_bicubic(x, y);
  interpolate_bicubic(TensorView<const float, 3>(turned.view().permute({1, 2, 0})), z);
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], z.data()[i]);
}

TEST(InterpolateBicubic, ChecksShapes) {
  Tensor<float, 3> x = grid(3, 3), empty({0, 3, 1}), two({2, 2, 2}), y({2, 2, 1});
  EXPECT_THROW(interpolate_bicubic(x, two), ShapeError);
  EXPECT_THROW(interpolate_bicubic(empty, y), ShapeError);
  EXPECT_THROW(interpolate_bicubic(x, empty), ShapeError);
}

}  // namespace
