#include <weft/ops/loss.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "layouts.hpp"

namespace {

using namespace weft;
using weft::testing::for_each_layout;
using weft::testing::random_tensor;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

const Tensor<double, 2> logits({3, 4}, {1.0, -0.5, 2.0, 0.25, 0.0, 3.0, -1.0, 1.5, -2.0, 0.5, 0.75, 1.0});
const Tensor<std::int64_t, 1> targets({3}, {2, -100, 0});
const Tensor<double, 1> weights({4}, {0.5, 2.0, 1.25, 0.0});

struct Golden {
  bool weighted;
  double smoothing;
  std::vector<double> none;
  double sum;
  double mean;
};

// torch.nn.functional.cross_entropy on the tensors above, in float64.
const std::vector<Golden> golden{
    {false, 0.0, {0.4847311347019678, 0.0, 3.889995425227791}, 4.3747265599297585, 2.1873632799648792},
    {false, 0.1, {0.6159811347019678, 0.0, 3.683745425227791}, 4.299726559929759, 2.1498632799648796},
    {true, 0.0, {0.6059139183774598, 0.0, 1.9449977126138955}, 2.5509116309913553, 1.4576637891379174},
    {true, 0.1, {0.7282660704180233, 0.0, 1.9042475124676113}, 2.632513582885635, 1.5042934759346485}};

TEST(CrossEntropy, MatchesPyTorch) {
  for (const Golden& expected : golden) {
    CrossEntropyParams<double> params{.label_smoothing = expected.smoothing};
    if (expected.weighted) params.class_weights = weights.view();
    const auto none = cross_entropy<Reduction::none>(logits, targets, params);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(none[i], expected.none[i], 1e-14);
    EXPECT_NEAR(cross_entropy<Reduction::sum>(logits, targets, params), expected.sum, 1e-14);
    EXPECT_NEAR(cross_entropy(logits, targets, params), expected.mean, 1e-14);
  }
}

TEST(CrossEntropy, TakesClassesInDimensionOneOfHigherRanks) {
  Tensor<double, 3> x({2, 4, 3});
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = std::sin(0.37 * static_cast<double>(i));
  const Tensor<std::int64_t, 2> classes({2, 3}, {0, 3, 1, 2, -100, 3});
  const std::vector<double> expected{1.8712106217471582, 2.389301003521761, 0.8672379720809454, 1.250892351705637, 0.0,
                                     1.0128384047369758};
  for_each_layout(x, [&](const auto& v) {
    const auto none = cross_entropy<Reduction::none>(v, classes);
    ASSERT_EQ(none.extents(), (Dims<2>{2, 3}));
    for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(none.data()[i], expected[i], 1e-14);
    EXPECT_NEAR(cross_entropy(v, classes, {.class_weights = weights.view(), .label_smoothing = 0.2}), 1.253277119559003,
                1e-14);
  });
}

TEST(CrossEntropy, FollowsTheDefinitionForEveryFloatingType) {
  const auto check = [](auto element, double tolerance) {
    using T = decltype(element);
    const auto x = random_tensor<T, 2>({7, 33}, 5);
    Tensor<std::int32_t, 1> classes({7});
    for (std::size_t i = 0; i < 7; ++i) classes[i] = static_cast<std::int32_t>(i * 4);
    double expected = 0;
    for (std::size_t i = 0; i < 7; ++i) {
      double sum = 0;
      for (std::size_t c = 0; c < 33; ++c) sum += std::exp(static_cast<double>(x(i, c)));
      expected += std::log(sum) - static_cast<double>(x(i, i * 4));
    }
    for_each_layout(x, [&](const auto& v) {
      EXPECT_NEAR(static_cast<double>(cross_entropy(v, classes)), expected / 7, tolerance);
    });
  };
  check(double{}, 1e-13);
  check(float{}, 1e-6);
  check(half{}, 4e-3);
  check(bfloat16{}, 3e-2);
}

TEST(CrossEntropy, IgnoredSamplesDoNotCount) {
  const Tensor<std::int64_t, 1> ignored({3}, {-100, -100, -100});
  EXPECT_TRUE(std::isnan(cross_entropy(logits, ignored)));
  EXPECT_EQ(cross_entropy<Reduction::sum>(logits, ignored), 0.0);
  const Tensor<std::int64_t, 1> own({3}, {-1, 0, 0});
  EXPECT_NEAR(cross_entropy(logits, own, {.ignore_index = -1}), 3.57279634475708, 1e-6);
  const Tensor<std::int64_t, 1> weightless({3}, {3, 3, 3});
  EXPECT_TRUE(std::isnan(cross_entropy(logits, weightless, {.class_weights = weights.view()})));
}

TEST(CrossEntropy, RejectsWhatPyTorchRejects) {
  const auto of = [](std::int64_t first) { return Tensor<std::int64_t, 1>({3}, {first, 0, 0}); };
  EXPECT_THROW(cross_entropy(logits, of(4)), ShapeError);
  EXPECT_THROW(cross_entropy(logits, of(-1)), ShapeError);
  EXPECT_THROW(cross_entropy(logits, of(-100), {.ignore_index = 0}), ShapeError);
  EXPECT_THROW(cross_entropy(logits, Tensor<std::int64_t, 1>({2})), ShapeError);
  const Tensor<double, 1> three({3}, {1, 1, 1});
  EXPECT_THROW(cross_entropy(logits, targets, {.class_weights = three.view()}), ShapeError);
  EXPECT_THROW(cross_entropy(logits, targets, {.label_smoothing = 1.5}), ConfigError);
  EXPECT_THROW(cross_entropy(logits, targets, {.label_smoothing = -0.1}), ConfigError);
  EXPECT_THROW(cross_entropy(logits, targets, {.label_smoothing = nan}), ConfigError);
}

TEST(CrossEntropy, EmptyBatch) {
  const Tensor<float, 2> none({0, 4});
  const Tensor<std::int64_t, 1> classes({0});
  EXPECT_TRUE(std::isnan(cross_entropy(none, classes)));
  EXPECT_EQ(cross_entropy<Reduction::sum>(none, classes), 0.f);
  EXPECT_TRUE(cross_entropy<Reduction::none>(none, classes).empty());
}

TEST(CrossEntropy, NanInfinityAndLargeLogits) {
  const auto of = [](double a, double b, std::int64_t target) {
    return cross_entropy(Tensor<double, 2>({1, 2}, {a, b}), Tensor<std::int64_t, 1>({1}, {target}));
  };
  EXPECT_TRUE(std::isnan(of(infinity, 0, 0)));
  EXPECT_EQ(of(-infinity, 0, 0), infinity);
  EXPECT_EQ(of(-infinity, 0, 1), 0.0);
  EXPECT_TRUE(std::isnan(of(nan, 0, 1)));
  EXPECT_TRUE(std::isnan(of(-infinity, -infinity, 1)));
  EXPECT_NEAR(of(1e5, 1e5, 0), std::log(2.0), 1e-15);
  EXPECT_EQ(of(-1e300, 1e300, 0), 2e300);
}

}  // namespace
