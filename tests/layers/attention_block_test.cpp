#include <weft/layers/attention_block.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "random_weights.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

struct Sizes {
  std::size_t hidden, heads, kv_heads, head_dim;
};

AttentionWeights random_attention(DType dtype, const Sizes& s, bool biases) {
  Numbers numbers(s.hidden);
  const std::size_t query = s.heads * s.head_dim;
  const std::size_t key_value = s.kv_heads * s.head_dim;
  AttentionWeights weights{.q = numbers.matrix(dtype, query, s.hidden),
                           .k = numbers.matrix(dtype, key_value, s.hidden),
                           .v = numbers.matrix(dtype, key_value, s.hidden),
                           .o = numbers.matrix(dtype, s.hidden, query)};
  if (biases) {
    weights.q_bias = numbers.vector(query);
    weights.k_bias = numbers.vector(key_value);
    weights.v_bias = numbers.vector(key_value);
    weights.o_bias = numbers.vector(s.hidden);
  }
  return weights;
}

void naive_rope(Rows& x, std::size_t head_dim, double theta) {
  for (std::size_t t = 0; t < x.size(); ++t)
    for (std::size_t head = 0; head < x[t].size(); head += head_dim)
      for (std::size_t i = 0; i < head_dim / 2; ++i) {
        const double angle =
            static_cast<double>(t) * std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
        double& a = x[t][head + i];
        double& b = x[t][head + i + head_dim / 2];
        const double rotated = a * std::cos(angle) - b * std::sin(angle);
        b = b * std::cos(angle) + a * std::sin(angle);
        a = rotated;
      }
}

// The whole sequence at once, from position 0.
Rows naive_attention(const AttentionWeights& weights, const Sizes& s, double theta, std::size_t window, const Rows& x) {
  Rows q = naive_linear(x, weights.q, weights.q_bias);
  Rows k = naive_linear(x, weights.k, weights.k_bias);
  const Rows v = naive_linear(x, weights.v, weights.v_bias);
  naive_rope(q, s.head_dim, theta);
  naive_rope(k, s.head_dim, theta);
  Rows out(x.size(), std::vector<double>(s.heads * s.head_dim, 0.0));
  for (std::size_t t = 0; t < x.size(); ++t)
    for (std::size_t h = 0; h < s.heads; ++h) {
      const std::size_t first = window != 0 && t + 1 > window ? t + 1 - window : 0;
      const std::size_t shared = h / (s.heads / s.kv_heads) * s.head_dim;
      std::vector<double> weight;
      double sum = 0.0;
      for (std::size_t j = first; j <= t; ++j) {
        double score = 0.0;
        for (std::size_t i = 0; i < s.head_dim; ++i) score += q[t][h * s.head_dim + i] * k[j][shared + i];
        weight.push_back(std::exp(score / std::sqrt(static_cast<double>(s.head_dim))));
        sum += weight.back();
      }
      for (std::size_t j = first; j <= t; ++j)
        for (std::size_t i = 0; i < s.head_dim; ++i)
          out[t][h * s.head_dim + i] += weight[j - first] / sum * v[j][shared + i];
    }
  return naive_linear(out, weights.o, weights.o_bias);
}

// A cache in ordinary memory, filled with numbers that must not be seen.
struct Cache {
  Cache(DType dtype, const Sizes& s, std::size_t context)
      : bytes(2 * bytes_of(dtype, context * s.kv_heads * s.head_dim), std::byte{0x7b}),
        layer{.dtype = dtype,
              .k = bytes.data(),
              .v = bytes.data() + bytes.size() / 2,
              .kv_heads = s.kv_heads,
              .context = context,
              .head_dim = s.head_dim} {}
  std::vector<std::byte> bytes;
  CacheLayer layer;
};

Tensor<float, 2> in_parts(const AttentionWeights& weights, const Sizes& s, DType cache_type, std::size_t window,
                          TensorView<const float, 2> x, std::initializer_list<std::size_t> parts,
                          const cpu::Context& ctx) {
  constexpr std::size_t context = 24;
  const Cache cache(cache_type, s, context);
  const RopeTable rope(s.head_dim, context, {.theta = 100.f});
  std::vector<std::int32_t> positions(context);
  std::iota(positions.begin(), positions.end(), 0);
  Tensor<float, 2> y({x.extent(0), s.hidden});
  std::size_t begin = 0;
  for (const std::size_t tokens : parts) {
    Tensor<float, 2> q({tokens, s.heads * s.head_dim}), k({tokens, s.kv_heads * s.head_dim}), v(k), out(q);
    const CachedSequence sequence{.cache = cache.layer, .begin = 0, .tokens = tokens, .position = begin};
    attention_block(weights, std::span(&sequence, 1), rope, std::span(positions).subspan(begin, tokens),
                    {.scores = {.scale = 1.f / std::sqrt(static_cast<float>(s.head_dim)), .window = window}},
                    x.narrow(0, begin, tokens), {q, k, v, out}, y.narrow(0, begin, tokens), ctx);
    begin += tokens;
  }
  return y;
}

