#include <weft/ops/softmax.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/thread_pool.hpp>

#include "../cpu/guarded_memory.hpp"
#include "../cpu/instruction_sets.hpp"

namespace {

using namespace weft;
using weft::testing::EveryIsa;
using weft::testing::Guarded;
using weft::testing::infinity;
using weft::testing::isa_name;
using weft::testing::nan;
using weft::testing::near;
using weft::testing::random_floats;
using weft::testing::same_bits;
using weft::testing::sizes;

class Softmax : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Isa, Softmax, ::testing::ValuesIn(cpu::all_isas), isa_name);

/// log_softmax of one lane.
std::vector<double> log_reference(const std::vector<double>& x) {
  const double top = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const double value : x) sum += std::exp(value - top);
  std::vector<double> y;
  for (const double value : x) y.push_back(value - top - std::log(sum));
  return y;
}

/// Calls f(element of x, expected log_softmax) for every element, lanes along `dim`.
template <std::size_t Rank, class F>
void for_each_expected(TensorView<const float, Rank> x, std::size_t dim, F&& f) {
  Dims<Rank> lanes = x.extents();
  lanes[dim] = 1;
  detail::for_each_index(lanes, [&](Dims<Rank> index) {
    std::vector<double> lane;
    for (index[dim] = 0; index[dim] < x.extent(dim); ++index[dim]) lane.push_back(static_cast<double>(x(index)));
    const std::vector<double> expected = log_reference(lane);
    for (index[dim] = 0; index[dim] < x.extent(dim); ++index[dim]) f(index, expected[index[dim]]);
  });
}

TEST_P(Softmax, MatchesTheDoubleReferenceAndSumsToOne) {
  for (const std::size_t n : sizes) {
    const auto x = random_floats<2>({3, n}, n, 12.f);
    Tensor<float, 2> y({3, n}), log_y({3, n});
    softmax(x, y, -1, ctx);
    log_softmax(x, log_y, -1, ctx);
    for_each_expected<2>(x, 1, [&](const Dims<2>& i, double expected) {
      EXPECT_NEAR(y.view()(i), std::exp(expected), 2e-6);
      EXPECT_NEAR(log_y.view()(i), expected, 4e-6);
    });
    for (std::size_t t = 0; t < 3; ++t) {
      double sum = 0;
      for (std::size_t i = 0; i < n; ++i) sum += static_cast<double>(y(t, i));
      EXPECT_NEAR(sum, 1.0, 2e-6);
    }
  }
}

TEST_P(Softmax, WorksAlongEveryDimensionOfEveryLayoutAndInPlace) {
  auto memory = random_floats<3>({8, 10, 17}, 1, 5.f);
  const auto sparse = memory.view().slice(0, 1, 8, 2).slice(1, 0, 10, 3).slice(2, 2, 17, 2);  // (4, 4, 8)
  const auto turned = sparse.permute({2, 0, 1});
  for (int dim = -3; dim < 3; ++dim) {
    const auto d = static_cast<std::size_t>(dim < 0 ? dim + 3 : dim);
    const auto check = [&](const auto& x) {
      Tensor<float, 3> y(x.extents()), log_y(x.extents());
      softmax(x, y, dim, ctx);
      log_softmax(x, log_y, dim, ctx);
      for_each_expected<3>(x, d, [&](const Dims<3>& i, double expected) {
        EXPECT_NEAR(y.view()(i), std::exp(expected), 2e-6);
        EXPECT_NEAR(log_y.view()(i), expected, 3e-6);
      });
      EXPECT_TRUE(near(softmax(x, dim).elements(), std::vector<double>(y.data(), y.data() + y.size()), 1e-6));
      EXPECT_TRUE(
          near(log_softmax(x, dim).elements(), std::vector<double>(log_y.data(), log_y.data() + y.size()), 3e-6));
      // In place, in a copy of the same layout.
      Tensor<float, 3> copy = memory;
      const TensorView<float, 3> same(copy.data() + (x.data() - memory.data()), x.extents(), x.strides());
      softmax(same, same, dim, ctx);
      EXPECT_TRUE(same_bits(same.contiguous().elements(), y.elements()));
      std::size_t changed = 0;
      for (std::size_t i = 0; i < copy.size(); ++i) changed += copy.data()[i] != memory.data()[i];
      EXPECT_LE(changed, x.size()) << "only the elements of the view are written";
    };
    check(sparse);
    check(turned);
    check(memory.view().narrow(2, 1, 9));
  }
}

