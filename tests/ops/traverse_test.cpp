#include <weft/ops/traverse.hpp>

#include <vector>

#include <gtest/gtest.h>

#include "layouts.hpp"

namespace {

using namespace weft;
using weft::testing::for_each_layout;
using weft::testing::random_tensor;

TEST(Lane, IsTheElementsAlongOneDimension) {
  const auto x = random_tensor<int, 3>({2, 3, 5}, 1);
  for_each_layout(x, [&](const auto& v) {
    const auto lane = detail::lane(v, {1, 99, 4}, 1);
    ASSERT_EQ(lane.extent(0), 3u);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(lane[i], x(1, i, 4));
  });
}

TEST(ForEachLane, VisitsEveryOtherIndexOnceInOrder) {
  std::vector<Dims<3>> seen;
  detail::for_each_lane(Dims<3>{2, 7, 2}, 1, [&](const Dims<3>& index) { seen.push_back(index); });
  EXPECT_EQ(seen, (std::vector<Dims<3>>{{0, 0, 0}, {0, 0, 1}, {1, 0, 0}, {1, 0, 1}}));
  int lanes = 0;
  detail::for_each_lane(Dims<2>{3, 0}, 1, [&](const Dims<2>&) { ++lanes; });
  EXPECT_EQ(lanes, 3);
  detail::for_each_lane(Dims<2>{3, 0}, 0, [&](const Dims<2>&) { ++lanes; });
  EXPECT_EQ(lanes, 3);
}

TEST(ForEachElement, GoesLastDimensionFastest) {
  const auto x = random_tensor<float, 3>({3, 2, 4}, 2);
  for_each_layout(x, [&](const auto& v) {
    std::vector<float> seen;
    detail::for_each_element(v, [&](float value) { seen.push_back(value); });
    EXPECT_EQ(seen, weft::testing::values(x));
  });
}

TEST(BroadcastExtents, AlignsTrailingDimensions) {
  const Tensor<float, 3> a({4, 1, 3});
  const Tensor<float, 2> b({2, 1});
  const Tensor<float, 1> c({1});
  EXPECT_EQ(detail::broadcast_extents("op", a.view(), b.view(), c.view()), (Dims<3>{4, 2, 3}));
  EXPECT_EQ(detail::broadcast_extents("op", c.view()), (Dims<1>{1}));
  EXPECT_THROW(detail::broadcast_extents("op", b.view(), Tensor<float, 2>({3, 3}).view()), ShapeError);
}

TEST(MayBroadcast, KnowsWhatTheTypesSay) {
  using Fixed = Tensor<float, 2, Extents<dynamic, 4>>;
  using One = Tensor<float, 2, Extents<1, 1>>;
  using Other = Tensor<float, 1, Extents<3>>;
  static_assert(detail::may_broadcast<Fixed, One>);
  static_assert(!detail::may_broadcast<Fixed, Other>);
  static_assert(detail::may_broadcast<Fixed, Tensor<float, 3>>);
  EXPECT_EQ(detail::without_dim(Dims<3>{2, 3, 4}, 1), (Dims<2>{2, 4}));
}

}  // namespace