TEST(AttentionBlock, IsTheEquationOverACache) {
  for (const cpu::Kernels* kernels : all_kernels())
    for (const Sizes& s : {Sizes{24, 4, 4, 6}, Sizes{30, 6, 2, 10}, Sizes{17, 3, 1, 16}})
      for (const std::size_t window : {0u, 5u})
        for (const bool biases : {false, true}) {
          const AttentionWeights weights = random_attention(DType::f32, s, biases);
          const Tensor<float, 2> x = Numbers(9).tensor<2>({20, s.hidden});
          const Rows expected = naive_attention(weights, s, 100.0, window, rows_of(x));
          const cpu::Context ctx{.kernels = kernels};
          const Tensor<float, 2> whole = in_parts(weights, s, DType::f32, window, x, {20}, ctx);
          EXPECT_LT(max_difference(whole, expected), 1e-4) << kernels->name << " " << s.hidden << " " << window;
          const Tensor<float, 2> parts = in_parts(weights, s, DType::f32, window, x, {3, 1, 1, 9, 6}, ctx);
          EXPECT_EQ(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)), 0);
        }
}

TEST(AttentionBlock, HalfPrecisionWeightsAndCaches) {
  const Sizes s{30, 6, 2, 10};
  const Tensor<float, 2> x = Numbers(9).tensor<2>({20, s.hidden});
  for (const cpu::Kernels* kernels : all_kernels())
    for (const DType dtype : {DType::f16, DType::bf16}) {
      const AttentionWeights weights = random_attention(dtype, s, true);
      const Rows expected = naive_attention(weights, s, 100.0, 0, rows_of(x));
      const cpu::Context ctx{.kernels = kernels};
      EXPECT_LT(max_difference(in_parts(weights, s, DType::f32, 0, x, {20}, ctx), expected), 1e-4);
      // Keys and values are about 5, the output about 10: rounding moves it by their spacing.
      const double most = dtype == DType::f16 ? 0.05 : 0.4;
      const Tensor<float, 2> whole = in_parts(weights, s, dtype, 0, x, {20}, ctx);
      const Tensor<float, 2> parts = in_parts(weights, s, dtype, 0, x, {1, 12, 7}, ctx);
      EXPECT_LT(max_difference(whole, expected), most) << kernels->name << " " << name(dtype);
      EXPECT_GT(max_difference(whole, expected), 1e-4) << kernels->name << " " << name(dtype);
      EXPECT_EQ(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)), 0);
    }
}

// Heads of 32 elements fill the blocks of q8_0.
TEST(AttentionBlock, ACacheOfQ8_0) {
  const Sizes s{30, 6, 2, 64};
  const Tensor<float, 2> x = Numbers(9).tensor<2>({20, s.hidden});
  const AttentionWeights weights = random_attention(DType::f32, s, true);
  const Rows expected = naive_attention(weights, s, 100.0, 0, rows_of(x));
  for (const cpu::Kernels* kernels : all_kernels()) {
    const cpu::Context ctx{.kernels = kernels};
    const Tensor<float, 2> whole = in_parts(weights, s, DType::q8_0, 0, x, {20}, ctx);
    const Tensor<float, 2> parts = in_parts(weights, s, DType::q8_0, 0, x, {1, 12, 7}, ctx);
    const double exact = max_difference(in_parts(weights, s, DType::f32, 0, x, {20}, ctx), expected);
    EXPECT_LT(max_difference(whole, expected), 0.6) << kernels->name;
    EXPECT_GT(max_difference(whole, expected), 10 * exact) << kernels->name;
    EXPECT_EQ(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)), 0);
  }
}

