#include <weft/models/batch.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

CausalLM load(LoadOptions options = {}) {
  options.tokenizer = false;
  if (options.threads == 0) options.threads = 1;
  return load_causal_lm(fixture("llama-gqa"), options);
}

/// Sessions with prompts of different lengths, and what each gives alone.
struct Fleet {
  Fleet(const CausalLM& model, std::span<const std::size_t> lengths, DType cache = DType::f32) {
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      std::vector<TokenId> prompt(lengths[i]);
      for (std::size_t t = 0; t < prompt.size(); ++t)
        prompt[t] = static_cast<TokenId>((7 * i + 5 * t + 3) % model.config().vocab);
      prompts.push_back(prompt);
      sessions.push_back(std::make_unique<Session>(model, SessionOptions{.context = 64, .cache = cache}));
      alone.push_back(std::make_unique<Session>(model, SessionOptions{.context = 64, .cache = cache}));
    }
  }

  std::vector<BatchEntry> entries(std::span<const std::vector<TokenId>> tokens) const {
    std::vector<BatchEntry> result;
    for (std::size_t i = 0; i < sessions.size(); ++i) result.push_back({sessions[i].get(), tokens[i]});
    return result;
  }

  std::vector<std::vector<TokenId>> prompts;
  std::vector<std::unique_ptr<Session>> sessions, alone;
};

bool equal_rows(TensorView<const float, 2> logits, std::size_t row, std::span<const float> expected) {
  return std::equal(expected.begin(), expected.end(), &logits(row, 0));
}

// Prompts of unequal lengths together, then single tokens, for every weight type: the bits of each session alone.
TEST(Batch, EverySessionGetsTheBitsItGetsAlone) {
  const std::vector<std::size_t> lengths{9, 1, 20, 4, 13};
  for (const std::optional<DType> weights :
       {std::optional<DType>(), std::optional(DType::f16), std::optional(DType::bf16), std::optional(DType::q8_0),
        std::optional(DType::q4_0), std::optional(DType::q5_1)})
    for (const std::size_t threads : {1u, 2u})
      for (const std::size_t rows : {512u, 3u}) {
        const CausalLM model = load({.weights = weights, .threads = threads});
        Fleet fleet(model, lengths);
        Batch batch(model, {.sequences = 5, .rows = rows});
        std::vector<std::vector<TokenId>> tokens = fleet.prompts;
        for (int step = 0; step < 4; ++step) {
          const TensorView<const float, 2> logits = batch.forward(fleet.entries(tokens));
          ASSERT_EQ(logits.extents(), (Dims<2>{5, model.config().vocab}));
          for (std::size_t i = 0; i < lengths.size(); ++i) {
            const std::span<const float> expected = fleet.alone[i]->forward(tokens[i]);
            ASSERT_TRUE(equal_rows(logits, i, expected)) << step << " " << i << " rows " << rows;
            EXPECT_EQ(fleet.sessions[i]->position(), fleet.alone[i]->position());
            const auto best = std::max_element(expected.begin(), expected.end()) - expected.begin();
            tokens[i] = {static_cast<TokenId>(best)};
          }
        }
      }
}

TEST(Batch, SessionsComeAndGoAndRunAloneBetween) {
  const CausalLM model = load();
  const std::vector<std::size_t> lengths{5, 8, 3};
  Fleet fleet(model, lengths);
  Batch batch(model);
  batch.forward(fleet.entries(fleet.prompts));
  for (std::size_t i = 0; i < 3; ++i) fleet.alone[i]->forward(fleet.prompts[i]);
  const std::vector<TokenId> some{4, 5}, one{6};
  // The second goes on alone and is taken back; the first and third go on together, in another order.
  fleet.sessions[1]->forward(one);
  fleet.sessions[1]->truncate(8);
  const std::vector<BatchEntry> others{{fleet.sessions[2].get(), some}, {fleet.sessions[0].get(), one}};
  const TensorView<const float, 2> logits = batch.forward(others);
  EXPECT_TRUE(equal_rows(logits, 0, fleet.alone[2]->forward(some)));
  EXPECT_TRUE(equal_rows(logits, 1, fleet.alone[0]->forward(one)));
  const std::vector<BatchEntry> last{{fleet.sessions[1].get(), some}};
  EXPECT_TRUE(equal_rows(batch.forward(last), 0, fleet.alone[1]->forward(some)));
}

