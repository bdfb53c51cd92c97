#include <weft/layers/transformer_block.hpp>

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

constexpr std::size_t tokens = 6, hidden = 24, heads = 4, kv_heads = 2, head_dim = 6, intermediate = 40;

DecoderLayerWeights random_layer() {
  Numbers numbers(3);
  return {.attention_norm = {.gain = numbers.vector(hidden)},
          .attention = {.q = numbers.matrix(DType::f32, heads * head_dim, hidden),
                        .k = numbers.matrix(DType::f32, kv_heads * head_dim, hidden),
                        .v = numbers.matrix(DType::f32, kv_heads * head_dim, hidden),
                        .o = numbers.matrix(DType::f32, hidden, heads * head_dim)},
          .mlp_norm = {.gain = numbers.vector(hidden)},
          .mlp = {.gate = numbers.matrix(DType::f32, intermediate, hidden),
                  .up = numbers.matrix(DType::f32, intermediate, hidden),
                  .down = numbers.matrix(DType::f32, hidden, intermediate)}};
}

class TransformerBlock : public testing::Test {
 protected:
  DecoderLayerBuffers buffers() { return {normed, attention_buffers(), gate, up}; }
  AttentionBuffers attention_buffers() { return {q, k, v, out}; }
  void run(TensorView<float, 2> values, const Tap* tap = nullptr) {
    const CachedSequence sequence{.cache = cache, .begin = 0, .tokens = tokens, .position = 0};
    cpu::Residual residual(values);
    transformer_block(weights, std::span(&sequence, 1), rope, positions, params, buffers(), residual, tap,
                      "model.layers.7", {});
  }

  DecoderLayerWeights weights = random_layer();
  Tensor<float, 2> x = Numbers(4).tensor<2>({tokens, hidden});
  std::vector<std::byte> memory = std::vector<std::byte>(2 * tokens * kv_heads * head_dim * sizeof(float));
  CacheLayer cache{.dtype = DType::f32,
                   .k = memory.data(),
                   .v = memory.data() + memory.size() / 2,
                   .kv_heads = kv_heads,
                   .context = tokens,
                   .head_dim = head_dim};
  RopeTable rope{head_dim, tokens, {.theta = 100.f}};
  std::vector<std::int32_t> positions{0, 1, 2, 3, 4, 5};
  DecoderLayerParams params{.norm = {.eps = 1e-5f},
                            .activation = Activation::gelu,
                            .attention = {.scores = {.scale = 1.f / std::sqrt(static_cast<float>(head_dim))}}};
  Tensor<float, 2> normed{{tokens, hidden}}, q{{tokens, heads*head_dim}}, k{{tokens, kv_heads*head_dim}}, v{k}, out{q},
      gate{{tokens, intermediate}}, up{gate};
};

Rows naive_norm(const Rows& x, const Tensor<float, 1>& gain, double eps) {
  Rows y = x;
  for (std::vector<double>& row : y) {
    double sum = 0.0;
    for (const double value : row) sum += value * value;
    const double scale = 1.0 / std::sqrt(sum / static_cast<double>(row.size()) + eps);
    for (std::size_t i = 0; i < row.size(); ++i) row[i] *= scale * static_cast<double>(gain(i));
  }
  return y;
}

Tensor<float, 2> floats_of(const Rows& rows) {
  Tensor<float, 2> result({rows.size(), rows[0].size()});
  for (std::size_t t = 0; t < rows.size(); ++t)
    for (std::size_t i = 0; i < rows[t].size(); ++i) result(t, i) = static_cast<float>(rows[t][i]);
  return result;
}

// x + attention(norm(x)), then that + mlp(norm(that)), with the norms and sums in double.
TEST_F(TransformerBlock, AddsBothHalvesToItsInput) {
  Rows expected = rows_of(x);
  Tensor<float, 2> part({tokens, hidden});
  const CachedSequence sequence{.cache = cache, .begin = 0, .tokens = tokens, .position = 0};
  attention_block(weights.attention, std::span(&sequence, 1), rope, positions, params.attention,
                  floats_of(naive_norm(expected, weights.attention_norm.gain, 1e-5)), attention_buffers(), part, {});
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t i = 0; i < hidden; ++i) expected[t][i] += static_cast<double>(part(t, i));
  mlp(weights.mlp, Activation::gelu, floats_of(naive_norm(expected, weights.mlp_norm.gain, 1e-5)), gate, up, part, {});
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t i = 0; i < hidden; ++i) expected[t][i] += static_cast<double>(part(t, i));
  run(x);
  EXPECT_LT(max_difference(x, expected), 2e-4);
}

// Taps see what the halves give before it is scaled.
TEST_F(TransformerBlock, ScalesWhatItAdds) {
  std::map<std::string, Tensor<float, 2>> seen;
  const Tap tap = [&](std::string_view name, TensorView<const float, 2> values) {
    seen.emplace(name, values.contiguous());
  };
  for (const BlockForm form : {BlockForm::pre_norm, BlockForm::residual_norm, BlockForm::parallel_shared}) {
    params.form = form;
    params.residual_scale = 0.25f;
    seen.clear();
    Tensor<float, 2> y = x, other({tokens, hidden});
    const CachedSequence sequence{.cache = cache, .begin = 0, .tokens = tokens, .position = 0};
    DecoderLayerBuffers scratch = buffers();
    scratch.other = other;
    cpu::Residual residual(y);
    transformer_block(weights, std::span(&sequence, 1), rope, positions, params, scratch, residual, &tap, "layer", {});
    Rows sum = rows_of(x);
    const auto add = [&](const char* half, const NormWeights& norm) {
      for (std::size_t t = 0; t < tokens; ++t)
        for (std::size_t i = 0; i < hidden; ++i) sum[t][i] += 0.25 * static_cast<double>(seen.at(half)(t, i));
      if (form == BlockForm::residual_norm) sum = naive_norm(sum, norm.gain, 1e-5);
    };
    add("layer.self_attn", weights.attention_norm);
    add("layer.mlp", weights.mlp_norm);
    EXPECT_LT(max_difference(y, sum), 2e-4);
  }
}

