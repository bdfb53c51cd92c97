#include <weft/ops/reduce.hpp>

#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include "layouts.hpp"

namespace {

using namespace weft;
using weft::testing::for_each_layout;
using weft::testing::random_tensor;
using weft::testing::values;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

template <class T>
class ReduceOf : public ::testing::Test {};
using Elements = ::testing::Types<float, half, bfloat16, double, std::int8_t, std::uint8_t, std::int32_t, std::int64_t>;
TYPED_TEST_SUITE(ReduceOf, Elements);

TYPED_TEST(ReduceOf, AgreesWithTheDefinitionAlongEveryDimension) {
  using T = TypeParam;
  for (const Dims<3>& extents : {Dims<3>{1, 1, 1}, Dims<3>{3, 5, 2}, Dims<3>{7, 1, 9}}) {
    const auto x = random_tensor<T, 3>(extents, 11);
    for_each_layout(x, [&](const auto& v) {
      for (int dim = -3; dim < 3; ++dim) {
        const auto d = static_cast<std::size_t>(dim < 0 ? dim + 3 : dim);
        const auto total = sum(v, dim);
        const auto greatest = max(v, dim);
        const auto position = argmax(v, dim);
        const auto running = cumsum(v, dim);
        EXPECT_EQ(total.extents(), detail::without_dim(extents, d));
        detail::for_each_lane(extents, d, [&](const Dims<3>& index) {
          double expected = 0;
          std::size_t best = 0;
          Dims<3> at = index;
          for (at[d] = 0; at[d] < extents[d]; ++at[d]) {
            expected += static_cast<double>(x.view()(at));
            EXPECT_EQ(static_cast<double>(running.view()(at)), expected);
            Dims<3> leader = index;
            leader[d] = best;
            if (static_cast<double>(x.view()(at)) > static_cast<double>(x.view()(leader))) best = at[d];
          }
          at[d] = best;
          const auto rest = detail::without_dim(index, d);
          EXPECT_EQ(static_cast<double>(total.view()(rest)), expected);
          EXPECT_EQ(position.view()(rest), static_cast<std::int64_t>(best));
          EXPECT_EQ(greatest.indices.view()(rest), static_cast<std::int64_t>(best));
          EXPECT_EQ(greatest.values.view()(rest), x.view()(at));
          if constexpr (FloatingElement<T>) {
            const double exact = expected / static_cast<double>(extents[d]);
            EXPECT_EQ(mean(v, dim).view()(rest), detail::element_cast<T>(exact));
          }
        });
      }
    });
  }
}

TYPED_TEST(ReduceOf, WholeTensorEqualsTheFlatOne) {
  using T = TypeParam;
  const auto x = random_tensor<T, 3>({3, 5, 7}, 12);
  const auto flat = x.reshape(dynamic);
  for_each_layout(x, [&](const auto& v) {
    EXPECT_EQ(sum(v), sum(flat));
    EXPECT_EQ(sum(flat), sum(flat, 0));
    EXPECT_EQ(max(v), max(flat, 0).values);
    EXPECT_EQ(argmax(v), argmax(flat, -1));
    if constexpr (FloatingElement<T>) {
      EXPECT_EQ(mean(v), mean(flat, 0));
    }
  });
}

TEST(Sum, TypesAreThoseOfPyTorch) {
  static_assert(std::same_as<decltype(sum(Tensor<std::uint8_t, 1>({1}))), std::int64_t>);
  static_assert(std::same_as<decltype(sum(Tensor<half, 1>({1}))), half>);
  static_assert(std::same_as<decltype(sum(Tensor<bool, 2>({1, 1}), 0)), Tensor<std::int64_t, 1>>);
  static_assert(std::same_as<decltype(cumsum(Tensor<std::int8_t, 2>({1, 1}), 0)), Tensor<std::int64_t, 2>>);
  EXPECT_EQ(sum(Tensor<std::uint8_t, 1>({2}, {200, 100})), 300);
  EXPECT_EQ(sum(Tensor<bool, 1>({3}, {true, false, true})), 2);
  EXPECT_EQ(values(cumsum(Tensor<std::uint8_t, 1>({2}, {200, 100}), 0)), (std::vector<std::int64_t>{200, 300}));
  constexpr auto highest = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(sum(Tensor<std::int64_t, 1>({2}, {highest, 1})), std::numeric_limits<std::int64_t>::min());
}

TEST(Sum, AddsUpWithoutRoundingBetween) {
  const Tensor<float, 1> one({1}, {1.f});
  EXPECT_EQ(sum(one.broadcast_to(Dims<1>{20'000'001})), 20'000'000.f);
  const Tensor<half, 1> small({1}, {half(1.f)});
  const auto many = small.broadcast_to(Dims<1>{5000});
  EXPECT_EQ(sum(many), 5000.f);
  EXPECT_TRUE(std::isinf(float(sum(small.broadcast_to(Dims<1>{70000})))));
  EXPECT_EQ(mean(small.broadcast_to(Dims<1>{70000})), 1.f);
  const Tensor<bfloat16, 1> ones({1}, {bfloat16(1.f)});
  EXPECT_EQ(cumsum(ones.broadcast_to(Dims<1>{3000}), 0)[2999], 3008.f);
  EXPECT_EQ(sum(Tensor<float, 1>({3}, {1e38f, 3e38f, -3e38f})), 1e38f);
}

TEST(Reduce, EmptyTensorsBehaveAsInPyTorch) {
  const Tensor<float, 1> none({0});
  EXPECT_EQ(sum(none), 0.f);
  EXPECT_TRUE(std::isnan(mean(none)));
  EXPECT_THROW(max(none), ShapeError);
  EXPECT_THROW(argmax(none), ShapeError);
  EXPECT_EQ(sum(Tensor<float, 1>()), 0.f);

  const Tensor<float, 2> rows({2, 0});
  EXPECT_EQ(values(sum(rows, 1)), std::vector<float>(2, 0.f));
  EXPECT_TRUE(std::isnan(mean(rows, 1)[1]));
  EXPECT_THROW(max(rows, 1), ShapeError);
  EXPECT_THROW(argmax(rows, 1), ShapeError);
  EXPECT_TRUE(max(rows, 0).values.empty());
  EXPECT_TRUE(argmax(rows, 0).empty());
  EXPECT_TRUE(sum(rows, 0).empty());
  EXPECT_EQ(cumsum(rows, 1).extents(), (Dims<2>{2, 0}));
  EXPECT_THROW(max(Tensor<float, 2>({0, 0}), 1), ShapeError);
}

TEST(Reduce, DimensionsOutsideAreErrors) {
  const Tensor<float, 2> x({2, 2});
  EXPECT_THROW(sum(x, 2), ShapeError);
  EXPECT_THROW(mean(x, -3), ShapeError);
  EXPECT_THROW(max(x, 2), ShapeError);
  EXPECT_THROW(argmax(x, -3), ShapeError);
  EXPECT_THROW(cumsum(x, 2), ShapeError);
}

TEST(Max, NanWinsAndTheFirstOfEqualsIsTaken) {
  const Tensor<float, 1> x({9}, {3.f, nan, 1.f, -infinity, nan, infinity, -0.f, 0.f, 3.f});
  EXPECT_TRUE(std::isnan(max(x)));
  EXPECT_EQ(argmax(x), 1);
  EXPECT_TRUE(std::isnan(max(x, 0).values));
  EXPECT_EQ(max(x, 0).indices, 1);
  const Tensor<std::int32_t, 2> ties({2, 3}, {1, 5, 5, 7, 7, 2});
  EXPECT_EQ(values(argmax(ties, 1)), (std::vector<std::int64_t>{1, 0}));
  EXPECT_EQ(argmax(ties), 3);
  EXPECT_EQ(argmax(Tensor<float, 1>({2}, {-0.f, 0.f})), 0);
  EXPECT_EQ(max(Tensor<float, 1>({2}, {-infinity, -infinity})), -infinity);
  const Tensor<half, 1> h({3}, {half(1.f), half(nan), half(2.f)});
  EXPECT_EQ(argmax(h), 1);
}

TEST(Sum, NanAndInfinityPropagate) {
  EXPECT_TRUE(std::isnan(sum(Tensor<float, 1>({2}, {infinity, -infinity}))));
  EXPECT_EQ(sum(Tensor<float, 1>({2}, {infinity, 1.f})), infinity);
  const auto running = cumsum(Tensor<float, 2>({2, 3}, {1.f, nan, 2.f, infinity, -infinity, 1.f}), 1);
  EXPECT_EQ(running(0, 0), 1.f);
  EXPECT_TRUE(std::isnan(running(0, 1)) && std::isnan(running(0, 2)));
  EXPECT_EQ(running(1, 0), infinity);
  EXPECT_TRUE(std::isnan(running(1, 1)) && std::isnan(running(1, 2)));
}

TEST(Sum, ReadsBroadcastViews) {
  const Tensor<float, 2> x({1, 3}, {1, 2, 3});
  EXPECT_EQ(values(sum(x.broadcast_to(Dims<2>{4, 3}), 0)), (std::vector<float>{4, 8, 12}));
}

}  // namespace
