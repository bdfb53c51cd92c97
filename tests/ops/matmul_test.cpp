#include <weft/ops/matmul.hpp>

#include <cmath>
#include <cstddef>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/thread_pool.hpp>

#include "../cpu/instruction_sets.hpp"
#include "layouts.hpp"

namespace {

using namespace weft;
using weft::testing::EveryIsa;
using weft::testing::for_each_layout;
using weft::testing::infinity;
using weft::testing::isa_name;
using weft::testing::nan;
using weft::testing::random_floats;
using weft::testing::random_tensor;
using weft::testing::same_bits;

class Matmul : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Isa, Matmul, ::testing::ValuesIn(cpu::all_isas), isa_name);

/// The product of two matrices in double.
template <class A, class B>
double product(const A& a, const B& b, std::size_t row, std::size_t column) {
  double sum = 0;
  for (std::size_t i = 0; i < a.extent(1); ++i)
    sum += static_cast<double>(static_cast<float>(a(row, i))) * static_cast<double>(static_cast<float>(b(i, column)));
  return sum;
}

template <class A, class B, class Y>
void expect_product(const A& a, const B& b, const Y& y, double tolerance) {
  ASSERT_EQ(y.extents(), (Dims<2>{a.extent(0), b.extent(1)}));
  for (std::size_t m = 0; m < y.extent(0); ++m)
    for (std::size_t n = 0; n < y.extent(1); ++n) ASSERT_NEAR(y(m, n), product(a, b, m, n), tolerance) << m << " " << n;
}

TEST_P(Matmul, MatchesTheDoubleReferenceForOddSizes) {
  for (const std::size_t k : {1u, 3u, 16u, 17u, 33u, 100u, 2049u})
    for (const std::size_t m : {1u, 2u, 5u, 17u})
      for (const std::size_t n : {1u, 4u, 7u, 130u}) {
        const auto a = random_floats<2>({m, k}, k), b = random_floats<2>({k, n}, m);
        Tensor<float, 2> y({m, n});
        matmul(a, b, y, ctx);
        expect_product(a, b, y, 0x1p-18 * (std::sqrt(static_cast<double>(k)) + 2));
        EXPECT_TRUE(same_bits(matmul(a, b, ctx).elements(), y.elements()));
      }
}

TEST_P(Matmul, TakesEveryTypeInEveryLayout) {
  // Small multiples of 1/8: sums are exact.
  const auto check = [&]<class A, class B>(A, B) {
    const auto a = random_tensor<A, 2>({5, 19}, 1);
    const auto b = random_tensor<B, 2>({19, 6}, 2);
    for_each_layout(a, [&](const auto& va) {
      for_each_layout(b, [&](const auto& vb) { expect_product(a, b, matmul(va, vb, ctx), 0.0); });
    });
  };
  check(float{}, float{});
  check(float{}, half{});
  check(float{}, bfloat16{});
  check(half{}, half{});
  check(bfloat16{}, float{});
  check(half{}, bfloat16{});
}

TEST_P(Matmul, TransposesAreViews) {
  const auto a = random_tensor<float, 2>({9, 4}, 1), b = random_tensor<float, 2>({7, 9}, 2);
  expect_product(a.transpose(0, 1), b.transpose(0, 1), matmul(a.transpose(0, 1), b.transpose(0, 1), ctx), 0.0);
}

TEST_P(Matmul, WritesIntoEveryLayout) {
  const auto a = random_tensor<float, 2>({5, 8}, 1), b = random_tensor<float, 2>({8, 6}, 2);
  Tensor<float, 2> columns({6, 5}), wide({5, 13});
  matmul(a, b, columns.transpose(0, 1), ctx);
  expect_product(a, b, columns.transpose(0, 1), 0.0);
  const auto gaps = wide.view().slice(1, 1, 13, 2);
  matmul(a, b, gaps, ctx);
  expect_product(a, b, gaps, 0.0);
  for (std::size_t m = 0; m < 5; ++m) EXPECT_EQ(wide(m, 0), 0.f);
  matmul(a, b, wide.narrow(1, 4, 6), ctx);
  expect_product(a, b, wide.view().narrow(1, 4, 6), 0.0);
}

