#include <weft/ops/linear.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/thread_pool.hpp>

#include "../cpu/guarded_memory.hpp"
#include "../cpu/instruction_sets.hpp"

namespace {

using namespace weft;
using weft::testing::any_tensor;
using weft::testing::elements_of;
using weft::testing::EveryIsa;
using weft::testing::Guarded;
using weft::testing::infinity;
using weft::testing::isa_name;
using weft::testing::nan;
using weft::testing::near;
using weft::testing::random_floats;
using weft::testing::rounded;
using weft::testing::same_bits;
using weft::testing::sizes;

class Linear : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Isa, Linear, ::testing::ValuesIn(cpu::all_isas), isa_name);

/// Calls f(T{}) with every weight type.
template <class F>
void for_each_weight_type(F&& f) {
  f(float{});
  f(half{});
  f(bfloat16{});
}

/// x (tokens, k) times the transpose of weight (rows, k).
std::vector<double> product(std::span<const double> x, std::span<const double> weight, std::size_t tokens,
                            std::size_t rows, std::size_t k) {
  std::vector<double> y(tokens * rows);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t i = 0; i < k; ++i) y[t * rows + r] += x[t * k + i] * weight[r * k + i];
  return y;
}

/// What float sums of k products below 1 may be off: the partial sums grow like the root of k.
double tolerance(std::size_t k) { return 0x1p-19 * (std::sqrt(static_cast<double>(k)) + 2); }

Tensor<float, 2> run(const cpu::Context& ctx, TensorView<const float, 2> x, const AnyTensor& weight,
                     const float* bias = nullptr) {
  auto y = Tensor<float, 2>({x.extent(0), weight.extent(0)});
  std::fill_n(y.data(), y.size(), nan);
  linear(x, weight, y, ctx, bias);
  return y;
}

TEST_P(Linear, MatchesTheDoubleReferenceForEveryLength) {
  constexpr std::size_t tokens = 7, rows = 6;
  for (const std::size_t k : sizes) {
    const auto x = random_floats<2>({tokens, k}, k);
    const std::vector<float> w = random_floats(rows * k, k + 1);
    for_each_weight_type([&]<class T>(T) {
      const auto expected = product(rounded<float>(x.elements()), rounded<T>(w), tokens, rows, k);
      const auto y = run(ctx, x, any_tensor<T>({rows, k}, w));
      EXPECT_TRUE(near(y.elements(), expected, tolerance(k))) << name(dtype_of<T>) << " k " << k;
    });
  }
}

TEST_P(Linear, MatchesTheDoubleReferenceForEveryNumberOfTokensAndRows) {
  constexpr std::size_t k = 45;
  for (const std::size_t tokens : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 11u, 13u, 37u})
    for (const std::size_t rows : {1u, 2u, 3u, 4u, 5u, 63u, 127u, 128u, 129u, 130u, 257u}) {
      const auto x = random_floats<2>({tokens, k}, tokens);
      const std::vector<float> w = random_floats(rows * k, rows);
      for_each_weight_type([&]<class T>(T) {
        const auto expected = product(rounded<float>(x.elements()), rounded<T>(w), tokens, rows, k);
        const auto y = run(ctx, x, any_tensor<T>({rows, k}, w));
        EXPECT_TRUE(near(y.elements(), expected, tolerance(k))) << name(dtype_of<T>) << " " << tokens << " " << rows;
      });
    }
}

TEST_P(Linear, IsExactWhereEverySumIs) {
  // Multiples of 1/8 in [-2, 2): every type holds them and every sum of their products is a float, in any order.
  constexpr std::size_t tokens = 4, rows = 5;
  for (const Compute compute : {Compute::f32, Compute::native})
    for (const std::size_t k : sizes) {
      std::vector<float> values = random_floats((tokens + rows) * k, k, 2.f);
      for (float& value : values) value = std::floor(value * 8.f) / 8.f;
      const Tensor<float, 2> x({tokens, k}, std::span<const float>(values).first(tokens * k));
      const std::span<const float> w = std::span<const float>(values).subspan(tokens * k);
      const auto expected = product(rounded<float>(x.elements()), rounded<float>(w), tokens, rows, k);
      ctx.compute = compute;
      for_each_weight_type([&]<class T>(T) {
        const auto y = run(ctx, x, any_tensor<T>({rows, k}, w));
        EXPECT_TRUE(near(y.elements(), expected, 0.0)) << name(dtype_of<T>) << " k " << k;
      });
    }
}