TEST_P(Softmax, TouchesNothingBeyondItsRows) {
  for (const std::size_t n : sizes) {
    const Guarded<float> x(random_floats(n, 1));
    Guarded<float> y(n);
    softmax(TensorView<const float, 1>(x.data(), {n}), TensorView<float, 1>(y.data(), {n}), -1, ctx);
    EXPECT_GT(y[n - 1], 0.f);
    log_softmax(TensorView<const float, 1>(x.data(), {n}), TensorView<float, 1>(y.data(), {n}), -1, ctx);
    EXPECT_LE(y[n - 1], 0.f);
  }
}

TEST_P(Softmax, LogSoftmaxKeepsSmallDifferencesOfLargeElements) {
  const Tensor<float, 1> large({3}, {1e6f, 1e6f, 1e6f - 1.f});
  Tensor<float, 1> y({3});
  log_softmax(large, y, -1, ctx);
  const std::vector<double> expected = log_reference({1e6, 1e6, 1e6 - 1});
  EXPECT_TRUE(near(y.elements(), expected, 1e-6));
  const Tensor<float, 1> apart({4}, {0.f, -200.f, -1e30f, -infinity});
  Tensor<float, 1> z({4});
  log_softmax(apart, z, -1, ctx);
  EXPECT_EQ(z(0), 0.f);
  EXPECT_EQ(z(1), -200.f) << "where softmax is zero, its logarithm is not";
  EXPECT_EQ(z(2), -1e30f);
  EXPECT_EQ(z(3), -infinity);
  const Tensor<float, 1> ends({2}, {3e38f, -3e38f});
  Tensor<float, 1> w({2});
  log_softmax(ends, w, -1, ctx);
  EXPECT_EQ(w(0), 0.f);
  EXPECT_EQ(w(1), -infinity) << "the difference is beyond float";
  const Tensor<float, 1> tiny({4}, {1e-42f, 0.f, -1e-42f, 1e-45f});
  log_softmax(tiny, z, -1, ctx);
  EXPECT_TRUE(near(z.elements(), std::vector<double>(4, -std::log(4.0)), 1e-6));
}

TEST_P(Softmax, SpecialValuesMakeTheirRowNaNAndNoOther) {
  auto x = random_floats<2>({5, 19}, 1);
  x(1, 18) = nan;
  x(2, 3) = infinity;
  for (std::size_t i = 0; i < 19; ++i) x(3, i) = -infinity;
  x(4, 5) = -infinity;
  Tensor<float, 2> y({5, 19}), log_y({5, 19});
  softmax(x, y, -1, ctx);
  log_softmax(x, log_y, -1, ctx);
  for (std::size_t i = 0; i < 19; ++i) {
    EXPECT_TRUE(std::isfinite(y(0, i)) && std::isfinite(log_y(0, i)));
    for (std::size_t t = 1; t < 4; ++t) EXPECT_TRUE(std::isnan(y(t, i)) && std::isnan(log_y(t, i))) << t << " " << i;
    EXPECT_EQ(y(4, i) == 0.f, i == 5);
    EXPECT_EQ(log_y(4, i) == -infinity, i == 5);
  }
}

TEST_P(Softmax, BitsDoNotDependOnThreads) {
  const auto x = random_floats<2>({60, 500}, 1, 9.f);
  Tensor<float, 2> one({60, 500}), two({60, 500});
  softmax(x, one, -1, ctx);
  ThreadPool pool(2);
  cpu::Context threaded = ctx;
  threaded.executor = &pool;
  softmax(x, two, -1, threaded);
  EXPECT_TRUE(same_bits(one.elements(), two.elements()));
}

TEST_P(Softmax, EmptyTensorsAndErrors) {
  Tensor<float, 2> none({0, 4}), thin({4, 0}), x({2, 3}), y({2, 3});
  for (const int dim : {0, 1}) {
    EXPECT_NO_THROW(softmax(none, none, dim, ctx));
    EXPECT_NO_THROW(softmax(thin, thin, dim, ctx));
    EXPECT_NO_THROW(log_softmax(none, none, dim, ctx));
  }
  EXPECT_THROW(softmax(x, y, 2, ctx), ShapeError);
  EXPECT_THROW(softmax(x, y, -3, ctx), ShapeError);
  Tensor<float, 2> other({3, 2}), longer({2, 4});
  for (const int dim : {0, 1}) {
    EXPECT_THROW(softmax(x, other, dim, ctx), ShapeError);
    EXPECT_THROW(log_softmax(x, longer, dim, ctx), ShapeError);
    EXPECT_THROW(softmax(x.transpose(0, 1), y, dim, ctx), ShapeError);
  }
}

}  // namespace
