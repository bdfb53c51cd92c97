#include <weft/ops/resize.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/thread_pool.hpp>
#include <weft/formats/safetensors.hpp>

namespace {

using namespace weft;

TensorView<const std::uint8_t, 3> image_of(const AnyTensor& tensor) {
  return {tensor.elements<std::uint8_t>().data(), {tensor.extent(0), tensor.extent(1), tensor.extent(2)}};
}

Tensor<std::uint8_t, 3> noise(const Dims<3>& extents) {
  Tensor<std::uint8_t, 3> image(extents);
  std::uint32_t state = 1;
  for (std::uint8_t& byte : image.elements())
    byte = static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  return image;
}

constexpr ResizeParams all_params[]{{ResizeFilter::bilinear, ResizeRounding::pillow},
                                    {ResizeFilter::bilinear, ResizeRounding::torch},
                                    {ResizeFilter::bicubic, ResizeRounding::pillow},
                                    {ResizeFilter::bicubic, ResizeRounding::torch}};

// "pillow.0.bicubic.8.9": image 0 as 8 rows of 9 pixels.
TEST(Resize, GivesTheBytesOfPillowAndOfTorchvision) {
  const SafetensorsFile file(std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "resize" / "reference.safetensors");
  std::size_t compared = 0;
  for (const WeightsEntry& entry : file.entries()) {
    const bool pillow = entry.name.starts_with("pillow."), torch = entry.name.starts_with("torch.");
    if (!pillow && !torch) continue;
    const std::string number = entry.name.substr(entry.name.find('.') + 1, 1);
    const AnyTensor image = file.tensor("image." + number), expected = file.tensor(entry.name);
    Tensor<std::uint8_t, 3> y({expected.extent(0), expected.extent(1), 3});
    resize(image_of(image), y,
           {.filter = entry.name.find("bicubic") == std::string::npos ? ResizeFilter::bilinear : ResizeFilter::bicubic,
            .rounding = pillow ? ResizeRounding::pillow : ResizeRounding::torch});
    EXPECT_TRUE(std::ranges::equal(y.elements(), expected.elements<std::uint8_t>())) << entry.name;
    ++compared;
  }
  EXPECT_EQ(compared, 48u);
}

// The equation in double precision, without rounding between the two dimensions.
TEST(Resize, IsTheEquationUpToRounding) {
  const auto weight = [](ResizeFilter filter, double d) {
    if (filter == ResizeFilter::bilinear) return std::max(0.0, 1.0 - d);
    return d < 1.0   ? 1.5 * d * d * d - 2.5 * d * d + 1.0
           : d < 2.0 ? -0.5 * d * d * d + 2.5 * d * d - 4.0 * d + 2.0
                     : 0.0;
  };
  const Tensor<std::uint8_t, 3> x = noise({13, 19, 2});
  for (const ResizeParams& params : all_params)
    for (const Dims<3>& extents : {Dims<3>{5, 7, 2}, Dims<3>{29, 3, 2}, Dims<3>{1, 40, 2}}) {
      Tensor<std::uint8_t, 3> y(extents);
      resize(x, y, params);
      const auto axis = [&](std::size_t from, std::size_t to, std::size_t i) {
        const double scale = static_cast<double>(from) / static_cast<double>(to), stretch = std::max(1.0, scale);
        std::vector<double> weights(from);
        double sum = 0.0;
        for (std::size_t j = 0; j < from; ++j)
          sum += weights[j] =
              weight(params.filter,
                     std::fabs(static_cast<double>(j) + 0.5 - (static_cast<double>(i) + 0.5) * scale) / stretch);
        for (double& w : weights) w /= sum;
        return weights;
      };
      for (std::size_t row = 0; row < extents[0]; ++row)
        for (std::size_t column = 0; column < extents[1]; ++column) {
          const std::vector<double> down = axis(13, extents[0], row), across = axis(19, extents[1], column);
          for (std::size_t channel = 0; channel < 2; ++channel) {
            double value = 0.0;
            for (std::size_t i = 0; i < 13; ++i) {
              double line = 0.0;
              for (std::size_t j = 0; j < 19; ++j) line += across[j] * x(i, j, channel);
              value += down[i] * std::clamp(line, 0.0, 255.0);
            }
            EXPECT_NEAR(y(row, column, channel), std::clamp(value, 0.0, 255.0), 1.6);
          }
        }
    }
}

TEST(Resize, TheSameSizeIsTheSameImage) {
  const Tensor<std::uint8_t, 3> x = noise({9, 14, 3});
  for (const ResizeParams& params : all_params) {
    Tensor<std::uint8_t, 3> y(x.extents());
    resize(x, y, params);
    EXPECT_TRUE(std::ranges::equal(y.elements(), x.elements()));
  }
}

TEST(Resize, OneColourStaysThatColour) {
  for (const int colour : {0, 1, 127, 254, 255})
    for (const ResizeParams& params : all_params) {
      Tensor<std::uint8_t, 3> x({301, 6, 3}), y({4, 50, 3});
      std::ranges::fill(x.elements(), static_cast<std::uint8_t>(colour));
      resize(x, y, params);
      for (const std::uint8_t byte : y.elements()) ASSERT_EQ(byte, colour);
    }
}

TEST(Resize, DoesNotDependOnThreads) {
  ThreadPool pool(3);
  const Tensor<std::uint8_t, 3> x = noise({90, 70, 3});
  Tensor<std::uint8_t, 3> alone({31, 120, 3}), shared({31, 120, 3});
  resize(x, alone, all_params[2]);
  resize(x, shared, all_params[2], {.executor = &pool});
  EXPECT_TRUE(std::ranges::equal(alone.elements(), shared.elements()));
}

TEST(Resize, ChecksShapes) {
  const Tensor<std::uint8_t, 3> x({4, 4, 3}), none({0, 4, 3});
  Tensor<std::uint8_t, 3> y({2, 2, 3}), grey({2, 2, 1}), empty({2, 0, 3}), large({4, 4, 3});
  EXPECT_THROW(resize(x, grey, all_params[0]), ShapeError);
  EXPECT_THROW(resize(none, y, all_params[0]), ShapeError);
  EXPECT_THROW(resize(x, empty, all_params[0]), ShapeError);
  EXPECT_THROW(resize(x, large.slice(0, 0, 4, 2), all_params[0]), ShapeError);
  EXPECT_THROW(resize(TensorView<const std::uint8_t, 3>(x).slice(1, 0, 4, 2), y, all_params[0]), ShapeError);
}

}  // namespace
