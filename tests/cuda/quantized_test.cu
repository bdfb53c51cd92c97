#include <weft/cuda/ops/quantized.cuh>

#include <utility>

#include <weft/quant/q4_0.hpp>
#include <weft/quant/q4_k.hpp>
#include <weft/quant/q8_0.hpp>

#include "device_test.cuh"

namespace weft {
namespace {

template <class T>
using Quantized = testing::DeviceTypeTest<T>;
TYPED_TEST_SUITE(Quantized, testing::HalfTypes);
using QuantizedOther = testing::DeviceTest;

/// A matrix in blocks of one format, and what they stand for.
struct Blocks {
  DType dtype;
  std::vector<std::byte> bytes;
  Tensor<float, 2> values;

  template <class Block>
  static Blocks make(DType dtype, std::size_t rows, std::size_t k) {
    const std::size_t each = Block::elements;
    Blocks result{dtype, std::vector<std::byte>(rows * k / each * sizeof(Block)), Tensor<float, 2>({rows, k})};
    auto source = testing::random_tensor<float, 2>({rows, k}, rows + k, 0.1);
    for (std::size_t i = 0; i < rows * k / each; ++i) {
      Block block;
      encode(source.data() + i * each, block);
      std::memcpy(result.bytes.data() + i * sizeof block, &block, sizeof block);
      decode(block, result.values.data() + i * each);
    }
    return result;
  }
  static Blocks make(DType dtype, std::size_t rows, std::size_t k) {
    if (dtype == DType::q8_0) return make<BlockQ8_0>(dtype, rows, k);
    return dtype == DType::q4_0 ? make<BlockQ4_0>(dtype, rows, k) : make<BlockQ4_K>(dtype, rows, k);
  }
};

struct Sizes {
  DType dtype;
  std::size_t tokens, rows, k;
};
constexpr Sizes shapes[] = {{DType::q8_0, 1, 1, 32},  {DType::q8_0, 3, 17, 96},  {DType::q8_0, 16, 40, 1120},
                            {DType::q4_0, 1, 1, 32},  {DType::q4_0, 9, 17, 160}, {DType::q4_0, 2, 40, 1120},
                            {DType::q4_k, 1, 1, 256}, {DType::q4_k, 8, 17, 512}, {DType::q4_k, 11, 40, 2816}};

TYPED_TEST(Quantized, ProductsAreThoseOfDoublePrecision) {
  using T = TypeParam;
  for (const auto [dtype, tokens, rows, k] : shapes) {
    SCOPED_TRACE(::testing::Message() << name(dtype) << ": " << tokens << " x " << k << " -> " << rows);
    const Blocks weight = Blocks::make(dtype, rows, k);
    const cuda::QuantizedMatrix matrix(dtype, weight.bytes, rows, k, this->stream);
    const auto x = testing::random_tensor<T, 2>({tokens, k}, 1);
    const auto bias = testing::random_tensor<T, 1>({rows}, 3);
    const testing::OnDevice<T, 2> from(x, false, this->stream);
    const testing::OnDevice<T, 1> biases(bias, false, this->stream);
    const testing::OnDevice<T, 2> to({tokens, rows}, true, this->stream);
    matrix.linear_few(from.view.data(), k, tokens, biases.view.data(), to.view.data(), to.view.stride(0), this->stream);
    testing::expect_near(
        to.download(),
        [&, k = k](const Dims<2>& at) {
          double sum = static_cast<float>(bias(at[1]));
          for (std::size_t i = 0; i < k; ++i)
            sum += static_cast<double>(static_cast<float>(x(at[0], i))) * double{weight.values(at[1], i)};
          return sum;
        },
        2);
  }
}

TYPED_TEST(Quantized, ProductsOfUnalignedViewsAndOfManyTokens) {
  using T = TypeParam;
  cuda::MatmulPlans plans(this->stream);
  for (const DType dtype : {DType::q8_0, DType::q4_0, DType::q4_k})
    for (const std::size_t tokens : {1u, 16u, 17u, 40u}) {
      SCOPED_TRACE(::testing::Message() << name(dtype) << ": " << tokens << " tokens");
      constexpr std::size_t rows = 19, k = 512;
      const Blocks weight = Blocks::make(dtype, rows, k);
      const cuda::QuantizedMatrix matrix(dtype, weight.bytes, rows, k, this->stream);
      const auto x = testing::random_tensor<T, 2>({tokens, k}, 1);
      const testing::OnDevice<T, 2> from(x, true, this->stream), to({tokens, rows}, true, this->stream);
      const testing::OnDevice<float, 2> floats({tokens, rows}, false, this->stream);
      const testing::OnDevice<T, 2> elements({1, rows * k + 3}, false, this->stream);
      cuda::linear(plans, from.view, matrix, nullptr, to.view, elements.view.data(), this->stream);
      // Many tokens are multiplied by elements of T.
      const auto element = [&](std::size_t row, std::size_t i) {
        const float value = weight.values(row, i);
        return tokens > 16 ? static_cast<double>(static_cast<float>(static_cast<T>(value))) : double{value};
      };
      const auto expected = [&](const Dims<2>& at) {
        double sum = 0;
        for (std::size_t i = 0; i < k; ++i)
          sum += static_cast<double>(static_cast<float>(x(at[0], i))) * element(at[1], i);
        return sum;
      };
      testing::expect_near(to.download(), expected, 2);
      cuda::linear(plans, from.view, matrix, nullptr, floats.view, elements.view.data() + 1, this->stream);
      testing::expect_near(floats.download(), expected, 200);
    }
}

TYPED_TEST(Quantized, WhatWasMovedFromIsEmpty) {
  const Blocks weight = Blocks::make(DType::q8_0, 3, 64);
  cuda::QuantizedMatrix matrix(DType::q8_0, weight.bytes, 3, 64, this->stream);
  cuda::QuantizedMatrix other(std::move(matrix));
  EXPECT_EQ(matrix.rows(), 0u);
  EXPECT_EQ(matrix.bytes(), 0u);
  EXPECT_EQ(other.rows(), 3u);
  cuda::QuantizedMatrix& self = other;
  other = std::move(self);
  EXPECT_EQ(other.k(), 64u);
  matrix = std::move(other);
  EXPECT_EQ(matrix.rows(), 3u);
  EXPECT_EQ(other.rows(), 0u);
}

TYPED_TEST(Quantized, RowsBecomeNumbersAgain) {
  using T = TypeParam;
  for (const auto [dtype, tokens, rows, k] : shapes) {
    SCOPED_TRACE(::testing::Message() << name(dtype) << ": " << rows << " x " << k);
    const Blocks weight = Blocks::make(dtype, rows, k);
    const cuda::QuantizedMatrix matrix(dtype, weight.bytes, rows, k, this->stream);
    const auto value = [&](std::size_t r, std::size_t i) { return double{weight.values(r, i)}; };
    const testing::OnDevice<T, 2> all({rows, k}, false, this->stream);
    matrix.dequantize(nullptr, rows, all.view.data(), this->stream);
    testing::expect_near(all.download(), [&](const Dims<2>& at) { return value(at[0], at[1]); });
    const testing::OnDevice<T, 2> behind({1, rows * k + 1}, false, this->stream);
    matrix.dequantize(nullptr, rows, behind.view.data() + 1, this->stream);
    testing::expect_near(behind.download(), [&, k = k](const Dims<2>& at) {
      return at[1] == 0 ? 0.0 : value((at[1] - 1) / k, (at[1] - 1) % k);
    });
    const auto last = static_cast<TokenId>(rows - 1);
    const Tensor<TokenId, 1> ids({4}, {last, -1, 0, static_cast<TokenId>(rows)});
    const testing::OnDevice<TokenId, 1> chosen(ids, false, this->stream);
    const testing::OnDevice<T, 2> some({4, k}, false, this->stream);
    matrix.dequantize(chosen.view.data(), 4, some.view.data(), this->stream);
    testing::expect_near(some.download(), [&, rows = rows](const Dims<2>& at) {
      return at[0] % 2 == 1 ? std::nan("") : value(at[0] == 0 ? rows - 1 : 0, at[1]);
    });
  }
}

TEST_F(QuantizedOther, RefusesWhatItCannotMultiply) {
  const std::vector<std::byte> bytes(34 * 2);
  EXPECT_THROW(cuda::QuantizedMatrix(DType::f32, bytes, 1, 17, stream), UnsupportedError);
  EXPECT_THROW(cuda::QuantizedMatrix(DType::q8_0, bytes, 3, 32, stream), ShapeError);
  EXPECT_THROW(cuda::QuantizedMatrix(DType::q8_0, bytes, 2, 33, stream), ShapeError);
  const cuda::QuantizedMatrix matrix(DType::q8_0, bytes, 2, 32, stream);
  const testing::OnDevice<half, 2> x({17, 32}, false, stream);
  const testing::OnDevice<half, 2> y({17, 2}, false, stream);
  EXPECT_THROW(matrix.linear_few(x.view.data(), 32, 17, nullptr, y.view.data(), 2, stream), ShapeError);
  EXPECT_THROW(cuda::linear_few(x.view, matrix, nullptr, y.view, stream), ShapeError);
  EXPECT_THROW(cuda::linear_few(y.view.narrow(0, 0, 2), matrix, nullptr, y.view.narrow(0, 0, 2), stream), ShapeError);
}

}  // namespace
}  // namespace weft
