#include <weft/cuda/ops/activation.cuh>

#include "device_test.cuh"

namespace weft {
namespace {

template <class T>
using ActivationOnDevice = testing::DeviceTypeTest<T>;
TYPED_TEST_SUITE(ActivationOnDevice, testing::StorageTypes);

double reference(Activation kind, double x) {
  switch (kind) {
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::gelu: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case Activation::quick_gelu: return x / (1 + std::exp(-1.702 * x));
    default: return std::max(x, 0.0);
  }
}
constexpr Activation kinds[] = {Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::quick_gelu,
                                Activation::relu};

TYPED_TEST(ActivationOnDevice, IsThatOfDoublePrecision) {
  using T = TypeParam;
  for (const Activation kind : kinds)
    for (const std::size_t n : {1u, 63u, 1024u, 5000u})
      for (const bool apart : {false, true}) {
        SCOPED_TRACE(::testing::Message() << static_cast<int>(kind) << ' ' << n << (apart ? " apart" : ""));
        const auto x = testing::random_tensor<T, 2>({3, n}, n, 3.0);
        const auto up = testing::random_tensor<T, 2>({3, n}, n + 1);
        const testing::OnDevice<T, 2> from(x, apart, this->stream);
        const testing::OnDevice<T, 2> ups(up, apart, this->stream);
        const testing::OnDevice<T, 2> to({3, n}, apart, this->stream);
        cuda::activation(kind, from.view, to.view, this->stream);
        const auto alone = [&](const Dims<2>& i) { return reference(kind, static_cast<float>(x(i[0], i[1]))); };
        testing::expect_near(to.download(), alone, 2);
        cuda::gated_activation(kind, from.view, ups.view, from.view, this->stream);  // in place
        testing::expect_near(
            from.download(), [&](const Dims<2>& i) { return alone(i) * static_cast<float>(up(i[0], i[1])); }, 4);
      }
}

TYPED_TEST(ActivationOnDevice, TakesTheHalvesOfOneProduct) {
  using T = TypeParam;
  const auto both = testing::random_tensor<T, 2>({5, 128}, 7);
  const testing::OnDevice<T, 2> on(both, false, this->stream);
  const testing::OnDevice<T, 2> to({5, 64}, false, this->stream);
  cuda::gated_activation(Activation::silu, on.view.narrow(1, 0, 64), on.view.narrow(1, 64, 64), to.view, this->stream);
  testing::expect_near(
      to.download(),
      [&](const Dims<2>& i) {
        return reference(Activation::silu, static_cast<float>(both(i[0], i[1]))) *
               static_cast<float>(both(i[0], 64 + i[1]));
      },
      4);
}

TYPED_TEST(ActivationOnDevice, RawPointersAndExtremes) {
  using T = TypeParam;
  Tensor<T, 1> x({6});
  const float values[] = {-60000.f, 60000.f, 0.f, -0.f, std::numeric_limits<float>::quiet_NaN(), 1.f};
  for (std::size_t i = 0; i < 6; ++i) x(i) = static_cast<T>(values[i]);
  const testing::OnDevice<T, 1> on(x, false, this->stream);
  cuda::activation(Activation::silu, on.view.data(), on.view.data(), 6, this->stream);
  const auto y = on.download();
  EXPECT_EQ(static_cast<float>(y(0)), 0.f);
  EXPECT_EQ(static_cast<float>(y(1)), static_cast<float>(static_cast<T>(60000.f)));
  EXPECT_EQ(static_cast<float>(y(2)), 0.f);
  EXPECT_TRUE(std::isnan(static_cast<float>(y(4))));
  EXPECT_NO_THROW(cuda::activation(Activation::silu, on.view.data(), on.view.data(), 0, this->stream));
}

}  // namespace
}  // namespace weft
