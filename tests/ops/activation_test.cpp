#include <weft/ops/activation.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/thread_pool.hpp>

#include "../cpu/guarded_memory.hpp"
#include "../cpu/instruction_sets.hpp"

namespace {

using namespace weft;
using weft::testing::EveryIsa;
using weft::testing::Guarded;
using weft::testing::isa_name;
using weft::testing::nan;
using weft::testing::random_floats;
using weft::testing::same_bits;
using weft::testing::sizes;

class ActivationOp : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Isa, ActivationOp, ::testing::ValuesIn(cpu::all_isas), isa_name);

constexpr Activation kinds[]{Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::quick_gelu,
                             Activation::relu};

double reference(Activation kind, float value) {
  const double x = static_cast<double>(value);
  switch (kind) {
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::gelu: return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::quick_gelu: return x / (1 + std::exp(-1.702 * x));
    case Activation::relu: return std::max(0.0, x);
  }
  return 0;
}

TEST_P(ActivationOp, MatchesTheDoubleReferenceForEveryLength) {
  for (const std::size_t n : sizes)
    for (const Activation kind : kinds) {
      const auto x = random_floats<2>({2, n}, n, 7.f), up = random_floats<2>({2, n}, n + 1);
      Tensor<float, 2> y({2, n}), gated({2, n});
      activation(kind, x, y, ctx);
      gated_activation(kind, x, up, gated, ctx);
      for (std::size_t i = 0; i < 2 * n; ++i) {
        const double expected = reference(kind, x.data()[i]);
        ASSERT_NEAR(y.data()[i], expected, 1.5e-6);
        ASSERT_NEAR(gated.data()[i], expected * static_cast<double>(up.data()[i]), 1.5e-6);
      }
    }
}

TEST_P(ActivationOp, NamedFormsAreTheirKinds) {
  const auto x = random_floats<1>({100}, 1, 4.f);
  Tensor<float, 1> y({100}), expected({100});
  silu(x, y, ctx);
  activation(Activation::silu, x, expected, ctx);
  EXPECT_TRUE(same_bits(y.elements(), expected.elements()));
  gelu(x, y, ctx);
  activation(Activation::gelu, x, expected, ctx);
  EXPECT_TRUE(same_bits(y.elements(), expected.elements()));
  gelu_tanh(x, y, ctx);
  activation(Activation::gelu_tanh, x, expected, ctx);
  EXPECT_TRUE(same_bits(y.elements(), expected.elements()));
  quick_gelu(x, y, ctx);
  activation(Activation::quick_gelu, x, expected, ctx);
  EXPECT_TRUE(same_bits(y.elements(), expected.elements()));
  relu(x, y, ctx);
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(y[i], std::max(0.f, x[i]));
}

TEST_P(ActivationOp, TakesGapsAndWorksOverEitherOperand) {
  const auto gates = random_floats<3>({3, 4, 40}, 1, 3.f), ups = random_floats<3>({3, 4, 40}, 2);
  const auto part = [](auto& t) { return t.view().slice(0, 0, 3, 2).narrow(2, 1, 37); };
  const auto gate = part(gates), up = part(ups);
  for (const Activation kind : kinds) {
    Tensor<float, 3> expected({2, 4, 37});
    gated_activation(kind, gate, up, expected, ctx);
    detail::for_each_index(expected.extents(), [&](const Dims<3>& i) {
      ASSERT_NEAR(expected.view()(i), reference(kind, gate(i)) * static_cast<double>(up(i)), 1e-6);
    });
    Tensor<float, 3> over_gate = gates, over_up = ups;
    gated_activation(kind, part(over_gate), up, part(over_gate), ctx);
    gated_activation(kind, gate, part(over_up), part(over_up), ctx);
    EXPECT_TRUE(same_bits(part(over_gate).contiguous().elements(), expected.elements()));
    EXPECT_TRUE(same_bits(part(over_up).contiguous().elements(), expected.elements()));
    EXPECT_EQ(over_gate(0, 0, 0), gates(0, 0, 0)) << "only the elements of the view are written";
    EXPECT_EQ(over_gate(0, 0, 38), gates(0, 0, 38));
    Tensor<float, 3> plain = gates, result({2, 4, 37});
    activation(kind, gate, result, ctx);
    activation(kind, part(plain), part(plain), ctx);
    EXPECT_TRUE(same_bits(part(plain).contiguous().elements(), result.elements()));
  }
}

TEST_P(ActivationOp, TouchesNothingBeyondItsRows) {
  for (const std::size_t n : sizes)
    for (const Activation kind : kinds) {
      const Guarded<float> x(random_floats(n, 1)), up(random_floats(n, 2));
      Guarded<float> y(n);
      gated_activation(kind, TensorView<const float, 1>(x.data(), {n}), TensorView<const float, 1>(up.data(), {n}),
                       TensorView<float, 1>(y.data(), {n}), ctx);
      EXPECT_TRUE(std::isfinite(y[n - 1]));
    }
}

TEST_P(ActivationOp, NaNStaysNaNWhereItIs) {
  auto x = random_floats<1>({50}, 1);
  x(49) = nan;
  x(3) = nan;
  for (const Activation kind : kinds) {
    Tensor<float, 1> y({50});
    activation(kind, x, y, ctx);
    for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(std::isnan(y[i]), i == 3 || i == 49);
  }
}

TEST_P(ActivationOp, BitsDoNotDependOnThreads) {
  const auto x = random_floats<2>({60, 500}, 1, 9.f);
  ThreadPool pool(2);
  cpu::Context threaded = ctx;
  threaded.executor = &pool;
  for (const Activation kind : kinds) {
    Tensor<float, 2> one({60, 500}), two({60, 500});
    activation(kind, x, one, ctx);
    activation(kind, x, two, threaded);
    EXPECT_TRUE(same_bits(one.elements(), two.elements()));
  }
}

TEST_P(ActivationOp, EmptyTensorsAndErrors) {
  Tensor<float, 2> none({0, 4}), x({2, 3}), y({2, 3}), other({3, 2}), wide({2, 6});
  EXPECT_NO_THROW(silu(none, none, ctx));
  EXPECT_NO_THROW(gated_activation(Activation::silu, none, none, none, ctx));
  EXPECT_THROW(silu(x, other, ctx), ShapeError);
  EXPECT_THROW(gelu(other.transpose(0, 1), y, ctx), ShapeError);
  EXPECT_THROW(gated_activation(Activation::silu, x, other, y, ctx), ShapeError);
  EXPECT_THROW(gated_activation(Activation::silu, x, x, other, ctx), ShapeError);
  EXPECT_THROW(gated_activation(Activation::silu, x, wide.narrow(1, 0, 3), y, ctx), ShapeError);
  EXPECT_NO_THROW(gated_activation(Activation::silu, wide.narrow(1, 0, 3), wide.narrow(1, 3, 3), y, ctx));
}

}  // namespace
