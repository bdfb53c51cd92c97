#include <weft/ops/quantize.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/thread_pool.hpp>
#include <weft/ops/embedding.hpp>

#include "../cpu/instruction_sets.hpp"

namespace {

using namespace weft;
using weft::testing::any_tensor;
using weft::testing::EveryIsa;
using weft::testing::isa_name;
using weft::testing::nan;
using weft::testing::near;
using weft::testing::random_floats;
using weft::testing::same_bits;

constexpr DType weight_types[]{DType::f32,  DType::f16,    DType::bf16,  DType::q8_0, DType::q4_0,
                               DType::q4_1, DType::q5_0,   DType::q5_1,  DType::q4_k, DType::q5_k,
                               DType::q6_k, DType::q8_128, DType::q8_row};

class QuantizedLinear : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Isa, QuantizedLinear, ::testing::ValuesIn(cpu::all_isas), isa_name);

/// A matrix of random values with a few large ones, as a tensor of `dtype` in rows.
AnyTensor random_weight(DType dtype, std::size_t rows, std::size_t k, std::uint64_t seed) {
  std::vector<float> values = random_floats(rows * k, seed);
  for (std::size_t i = 0; i < values.size(); i += 97) values[i] *= 4.f;
  return convert_weight(any_tensor<float>({rows, k}, values), dtype, Layout::rows);
}

std::vector<float> widened(const AnyTensor& weight) {
  std::vector<float> values(weight.size());
  const std::size_t k = weight.extent(1);
  for (std::size_t r = 0; r < weight.extent(0); ++r)
    dequantize_row(weight.dtype(), weight.bytes().data() + r * bytes_of(weight.dtype(), k), k, values.data() + r * k);
  return values;
}

/// What the tokens of a product with a block format are rounded to: 32 at a time to multiples of the smallest power of
/// two of which 127 reach the largest, ties to even.
std::vector<double> rounded_tokens(std::span<const float> x, std::size_t k) {
  std::vector<double> result(x.size());
  for (std::size_t row = 0; row < x.size(); row += k)
    for (std::size_t begin = 0; begin < k; begin += 32) {
      const std::size_t n = std::min<std::size_t>(32, k - begin);
      double largest = 0;
      for (std::size_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(double{x[row + begin + i]}));
      double unit = 0x1p-60;
      while (largest > 127 * unit) unit *= 2;
      for (std::size_t i = 0; i < n; ++i)
        result[row + begin + i] = std::nearbyint(double{x[row + begin + i]} / unit) * unit;
    }
  return result;
}

std::vector<double> product(std::span<const double> x, std::span<const float> weight, std::size_t tokens,
                            std::size_t rows, std::size_t k) {
  std::vector<double> y(tokens * rows);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t i = 0; i < k; ++i) y[t * rows + r] += x[t * k + i] * double{weight[r * k + i]};
  return y;
}

Tensor<float, 2> run(const cpu::Context& ctx, TensorView<const float, 2> x, const AnyTensor& weight) {
  auto y = Tensor<float, 2>({x.extent(0), weight.extent(0)});
  std::fill_n(y.data(), y.size(), nan);
  linear(x, weight, y, ctx);
  return y;
}

TEST_P(QuantizedLinear, MatchesTheDoubleReferenceAtEqualTokens) {
  for (const DType dtype : weight_types) {
    if (!is_block_format(dtype)) continue;
    for (const std::size_t k : {256u, 768u, 2816u})
      for (const std::size_t tokens : {1u, 3u, 8u, 19u}) {
        constexpr std::size_t rows = 77;
        const AnyTensor weight = random_weight(dtype, rows, k, k + tokens);
        const auto x = random_floats<2>({tokens, k}, k);
        const std::vector<float> w = widened(weight);
        const double tolerance = 0x1p-18 * (std::sqrt(static_cast<double>(k)) + 2);
        ctx.compute = Compute::native;
        const auto native = product(rounded_tokens(x.elements(), k), w, tokens, rows, k);
        EXPECT_TRUE(near(run(ctx, x, weight).elements(), native, tolerance))
            << name(dtype) << " " << k << " " << tokens;
        ctx.compute = Compute::f32;
        const std::vector<double> exact(x.elements().begin(), x.elements().end());
        EXPECT_TRUE(near(run(ctx, x, weight).elements(), product(exact, w, tokens, rows, k), tolerance))
            << name(dtype) << " " << k << " " << tokens << " in float";
      }
  }
}