TEST_P(Linear, NativeBfloat16RoundsTheTokens) {
  constexpr std::size_t tokens = 7, rows = 9;
  for (const std::size_t k : sizes) {
    const auto x = random_floats<2>({tokens, k}, k);
    const std::vector<float> w = random_floats(rows * k, k + 1);
    const AnyTensor weight = any_tensor<bfloat16>({rows, k}, w);
    const auto in_float = run(ctx, x, weight);
    cpu::Context native = ctx;
    native.compute = Compute::native;
    const auto y = run(native, x, weight);
    if (ctx.kernels->tile_bf16) {
      const auto expected = product(rounded<bfloat16>(x.elements()), rounded<bfloat16>(w), tokens, rows, k);
      EXPECT_TRUE(near(y.elements(), expected, tolerance(k))) << k;
    } else {
      EXPECT_TRUE(same_bits(y.elements(), in_float.elements())) << k;
    }
    const AnyTensor halves = any_tensor<half>({rows, k}, w);
    EXPECT_TRUE(same_bits(run(native, x, halves).elements(), run(ctx, x, halves).elements()));
  }
}

TEST_P(Linear, BitsDoNotDependOnThreadsNorOnHowTokensAreDivided) {
  constexpr std::size_t tokens = 23, rows = 300, k = 2500;
  const auto x = random_floats<2>({tokens, k}, 1);
  const std::vector<float> w = random_floats(rows * k, 2);
  ThreadPool two(2), three(3);
  for (const Compute compute : {Compute::f32, Compute::native}) {
    ctx.compute = compute;
    for_each_weight_type([&]<class T>(T) {
      const AnyTensor weight = any_tensor<T>({rows, k}, w);
      const auto whole = run(ctx, x, weight);
      for (ThreadPool* pool : {&two, &three}) {
        cpu::Context threaded = ctx;
        threaded.executor = pool;
        EXPECT_TRUE(same_bits(run(threaded, x, weight).elements(), whole.elements())) << name(dtype_of<T>);
      }
      for (const std::size_t group : {1u, 2u, 5u, 7u})
        for (std::size_t begin = 0; begin < tokens; begin += group) {
          const std::size_t n = std::min(group, tokens - begin);
          const auto part = run(ctx, x.view().narrow(0, begin, n), weight);
          EXPECT_TRUE(same_bits(part.elements(), whole.elements().subspan(begin * rows, n * rows)))
              << name(dtype_of<T>) << " tokens " << begin << " by " << group;
        }
    });
  }
}

TEST_P(Linear, SeveralOutputsAtOnceGiveTheBitsOfOneByOne) {
  constexpr std::size_t tokens = 5, k = 333;
  const auto x = random_floats<2>({tokens, k}, 1);
  const std::vector<float> w = random_floats(200 * k, 2), bias = random_floats(200, 3);
  const AnyTensor a = any_tensor<float>({200, k}, w);
  const AnyTensor b = any_tensor<bfloat16>({3, k}, std::span<const float>(w).first(3 * k));
  const AnyTensor none = any_tensor<float>({0, k}, {});
  const AnyTensor c = any_tensor<half>({131, k}, std::span<const float>(w).first(131 * k));
  ThreadPool pool(2);
  for (const Compute compute : {Compute::f32, Compute::native})
    for (Executor* executor : {static_cast<Executor*>(nullptr), static_cast<Executor*>(&pool)}) {
      ctx.compute = compute;
      ctx.executor = executor;
      Tensor<float, 2> ya({tokens, 200}), yb({tokens, 3}), yn({tokens, 0}), yc({tokens, 131});
      const LinearOutput outputs[]{{a, ya, bias.data()}, {b, yb}, {none, yn}, {c, yc, bias.data()}};
      linear(x, outputs, ctx);
      EXPECT_TRUE(same_bits(ya.elements(), run(ctx, x, a, bias.data()).elements()));
      EXPECT_TRUE(same_bits(yb.elements(), run(ctx, x, b).elements()));
      EXPECT_TRUE(same_bits(yc.elements(), run(ctx, x, c, bias.data()).elements()));
    }
  linear(x, std::span<const LinearOutput>(), ctx);
}

TEST_P(Linear, BiasIsAddedToTheProduct) {
  constexpr std::size_t tokens = 3, rows = 131, k = 20;
  const auto x = random_floats<2>({tokens, k}, 1);
  const AnyTensor weight = any_tensor<float>({rows, k}, random_floats(rows * k, 2));
  const std::vector<float> bias = random_floats(rows, 3, 5.f);
  const auto without = run(ctx, x, weight);
  const auto with = run(ctx, x, weight, bias.data());
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t r = 0; r < rows; ++r) EXPECT_EQ(with(t, r), without(t, r) + bias[r]);
}

