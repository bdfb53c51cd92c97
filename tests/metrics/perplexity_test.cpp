#include <weft/metrics/perplexity.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include <weft/models/load.hpp>

#include "../formats/temporary_directory.hpp"

namespace {

using namespace weft;
using weft_tests::message_of;

constexpr const char* tales = WEFT_MODELS_DIR "/tales";

CausalLM load(std::optional<DType> weights = {}, Compute compute = Compute::native) {
  return load_causal_lm(tales, {.weights = weights, .threads = 2, .compute = compute});
}

/// Paragraphs of the books that the shipped model was not trained on.
std::vector<TokenId> validation(const CausalLM& model) {
  std::ifstream file(WEFT_TESTS_DIR "/fixtures/tales/validation.txt");
  return model.tokenizer().encode(std::string((std::istreambuf_iterator<char>(file)), {}));
}

TEST(Perplexity, IsTheDefinitionOverSlidingWindows) {
  const CausalLM model = load();
  const std::vector<TokenId> all = validation(model), ids(all.begin(), all.begin() + 100);
  const std::size_t vocab = model.config().vocab;
  for (const auto& [window, stride] :
       {std::pair<std::size_t, std::size_t>{100, 0}, {40, 0}, {40, 10}, {7, 3}, {2, 1}, {500, 99}}) {
    double sum = 0.0;
    std::vector<bool> counted(ids.size());
    const std::size_t step = stride ? stride : window - 1;
    for (std::size_t begin = 0; begin == 0 || begin - step + window < ids.size(); begin += step)
      for (std::size_t t = begin + 1; t < std::min(ids.size(), begin + window); ++t) {
        if (counted[t]) continue;
        counted[t] = true;
        Session session(model);
        const auto logits = session.forward(std::span(ids).subspan(begin, t - begin));
        double total = 0.0;
        for (std::size_t v = 0; v < vocab; ++v) total += std::exp(static_cast<double>(logits[v]));
        sum += std::log(total) - static_cast<double>(logits[static_cast<std::size_t>(ids[t])]);
      }
    const Perplexity result = perplexity(model, ids, {.window = window, .stride = stride});
    EXPECT_EQ(result.tokens, 99u);
    EXPECT_NEAR(result.nats, sum / 99, 1e-5) << window << " " << stride;
    EXPECT_DOUBLE_EQ(result.value(), std::exp(result.nats));
  }
  EXPECT_NEAR((Perplexity{.nats = 3.0, .tokens = 10}).bits_per_byte(40), 3.0 * 10 / (40 * std::log(2.0)), 1e-12);
}

// What quantised weights cost: the perplexity of unseen text relative to the weights of the file. Measured on all of
// the validation text, where the file has 27.80: q8_0 +0.04 %, q6_k +0.13, q5_k +0.54, q4_k +1.38, q4_0 +2.23.
TEST(Perplexity, OfEveryWeightTypeIsWithinItsBound) {
  const CausalLM exact = load({}, Compute::f32);
  const std::vector<TokenId> ids = validation(exact);
  ASSERT_GT(ids.size(), 1500u);
  const double expected = perplexity(exact, ids, {.window = 512}).value();
  EXPECT_GT(expected, 15.0);
  EXPECT_LT(expected, 45.0);
  const auto change = [&](std::optional<DType> weights) {
    return perplexity(load(weights), ids, {.window = 512}).value() / expected - 1.0;
  };
  EXPECT_LT(std::abs(change({})), 0.0005) << "bf16 with native products";
  EXPECT_LT(std::abs(change(DType::f16)), 0.0005);
  for (const auto& [weights, most] : {std::pair{DType::q8_0, 0.001},
                                      {DType::q8_128, 0.002},
                                      {DType::q8_row, 0.002},
                                      {DType::q6_k, 0.005},
                                      {DType::q5_k, 0.01},
                                      {DType::q5_1, 0.01},
                                      {DType::q5_0, 0.01},
                                      {DType::q4_k, 0.03},
                                      {DType::q4_1, 0.05},
                                      {DType::q4_0, 0.05}}) {
    const double change_here = change(weights);
    RecordProperty(std::string(name(weights)), std::to_string(change_here));
    EXPECT_LT(std::abs(change_here), most) << name(weights);
  }
  // Caches: half precision costs nothing that shows, eight bits little.
  for (const auto& [cache, most] : {std::pair{DType::f16, 0.0005}, {DType::bf16, 0.002}, {DType::q8_0, 0.002}})
    EXPECT_LT(std::abs(perplexity(exact, ids, {.window = 512, .cache = cache}).value() / expected - 1.0), most)
        << name(cache);
}

TEST(Perplexity, WhatDoesNotFitIsAnError) {
  const CausalLM model = load();
  const std::vector<TokenId> ids{5, 6, 7};
  EXPECT_EQ(message_of<ShapeError>([&] { perplexity(model, std::span(ids).first(1)); }),
            "perplexity: 1 tokens, expected at least two");
  EXPECT_THROW(perplexity(model, ids, {.window = 1}), ConfigError);
  EXPECT_THROW(perplexity(model, ids, {.window = 1000}), ConfigError);
  EXPECT_THROW(perplexity(model, ids, {.window = 10, .stride = 10}), ConfigError);
  EXPECT_THROW(perplexity(model, std::vector<TokenId>{5, 99999}), ShapeError);
  std::vector<TokenId> far(300, 5);
  far[128] = 1 << 30;  // what the last of the rows of logits that are held at once would be asked for
  EXPECT_EQ(message_of<ShapeError>([&] { perplexity(model, far); }),
            "perplexity: token id 1073741824 at index 128 is outside the vocabulary of 4096");
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(perplexity(model, ids, {.stop = stop.get_token()}), Cancelled);
}

}  // namespace
