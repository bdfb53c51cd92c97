#include <weft/cuda/ops/linear.cuh>
#include <weft/cuda/ops/matmul.cuh>

#include "device_test.cuh"

namespace weft {
namespace {

template <class T>
using LinearOnDevice = testing::DeviceTypeTest<T>;
TYPED_TEST_SUITE(LinearOnDevice, testing::HalfTypes);

double number(auto x) { return static_cast<double>(static_cast<float>(x)); }

/// y = x weight^T + bias in double.
template <class T>
Tensor<double, 2> product(const Tensor<T, 2>& x, const Tensor<T, 2>& weight, const Tensor<T, 1>* bias) {
  Tensor<double, 2> y({x.extent(0), weight.extent(0)});
  for (std::size_t t = 0; t < y.extent(0); ++t)
    for (std::size_t r = 0; r < y.extent(1); ++r) {
      double sum = bias ? number((*bias)(r)) : 0.0;
      for (std::size_t i = 0; i < x.extent(1); ++i) sum += number(x(t, i)) * number(weight(r, i));
      y(t, r) = sum;
    }
  return y;
}

struct Sizes {
  std::size_t tokens, rows, k;
};

TYPED_TEST(LinearOnDevice, OfFewTokensIsThatOfDoublePrecision) {
  using T = TypeParam;
  for (const auto [tokens, rows, k] :
       {Sizes{1, 1, 8}, Sizes{1, 17, 40}, Sizes{2, 16, 64}, Sizes{7, 33, 1000}, Sizes{8, 48, 2048}, Sizes{9, 5, 72},
        Sizes{16, 50, 1096}, Sizes{3, 9, 7}, Sizes{16, 20, 331}})
    for (const bool apart : {false, true}) {
      SCOPED_TRACE(::testing::Message() << tokens << " x " << k << " -> " << rows << (apart ? " apart" : ""));
      const auto x = testing::random_tensor<T, 2>({tokens, k}, 1);
      const auto weight = testing::random_tensor<T, 2>({rows, k}, 2, 0.1);
      const auto bias = testing::random_tensor<T, 1>({rows}, 3);
      const testing::OnDevice<T, 2> from(x, apart, this->stream);
      const testing::OnDevice<T, 2> weights(weight, apart, this->stream);
      const testing::OnDevice<T, 1> biases(bias, false, this->stream);
      const testing::OnDevice<T, 2> to({tokens, rows}, apart, this->stream);
      const testing::OnDevice<float, 2> floats({tokens, rows}, apart, this->stream);
      cuda::linear_few(from.view, weights.view, biases.view.data(), to.view, this->stream);
      const auto with_bias = product(x, weight, &bias);
      testing::expect_near(
          to.download(), [&](const Dims<2>& i) { return with_bias.view()(i); }, 2);
      cuda::linear_few(from.view, weights.view, nullptr, floats.view, this->stream);
      const auto alone = product(x, weight, static_cast<const Tensor<T, 1>*>(nullptr));
      testing::expect_near(
          floats.download(), [&](const Dims<2>& i) { return alone.view()(i); }, 200);
    }
}

TYPED_TEST(LinearOnDevice, OfATokenDoesNotDependOnHowManyThereAre) {
  using T = TypeParam;
  const auto x = testing::random_tensor<T, 2>({16, 264}, 1);
  const testing::OnDevice<T, 2> from(x, false, this->stream);
  const testing::OnDevice<T, 2> weights(testing::random_tensor<T, 2>({20, 264}, 2), false, this->stream);
  const testing::OnDevice<T, 2> all({16, 20}, false, this->stream);
  cuda::linear_few(from.view, weights.view, nullptr, all.view, this->stream);
  const auto together = all.download();
  for (const std::size_t tokens : {1u, 8u, 9u}) {
    const testing::OnDevice<T, 2> some({tokens, 20}, false, this->stream);
    cuda::linear_few(from.view.narrow(0, 0, tokens), weights.view, nullptr, some.view, this->stream);
    testing::expect_near(
        some.download(), [&](const Dims<2>& i) { return number(together.view()(i)); }, 0);
  }
}

TYPED_TEST(LinearOnDevice, OfManyTokensIsThatOfDoublePrecision) {
  using T = TypeParam;
  cuda::MatmulPlans plans(this->stream);
  for (const auto [tokens, rows, k] : {Sizes{17, 24, 40}, Sizes{16, 24, 40}, Sizes{33, 8, 136}, Sizes{17, 24, 40}}) {
    const auto x = testing::random_tensor<T, 2>({tokens, k}, 1);
    const auto weight = testing::random_tensor<T, 2>({rows, k}, 2, 0.1);
    const auto bias = testing::random_tensor<T, 1>({rows}, 3);
    const testing::OnDevice<T, 2> from(x, false, this->stream);
    const testing::OnDevice<T, 2> weights(weight, false, this->stream);
    const testing::OnDevice<T, 1> biases(bias, false, this->stream);
    const testing::OnDevice<T, 2> to({tokens, rows}, false, this->stream);
    cuda::linear(plans, from.view, weights.view, biases.view.data(), to.view, this->stream);
    const auto expected = product(x, weight, &bias);
    testing::expect_near(
        to.download(), [&](const Dims<2>& i) { return expected.view()(i); }, 2);
  }
  EXPECT_EQ(plans.size(), 2u) << "16 tokens are few, and the shape that comes again has its plan";
}

TYPED_TEST(LinearOnDevice, ProductsTakeTransposesAndFloats) {
  using T = TypeParam;
  cuda::MatmulPlans plans(this->stream);
  const auto a = testing::random_tensor<T, 2>({24, 32}, 1);
  const auto b = testing::random_tensor<T, 2>({32, 40}, 2);
  Tensor<double, 2> expected({24, 40});
  for (std::size_t i = 0; i < 24; ++i)
    for (std::size_t j = 0; j < 40; ++j)
      for (std::size_t l = 0; l < 32; ++l) expected(i, j) += number(a(i, l)) * number(b(l, j));
  const auto turned = [](const Tensor<T, 2>& x) { return x.transpose(0, 1).contiguous(); };
  const testing::OnDevice<T, 2> a_rows(a, false, this->stream);
  const testing::OnDevice<T, 2> b_rows(b, false, this->stream);
  const testing::OnDevice<T, 2> a_columns(turned(a), false, this->stream);
  const testing::OnDevice<T, 2> b_columns(turned(b), false, this->stream);
  for (const bool a_turned : {false, true})
    for (const bool b_turned : {false, true}) {
      const testing::OnDevice<float, 2> y({24, 40}, false, this->stream);
      plans.matmul(a_turned ? a_columns.view.transpose(0, 1) : a_rows.view,
                   b_turned ? b_columns.view.transpose(0, 1) : b_rows.view, nullptr, y.view, this->stream);
      testing::expect_near(
          y.download(), [&](const Dims<2>& i) { return expected.view()(i); }, 200);
    }
  const testing::OnDevice<float, 2> wrong({24, 41}, false, this->stream);
  EXPECT_THROW(plans.matmul(a_rows.view, b_rows.view, nullptr, wrong.view, this->stream), ShapeError);
  EXPECT_THROW(plans.matmul(a_rows.view, a_rows.view, nullptr, wrong.view, this->stream), ShapeError);
}

TYPED_TEST(LinearOnDevice, OfNothingIsTheBias) {
  using T = TypeParam;
  cuda::MatmulPlans plans(this->stream);
  const auto bias = testing::random_tensor<T, 1>({5}, 3);
  const testing::OnDevice<T, 1> biases(bias, false, this->stream);
  for (const std::size_t tokens : {3u, 20u}) {
    const cuda::DeviceTensor<T, 2> x({tokens, 0}, this->stream), weight({5, 0}, this->stream);
    const testing::OnDevice<T, 2> y({tokens, 5}, true, this->stream);
    cuda::linear(plans, x, weight, biases.view.data(), y.view, this->stream);
    testing::expect_near(
        y.download(), [&](const Dims<2>& i) { return number(bias(i[1])); }, 0);
    cuda::linear(plans, x, weight, nullptr, y.view, this->stream);
    testing::expect_near(
        y.download(), [](const Dims<2>&) { return 0.0; }, 0);
  }
}

TYPED_TEST(LinearOnDevice, RefusesWhatDoesNotFit) {
  using T = TypeParam;
  const testing::OnDevice<T, 2> x({17, 8}, false, this->stream);
  const testing::OnDevice<T, 2> weight({4, 8}, false, this->stream);
  const testing::OnDevice<T, 2> y({17, 4}, false, this->stream);
  const testing::OnDevice<T, 2> other({2, 9}, false, this->stream);
  EXPECT_THROW(cuda::linear_few(x.view, weight.view, nullptr, y.view, this->stream), ShapeError);
  EXPECT_THROW(cuda::linear_few(other.view, weight.view, nullptr, y.view, this->stream), ShapeError);
  EXPECT_THROW(cuda::linear_few(x.view.narrow(0, 0, 3), weight.view, nullptr, y.view, this->stream), ShapeError);
  const testing::OnDevice<T, 2> none({0, 8}, false, this->stream);
  EXPECT_NO_THROW(cuda::linear_few(none.view, weight.view, nullptr, y.view.narrow(0, 0, 0), this->stream));
}

}  // namespace
}  // namespace weft