// x = norm(x + attention(x)), then norm(that + mlp(that)).
TEST_F(TransformerBlock, NormalisesTheSums) {
  params.form = BlockForm::residual_norm;
  Rows expected = rows_of(x);
  Tensor<float, 2> part({tokens, hidden});
  const CachedSequence sequence{.cache = cache, .begin = 0, .tokens = tokens, .position = 0};
  const auto add = [&](const NormWeights& norm) {
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t i = 0; i < hidden; ++i) expected[t][i] += static_cast<double>(part(t, i));
    expected = naive_norm(expected, norm.gain, 1e-5);
  };
  attention_block(weights.attention, std::span(&sequence, 1), rope, positions, params.attention, x, attention_buffers(),
                  part, {});
  add(weights.attention_norm);
  mlp(weights.mlp, Activation::gelu, floats_of(expected), gate, up, part, {});
  add(weights.mlp_norm);
  run(x);
  EXPECT_LT(max_difference(x, expected), 2e-4);
}

// Cross-attention comes between the two halves, with a norm as they have.
TEST_F(TransformerBlock, ReadsASource) {
  Numbers numbers(5);
  weights.cross_norm.gain = numbers.vector(hidden);
  weights.cross = {.q = numbers.matrix(DType::f32, heads * head_dim, hidden),
                   .k = {},
                   .v = {},
                   .o = numbers.matrix(DType::f32, hidden, heads * head_dim)};
  Tensor<float, 3> keys = numbers.tensor<3>({heads, 3, head_dim}), values = numbers.tensor<3>({heads, 3, head_dim});
  const CachedSequence sequence{.cache = cache,
                                .begin = 0,
                                .tokens = tokens,
                                .position = 0,
                                .source = {.dtype = DType::f32,
                                           .k = reinterpret_cast<std::byte*>(keys.data()),
                                           .v = reinterpret_cast<std::byte*>(values.data()),
                                           .kv_heads = heads,
                                           .context = 3,
                                           .head_dim = head_dim},
                                .source_tokens = 3};
  for (const BlockForm form : {BlockForm::pre_norm, BlockForm::residual_norm}) {
    params.form = form;
    Tensor<float, 2> y = x;
    std::map<std::string, Tensor<float, 2>> seen;
    const Tap tap = [&](std::string_view name, TensorView<const float, 2> tapped) {
      seen.emplace(name, tapped.contiguous());
    };
    cpu::Residual residual(y);
    transformer_block(weights, std::span(&sequence, 1), rope, positions, params, buffers(), residual, &tap, "layer",
                      {});
    Rows sum = rows_of(x);
    const auto add = [&](const char* part, const NormWeights& norm) {
      const Tensor<float, 2>& tapped = seen.at(part);
      for (std::size_t t = 0; t < tokens; ++t)
        for (std::size_t i = 0; i < hidden; ++i) sum[t][i] += static_cast<double>(tapped(t, i));
      if (form == BlockForm::residual_norm) sum = naive_norm(sum, norm.gain, 1e-5);
    };
    add("layer.self_attn", weights.attention_norm);
    Tensor<float, 2> expected({tokens, hidden});
    const Rows in = form == BlockForm::pre_norm ? naive_norm(sum, weights.cross_norm.gain, 1e-5) : sum;
    cross_attention(weights.cross, std::span(&sequence, 1), params.cross, floats_of(in), q, out, expected, {});
    EXPECT_LT(max_difference(seen.at("layer.encoder_attn"), rows_of(expected)), 2e-4);
    add("layer.encoder_attn", weights.cross_norm);
    add("layer.mlp", weights.mlp_norm);
    EXPECT_LT(max_difference(y, sum), 2e-4);
  }
}

TEST_F(TransformerBlock, TapsItsParts) {
  std::map<std::string, Tensor<float, 2>> seen;
  const Tap tap = [&](std::string_view name, TensorView<const float, 2> values) {
    EXPECT_TRUE(seen.emplace(name, values.contiguous()).second);
  };
  const Tensor<float, 2> before = x;
  run(x, &tap);
  ASSERT_EQ(seen.size(), 3u);
  const Tensor<float, 2>& attention = seen.at("model.layers.7.self_attn");
  const Tensor<float, 2>& feed_forward = seen.at("model.layers.7.mlp");
  EXPECT_EQ(std::memcmp(seen.at("model.layers.7").data(), x.data(), x.size() * sizeof(float)), 0);
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_EQ(before.elements()[i] + attention.elements()[i] + feed_forward.elements()[i], x.elements()[i]);
}

TEST_F(TransformerBlock, TapsChangeNothing) {
  Tensor<float, 2> tapped = x;
  const Tap tap = [](std::string_view, TensorView<const float, 2>) {};
  run(tapped, &tap);
  run(x);
  EXPECT_EQ(std::memcmp(tapped.data(), x.data(), x.size() * sizeof(float)), 0);
}

}  // namespace
