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
    Tensor<float, 2> narrow({tokens, width}), query_key(narrow), q(narrow), k(narrow), v(narrow), out(narrow),
        part({tokens, weights.input.weight ? width : hidden}), wide({tokens, hidden}), up({tokens, intermediate});
    bottleneck_block(weights, sequences,
                     {.norm = norm_params,
                      .activation = Activation::relu,
                      .scores = {.scale = 1.f / std::sqrt(static_cast<float>(head_dim)), .causal = false},
                      .head_dim = head_dim,
                      .attention_name = "attention",
                      .mlp_name = "mlp"},
                     last_eps, {narrow, query_key, part, wide, {q, k, v, out}, up}, x, tap, "layer", ctx);
  }
  Rows naive_norm(Rows x, const NormWeights& w, float eps) const {
    for (std::vector<double>& row : x) {
      const auto n = static_cast<double>(row.size());
      double mean = 0.0, squares = 0.0, root = 1.0;
      if (norm_params.kind == NormKind::layer) {
        for (const double value : row) mean += value / n;
        for (const double value : row) squares += (value - mean) * (value - mean) / n;
        root = std::sqrt(squares + static_cast<double>(eps));
      }
      for (std::size_t i = 0; i < row.size(); ++i)
        row[i] = (row[i] - mean) / root * static_cast<double>(w.gain(i)) + static_cast<double>(w.bias(i));
    }
    return x;
  }
  Rows naive_feed_forward(const NormedMlpWeights& w, const Rows& x, float eps) const;
  Rows naive_block(const Rows& x) const;
  void expect_the_equation() const {
    for (const cpu::Kernels* kernels : all_kernels())
      for (const std::size_t tokens : {1u, 9u, 33u}) {
        Tensor<float, 2> x = Numbers(tokens).tensor<2>({tokens, hidden});
        const Rows expected = naive_block(rows_of(x));
        const PackedSequence whole{.begin = 0, .tokens = tokens};
        run({&whole, 1}, x, {.kernels = kernels});
        EXPECT_LT(max_difference(x, expected), 2e-3) << kernels->name << " " << tokens;
      }
  }

  Numbers numbers{6};
  BottleneckLayerWeights weights = random_layer();
  NormParams norm_params{.eps = 0.1f, .kind = NormKind::scaled};
  float last_eps = 0.3f;
};

Rows sum_of(Rows a, const Rows& b) {
  for (std::size_t t = 0; t < a.size(); ++t)
    for (std::size_t i = 0; i < a[t].size(); ++i) a[t][i] += b[t][i];
  return a;
}

Rows naive_attention(const AttentionWeights& w, const Rows& query_key, const Rows& values) {
  const Rows q = naive_linear(query_key, w.q, w.q_bias);
  const Rows k = naive_linear(query_key, w.k, w.k_bias);
  const Rows v = naive_linear(values, w.v, w.v_bias);
  Rows out(q.size(), std::vector<double>(width, 0.0));
  for (std::size_t t = 0; t < q.size(); ++t)
    for (std::size_t h = 0; h < width; h += head_dim) {
      std::vector<double> weight;
      double sum = 0;
      for (std::size_t j = 0; j < q.size(); ++j) {
        double score = 0;
        for (std::size_t i = h; i < h + head_dim; ++i) score += q[t][i] * k[j][i];
        weight.push_back(std::exp(score / std::sqrt(static_cast<double>(head_dim))));
        sum += weight.back();
      }
      for (std::size_t j = 0; j < q.size(); ++j)
        for (std::size_t i = h; i < h + head_dim; ++i) out[t][i] += weight[j] / sum * v[j][i];
    }
  return naive_linear(out, w.o, w.o_bias);
}

Rows BottleneckBlock::naive_feed_forward(const NormedMlpWeights& w, const Rows& x, float eps) const {
  Rows middle = naive_linear(x, w.mlp.up, w.mlp.up_bias);
  for (std::vector<double>& row : middle)
    for (double& value : row) value = value > 0 ? value : 0;
  return naive_norm(sum_of(x, naive_linear(middle, w.mlp.down, w.mlp.down_bias)), w.norm, eps);
}

Rows BottleneckBlock::naive_block(const Rows& x) const {
  const float eps = norm_params.eps;
  const auto entered = [&](const BottleneckWeights& w) {
    return naive_norm(naive_linear(x, w.weight, w.bias), w.norm, eps);
  };
  Rows y = weights.input.weight ? entered(weights.input) : x;
  const bool apart = static_cast<bool>(weights.query_key.weight);
  const Rows attended = naive_attention(weights.attention, apart ? entered(weights.query_key) : y, apart ? x : y);
  y = naive_norm(sum_of(y, attended), weights.attention_norm, eps);
  for (const NormedMlpWeights& feed_forward : weights.feed_forward) y = naive_feed_forward(feed_forward, y, eps);
  y = naive_feed_forward(weights.last, y, last_eps);
  if (!weights.input.weight) return y;
  return naive_norm(sum_of(x, naive_linear(y, weights.output.weight, weights.output.bias)), weights.output.norm, eps);
}

TEST_F(BottleneckBlock, IsTheEquation) { expect_the_equation(); }

TEST_F(BottleneckBlock, MayNormaliseByLayer) {
  norm_params.kind = NormKind::layer;
  expect_the_equation();
}

TEST_F(BottleneckBlock, MayHaveOneBottleneckForAll) {
  weights.query_key = {};
  weights.attention.v = numbers.matrix(DType::f32, width, width);
  expect_the_equation();
}

TEST_F(BottleneckBlock, MayHaveNone) {
  weights.input = weights.query_key = weights.output = {};
  for (AnyTensor* w : {&weights.attention.q, &weights.attention.k, &weights.attention.v})
    *w = numbers.matrix(DType::f32, width, hidden);
  weights.attention.o = numbers.matrix(DType::f32, hidden, width);
  weights.attention.o_bias = numbers.vector(hidden);
  weights.attention_norm = norm(hidden);
  const auto widen = [&](NormedMlpWeights& w) {
    w.mlp.up = numbers.matrix(DType::f32, intermediate, hidden);
    w.mlp.down = numbers.matrix(DType::f32, hidden, intermediate);
    w.mlp.down_bias = numbers.vector(hidden);
    w.norm = norm(hidden);
  };
  for (NormedMlpWeights& w : weights.feed_forward) widen(w);
  widen(weights.last);
  expect_the_equation();
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

}  // namespace
