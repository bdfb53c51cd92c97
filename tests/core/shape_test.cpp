#include <weft/core/shape.hpp>

#include <cstddef>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace weft;

static_assert(detail::extents_may_match<Extents<dynamic, 3>, Extents<2, dynamic>>());
static_assert(!detail::extents_may_match<Extents<dynamic, 3>, Extents<2, 4>>());
static_assert(!detail::extents_may_match<Extents<3>, Extents<3, 1>>());
static_assert(DynamicExtents<3>::values == Dims<3>{dynamic, dynamic, dynamic});

TEST(Shape, HoldsUpToEightExtents) {
  const Shape shape{2, 3, 5};
  EXPECT_EQ(shape.rank(), 3u);
  EXPECT_EQ(shape[1], 3u);
  EXPECT_EQ(shape.elements(), 30u);
  EXPECT_EQ(to_string(shape), "(2, 3, 5)");
  EXPECT_EQ(std::vector<std::size_t>(shape.begin(), shape.end()), (std::vector<std::size_t>{2, 3, 5}));
  EXPECT_NO_THROW((Shape{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_THROW((Shape{1, 2, 3, 4, 5, 6, 7, 8, 9}), ShapeError);
}

TEST(Shape, RankZeroIsOneElement) {
  EXPECT_EQ(Shape().elements(), 1u);
  EXPECT_EQ(to_string(Shape()), "()");
  EXPECT_EQ((Shape{4, 0, 7}).elements(), 0u);
}

TEST(Shape, ComparesRankAndExtents) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{3, 2}));
  EXPECT_FALSE((Shape{2}) == (Shape{2, 1}));
}

TEST(Shape, OverflowIsAnError) {
  constexpr std::size_t big = std::size_t{1} << 32;
  EXPECT_THROW((Shape{big, big}).elements(), ShapeError);
  EXPECT_THROW((Shape{big, big, 0}).elements(), ShapeError);
  EXPECT_EQ(detail::checked_product(big, big - 1), big * (big - 1));
  EXPECT_EQ(detail::checked_product(0, dynamic), 0u);
  EXPECT_THROW(detail::checked_product(2, dynamic), ShapeError);
}

}  // namespace