TEST(Batch, EveryCacheType) {
  const CausalLM model = load_causal_lm(WEFT_MODELS_DIR "/tales", {.threads = 2, .tokenizer = false});
  for (const DType cache : {DType::f16, DType::bf16, DType::q8_0}) {
    Fleet fleet(model, std::vector<std::size_t>{6, 41}, cache);
    Batch batch(model);
    const TensorView<const float, 2> logits = batch.forward(fleet.entries(fleet.prompts));
    for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(equal_rows(logits, i, fleet.alone[i]->forward(fleet.prompts[i])));
  }
}

TEST(Batch, WhatDoesNotFitIsAnErrorAndChangesNothing) {
  const CausalLM model = load(), other = load();
  Fleet fleet(model, std::vector<std::size_t>{6, 11});
  Batch batch(model, {.sequences = 2});
  const auto forward = [&](Session& a, std::vector<TokenId> x, Session& b, std::vector<TokenId> y) {
    const std::vector<BatchEntry> entries{{&a, x}, {&b, y}};
    batch.forward(entries);
  };
  Session &a = *fleet.sessions[0], &b = *fleet.sessions[1];
  Session foreign(other, {.context = 64}), half_cache(model, {.context = 64, .cache = DType::f16}), third(model);
  EXPECT_EQ(message_of<ShapeError>([&] { forward(a, {1}, b, {}); }), "Batch: entry 1: forward: there are no tokens");
  EXPECT_THROW(forward(a, {1}, b, {-1}), ShapeError);
  EXPECT_THROW(forward(a, {1}, b, std::vector<TokenId>(65, 1)), ShapeError);
  EXPECT_THROW(forward(a, {1}, a, {2}), ConfigError);
  EXPECT_THROW(batch.forward(std::vector<BatchEntry>{{nullptr, {}}}), ConfigError);
  EXPECT_THROW(forward(a, {1}, foreign, {2}), ConfigError);
  EXPECT_THROW(forward(a, {1}, half_cache, {2}), ConfigError);
  const std::vector<TokenId> token{1};
  const std::vector<BatchEntry> three{{&a, token}, {&b, token}, {&third, token}};
  EXPECT_THROW(batch.forward(three), ShapeError);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(batch.forward(std::span(three).first(2), stop.get_token()), Cancelled);
  for (const Session* session : {&a, &b, &foreign, &half_cache}) EXPECT_EQ(session->position(), 0u);
  Batch narrow(model, {.sequences = 2, .context = 32});
  EXPECT_THROW(narrow.forward(std::span(three).first(2)), ConfigError);
  EXPECT_EQ(batch.forward({}).extent(0), 0u);
  const auto refused = [&](const BatchOptions& options) {
    return message_of<ConfigError>([&] { Batch(model, options); });
  };
  EXPECT_EQ(refused({.sequences = 0}), "Batch: sequences is 0, expected 1 to 1048576");
  EXPECT_EQ(refused({.sequences = std::size_t{1} << 60}),
            "Batch: sequences is 1152921504606846976, expected 1 to 1048576");
  EXPECT_EQ(refused({.rows = 0}), "Batch: rows is 0, expected 1 to 1048576");
  EXPECT_EQ(refused({.rows = std::size_t{1} << 60}), "Batch: rows is 1152921504606846976, expected 1 to 1048576");
  EXPECT_THROW(Batch(model, {.context = 1u << 20}), ConfigError);
}

}  // namespace
