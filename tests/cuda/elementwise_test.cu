#include <weft/cuda/ops/elementwise.cuh>
#include <weft/cuda/ops/index.cuh>
#include <weft/cuda/ops/join.cuh>

#include "device_test.cuh"

namespace weft {
namespace {

template <class T>
using Elementwise = testing::DeviceTypeTest<T>;
TYPED_TEST_SUITE(Elementwise, testing::StorageTypes);
using ElementwiseOther = testing::DeviceTest;

Tensor<bool, 2> pattern(std::size_t rows, std::size_t columns) {
  Tensor<bool, 2> mask({rows, columns});
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j) mask(i, j) = (i * 7 + j * 3) % 5 < 2;
  return mask;
}

TYPED_TEST(Elementwise, SumsAndProductsBroadcast) {
  using T = TypeParam;
  for (const std::size_t n : {1u, 9u, 256u})
    for (const bool apart : {false, true}) {
      SCOPED_TRACE(::testing::Message() << n << (apart ? " apart" : ""));
      const auto a = testing::random_tensor<T, 2>({6, n}, 1);
      const auto b = testing::random_tensor<T, 2>({6, 1}, 2);
      const auto c = testing::random_tensor<T, 2>({6, n}, 3);
      const testing::OnDevice<T, 2> left(a, apart, this->stream);
      const testing::OnDevice<T, 2> column(b, false, this->stream);
      const testing::OnDevice<T, 2> right(c, apart, this->stream);
      const testing::OnDevice<T, 2> to({6, n}, apart, this->stream);
      const auto f = [](T x) { return double{static_cast<float>(x)}; };
      cuda::add(left.view, column.view, to.view, this->stream);
      testing::expect_near(to.download(), [&](const Dims<2>& i) { return f(a.view()(i)) + f(b(i[0], 0)); });
      cuda::mul(left.view, right.view, to.view, this->stream);
      testing::expect_near(to.download(), [&](const Dims<2>& i) { return f(a.view()(i)) * f(c.view()(i)); });
      cuda::scale(left.view, -1.7f, to.view, this->stream);
      testing::expect_near(to.download(), [&](const Dims<2>& i) { return double{-1.7f} * f(a.view()(i)); });
      cuda::copy(left.view, to.view, this->stream);
      testing::expect_near(
          to.download(), [&](const Dims<2>& i) { return f(a.view()(i)); }, 0);
      cuda::fill(to.view, static_cast<T>(1.5f), this->stream);
      testing::expect_near(
          to.download(), [](const Dims<2>&) { return 1.5; }, 0);
    }
}

TYPED_TEST(Elementwise, WhereChooses) {
  using T = TypeParam;
  for (const std::size_t n : {1u, 9u, 256u})
    for (const bool apart : {false, true}) {
      SCOPED_TRACE(::testing::Message() << n << (apart ? " apart" : ""));
      const auto mask = pattern(5, n);
      const auto a = testing::random_tensor<T, 2>({5, n}, 1);
      const auto b = testing::random_tensor<T, 1>({n}, 2);
      const testing::OnDevice<bool, 2> chosen(mask, apart, this->stream);
      const testing::OnDevice<T, 2> yes(a, apart, this->stream);
      const testing::OnDevice<T, 1> no(b, false, this->stream);
      const testing::OnDevice<T, 2> to({5, n}, apart, this->stream);
      cuda::where(chosen.view, yes.view, no.view, to.view, this->stream);
      testing::expect_near(
          to.download(),
          [&](const Dims<2>& i) { return double{static_cast<float>(mask.view()(i) ? a.view()(i) : b(i[1]))}; }, 0);
      cuda::masked_fill(yes.view, chosen.view, static_cast<T>(-2.f), yes.view, this->stream);
      testing::expect_near(
          yes.download(),
          [&](const Dims<2>& i) { return mask.view()(i) ? -2.0 : double{static_cast<float>(a.view()(i))}; }, 0);
    }
}

TYPED_TEST(Elementwise, GatherAndIndexSelectFollowTheIndex) {
  using T = TypeParam;
  const auto x = testing::random_tensor<T, 3>({4, 6, 5}, 1);
  const testing::OnDevice<T, 3> from(x, true, this->stream);
  Tensor<std::int64_t, 3> index({3, 2, 5});
  for (std::size_t i = 0; i < index.size(); ++i) index.data()[i] = static_cast<std::int64_t>(i * 5 % 6);
  const testing::OnDevice<std::int64_t, 3> at(index, false, this->stream);
  const testing::OnDevice<T, 3> to({3, 2, 5}, true, this->stream);
  cuda::gather(from.view, 1, at.view, to.view, this->stream);
  testing::expect_near(
      to.download(),
      [&](const Dims<3>& i) {
        return double{static_cast<float>(x(i[0], static_cast<std::size_t>(index.view()(i)), i[2]))};
      },
      0);
  const testing::OnDevice<std::int32_t, 1> chosen(Tensor<std::int32_t, 1>({3}, {3, 0, 9}), false, this->stream);
  const testing::OnDevice<T, 3> rows({3, 6, 5}, false, this->stream);
  cuda::index_select(from.view, 0, chosen.view, rows.view, this->stream);
  testing::expect_near(
      rows.download(),
      [&](const Dims<3>& i) {
        const std::size_t row[] = {3, 0};
        return i[0] == 2 ? std::nan("") : double{static_cast<float>(x(row[i[0]], i[1], i[2]))};
      },
      0);
  EXPECT_THROW(cuda::gather(from.view, 1, at.view, rows.view, this->stream), ShapeError);
}

TYPED_TEST(Elementwise, CatJoins) {
  using T = TypeParam;
  const auto a = testing::random_tensor<T, 3>({2, 3, 4}, 1);
  const auto b = testing::random_tensor<T, 3>({2, 1, 4}, 2);
  const auto c = testing::random_tensor<T, 3>({2, 0, 4}, 3);
  const testing::OnDevice<T, 3> first(a, true, this->stream);
  const testing::OnDevice<T, 3> second(b, false, this->stream);
  const testing::OnDevice<T, 3> third(c, false, this->stream);
  const testing::OnDevice<T, 3> to({2, 4, 4}, false, this->stream);
  cuda::cat(1, to.view, this->stream, first.view, third.view, second.view);
  testing::expect_near(
      to.download(),
      [&](const Dims<3>& i) { return double{static_cast<float>(i[1] < 3 ? a.view()(i) : b(i[0], 0, i[2]))}; }, 0);
  EXPECT_THROW(cuda::cat(1, to.view, this->stream, first.view), ShapeError);
  EXPECT_THROW(cuda::cat(0, to.view, this->stream, first.view, second.view), ShapeError);
}

TEST_F(ElementwiseOther, IntegersWrapAround) {
  const Tensor<std::int32_t, 1> a({3}, {2147483647, -5, 7});
  const Tensor<std::int32_t, 1> b({3}, {1, 3, 1 << 30});
  const testing::OnDevice<std::int32_t, 1> left(a, false, stream);
  const testing::OnDevice<std::int32_t, 1> right(b, false, stream);
  const testing::OnDevice<std::int32_t, 1> to({3}, false, stream);
  cuda::add(left.view, right.view, to.view, stream);
  EXPECT_EQ(to.download()(0), std::numeric_limits<std::int32_t>::min());
  EXPECT_EQ(to.download()(1), -2);
  cuda::mul(left.view, right.view, to.view, stream);
  EXPECT_EQ(to.download()(1), -15);
  EXPECT_EQ(to.download()(2), static_cast<std::int32_t>(0xc0000000u));
}

TEST_F(ElementwiseOther, CopyConverts) {
  const auto x = testing::random_tensor<float, 2>({5, 33}, 1, 100);
  const testing::OnDevice<float, 2> from(x, false, stream);
  const testing::OnDevice<half, 2> to({5, 33}, true, stream);
  cuda::copy(from.view, to.view, stream);
  const auto y = to.download();
  weft::detail::for_each_index(x.extents(),
                               [&](const Dims<2>& i) { EXPECT_EQ(y.view()(i).bits, half(x.view()(i)).bits); });
  const testing::OnDevice<float, 2> small({5, 32}, true, stream);
  EXPECT_THROW(cuda::copy(from.view, small.view, stream), ShapeError);
}

}  // namespace
}  // namespace weft