TEST_P(QuantizedLinear, BitsDependNeitherOnLayoutNorThreadsNorDivision) {
  constexpr std::size_t tokens = 23, rows = 100, k = 1280;
  const auto x = random_floats<2>({tokens, k}, 1);
  ThreadPool two(2), three(3);
  for (const DType dtype : weight_types)
    for (const Compute compute : {Compute::f32, Compute::native}) {
      ctx.compute = compute;
      ctx.executor = nullptr;
      const AnyTensor weight = random_weight(dtype, rows, k, 2);
      const auto whole = run(ctx, x, weight);
      for (const AnyTensor& same : {weight, to_panels(weight, ctx)})
        for (Executor* executor :
             {static_cast<Executor*>(nullptr), static_cast<Executor*>(&two), static_cast<Executor*>(&three)})
          for (const std::size_t group : {1u, 2u, 5u, 7u, 9u, 23u}) {
            ctx.executor = executor;
            for (std::size_t begin = 0; begin < tokens; begin += group) {
              const std::size_t n = std::min(group, tokens - begin);
              const auto part = run(ctx, x.view().narrow(0, begin, n), same);
              ASSERT_TRUE(same_bits(part.elements(), whole.elements().subspan(begin * rows, n * rows)))
                  << name(dtype) << " tokens " << begin << " by " << group;
            }
          }
    }
}

TEST_P(QuantizedLinear, TokensThatAreNoNumbersGiveNone) {
  constexpr std::size_t tokens = 7, rows = 40, k = 256;
  ctx.compute = Compute::native;
  for (const DType dtype : weight_types) {
    if (!is_block_format(dtype)) continue;
    const AnyTensor weight = random_weight(dtype, rows, k, 1);
    for (const float special : {nan, weft::testing::infinity, -1e30f}) {
      auto x = random_floats<2>({tokens, k}, 2);
      const auto before = run(ctx, x, weight);
      x(2, k - 1) = special;
      const auto after = run(ctx, x, weight);
      for (std::size_t t = 0; t < tokens; ++t)
        for (std::size_t r = 0; r < rows; ++r) {
          if (t == 2) {
            EXPECT_TRUE(std::isnan(after(t, r)));
          } else {
            EXPECT_EQ(after(t, r), before(t, r));
          }
        }
    }
  }
}

TEST_P(QuantizedLinear, ScalesOfZeroAndNoNumberStayInTheirRow) {
  constexpr std::size_t rows = 33, k = 64;
  ctx.compute = Compute::native;
  std::vector<std::byte> bytes(rows * bytes_of(DType::q8_0, k), std::byte{5});
  const auto set_scale = [&](std::size_t row, half scale) {
    for (std::size_t block = 0; block < 2; ++block)
      std::memcpy(bytes.data() + row * bytes_of(DType::q8_0, k) + 34 * block, &scale, sizeof scale);
  };
  for (std::size_t r = 0; r < rows; ++r) set_scale(r, half(0.5f));
  set_scale(3, half(0.f));
  set_scale(4, half(-0.f));
  set_scale(5, half(weft::testing::infinity));
  set_scale(6, half(nan));
  set_scale(7, half(0x1p-24f));
  const AnyTensor weight(DType::q8_0, {rows, k}, bytes, nullptr);
  for (const float magnitude : {1.f, 1e-6f, 1e6f}) {
    Tensor<float, 2> x({1, k});
    std::fill_n(x.data(), k, magnitude);
    const auto y = run(ctx, x, weight);
    const float expected = y(0, 0);
    EXPECT_NEAR(expected / (0.5f * 5.f * magnitude * static_cast<float>(k)), 1.f, 0.02f);
    EXPECT_EQ(y(0, 3), 0.f);
    EXPECT_EQ(y(0, 4), 0.f);
    EXPECT_FALSE(std::isfinite(y(0, 5)));
    EXPECT_TRUE(std::isnan(y(0, 6)));
    EXPECT_NEAR(y(0, 7) / (0x1p-23f * expected), 1.f, 1e-5f);
    EXPECT_EQ(y(0, 32), expected);
  }
}

TEST_P(QuantizedLinear, AnEpilogueSeesEveryRowOnceAndDone) {
  constexpr std::size_t tokens = 3, rows = 200, k = 256;
  ThreadPool pool(2);
  ctx.executor = &pool;
  const AnyTensor a = random_weight(DType::q4_0, rows, k, 1), b = random_weight(DType::f32, rows, k, 2);
  const auto x = random_floats<2>({tokens, k}, 3);
  Tensor<float, 2> ya({tokens, rows}), yb({tokens, rows}), sum({tokens, rows});
  const LinearOutput outputs[]{{a, ya}, {b, yb}};
  std::vector<int> seen(rows);
  const auto add = [&](std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r) {
      ++seen[r];
      for (std::size_t t = 0; t < tokens; ++t) sum(t, r) = ya(t, r) + yb(t, r);
    }
  };
  linear(x, outputs, ctx, LinearEpilogue(add));
  EXPECT_EQ(seen, std::vector<int>(rows, 1));
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t r = 0; r < rows; ++r) EXPECT_EQ(sum(t, r), ya(t, r) + yb(t, r));
  const AnyTensor fewer = random_weight(DType::f32, rows - 1, k, 2);
  Tensor<float, 2> short_y({tokens, rows - 1});
  const LinearOutput unequal[]{{a, ya}, {fewer, short_y}};
  EXPECT_THROW(linear(x, unequal, ctx, LinearEpilogue(add)), ShapeError);
}

