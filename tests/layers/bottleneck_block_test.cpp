#include <weft/layers/bottleneck_block.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "random_weights.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

constexpr std::size_t heads = 2, head_dim = 6, width = heads * head_dim, hidden = 26, intermediate = 19;

class BottleneckBlock : public testing::Test {
 protected:
  NormWeights norm(std::size_t n) { return {.gain = numbers.vector(n), .bias = numbers.vector(n)}; }
  BottleneckWeights bottleneck(std::size_t to, std::size_t from) {
    return {.weight = numbers.matrix(DType::f32, to, from), .bias = numbers.vector(to), .norm = norm(to)};
  }
  NormedMlpWeights feed_forward() {
    return {.mlp = {.gate = {},
                    .up = numbers.matrix(DType::f32, intermediate, width),
                    .down = numbers.matrix(DType::f32, width, intermediate),
                    .up_bias = numbers.vector(intermediate),
                    .down_bias = numbers.vector(width)},
            .norm = norm(width)};
  }
  BottleneckLayerWeights random_layer() {
    BottleneckLayerWeights w{.input = bottleneck(width, hidden),
                             .query_key = bottleneck(width, hidden),
                             .attention = {.q = numbers.matrix(DType::f32, width, width),
                                           .k = numbers.matrix(DType::f32, width, width),
                                           .v = numbers.matrix(DType::f32, width, hidden),
                                           .o = numbers.matrix(DType::f32, width, width),
                                           .q_bias = numbers.vector(width),
                                           .k_bias = numbers.vector(width),
                                           .v_bias = numbers.vector(width),
                                           .o_bias = numbers.vector(width)},
                             .attention_norm = norm(width),
                             .feed_forward = {},
                             .last = feed_forward(),
                             .output = bottleneck(hidden, width)};
    for (int i = 0; i < 2; ++i) w.feed_forward.push_back(feed_forward());
    return w;
  }
  void run(std::span<const PackedSequence> sequences, TensorView<float, 2> x, const cpu::Context& ctx = {},
           const Tap* tap = nullptr) const {
    const std::size_t tokens = x.extent(0);
    Tensor<float, 2> narrow({tokens, width}), query_key(narrow), part(narrow), q(narrow), k(narrow), v(narrow),
        out(narrow), wide({tokens, hidden}), up({tokens, intermediate});
    bottleneck_block(weights, sequences,
                     {.norm = {.eps = 0.f},
                      .activation = Activation::relu,
                      .scores = {.scale = 1.f / std::sqrt(static_cast<float>(head_dim)), .causal = false},
                      .head_dim = head_dim,
                      .attention_name = "attention",
                      .mlp_name = "mlp"},
                     {narrow, query_key, part, wide, {q, k, v, out}, up}, x, tap, "layer", ctx);
  }

  Numbers numbers{6};
  BottleneckLayerWeights weights = random_layer();
};

Rows shifted(Rows x, const NormWeights& w) {
  for (std::vector<double>& row : x)
    for (std::size_t i = 0; i < row.size(); ++i)
      row[i] = row[i] * static_cast<double>(w.gain(i)) + static_cast<double>(w.bias(i));
  return x;
}

Rows sum_of(Rows a, const Rows& b) {
  for (std::size_t t = 0; t < a.size(); ++t)
    for (std::size_t i = 0; i < a[t].size(); ++i) a[t][i] += b[t][i];
  return a;
}

Rows naive_attention(const AttentionWeights& w, const Rows& query_key, const Rows& x) {
  const Rows q = naive_linear(query_key, w.q, w.q_bias);
  const Rows k = naive_linear(query_key, w.k, w.k_bias);
  const Rows v = naive_linear(x, w.v, w.v_bias);
  Rows out(x.size(), std::vector<double>(width, 0.0));
  for (std::size_t t = 0; t < x.size(); ++t)
    for (std::size_t h = 0; h < width; h += head_dim) {
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
  return naive_linear(out, w.o, w.o_bias);
}

Rows naive_feed_forward(const NormedMlpWeights& w, const Rows& x) {
  Rows middle = naive_linear(x, w.mlp.up, w.mlp.up_bias);
  for (std::vector<double>& row : middle)
    for (double& value : row) value = value > 0 ? value : 0;
  return shifted(sum_of(x, naive_linear(middle, w.mlp.down, w.mlp.down_bias)), w.norm);
}

Rows naive_block(const BottleneckLayerWeights& w, const Rows& x) {
  const Rows query_key = shifted(naive_linear(x, w.query_key.weight, w.query_key.bias), w.query_key.norm);
  Rows y = shifted(naive_linear(x, w.input.weight, w.input.bias), w.input.norm);
  y = shifted(sum_of(y, naive_attention(w.attention, query_key, x)), w.attention_norm);
  for (const NormedMlpWeights& feed_forward : w.feed_forward) y = naive_feed_forward(feed_forward, y);
  y = naive_feed_forward(w.last, y);
  return shifted(sum_of(x, naive_linear(y, w.output.weight, w.output.bias)), w.output.norm);
}

TEST_F(BottleneckBlock, IsTheEquation) {
  for (const cpu::Kernels* kernels : all_kernels())
    for (const std::size_t tokens : {1u, 9u, 33u}) {
      Tensor<float, 2> x = Numbers(tokens).tensor<2>({tokens, hidden});
      const Rows expected = naive_block(weights, rows_of(x));
      const PackedSequence whole{.begin = 0, .tokens = tokens};
      run({&whole, 1}, x, {.kernels = kernels});
      EXPECT_LT(max_difference(x, expected), 2e-3) << kernels->name << " " << tokens;
    }
}

TEST_F(BottleneckBlock, SequencesDoNotSeeEachOther) {
  const std::vector<PackedSequence> sequences{{0, 4}, {4, 1}, {5, 8}};
  const Tensor<float, 2> before = Numbers(8).tensor<2>({13, hidden});
  Tensor<float, 2> together = before;
  run(sequences, together);
  for (const PackedSequence& s : sequences) {
    Tensor<float, 2> alone = before.narrow(0, s.begin, s.tokens).contiguous();
    const PackedSequence whole{.begin = 0, .tokens = s.tokens};
    run({&whole, 1}, alone);
    EXPECT_EQ(std::memcmp(alone.data(), &together(s.begin, 0), alone.size() * sizeof(float)), 0);
  }
}

TEST_F(BottleneckBlock, TapsItsParts) {
  std::vector<std::string> names;
  const Tap tap = [&](std::string_view name, TensorView<const float, 2>) { names.emplace_back(name); };
  Tensor<float, 2> x = Numbers(5).tensor<2>({3, hidden});
  const PackedSequence whole{.begin = 0, .tokens = 3};
  run({&whole, 1}, x, {}, &tap);
  EXPECT_EQ(names, (std::vector<std::string>{"layer.attention", "layer.mlp", "layer"}));
}

TEST(ScaleAndShift, ChecksWidths) {
  Tensor<float, 2> x({2, 3}, {1, 2, 3, 4, 5, 6});
  const NormWeights weights{.gain = Tensor<float, 1>({3}, {2, 0, -1}), .bias = Tensor<float, 1>({3}, {0, 1, 2})};
  scale_and_shift(weights, x, {});
  EXPECT_EQ(std::vector<float>(x.data(), x.data() + 6), (std::vector<float>{2, 1, -1, 8, 1, -4}));
  EXPECT_THROW(scale_and_shift({.gain = Tensor<float, 1>({2}), .bias = Tensor<float, 1>({3})}, x, {}), ShapeError);
}

}  // namespace
