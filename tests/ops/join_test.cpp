#include <weft/ops/join.hpp>

#include <array>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "layouts.hpp"

namespace {

using namespace weft;
using weft::testing::for_each_layout;
using weft::testing::random_tensor;
using weft::testing::values;
using Values = std::vector<std::int64_t>;

const Tensor<std::int64_t, 2> six({2, 3}, {0, 1, 2, 3, 4, 5});

TEST(Cat, MatchesPyTorch) {
  EXPECT_EQ(values(cat(1, six, six.narrow(1, 0, 1))), (Values{0, 1, 2, 0, 3, 4, 5, 3}));
  EXPECT_EQ(values(cat(-2, six, six.narrow(0, 1, 1))), (Values{0, 1, 2, 3, 4, 5, 3, 4, 5}));
  EXPECT_EQ(values(cat(0, six)), values(six));
  EXPECT_EQ(values(cat(1, Tensor<std::int64_t, 2>({2, 0}), six)), values(six));
  EXPECT_EQ(cat(0, Tensor<std::int64_t, 2>({0, 3}), Tensor<std::int64_t, 2>({0, 3})).extents(), (Dims<2>{0, 3}));
}

TEST(Cat, PutsBackWhatNarrowTookApart) {
  const auto x = random_tensor<float, 3>({4, 5, 3}, 1);
  for_each_layout(x, [&](const auto& v) {
    for (int dim = -3; dim < 3; ++dim) {
      const std::size_t extent = x.extent(detail::resolve_dim(dim, 3));
      EXPECT_EQ(values(cat(dim, v.narrow(dim, 0, 1), v.narrow(dim, 1, 1), v.narrow(dim, 2, extent - 2))), values(x));
      std::vector<TensorView<const float, 3>> parts;
      for (std::size_t i = 0; i < extent; ++i) parts.push_back(v.narrow(dim, i, 1));
      EXPECT_EQ(values(cat(parts, dim)), values(x));
    }
  });
}

TEST(Cat, TakesTensorsInAnyRange) {
  const std::vector<Tensor<std::int64_t, 2>> owned{six, six};
  EXPECT_EQ(cat(owned, 0).extents(), (Dims<2>{4, 3}));
  EXPECT_EQ(cat(std::array{six.view(), six.view()}, 1).extents(), (Dims<2>{2, 6}));
  EXPECT_EQ(cat(std::span(owned), 1).extents(), (Dims<2>{2, 6}));
  const Tensor<std::int64_t, 2, Extents<dynamic, 3>> fixed({1, 3}, {7, 8, 9});
  EXPECT_EQ(values(cat(0, fixed, six)), (Values{7, 8, 9, 0, 1, 2, 3, 4, 5}));
}

TEST(Cat, RejectsWhatPyTorchRejects) {
  EXPECT_THROW(cat(0, six, six.narrow(1, 0, 1)), ShapeError);
  EXPECT_THROW(cat(std::vector<Tensor<float, 2>>(), 0), ShapeError);
  EXPECT_THROW(cat(2, six, six), ShapeError);
  EXPECT_THROW(cat(0, Tensor<float, 2>({0, 2}), Tensor<float, 2>({1, 3})), ShapeError);
}

TEST(Stack, MatchesPyTorch) {
  Tensor<std::int64_t, 2> tens = six;
  for (auto& value : tens.elements()) value += 10;
  EXPECT_EQ(values(stack(-1, six, tens)), (Values{0, 10, 1, 11, 2, 12, 3, 13, 4, 14, 5, 15}));
  EXPECT_EQ(values(stack(0, six, tens)), (Values{0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15}));
  EXPECT_EQ(stack(1, six, tens).extents(), (Dims<3>{2, 2, 3}));
  EXPECT_EQ(stack(std::vector{six, tens, six}, 2).extents(), (Dims<3>{2, 3, 3}));
}

TEST(Stack, SelectFindsThePartsAgain) {
  const auto a = random_tensor<half, 2>({3, 4}, 2);
  const auto b = random_tensor<half, 2>({3, 4}, 3);
  for_each_layout(a, [&](const auto& v) {
    for (int dim = -3; dim < 3; ++dim) {
      const auto both = stack(dim, v, b);
      EXPECT_EQ(values(both.select(dim, 0)), values(a));
      EXPECT_EQ(values(both.select(dim, 1)), values(b));
    }
  });
}

TEST(Stack, RejectsWhatPyTorchRejects) {
  EXPECT_THROW(stack(0, six, six.narrow(1, 0, 1)), ShapeError);
  EXPECT_THROW(stack(3, six, six), ShapeError);
  EXPECT_THROW(stack(-4, six, six), ShapeError);
  EXPECT_THROW(stack(std::vector<Tensor<float, 2>>(), 0), ShapeError);
}

}  // namespace
