#include <limits>
#include <string>

#include <weft/cuda/ops/layer_norm.cuh>
#include <weft/cuda/ops/rms_norm.cuh>

#include "device_test.cuh"

namespace weft {
namespace {

template <class T>
using Norm = testing::DeviceTypeTest<T>;
TYPED_TEST_SUITE(Norm, testing::StorageTypes);

struct Shape2 {
  std::size_t rows;
  std::size_t hidden;
};
constexpr Shape2 shapes[] = {{1, 1}, {3, 7}, {5, 64}, {2, 80}, {7, 1000}, {3, 4096}, {2, 20000}, {1, 70001}};

double mean_square(TensorView<const double, 1> x) {
  double sum = 0;
  for (std::size_t i = 0; i < x.extent(0); ++i) sum += x(i) * x(i);
  return sum / static_cast<double>(x.extent(0));
}
double mean(TensorView<const double, 1> x) {
  double sum = 0;
  for (std::size_t i = 0; i < x.extent(0); ++i) sum += x(i);
  return sum / static_cast<double>(x.extent(0));
}

template <class T>
Tensor<double, 2> widened(const Tensor<T, 2>& x) {
  Tensor<double, 2> wide(x.extents());
  for (std::size_t i = 0; i < x.size(); ++i) wide.data()[i] = static_cast<float>(x.data()[i]);
  return wide;
}

TYPED_TEST(Norm, RmsNormIsThatOfDoublePrecision) {
  using T = TypeParam;
  for (const auto [rows, hidden] : shapes)
    for (const bool apart : {false, true}) {
      SCOPED_TRACE(::testing::Message() << rows << " x " << hidden << (apart ? " apart" : ""));
      const auto x = testing::random_tensor<T, 2>({rows, hidden}, 3, 2.0);
      const auto gain = testing::random_tensor<T, 1>({hidden}, 4);
      const testing::OnDevice<T, 2> from(x, apart, this->stream);
      const testing::OnDevice<T, 1> gains(gain, apart, this->stream);
      const testing::OnDevice<T, 2> to({rows, hidden}, apart, this->stream);
      cuda::rms_norm(from.view, gains.view, to.view, {.eps = 1e-5f, .gain_offset = 0.5f}, this->stream);
      const auto wide = widened(x);
      Tensor<double, 1> scale({rows});
      for (std::size_t t = 0; t < rows; ++t) scale(t) = 1 / std::sqrt(mean_square(wide[t]) + 1e-5f);
      testing::expect_near(
          to.download(),
          [&](const Dims<2>& i) { return wide(i[0], i[1]) * scale(i[0]) * (static_cast<float>(gain(i[1])) + 0.5); }, 2);
    }
}

TYPED_TEST(Norm, LayerNormIsThatOfDoublePrecision) {
  using T = TypeParam;
  for (const auto [rows, hidden] : shapes)
    for (const bool apart : {false, true}) {
      SCOPED_TRACE(::testing::Message() << rows << " x " << hidden << (apart ? " apart" : ""));
      auto x = testing::random_tensor<T, 2>({rows, hidden}, 5, 2.0);
      const auto gain = testing::random_tensor<float, 1>({hidden}, 6);
      const auto bias = testing::random_tensor<float, 1>({hidden}, 7);
      const testing::OnDevice<T, 2> from(x, apart, this->stream);
      const testing::OnDevice<float, 1> gains(gain, false, this->stream);
      const testing::OnDevice<float, 1> biases(bias, false, this->stream);
      const testing::OnDevice<T, 2> to({rows, hidden}, apart, this->stream);
      cuda::layer_norm(from.view, gains.view, biases.view, to.view, {.eps = 1e-5f}, this->stream);
      const auto wide = widened(x);
      Tensor<double, 2> moments({rows, 2});
      for (std::size_t t = 0; t < rows; ++t) {
        moments(t, 0) = mean(wide[t]);
        const double variance = std::max(0.0, mean_square(wide[t]) - moments(t, 0) * moments(t, 0));
        moments(t, 1) = 1 / std::sqrt(variance + 1e-5f);
      }
      const auto expected = [&](const Dims<2>& i) {
        return (wide(i[0], i[1]) - moments(i[0], 0)) * moments(i[0], 1) * gain(i[1]) + bias(i[1]);
      };
      testing::expect_near(to.download(), expected, 8);
      cuda::layer_norm(from.view, gains.view, from.view, {.eps = 1e-5f}, this->stream);  // in place, without bias
      testing::expect_near(
          from.download(), [&](const Dims<2>& i) { return expected(i) - bias(i[1]); }, 8);
    }
}

TYPED_TEST(Norm, FusedWithTheSumItIsTheNormOfTheRoundedSum) {
  using T = TypeParam;
  for (const auto [rows, hidden] : shapes)
    for (const bool apart : {false, true}) {
      SCOPED_TRACE(::testing::Message() << rows << " x " << hidden << (apart ? " apart" : ""));
      const testing::OnDevice<T, 2> x(testing::random_tensor<T, 2>({rows, hidden}, 8), apart, this->stream);
      const auto before = testing::random_tensor<T, 2>({rows, hidden}, 9);
      const testing::OnDevice<T, 1> gain(testing::random_tensor<T, 1>({hidden}, 10), false, this->stream);
      const testing::OnDevice<T, 1> bias(testing::random_tensor<T, 1>({hidden}, 11), false, this->stream);
      const testing::OnDevice<T, 2> fused({rows, hidden}, apart, this->stream);
      const testing::OnDevice<T, 2> alone({rows, hidden}, apart, this->stream);
      const auto x_host = x.download();
      const auto same = [&] {
        const auto a = fused.download();
        const auto b = alone.download();
        for (std::size_t i = 0; i < a.size(); ++i)
          EXPECT_EQ(static_cast<float>(a.data()[i]), static_cast<float>(b.data()[i]));
      };
      {
        const testing::OnDevice<T, 2> residual(before, apart, this->stream);
        cuda::add_rms_norm(x.view, residual.view, gain.view, fused.view, {.eps = 1e-6f}, this->stream);
        testing::expect_near(residual.download(), [&](const Dims<2>& i) {
          return static_cast<double>(static_cast<float>(x_host(i[0], i[1]))) +
                 static_cast<double>(static_cast<float>(before(i[0], i[1])));
        });
        cuda::rms_norm(residual.view, gain.view, alone.view, {.eps = 1e-6f}, this->stream);
        same();
      }
      const testing::OnDevice<T, 2> residual(before, apart, this->stream);
      cuda::add_layer_norm(x.view, residual.view, gain.view, bias.view, fused.view, {.eps = 1e-6f}, this->stream);
      cuda::layer_norm(residual.view, gain.view, bias.view, alone.view, {.eps = 1e-6f}, this->stream);
      same();
      cuda::add_layer_norm(x.view, residual.view, gain.view, fused.view, {.eps = 1e-6f}, this->stream);
      cuda::layer_norm(residual.view, gain.view, alone.view, {.eps = 1e-6f}, this->stream);
      same();
    }
}

TYPED_TEST(Norm, RowsOfAnyRankAreNormalisedAlike) {
  using T = TypeParam;
  const auto x = testing::random_tensor<T, 3>({3, 4, 64}, 12);
  const testing::OnDevice<T, 3> from(x, false, this->stream);
  const testing::OnDevice<T, 1> gain(testing::random_tensor<T, 1>({64}, 13), false, this->stream);
  const testing::OnDevice<T, 3> to({4, 3, 64}, false, this->stream);
  cuda::rms_norm(from.view.transpose(0, 1), gain.view, to.view, {.eps = 1e-5f}, this->stream);
  const testing::OnDevice<T, 3> straight({3, 4, 64}, false, this->stream);
  cuda::rms_norm(from.view.data(), gain.view.data(), straight.view.data(), 12, 64, {.eps = 1e-5f}, this->stream);
  const auto a = to.download();
  const auto b = straight.download();
  weft::detail::for_each_index(b.extents(), [&](const Dims<3>& i) {
    EXPECT_EQ(static_cast<float>(a(i[1], i[0], i[2])), static_cast<float>(b.view()(i)));
  });
}

TYPED_TEST(Norm, RefusesAnEpsThatIsNone) {
  using T = TypeParam;
  const testing::OnDevice<T, 2> x({2, 8}, false, this->stream);
  const testing::OnDevice<T, 1> gain(Tensor<T, 1>({8}), false, this->stream);
  for (const float eps : {-1e-6f, std::numeric_limits<float>::quiet_NaN()}) {
    const auto expect_refused = [](const char* op, const auto& call) {
      try {
        call();
        FAIL() << op;
      } catch (const ConfigError& error) {
        EXPECT_EQ(std::string(error.what()).find(std::string(op) + ": eps is "), 0u) << error.what();
      }
    };
    expect_refused("rms_norm", [&] { cuda::rms_norm(x.view, gain.view, x.view, {.eps = eps}, this->stream); });
    expect_refused("add_rms_norm",
                   [&] { cuda::add_rms_norm(x.view, x.view, gain.view, x.view, {.eps = eps}, this->stream); });
    expect_refused("layer_norm",
                   [&] { cuda::layer_norm(x.view, gain.view, gain.view, x.view, {.eps = eps}, this->stream); });
    expect_refused("layer_norm", [&] { cuda::layer_norm(x.view, gain.view, x.view, {.eps = eps}, this->stream); });
    expect_refused("add_layer_norm", [&] {
      cuda::add_layer_norm(x.view, x.view, gain.view, gain.view, x.view, {.eps = eps}, this->stream);
    });
  }
}

TYPED_TEST(Norm, EmptyAndOtherShapes) {
  using T = TypeParam;
  const testing::OnDevice<T, 1> gain(Tensor<T, 1>({8}), false, this->stream);
  const testing::OnDevice<T, 2> none({0, 8}, false, this->stream);
  EXPECT_NO_THROW(cuda::rms_norm(none.view, gain.view, none.view, {.eps = 1e-5f}, this->stream));
  const testing::OnDevice<T, 2> x({2, 9}, false, this->stream);
  EXPECT_THROW(cuda::rms_norm(x.view, gain.view, x.view, {.eps = 1e-5f}, this->stream), ShapeError);
  const testing::OnDevice<T, 2> y({3, 9}, false, this->stream);
  const testing::OnDevice<T, 1> nine(Tensor<T, 1>({9}), false, this->stream);
  EXPECT_THROW(cuda::rms_norm(x.view, nine.view, y.view, {.eps = 1e-5f}, this->stream), ShapeError);
}

}  // namespace
}  // namespace weft