TEST_P(QuantizedLinear, SingleRowsAreWidenedExactly) {
  for (const DType dtype : weight_types)
    for (const std::size_t k : {256u, 1280u}) {
      constexpr std::size_t rows = 70;
      const AnyTensor weight = random_weight(dtype, rows, k, 4);
      const std::vector<float> expected = widened(weight);
      for (const AnyTensor& same : {weight, to_panels(weight, ctx)}) {
        std::vector<float> row(k);
        for (const std::size_t r : {0u, 31u, 32u, 69u}) {
          weight_row(same, r, row.data(), ctx);
          EXPECT_TRUE(near(row,
                           std::vector<double>(expected.begin() + static_cast<std::ptrdiff_t>(r * k),
                                               expected.begin() + static_cast<std::ptrdiff_t>((r + 1) * k)),
                           1e-6))
              << name(dtype) << " row " << r;
        }
        EXPECT_THROW(weight_row(same, rows, row.data(), ctx), ShapeError);
        Tensor<float, 2> y({2, k});
        const std::vector<TokenId> ids{69, 3};
        embedding(ids, same, y, ctx);
        weight_row(same, 3, row.data(), ctx);
        EXPECT_TRUE(same_bits(y.elements().subspan(k), row)) << name(dtype);
      }
    }
}

TEST(ConvertWeight, GivesTheRowsThatQuantizeRowGives) {
  ThreadPool pool(2);
  const cpu::Context ctx{.executor = &pool};
  const std::vector<float> values = random_floats(50 * 256, 1);
  const AnyTensor floats = any_tensor<float>({50, 256}, values);
  for (const DType dtype : weight_types) {
    const AnyTensor rows = convert_weight(floats, dtype, Layout::rows, ctx);
    std::vector<std::byte> expected(bytes_of(dtype, 256));
    for (std::size_t r = 0; r < 50; ++r) {
      quantize_row(dtype, values.data() + r * 256, 256, expected.data());
      EXPECT_EQ(std::memcmp(rows.bytes().data() + r * expected.size(), expected.data(), expected.size()), 0);
    }
    const AnyTensor panels = convert_weight(floats, dtype, Layout::panels, ctx);
    EXPECT_EQ(panels.layout(), Layout::panels);
    EXPECT_TRUE(std::ranges::equal(panels.bytes(), to_panels(rows, ctx).bytes())) << name(dtype);
    const AnyTensor back = convert_weight(panels, DType::f32, Layout::rows, ctx);
    EXPECT_TRUE(std::ranges::equal(back.bytes(), convert_weight(rows, DType::f32, Layout::rows, ctx).bytes()))
        << name(dtype);
  }
  EXPECT_EQ(convert_weight(floats, DType::f32, Layout::rows, ctx).bytes().data(), floats.bytes().data());
  EXPECT_THROW(convert_weight(floats, DType::i32, Layout::rows, ctx), UnsupportedError);
  EXPECT_THROW(convert_weight(any_tensor<float>({2, 40}, random_floats(80, 1)), DType::q4_k, Layout::rows, ctx),
               ShapeError);
}

TEST(ConvertWeight, KeepsTheNumbersOfFormatsThatHaveNoKernels) {
  for (const DType dtype : {DType::q3_k, DType::iq4_nl}) {
    const AnyTensor weight = random_weight(dtype, 37, 512, 5);
    const AnyTensor rows = convert_weight(weight, kernel_dtype(dtype), Layout::rows);
    EXPECT_EQ(widened(rows), widened(weight)) << name(dtype);
    const AnyTensor panels = convert_weight(weight, kernel_dtype(dtype), Layout::panels);
    EXPECT_TRUE(std::ranges::equal(panels.bytes(), to_panels(rows).bytes())) << name(dtype);
    EXPECT_THROW(run({}, random_floats<2>({1, 512}, 1), weight), UnsupportedError) << name(dtype);
  }
}

}  // namespace