// Rows of one x that belong to three sequences at different positions: each gets the bits that it gets alone.
TEST(AttentionBlock, SeveralSequencesAtOnce) {
  const Sizes s{30, 6, 2, 32};
  const Tensor<float, 2> x = Numbers(9).tensor<2>({20, s.hidden});
  for (const DType dtype : {DType::f32, DType::f16, DType::q8_0}) {
    const AttentionWeights weights = random_attention(DType::f32, s, true);
    const Cache a(dtype, s, 24), b(dtype, s, 30), c(dtype, s, 8);
    const RopeTable rope(s.head_dim, 30, {.theta = 100.f});
    const auto run = [&](TensorView<const float, 2> rows, std::vector<CachedSequence> sequences,
                         TensorView<float, 2> y) {
      std::vector<std::int32_t> positions;
      for (const CachedSequence& one : sequences)
        for (std::size_t t = 0; t < one.tokens; ++t) positions.push_back(static_cast<std::int32_t>(one.position + t));
      const std::size_t n = rows.extent(0);
      Tensor<float, 2> q({n, s.heads * s.head_dim}), k({n, s.kv_heads * s.head_dim}), v(k), out(q);
      attention_block(weights, sequences, rope, positions, {.scores = {.scale = 0.2f}}, rows, {q, k, v, out}, y, {});
    };
    // The first eleven rows: five tokens of a, six of b; then one of a, two of b, three of c.
    Tensor<float, 2> y({17, s.hidden}), alone(y);
    run(x.narrow(0, 0, 11), {{a.layer, 0, 5, 0}, {b.layer, 5, 6, 0}}, y.narrow(0, 0, 11));
    run(x.narrow(0, 11, 6), {{a.layer, 0, 1, 5}, {b.layer, 1, 2, 6}, {c.layer, 3, 3, 0}}, y.narrow(0, 11, 6));
    run(x.narrow(0, 0, 5), {{a.layer, 0, 5, 0}}, alone.narrow(0, 0, 5));
    run(x.narrow(0, 5, 6), {{b.layer, 0, 6, 0}}, alone.narrow(0, 5, 6));
    run(x.narrow(0, 11, 1), {{a.layer, 0, 1, 5}}, alone.narrow(0, 11, 1));
    run(x.narrow(0, 12, 2), {{b.layer, 0, 2, 6}}, alone.narrow(0, 12, 2));
    run(x.narrow(0, 14, 3), {{c.layer, 0, 3, 0}}, alone.narrow(0, 14, 3));
    EXPECT_EQ(std::memcmp(y.data(), alone.data(), y.size() * sizeof(float)), 0) << name(dtype);
  }
}

TEST(AttentionBlock, MayWriteOverItsInput) {
  const Sizes s{24, 4, 2, 6};
  const AttentionWeights weights = random_attention(DType::f32, s, false);
  Tensor<float, 2> x = Numbers(9).tensor<2>({6, s.hidden});
  const Tensor<float, 2> expected = in_parts(weights, s, DType::f32, 0, x, {6}, {});
  const Cache cache(DType::f32, s, 6);
  const RopeTable rope(s.head_dim, 6, {.theta = 100.f});
  const std::vector<std::int32_t> positions{0, 1, 2, 3, 4, 5};
  Tensor<float, 2> q({6, 24}), k({6, 12}), v(k), out(q);
  const CachedSequence sequence{.cache = cache.layer, .begin = 0, .tokens = 6, .position = 0};
  attention_block(weights, std::span(&sequence, 1), rope, positions, {.scores = {.scale = 1.f / std::sqrt(6.f)}}, x,
                  {q, k, v, out}, x, {});
  EXPECT_EQ(std::memcmp(x.data(), expected.data(), x.size() * sizeof(float)), 0);
}

// The cache holds rotated keys and values as they are, each head's positions one after the other.
TEST(AttentionBlock, StoresWhatTheCacheSays) {
  const Sizes s{24, 4, 2, 6};
  const AttentionWeights weights = random_attention(DType::f32, s, true);
  const Tensor<float, 2> x = Numbers(9).tensor<2>({4, s.hidden});
  const Cache cache(DType::f32, s, 9);
  const RopeTable rope(s.head_dim, 9, {.theta = 100.f});
  const std::vector<std::int32_t> positions{0, 1, 2, 3};
  Tensor<float, 2> q({4, 24}), k({4, 12}), v(k), out(q), y({4, 24});
  const CachedSequence sequence{.cache = cache.layer, .begin = 0, .tokens = 4, .position = 0};
  attention_block(weights, std::span(&sequence, 1), rope, positions, {.scores = {.scale = 1.f / std::sqrt(6.f)}}, x,
                  {q, k, v, out}, y, {});
  Rows keys = naive_linear(rows_of(x), weights.k, weights.k_bias);
  naive_rope(keys, 6, 100.0);
  const Rows values = naive_linear(rows_of(x), weights.v, weights.v_bias);
  const auto* stored_k = reinterpret_cast<const float*>(cache.layer.k);
  const auto* stored_v = reinterpret_cast<const float*>(cache.layer.v);
  for (std::size_t t = 0; t < 4; ++t)
    for (std::size_t h = 0; h < 2; ++h)
      for (std::size_t i = 0; i < 6; ++i) {
        EXPECT_NEAR(static_cast<double>(stored_k[(h * 9 + t) * 6 + i]), keys[t][h * 6 + i], 1e-5);
        EXPECT_NEAR(static_cast<double>(stored_v[(h * 9 + t) * 6 + i]), values[t][h * 6 + i], 1e-5);
      }
  for (std::size_t byte = 4 * 6 * 4; byte < 9 * 6 * 4; ++byte) EXPECT_EQ(cache.layer.k[byte], std::byte{0x7b});
}

TEST(AttentionBlock, RefusesACacheOfAnotherType) {
  const Sizes s{24, 4, 2, 6};
  const AttentionWeights weights = random_attention(DType::f32, s, false);
  const Tensor<float, 2> x = Numbers(9).tensor<2>({4, s.hidden});
  EXPECT_THROW(in_parts(weights, s, DType::i8, 0, x, {4}, {}), UnsupportedError);
}

}  // namespace
