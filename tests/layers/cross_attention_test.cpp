#include <weft/layers/cross_attention.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

#include "random_weights.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

constexpr std::size_t hidden = 20, heads = 3, head_dim = 5, width = heads * head_dim;
constexpr AttentionParams scores{.scale = 0.4f};

AttentionWeights random_weights() {
  Numbers numbers(1);
  return {.q = numbers.matrix(DType::f32, width, hidden),
          .k = numbers.matrix(DType::f32, width, hidden),
          .v = numbers.matrix(DType::f32, width, hidden),
          .o = numbers.matrix(DType::f32, hidden, width),
          .q_bias = numbers.vector(width),
          .k_bias = {},
          .v_bias = numbers.vector(width),
          .o_bias = numbers.vector(hidden)};
}

/// A source's keys and values.
struct Memory {
  explicit Memory(std::size_t context) : bytes(2 * context * width * sizeof(float)) {
    layer = {.dtype = DType::f32,
             .k = bytes.data(),
             .v = bytes.data() + bytes.size() / 2,
             .kv_heads = heads,
             .context = context,
             .head_dim = head_dim};
  }
  std::vector<std::byte> bytes;
  CacheLayer layer;
};

Rows naive(const AttentionWeights& w, const Rows& x, const Rows& source) {
  const Rows q = naive_linear(x, w.q, w.q_bias), k = naive_linear(source, w.k, w.k_bias),
             v = naive_linear(source, w.v, w.v_bias);
  Rows out(x.size(), std::vector<double>(width));
  for (std::size_t t = 0; t < x.size(); ++t)
    for (std::size_t h = 0; h < heads; ++h) {
      std::vector<double> weight(source.size());
      double sum = 0.0;
      for (std::size_t j = 0; j < source.size(); ++j) {
        double score = 0.0;
        for (std::size_t d = 0; d < head_dim; ++d) score += q[t][h * head_dim + d] * k[j][h * head_dim + d];
        sum += weight[j] = std::exp(static_cast<double>(scores.scale) * score);
      }
      for (std::size_t j = 0; j < source.size(); ++j)
        for (std::size_t d = 0; d < head_dim; ++d) out[t][h * head_dim + d] += weight[j] / sum * v[j][h * head_dim + d];
    }
  return naive_linear(out, w.o, w.o_bias);
}

// Two sources of 7 and 2 tokens, read by sequences of 3 and 1 tokens in the other order.
TEST(CrossAttention, EverySequenceReadsItsOwnSource) {
  const AttentionWeights weights = random_weights();
  Numbers numbers(2);
  const Tensor<float, 2> source = numbers.tensor<2>({9, hidden}), x = numbers.tensor<2>({4, hidden});
  Memory first(7), second(5);  // one with room for more
  const std::vector<CachedSequence> sources{{.cache = first.layer, .begin = 0, .tokens = 7, .position = 0},
                                            {.cache = second.layer, .begin = 7, .tokens = 2, .position = 0}};
  Tensor<float, 2> k({9, width}), v({9, width}), q({4, width}), out({4, width}), y({4, hidden});
  cross_keys_and_values(weights, sources, source, k, v, {});
  const std::vector<CachedSequence> sequences{
      {.cache = {}, .begin = 0, .tokens = 3, .position = 40, .source = second.layer, .source_tokens = 2},
      {.cache = {}, .begin = 3, .tokens = 1, .position = 0, .source = first.layer, .source_tokens = 7}};
  Tensor<float, 2> sum = x;
  for (const cpu::Kernels* kernels : all_kernels()) {
    sum = x;
    const cpu::Context ctx{.kernels = kernels};
    cross_attention(weights, sequences, scores, x, q, out, y, ctx, sum);
    EXPECT_LT(
        max_difference(y.narrow(0, 0, 3), naive(weights, rows_of(x.narrow(0, 0, 3)), rows_of(source.narrow(0, 7, 2)))),
        1e-4);
    EXPECT_LT(
        max_difference(y.narrow(0, 3, 1), naive(weights, rows_of(x.narrow(0, 3, 1)), rows_of(source.narrow(0, 0, 7)))),
        1e-4);
    for (std::size_t i = 0; i < sum.size(); ++i) EXPECT_EQ(sum.elements()[i], x.elements()[i] + y.elements()[i]);
  }
}

TEST(CrossAttention, MayWriteOverItsInput) {
  const AttentionWeights weights = random_weights();
  Numbers numbers(3);
  const Tensor<float, 2> source = numbers.tensor<2>({4, hidden});
  Tensor<float, 2> x = numbers.tensor<2>({2, hidden}), y({2, hidden});
  Memory memory(4);
  const CachedSequence cached{.cache = memory.layer, .begin = 0, .tokens = 4, .position = 0};
  Tensor<float, 2> k({4, width}), v({4, width}), q({2, width}), out({2, width});
  cross_keys_and_values(weights, {&cached, 1}, source, k, v, {});
  const CachedSequence sequence{
      .cache = {}, .begin = 0, .tokens = 2, .position = 0, .source = memory.layer, .source_tokens = 4};
  cross_attention(weights, {&sequence, 1}, scores, x, q, out, y, {});
  cross_attention(weights, {&sequence, 1}, scores, x, q, out, x, {});
  EXPECT_EQ(std::memcmp(x.data(), y.data(), x.size() * sizeof(float)), 0);
  cross_attention(weights, {}, scores, x.narrow(0, 0, 0), q, out, x.narrow(0, 0, 0), {});
}

}  // namespace