TEST_P(Linear, TakesRowsWithGapsAndMisalignedElements) {
  constexpr std::size_t tokens = 5, rows = 10, k = 67;
  const auto wide = random_floats<2>({tokens, k + 9}, 1);
  const auto x = wide.view().narrow(1, 1, k);
  const std::vector<float> w = random_floats(rows * k + 1, 2);
  for_each_weight_type([&]<class T>(T) {
    const std::vector<T> elements = elements_of<T>(w);
    const AnyTensor odd(dtype_of<T>, {rows, k}, std::as_bytes(std::span(elements).subspan(1)), nullptr);
    Tensor<float, 2> memory({tokens, rows + 4});
    std::fill_n(memory.data(), memory.size(), 77.f);
    linear(x, odd, memory.view().narrow(1, 3, rows), ctx);
    const auto expected = run(ctx, x.contiguous(), any_tensor<T>({rows, k}, std::span<const float>(w).subspan(1)));
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t c = 0; c < rows + 4; ++c)
        EXPECT_EQ(memory(t, c), c >= 3 && c < rows + 3 ? expected(t, c - 3) : 77.f) << t << " " << c;
  });
}

TEST_P(Linear, TouchesNothingBeyondItsOperands) {
  for (const std::size_t k : {1u, 3u, 8u, 15u, 16u, 17u, 31u, 32u, 33u, 65u, 2047u, 2049u})
    for (const std::size_t rows : {1u, 3u, 5u, 130u})
      for (const std::size_t tokens : {1u, 2u, 5u, 7u}) {
        const Guarded<float> x(random_floats(tokens * k, k)), bias(random_floats(rows, 3));
        const std::vector<float> w = random_floats(rows * k, 2);
        for (const Compute compute : {Compute::f32, Compute::native})
          for_each_weight_type([&]<class T>(T) {
            Guarded<T> memory(elements_of<T>(w));
            memory.protect();
            const AnyTensor weight(dtype_of<T>, {rows, k}, std::as_bytes(memory.elements()), nullptr);
            Guarded<float> y(tokens * rows);
            cpu::Context how = ctx;
            how.compute = compute;
            linear(TensorView<const float, 2>(x.data(), {tokens, k}), weight,
                   TensorView<float, 2>(y.data(), {tokens, rows}), how, bias.data());
            EXPECT_TRUE(std::isfinite(y[0]));
          });
      }
}

TEST_P(Linear, NaNAndInfinityStayInTheirTokenAndRow) {
  constexpr std::size_t tokens = 7, rows = 9;
  for (const std::size_t k : {5u, 33u, 2100u})
    for (const float special : {nan, infinity})
      for (const Compute compute : {Compute::f32, Compute::native})
        for_each_weight_type([&]<class T>(T) {
          ctx.compute = compute;
          auto x = random_floats<2>({tokens, k}, 1);
          std::vector<float> w(rows * k, 0.5f);
          x(2, k - 1) = special;
          w[4 * k] = special;
          const auto y = run(ctx, x, any_tensor<T>({rows, k}, w));
          for (std::size_t t = 0; t < tokens; ++t)
            for (std::size_t r = 0; r < rows; ++r)
              EXPECT_EQ(std::isfinite(y(t, r)), t != 2 && r != 4) << t << " " << r << " " << y(t, r);
          EXPECT_TRUE(std::isnan(special) ? std::isnan(y(2, 0)) : y(2, 0) == infinity);
        });
}

TEST_P(Linear, DenormalsCountInFloat) {
  const Tensor<float, 2> x({1, 2}, {1.f, 1.f});
  const float tiny = 1e-40f;
  EXPECT_EQ(run(ctx, x, any_tensor<float>({1, 2}, std::vector<float>{tiny, tiny}))(0, 0), 2 * tiny);
  const float half_tiny = 0x1p-24f;  // the smallest half
  EXPECT_EQ(run(ctx, x, any_tensor<half>({1, 2}, std::vector<float>{half_tiny, half_tiny}))(0, 0), 2 * half_tiny);
  EXPECT_EQ(run(ctx, x, any_tensor<bfloat16>({1, 2}, std::vector<float>{0x1p-133f, 0x1p-133f}))(0, 0), 0x1p-132f);
  // Bfloat16 dot products take denormals for zeros.
  ctx.compute = Compute::native;
  EXPECT_NEAR(run(ctx, x, any_tensor<bfloat16>({1, 2}, std::vector<float>{0x1p-133f, 0x1p-133f}))(0, 0), 0.f,
              0x1p-132f);
}

TEST_P(Linear, EmptyOperands) {
  const std::vector<float> bias{1.f, 2.f, 3.f};
  Tensor<float, 2> y({2, 3});
  std::fill_n(y.data(), 6, nan);
  linear(Tensor<float, 2>({2, 0}), any_tensor<float>({3, 0}, {}), y, ctx, bias.data());
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(y.data()[i], bias[i % 3]);
  linear(Tensor<float, 2>({2, 0}), any_tensor<bfloat16>({3, 0}, {}), y, ctx);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(y.data()[i], 0.f);
  EXPECT_EQ(run(ctx, Tensor<float, 2>({0, 4}), any_tensor<float>({3, 4}, random_floats(12, 1))).size(), 0u);
  EXPECT_EQ(run(ctx, Tensor<float, 2>({2, 4}), any_tensor<float>({0, 4}, {})).size(), 0u);
}

