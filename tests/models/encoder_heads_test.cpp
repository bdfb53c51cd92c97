#include <weft/models/encoder_heads.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "../layers/random_weights.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

double activated(HeadActivation kind, double x) {
  switch (kind) {
    case HeadActivation::tanh: return std::tanh(x);
    case HeadActivation::relu: return x > 0 ? x : 0;
    case HeadActivation::gelu: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case HeadActivation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case HeadActivation::quick_gelu: return x / (1 + std::exp(-1.702 * x));
    case HeadActivation::silu: return x / (1 + std::exp(-x));
  }
  return 0;
}

constexpr HeadActivation kinds[]{HeadActivation::tanh,      HeadActivation::relu,       HeadActivation::gelu,
                                 HeadActivation::gelu_tanh, HeadActivation::quick_gelu, HeadActivation::silu};

LinearHead random_head(Numbers& numbers, std::size_t rows, std::size_t columns) {
  return {.weight = numbers.matrix(DType::f32, rows, columns), .bias = numbers.vector(rows)};
}

Rows naive(const LinearHead& head, const Rows& x) { return naive_linear(x, head.weight, head.bias); }

TEST(EncoderHeads, AreFalseWithoutWeights) {
  EXPECT_FALSE(LinearHead());
  EXPECT_FALSE(DenseHead());
  EXPECT_FALSE(MaskedWordHead());
}

TEST(EncoderHeads, ADenseHeadIsTwoProductsWithAnActivationBetween) {
  Numbers numbers(3);
  DenseHead head{.dense = random_head(numbers, 13, 13), .output = random_head(numbers, 3, 13)};
  const Tensor<float, 2> x = numbers.tensor<2>({5, 13});
  Tensor<float, 2> scratch({5, 13}), y({5, 3});
  for (const HeadActivation kind : kinds) {
    Rows middle = naive(head.dense, rows_of(x));
    for (auto& row : middle)
      for (double& value : row) value = activated(kind, value);
    head.forward(x, kind, scratch, y, {});
    EXPECT_LT(max_difference(y, naive(head.output, middle)), 1e-5);
  }
  head.dense = {};
  head.forward(x, HeadActivation::relu, scratch, y, {});
  EXPECT_LT(max_difference(y, naive(head.output, rows_of(x))), 1e-5);
}

TEST(EncoderHeads, MaskedWordsAreTransformedNormalisedAndDecoded) {
  Numbers numbers(4);
  const MaskedWordHead head{.dense = random_head(numbers, 9, 13),
                            .norm = {.gain = numbers.vector(9), .bias = numbers.vector(9)},
                            .decoder = numbers.matrix(DType::f32, 21, 9),
                            .bias = numbers.vector(21)};
  const Tensor<float, 2> x = numbers.tensor<2>({4, 13});
  Tensor<float, 2> scratch({4, 9}), y({4, 21});
  for (const HeadActivation kind : kinds) {
    Rows middle = naive(head.dense, rows_of(x));
    for (auto& row : middle) {
      double mean = 0, variance = 0;
      for (double& value : row) mean += (value = activated(kind, value)) / 9;
      for (const double value : row) variance += (value - mean) * (value - mean) / 9;
      for (std::size_t i = 0; i < 9; ++i)
        row[i] = (row[i] - mean) / std::sqrt(variance + 1e-3) * static_cast<double>(head.norm.gain(i)) +
                 static_cast<double>(head.norm.bias(i));
    }
    head.forward(x, kind, 1e-3f, scratch, y, {});
    EXPECT_LT(max_difference(y, naive_linear(middle, head.decoder, head.bias)), 2e-5);
  }
}

}  // namespace
