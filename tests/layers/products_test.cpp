#include <weft/layers/products.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

#include <weft/core/thread_pool.hpp>

#include "random_weights.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

constexpr std::size_t k = 37;

bool same_bits(const Tensor<float, 2>& a, const Tensor<float, 2>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

double silu(double x) { return x / (1.0 + std::exp(-x)); }

TEST(Products, BiasesWithoutElementsAreNone) {
  EXPECT_EQ(detail::bias_or_null(Tensor<float, 1>()), nullptr);
  const Tensor<float, 1> bias({3});
  EXPECT_EQ(detail::bias_or_null(bias), bias.data());
}

TEST(Products, ScratchHasTheShapeThatIsAskedFor) {
  Tensor<float, 2> memory({6, 10});
  const TensorView<float, 2> rows = detail::scratch_rows(memory.view(), 4, 15);
  EXPECT_EQ(rows.extents(), (Dims<2>{4, 15}));
  EXPECT_EQ(rows.data(), memory.data());
  EXPECT_TRUE(rows.is_contiguous());
}

// Rows of one and several panels, with one thread and with two, of a product small and one large enough to be divided.
TEST(Products, AreAddedOnto) {
  Numbers numbers(1);
  ThreadPool pool(2);
  for (const std::size_t tokens : {1u, 9u})
    for (const std::size_t rows : {3u, 700u}) {
      const Tensor<float, 2> x = numbers.tensor<2>({tokens, k}), before = numbers.tensor<2>({tokens, rows});
      const AnyTensor weight = numbers.matrix(DType::f32, rows, k);
      const Tensor<float, 1> bias = numbers.vector(rows);
      for (const cpu::Kernels* kernels : all_kernels())
        for (Executor* executor : {static_cast<Executor*>(nullptr), static_cast<Executor*>(&pool)}) {
          const LayerContext ctx{{.kernels = kernels, .executor = executor}, nullptr};
          Tensor<float, 2> y({tokens, rows}), alone({tokens, rows}), onto = before;
          linear_onto(x, weight, bias.data(), alone, ctx, std::nullopt);
          EXPECT_LT(max_difference(alone, naive_linear(rows_of(x), weight, bias)), 1e-4);
          linear_onto(x, weight, bias.data(), y, ctx, onto.view());
          EXPECT_TRUE(same_bits(y, alone));
          for (std::size_t i = 0; i < onto.size(); ++i)
            ASSERT_EQ(onto.data()[i], before.data()[i] + alone.data()[i]) << kernels->name << " " << i;
        }
    }
}

TEST(Products, NothingIsDoneWhereTheResidualDoesNotFit) {
  Numbers numbers(2);
  const Tensor<float, 2> x = numbers.tensor<2>({2, k});
  const AnyTensor weight = numbers.matrix(DType::f32, 5, k);
  Tensor<float, 2> y({2, 5}), narrow({2, 4});
  EXPECT_THROW(linear_onto(x, weight, nullptr, y, {}, narrow.view()), ShapeError);
  for (const float value : y.elements()) EXPECT_EQ(value, 0.f);
}

TEST(Products, AreActivatedWithTheirBiases) {
  Numbers numbers(3);
  ThreadPool pool(2);
  const std::size_t tokens = 7, rows = 300;
  const Tensor<float, 2> x = numbers.tensor<2>({tokens, k});
  const AnyTensor a = numbers.matrix(DType::bf16, rows, k), b = numbers.matrix(DType::bf16, rows, k);
  const Tensor<float, 1> a_bias = numbers.vector(rows), b_bias = numbers.vector(rows);
  Rows activated = naive_linear(rows_of(x), a, a_bias), gated = naive_linear(rows_of(x), b, b_bias);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t i = 0; i < rows; ++i) gated[t][i] *= activated[t][i] = silu(activated[t][i]);
  for (const cpu::Kernels* kernels : all_kernels()) {
    const LayerContext ctx{{.kernels = kernels, .executor = &pool}, nullptr};
    Tensor<float, 2> y({tokens, rows}), gate({tokens, rows}), up({tokens, rows});
    activated_linear(Activation::silu, x, {a, y, a_bias.data()}, ctx);
    EXPECT_LT(max_difference(y, activated), 1e-4) << kernels->name;
    gated_linear(Activation::silu, x, {a, gate, a_bias.data()}, {b, up, b_bias.data()}, ctx);
    EXPECT_LT(max_difference(up, gated), 2e-4) << kernels->name;
  }
}

}  // namespace