TEST_P(Matmul, LeadingDimensionsBroadcast) {
  const auto a = random_tensor<float, 4>({2, 1, 3, 5}, 1);
  const auto b = random_tensor<float, 3>({4, 5, 6}, 2);
  const auto y = matmul(a, b, ctx);
  ASSERT_EQ(y.extents(), (Dims<4>{2, 4, 3, 6}));
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 4; ++j)
      expect_product(a.select(0, i).select(0, 0), b.select(0, j), y.select(0, i).select(0, j), 0.0);
  const auto matrix = random_tensor<float, 2>({5, 6}, 3);
  const auto z = matmul(a, matrix, ctx);
  ASSERT_EQ(z.extents(), (Dims<4>{2, 1, 3, 6}));
  expect_product(a.select(0, 1).select(0, 0), matrix, z.select(0, 1).select(0, 0), 0.0);
  const auto row = random_tensor<float, 2>({1, 5}, 4);
  const auto w = matmul(row, b, ctx);
  ASSERT_EQ(w.extents(), (Dims<3>{4, 1, 6}));
  expect_product(row, b.select(0, 3), w.select(0, 3), 0.0);
  // A row repeated by broadcasting, that is with stride 0.
  const auto repeated = row.broadcast_to(Dims<2>{7, 5});
  expect_product(repeated, matrix, matmul(repeated, matrix, ctx), 0.0);
}

TEST_P(Matmul, BitsDoNotDependOnThreads) {
  const auto a = random_floats<2>({40, 300}, 1), b = random_floats<2>({300, 200}, 2);
  ThreadPool pool(2);
  cpu::Context threaded = ctx;
  threaded.executor = &pool;
  EXPECT_TRUE(same_bits(matmul(a, b, ctx).elements(), matmul(a, b, threaded).elements()));
}

TEST_P(Matmul, NaNAndInfinityStayInTheirRowAndColumn) {
  auto a = random_floats<2>({4, 20}, 1), b = random_floats<2>({20, 5}, 2);
  a(1, 19) = nan;
  b(0, 3) = infinity;
  const auto y = matmul(a, b, ctx);
  for (std::size_t m = 0; m < 4; ++m)
    for (std::size_t n = 0; n < 5; ++n) EXPECT_EQ(std::isfinite(y(m, n)), m != 1 && n != 3);
}

TEST_P(Matmul, EmptyProducts) {
  EXPECT_EQ(matmul(Tensor<float, 2>({0, 3}), Tensor<float, 2>({3, 2}), ctx).size(), 0u);
  EXPECT_EQ(matmul(Tensor<float, 3>({0, 2, 3}), Tensor<float, 2>({3, 2}), ctx).extents(), (Dims<3>{0, 2, 2}));
  Tensor<float, 2> y({2, 2}, {nan, nan, nan, nan});
  matmul(Tensor<float, 2>({2, 0}), Tensor<float, 2>({0, 2}), y, ctx);
  for (const float value : y.elements()) EXPECT_EQ(value, 0.f) << "a sum of nothing";
}

TEST_P(Matmul, WhatDoesNotFitIsAnError) {
  const Tensor<float, 2> a({2, 3}), b({3, 4});
  Tensor<float, 2> y({2, 4});
  EXPECT_NO_THROW(matmul(a, b, y, ctx));
  EXPECT_THROW(matmul(a, Tensor<float, 2>({4, 4}), y, ctx), ShapeError);
  EXPECT_THROW(matmul(a, b, Tensor<float, 2>({3, 4}), ctx), ShapeError);
  EXPECT_THROW(matmul(a, b, Tensor<float, 2>({2, 3}), ctx), ShapeError);
  EXPECT_THROW(matmul(a, Tensor<float, 2>({4, 4}), ctx), ShapeError);
  EXPECT_THROW(matmul(Tensor<float, 3>({2, 2, 3}), Tensor<float, 3>({3, 3, 4}), ctx), ShapeError);
  Tensor<float, 3> batch({2, 2, 4});
  EXPECT_THROW(matmul(Tensor<float, 3>({3, 2, 3}), b, batch, ctx), ShapeError);
  EXPECT_THROW(matmul(Tensor<std::int32_t, 2>({2, 3}), Tensor<std::int32_t, 2>({3, 4}), y, ctx), UnsupportedError);
}

}  // namespace
