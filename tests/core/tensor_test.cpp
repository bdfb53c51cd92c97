#include <weft/core/tensor.hpp>

#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace weft;

template <class T>
class TensorOf : public ::testing::Test {};
using Elements =
    ::testing::Types<float, half, bfloat16, double, std::int8_t, std::uint8_t, std::int32_t, std::int64_t, bool>;
TYPED_TEST_SUITE(TensorOf, Elements);

TYPED_TEST(TensorOf, StartsAlignedAndZero) {
  for (const Dims<2>& extents : {Dims<2>{1, 1}, Dims<2>{3, 17}, Dims<2>{0, 4}, Dims<2>{129, 65}}) {
    const Tensor<TypeParam, 2> x(extents);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(x.data()) % 64, 0u);
    EXPECT_EQ(x.size(), extents[0] * extents[1]);
    EXPECT_EQ(x.empty(), x.size() == 0);
    for (const TypeParam element : x.elements()) EXPECT_EQ(static_cast<double>(element), 0.0);
  }
}

TEST(Tensor, TakesValuesInOrder) {
  const Tensor<float, 2> x({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(x(1, 0), 4.f);
  EXPECT_EQ(x[1][2], 6.f);
  EXPECT_EQ(x.at(0, 2), 3.f);
  EXPECT_THROW(x.at(0, 3), ShapeError);
  EXPECT_THROW((Tensor<float, 2>({2, 3}, {1, 2, 3})), ShapeError);
  const std::vector<float> six(6, 7.f);
  EXPECT_EQ((Tensor<float, 2>({3, 2}, std::span<const float>(six))(2, 1)), 7.f);
}

TEST(Tensor, CopiesAreDeepAndMovesLeaveNothing) {
  Tensor<float, 1> a({3}, {1, 2, 3});
  Tensor<float, 1> b = a;
  b[0] = 9;
  EXPECT_EQ(a[0], 1.f);
  const float* const elements = a.data();
  Tensor<float, 1> c = std::move(a);
  EXPECT_EQ(c.data(), elements);
  EXPECT_EQ(a.size(), 0u);
  EXPECT_EQ(a.data(), nullptr);
  a = c;
  EXPECT_EQ(a[2], 3.f);
  b = std::move(c);
  EXPECT_EQ(b.data(), elements);
  a = *&a;
  EXPECT_EQ(a[1], 2.f);
}

TEST(Tensor, DefaultAndMovedFromTensorsCopy) {
  const Tensor<float, 2, Extents<dynamic, 64>> none;
  const auto copy = none;
  EXPECT_TRUE(copy.empty());
  const Tensor<float, 2> other{Tensor<float, 2>()};
  EXPECT_EQ(other.size(), 0u);
}

TEST(Tensor, StaticExtentsAreChecked) {
  using Rows = Tensor<float, 2, Extents<dynamic, 4>>;
  EXPECT_EQ(Rows({3, 4}).extents(), (Dims<2>{3, 4}));
  EXPECT_THROW(Rows({3, 5}), ShapeError);
}

TEST(Tensor, ImpossibleSizesAreErrors) {
  EXPECT_THROW((Tensor<float, 2>({std::size_t{1} << 40, std::size_t{1} << 40})), ShapeError);
  EXPECT_THROW((Tensor<double, 1>({dynamic / 4})), ShapeError);
}

TEST(Tensor, GoesWhereverAViewIsAskedFor) {
  const auto first = [](TensorView<const float, 2> v) { return v(0, 0); };
  Tensor<float, 2> x({1, 1}, {5});
  EXPECT_EQ(first(x), 5.f);
  EXPECT_EQ(first(std::as_const(x)), 5.f);
  TensorView<float, 2> v = x;
  v(0, 0) = 6;
  EXPECT_EQ(x(0, 0), 6.f);
  static_assert(!std::is_convertible_v<const Tensor<float, 2>&, TensorView<float, 2>>);
  static_assert(std::is_same_v<decltype(view(std::as_const(x))), TensorView<const float, 2>>);
}

TEST(Tensor, ViewsOfATensorShareItsElements) {
  Tensor<int, 3> x({2, 3, 4});
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<int>(i);
  x.select(0, 1)(2, 3) = -1;
  EXPECT_EQ(x(1, 2, 3), -1);
  EXPECT_EQ(&x.transpose(0, 2)(3, 2, 1), &x(1, 2, 3));
  EXPECT_EQ(&x.permute({2, 0, 1})(3, 1, 2), &x(1, 2, 3));
  EXPECT_EQ(&x.narrow(1, 1, 2)(0, 0, 0), &x(0, 1, 0));
  EXPECT_EQ(&x.slice(1, 1)(0, 1, 0), &x(0, 2, 0));
  EXPECT_EQ(&x.reshape(24)[5], &x(0, 1, 1));
  EXPECT_EQ(&x.unsqueeze(0).squeeze(0)(1, 1, 1), &x(1, 1, 1));
  EXPECT_EQ(&x.broadcast_to(Dims<4>{5, 2, 3, 4})(4, 1, 1, 1), &x(1, 1, 1));
  const auto copy = x.contiguous();
  EXPECT_NE(copy.data(), x.data());
}

TEST(ForEachIndex, GoesLastDimensionFastest) {
  std::vector<Dims<2>> seen;
  detail::for_each_index(Dims<2>{2, 2}, [&](const Dims<2>& i) { seen.push_back(i); });
  EXPECT_EQ(seen, (std::vector<Dims<2>>{{0, 0}, {0, 1}, {1, 0}, {1, 1}}));
  detail::for_each_index(Dims<2>{2, 0}, [&](const Dims<2>&) { FAIL() << "no index exists"; });
}

}  // namespace
