#include <weft/layers/encoder_block.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "random_weights.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

constexpr std::size_t heads = 5, head_dim = 6, hidden = heads * head_dim, intermediate = 37;
constexpr double eps = 1e-5;

EncoderLayerWeights random_layer() {
  Numbers numbers(3);
  const auto norm = [&] { return NormWeights{.gain = numbers.vector(hidden), .bias = numbers.vector(hidden)}; };
  return {.attention = {.q = numbers.matrix(DType::f32, hidden, hidden),
                        .k = numbers.matrix(DType::f32, hidden, hidden),
                        .v = numbers.matrix(DType::f32, hidden, hidden),
                        .o = numbers.matrix(DType::f32, hidden, hidden),
                        .q_bias = numbers.vector(hidden),
                        .k_bias = numbers.vector(hidden),
                        .v_bias = numbers.vector(hidden),
                        .o_bias = numbers.vector(hidden)},
          .attention_norm = norm(),
          .mlp = {.gate = {},
                  .up = numbers.matrix(DType::f32, intermediate, hidden),
                  .down = numbers.matrix(DType::f32, hidden, intermediate),
                  .up_bias = numbers.vector(intermediate),
                  .down_bias = numbers.vector(hidden)},
          .mlp_norm = norm()};
}

Rows naive_norm(Rows x, const NormWeights& weights) {
  for (std::vector<double>& row : x) {
    double mean = 0, variance = 0;
    for (const double value : row) mean += value / static_cast<double>(hidden);
    for (const double value : row) variance += (value - mean) * (value - mean) / static_cast<double>(hidden);
    for (std::size_t i = 0; i < hidden; ++i)
      row[i] = (row[i] - mean) / std::sqrt(variance + eps) * static_cast<double>(weights.gain(i)) +
               static_cast<double>(weights.bias(i));
  }
  return x;
}

// Every token attends to all of its sequence.
Rows naive_attention(const AttentionWeights& weights, const Rows& x) {
  const Rows q = naive_linear(x, weights.q, weights.q_bias);
  const Rows k = naive_linear(x, weights.k, weights.k_bias);
  const Rows v = naive_linear(x, weights.v, weights.v_bias);
  Rows out(x.size(), std::vector<double>(hidden, 0.0));
  for (std::size_t t = 0; t < x.size(); ++t)
    for (std::size_t h = 0; h < hidden; h += head_dim) {
      std::vector<double> weight;
      double sum = 0;
      for (std::size_t j = 0; j < x.size(); ++j) {
        double score = 0;
        for (std::size_t i = h; i < h + head_dim; ++i) score += q[t][i] * k[j][i];
        weight.push_back(std::exp(score / std::sqrt(static_cast<double>(head_dim))));
        sum += weight.back();
      }
      for (std::size_t j = 0; j < x.size(); ++j)
        for (std::size_t i = h; i < h + head_dim; ++i) out[t][i] += weight[j] / sum * v[j][i];
    }
  return naive_linear(out, weights.o, weights.o_bias);
}

Rows naive_mlp(const MlpWeights& weights, const Rows& x) {
  Rows middle = naive_linear(x, weights.up, weights.up_bias);
  for (std::vector<double>& row : middle)
    for (double& value : row) value *= 0.5 * (1 + std::erf(value / std::sqrt(2.0)));
  return naive_linear(middle, weights.down, weights.down_bias);
}

Rows sum_of(Rows a, const Rows& b) {
  for (std::size_t t = 0; t < a.size(); ++t)
    for (std::size_t i = 0; i < hidden; ++i) a[t][i] += b[t][i];
  return a;
}

Rows naive_block(const EncoderLayerWeights& w, EncoderForm form, Rows x) {
  if (form == EncoderForm::pre_norm) {
    x = sum_of(x, naive_attention(w.attention, naive_norm(x, w.attention_norm)));
    return sum_of(x, naive_mlp(w.mlp, naive_norm(x, w.mlp_norm)));
  }
  x = naive_norm(sum_of(x, naive_attention(w.attention, x)), w.attention_norm);
  return naive_norm(sum_of(x, naive_mlp(w.mlp, x)), w.mlp_norm);
}

