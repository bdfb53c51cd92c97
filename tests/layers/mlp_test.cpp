#include <weft/layers/mlp.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include <weft/core/thread_pool.hpp>

#include "random_weights.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

double naive_activation(Activation kind, double x) {
  switch (kind) {
    case Activation::silu: return x / (1.0 + std::exp(-x));
    case Activation::gelu: return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
    case Activation::gelu_tanh:
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case Activation::quick_gelu: return x / (1.0 + std::exp(-1.702 * x));
    case Activation::relu: return x > 0.0 ? x : 0.0;
  }
  return NAN;
}

Rows naive_mlp(const MlpWeights& weights, Activation kind, const Rows& x) {
  Rows gate = naive_linear(x, weights.gate, weights.gate_bias);
  const Rows up = naive_linear(x, weights.up, weights.up_bias);
  for (std::size_t t = 0; t < gate.size(); ++t)
    for (std::size_t i = 0; i < gate[t].size(); ++i) gate[t][i] = naive_activation(kind, gate[t][i]) * up[t][i];
  return naive_linear(gate, weights.down, weights.down_bias);
}

MlpWeights random_mlp(DType dtype, std::size_t hidden, std::size_t intermediate, bool biases) {
  Numbers numbers(intermediate);
  MlpWeights weights{.gate = numbers.matrix(dtype, intermediate, hidden),
                     .up = numbers.matrix(dtype, intermediate, hidden),
                     .down = numbers.matrix(dtype, hidden, intermediate)};
  if (biases) {
    weights.gate_bias = numbers.vector(intermediate);
    weights.up_bias = numbers.vector(intermediate);
    weights.down_bias = numbers.vector(hidden);
  }
  return weights;
}

TEST(Mlp, IsTheGatedEquation) {
  for (const cpu::Kernels* kernels : all_kernels())
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
      for (const bool biases : {false, true})
        for (const Activation kind :
             {Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::quick_gelu, Activation::relu}) {
          const MlpWeights weights = random_mlp(dtype, 13, 37, biases);
          Tensor<float, 2> x = Numbers(5).tensor<2>({5, 13});
          Tensor<float, 2> gate({5, 37}), up({5, 37}), y({5, 13});
          mlp(weights, kind, x, gate, up, y, cpu::Context{.kernels = kernels});
          EXPECT_LT(max_difference(y, naive_mlp(weights, kind, rows_of(x))), 5e-5)
              << kernels->name << " " << name(dtype) << " " << static_cast<int>(kind) << " " << biases;
          mlp(weights, kind, x, gate, up, x, cpu::Context{.kernels = kernels});
          EXPECT_EQ(std::memcmp(x.data(), y.data(), y.size() * sizeof(float)), 0) << "in place";
        }
}

TEST(Mlp, WithoutAGateIsThePlainEquation) {
  for (const bool biases : {false, true}) {
    MlpWeights weights = random_mlp(DType::f32, 13, 37, biases);
    weights.gate = {};
    const Tensor<float, 2> x = Numbers(5).tensor<2>({5, 13});
    Rows expected = naive_linear(rows_of(x), weights.up, weights.up_bias);
    for (std::vector<double>& row : expected)
      for (double& value : row) value = naive_activation(Activation::gelu, value);
    Tensor<float, 2> up({5, 37}), y({5, 13});
    mlp(weights, Activation::gelu, x, up, up, y, {});
    EXPECT_LT(max_difference(y, naive_linear(expected, weights.down, weights.down_bias)), 5e-5) << biases;
  }
}

TEST(Mlp, SameBitsForAnyDivisionOfTokensAndThreads) {
  const MlpWeights weights = random_mlp(DType::f32, 64, 200, true);
  const Tensor<float, 2> x = Numbers(7).tensor<2>({30, 64});
  Tensor<float, 2> gate({30, 200}), up({30, 200}), whole({30, 64}), parts({30, 64});
  mlp(weights, Activation::silu, x, gate, up, whole, {});
  ThreadPool pool(2);
  std::size_t begin = 0;
  for (const std::size_t tokens : {1u, 7u, 22u}) {
    mlp(weights, Activation::silu, x.narrow(0, begin, tokens), gate.narrow(0, 0, tokens), up.narrow(0, 0, tokens),
        parts.narrow(0, begin, tokens), cpu::Context{.executor = &pool});
    begin += tokens;
  }
  EXPECT_EQ(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)), 0);
}

TEST(Mlp, RefusesShapesThatDoNotFit) {
  const MlpWeights weights = random_mlp(DType::f32, 8, 12, false);
  Tensor<float, 2> x({3, 8}), gate({3, 12}), up({3, 12}), y({3, 8}), narrow({3, 11}), few({2, 8});
  EXPECT_THROW(mlp(weights, Activation::silu, x, narrow, up, y, {}), ShapeError);
  EXPECT_THROW(mlp(weights, Activation::silu, x, gate, narrow, y, {}), ShapeError);
  EXPECT_THROW(mlp(weights, Activation::silu, x, gate, up, few, {}), ShapeError);
  EXPECT_THROW(mlp(weights, Activation::silu, narrow, gate, up, y, {}), ShapeError);
}

}  // namespace