TEST_P(Linear, AWorkspaceChangesNoBit) {
  cpu::Workspace workspace;
  cpu::Context with = ctx;
  with.workspace = &workspace;
  for (const std::size_t tokens : {9u, 1u, 4u}) {
    const auto x = random_floats<2>({tokens, 70}, tokens);
    const AnyTensor weight = any_tensor<bfloat16>({33, 70}, random_floats(33 * 70, 2));
    EXPECT_TRUE(same_bits(run(with, x, weight).elements(), run(ctx, x, weight).elements()));
  }
}

TEST_P(Linear, TakesTensorsAndViewsWhereTheyLie) {
  constexpr std::size_t tokens = 5, rows = 67, k = 45;
  const auto x = random_floats<2>({tokens, k}, 1);
  const auto bias = random_floats<1>({rows}, 2);
  const std::vector<float> values = random_floats((rows + 2) * k, 3);
  for_each_weight_type([&]<class T>(T) {
    const AnyTensor any = any_tensor<T>({rows, k}, std::span(values).subspan(k, rows * k));
    const Tensor<float, 2> expected = run(ctx, x, any, bias.data());
    const std::vector<T> elements = elements_of<T>(values);
    const TensorView<const T, 2> all(elements.data(), {rows + 2, k});
    const TensorView<const T, 2> weight = all.narrow(0, 1, rows);
    EXPECT_EQ(as_any_tensor(weight).bytes().data(), std::as_bytes(std::span(elements)).data() + k * sizeof(T));
    Tensor<float, 2> y({tokens, rows});
    linear(x, weight, y, ctx, bias.data());
    EXPECT_TRUE(same_bits(y.elements(), expected.elements()));
    std::fill_n(y.data(), y.size(), nan);
    const Tensor<T, 2> own = weight.contiguous();
    linear(x, own, y, ctx, bias.data());
    EXPECT_TRUE(same_bits(y.elements(), expected.elements()));
    EXPECT_THROW(linear(x, all.narrow(1, 1, k - 1), y, ctx), ShapeError) << "rows with gaps";
  });
}

TEST_P(Linear, WhatDoesNotFitIsAnError) {
  const Tensor<float, 2> x({2, 4});
  Tensor<float, 2> y({2, 3});
  const AnyTensor weight = any_tensor<float>({3, 4}, random_floats(12, 1));
  EXPECT_NO_THROW(linear(x, weight, y, ctx));
  EXPECT_THROW(linear(Tensor<float, 2>({2, 5}), weight, y, ctx), ShapeError);
  EXPECT_THROW(linear(Tensor<float, 2>({1, 4}), weight, y, ctx), ShapeError);
  EXPECT_THROW(linear(x, any_tensor<float>({4, 4}, random_floats(16, 1)), y, ctx), ShapeError);
  EXPECT_THROW(linear(x, any_tensor<float>({12}, random_floats(12, 1)), y, ctx), ShapeError);
  EXPECT_THROW(linear(x, any_tensor<float>({3, 4, 1}, random_floats(12, 1)), y, ctx), ShapeError);
  EXPECT_THROW(linear(x, any_tensor<double>({3, 4}, random_floats(12, 1)), y, ctx), UnsupportedError);
  EXPECT_THROW(linear(x, AnyTensor::make(DType::i8, {3, 4}, [](auto) {}), y, ctx), UnsupportedError);
  EXPECT_THROW(linear(Tensor<float, 2>({4, 2}).view().transpose(0, 1), weight, y, ctx), ShapeError);
  EXPECT_THROW(linear(x, weight, Tensor<float, 2>({3, 2}).view().transpose(0, 1), ctx), ShapeError);
  struct : Executor {
    std::size_t concurrency() const noexcept override { return 0; }
    void run(std::size_t, FunctionRef<void(std::size_t)>) override {}
  } none;
  cpu::Context idle = ctx;
  idle.executor = &none;
  EXPECT_THROW(linear(x, weight, y, idle), ConfigError);
  // None of several is calculated where one does not fit.
  std::fill_n(y.data(), y.size(), 7.f);
  Tensor<float, 2> wrong({2, 5});
  const LinearOutput outputs[]{{weight, y}, {weight, wrong}};
  EXPECT_THROW(linear(x, outputs, ctx), ShapeError);
  for (const float value : y.elements()) EXPECT_EQ(value, 7.f);
}

}  // namespace