class EncoderBlock : public testing::TestWithParam<EncoderForm> {
 protected:
  void run(std::span<const PackedSequence> sequences, TensorView<float, 2> x, const cpu::Context& ctx = {},
           const Tap* tap = nullptr) const {
    const std::size_t tokens = x.extent(0);
    Tensor<float, 2> normed({tokens, hidden}), q(normed), k(normed), v(normed), out(normed), up({tokens, intermediate});
    cpu::Residual residual(x);
    encoder_block(weights, sequences,
                  {.form = GetParam(),
                   .norm = {.eps = static_cast<float>(eps), .kind = NormKind::layer},
                   .activation = Activation::gelu,
                   .scores = {.scale = 1.f / std::sqrt(static_cast<float>(head_dim)), .causal = false},
                   .head_dim = head_dim,
                   .attention_name = "attention",
                   .mlp_name = "mlp"},
                  {.normed = normed, .attention = {q, k, v, out}, .gate = {}, .up = up}, residual, tap, "layer.3", ctx);
  }

  EncoderLayerWeights weights = random_layer();
};

INSTANTIATE_TEST_SUITE_P(Forms, EncoderBlock, testing::Values(EncoderForm::post_norm, EncoderForm::pre_norm),
                         [](const auto& form) {
                           return std::string(form.param == EncoderForm::post_norm ? "post_norm" : "pre_norm");
                         });

TEST_P(EncoderBlock, IsTheEquation) {
  for (const cpu::Kernels* kernels : all_kernels())
    for (const std::size_t tokens : {1u, 7u, 70u}) {
      Tensor<float, 2> x = Numbers(tokens).tensor<2>({tokens, hidden});
      const Rows expected = naive_block(weights, GetParam(), rows_of(x));
      const PackedSequence whole{.begin = 0, .tokens = tokens};
      run({&whole, 1}, x, {.kernels = kernels});
      EXPECT_LT(max_difference(x, expected), 1e-4) << kernels->name << " " << tokens;
    }
}

// More of them than one call of attention takes.
TEST_P(EncoderBlock, SequencesDoNotSeeEachOther) {
  std::vector<PackedSequence> sequences;
  std::size_t rows = 0;
  for (std::size_t i = 0; i < 37; ++i) {
    sequences.push_back({.begin = rows, .tokens = 1 + 5 * i % 11});
    rows += sequences.back().tokens;
  }
  const Tensor<float, 2> before = Numbers(8).tensor<2>({rows, hidden});
  Tensor<float, 2> together = before;
  run(sequences, together);
  for (const PackedSequence& s : sequences) {
    Tensor<float, 2> alone = before.narrow(0, s.begin, s.tokens).contiguous();
    const PackedSequence whole{.begin = 0, .tokens = s.tokens};
    run({&whole, 1}, alone);
    EXPECT_EQ(std::memcmp(alone.data(), &together(s.begin, 0), alone.size() * sizeof(float)), 0);
  }
}

TEST_P(EncoderBlock, TapsItsPartsAndChangesNothing) {
  const PackedSequence whole{.begin = 0, .tokens = 9};
  const Tensor<float, 2> before = Numbers(5).tensor<2>({9, hidden});
  Tensor<float, 2> x = before, plain = before;
  std::map<std::string, Tensor<float, 2>> seen;
  const Tap tap = [&](std::string_view name, TensorView<const float, 2> values) {
    EXPECT_TRUE(seen.emplace(name, values.contiguous()).second);
  };
  run({&whole, 1}, x, {}, &tap);
  run({&whole, 1}, plain);
  EXPECT_EQ(std::memcmp(x.data(), plain.data(), x.size() * sizeof(float)), 0);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(std::memcmp(seen.at("layer.3").data(), x.data(), x.size() * sizeof(float)), 0);
  const Rows in =
      GetParam() == EncoderForm::pre_norm ? naive_norm(rows_of(before), weights.attention_norm) : rows_of(before);
  EXPECT_LT(max_difference(seen.at("layer.3.attention"), naive_attention(weights.attention, in)), 1e-4);
  EXPECT_TRUE(seen.contains("layer.3.mlp"));
}

TEST_P(EncoderBlock, NoSequencesAreNothing) {
  Tensor<float, 2> x({0, hidden});
  run({}, x);
  EXPECT_TRUE(x.empty());
}

}  // namespace
