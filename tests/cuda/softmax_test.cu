#include <weft/cuda/ops/softmax.cuh>

#include "device_test.cuh"

namespace weft {
namespace {

template <class T>
using Softmax = testing::DeviceTypeTest<T>;
TYPED_TEST_SUITE(Softmax, testing::StorageTypes);

constexpr float infinity = std::numeric_limits<float>::infinity();

/// log of the sum of e^x of each row.
template <class T>
Tensor<double, 1> log_sums(const Tensor<T, 2>& x) {
  Tensor<double, 1> result({x.extent(0)});
  for (std::size_t t = 0; t < x.extent(0); ++t) {
    double largest = -infinity;
    for (std::size_t i = 0; i < x.extent(1); ++i) largest = std::max(largest, double{static_cast<float>(x(t, i))});
    double sum = 0;
    for (std::size_t i = 0; i < x.extent(1); ++i) sum += std::exp(double{static_cast<float>(x(t, i))} - largest);
    result(t) = largest + std::log(sum);
  }
  return result;
}

TYPED_TEST(Softmax, IsThatOfDoublePrecision) {
  using T = TypeParam;
  for (const std::size_t n : {1u, 5u, 64u, 1000u, 8192u, 130001u})
    for (const bool apart : {false, true}) {
      SCOPED_TRACE(::testing::Message() << n << (apart ? " apart" : ""));
      auto x = testing::random_tensor<T, 2>({3, n}, n, 3.0);
      if (n > 4) x(1, 2) = static_cast<T>(-infinity);
      const auto sums = log_sums(x);
      const testing::OnDevice<T, 2> from(x, apart, this->stream);
      const testing::OnDevice<T, 2> to({3, n}, apart, this->stream);
      cuda::softmax(from.view, to.view, -1, this->stream);
      const auto shifted = [&](const Dims<2>& i) { return double{static_cast<float>(x(i[0], i[1]))} - sums(i[0]); };
      testing::expect_near(
          to.download(), [&](const Dims<2>& i) { return std::exp(shifted(i)); }, 4);
      cuda::log_softmax(from.view, from.view, -1, this->stream);
      testing::expect_near(from.download(), shifted, 4);
    }
}

TYPED_TEST(Softmax, AlongTheFirstDimension) {
  using T = TypeParam;
  const auto x = testing::random_tensor<T, 2>({37, 5}, 3);
  Tensor<T, 2> turned({5, 37});
  for (std::size_t i = 0; i < 37; ++i)
    for (std::size_t j = 0; j < 5; ++j) turned(j, i) = x(i, j);
  const auto sums = log_sums(turned);
  const testing::OnDevice<T, 2> from(x, false, this->stream);
  cuda::softmax(from.view, from.view, 0, this->stream);
  testing::expect_near(
      from.download(),
      [&](const Dims<2>& i) { return std::exp(double{static_cast<float>(x(i[0], i[1]))} - sums(i[1])); }, 4);
}

TYPED_TEST(Softmax, NoNumbersSpread) {
  using T = TypeParam;
  auto x = testing::random_tensor<T, 2>({4, 300}, 4);
  x(0, 299) = static_cast<T>(std::numeric_limits<float>::quiet_NaN());
  x(1, 7) = static_cast<T>(infinity);
  for (std::size_t i = 0; i < 300; ++i) x(2, i) = static_cast<T>(-infinity);
  const testing::OnDevice<T, 2> from(x, false, this->stream);
  cuda::softmax(from.view, from.view, -1, this->stream);
  const auto y = from.download();
  for (std::size_t t = 0; t < 3; ++t)
    for (std::size_t i = 0; i < 300; ++i) EXPECT_TRUE(std::isnan(static_cast<float>(y(t, i)))) << t << ' ' << i;
  for (std::size_t i = 0; i < 300; ++i) EXPECT_FALSE(std::isnan(static_cast<float>(y(3, i))));
}

}  // namespace
}  // namespace weft
