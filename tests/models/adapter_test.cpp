#include <weft/models/adapter.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <weft/models/batch.hpp>

#include "adapter_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::HasSubstr;

constexpr float tolerance = 2e-4f;

TEST(AdapterSet, MixturesComputeWhatPeftDoes) {
  const CausalLM model = model_of("lora");
  const SafetensorsFile reference(adapter_fixture("mixtures") / "reference.safetensors");
  const auto mixtures = nlohmann::json::parse(reference.metadata()[0].second).at("mixtures");
  ASSERT_EQ(mixtures.size(), 4u);
  for (std::size_t i = 0; i < mixtures.size(); ++i) {
    std::vector<ScaledAdapter> adapters;
    for (const auto& part : mixtures[i])
      adapters.push_back({load_fixture_adapter(model, part[0].get<std::string>()), part[1].get<float>()});
    const std::vector<float> logits = logits_of(model, AdapterReference("lora").prompt(), AdapterSet(adapters));
    EXPECT_LE(max_difference(logits, reference.tensor("logits." + std::to_string(i)).elements<float>()), tolerance)
        << mixtures[i];
  }
}

TEST(AdapterSet, AdaptersThatDoNotFitTogetherAreErrors) {
  const CausalLM model = model_of("saved"), other = model_of("saved");
  const Adapter saved = load_fixture_adapter(model, "saved"), lora = load_fixture_adapter(model, "lora");
  const Adapter foreign = load_fixture_adapter(other, "lora");
  const auto message = [](std::vector<ScaledAdapter> adapters) {
    return message_of<ConfigError>([&] { AdapterSet{std::span<const ScaledAdapter>(adapters)}; });
  };
  EXPECT_THAT(message({{lora}, {foreign}}), HasSubstr("loaded for another model"));
  EXPECT_THAT(message({{saved}, {lora}, {saved}}), HasSubstr("replaces a weight that another one replaces too"));
  EXPECT_THAT(message({{lora, std::numeric_limits<float>::infinity()}}), HasSubstr("is not a number"));
  EXPECT_EQ(message({{lora}, {lora, 0.5f}}), "no exception");
  EXPECT_TRUE(AdapterSet().empty());
  EXPECT_TRUE((AdapterSet(std::span<const ScaledAdapter>()).empty()));

  Session session(model, {.adapters = {{lora}}});
  EXPECT_THROW(session.set_adapters({{foreign}}), ConfigError);
  EXPECT_FALSE(session.adapters().empty());
}

TEST(AdapterSet, IsSwitchedBetweenTokens) {
  const CausalLM model = model_of("lora");
  const AdapterSet a{{load_fixture_adapter(model, "lora"), 0.7f}}, b{{load_fixture_adapter(model, "saved")}};
  const std::vector<TokenId> prompt = AdapterReference("lora").prompt();
  Session session(model, {.context = 64});
  for (const AdapterSet& set : {a, AdapterSet(), b, a}) {
    session.truncate(0);
    session.set_adapters(set);
    const std::span<const float> logits = session.forward(prompt);
    const std::vector<float> expected = logits_of(model, prompt, set);
    EXPECT_TRUE(same_bits(logits, std::span(expected).last(logits.size())));
  }
}

TEST(AdapterSet, AScaleOfZeroChangesNothingButRounding) {
  const CausalLM model = model_of("lora");
  const std::vector<TokenId> prompt = AdapterReference("lora").prompt();
  EXPECT_LE(
      max_difference(logits_of(model, prompt, {{load_fixture_adapter(model, "lora"), 0.f}}), logits_of(model, prompt)),
      1e-6f);
}

// Threads, chunks, kernels and other sequences change no bit.
TEST(AdapterSet, ResultsDoNotDependOnThreadsAndChunks) {
  for (const char* name : {"dora", "saved", "saved-mlp", "bias-dora", "conv1d-dora", "fused", "experts",
                           "embedding-dora", "shared-expert"})
    for (const auto weights : {std::optional<DType>(), std::optional(DType::q8_0), std::optional(DType::bf16)}) {
      const std::vector<TokenId> prompt = AdapterReference(name).prompt();
      const CausalLM one = model_of(name, {.weights = weights});
      const std::vector<float> expected = logits_of(one, prompt, {{load_fixture_adapter(one, name), 0.9f}});
      const CausalLM several = model_of(name, {.weights = weights, .threads = 3});
      const AdapterSet set{{load_fixture_adapter(several, name), 0.9f}};
      for (const std::size_t chunk : {512u, 3u, 1u})
        EXPECT_TRUE(same_bits(logits_of(several, prompt, set, chunk), expected)) << name << " " << chunk;
    }
}

struct BatchCase {
  const char* model;
  std::vector<const char*> adapters;
};

TEST(AdapterSet, EverySessionOfABatchHasItsOwn) {
  const std::vector<BatchCase> cases{{"lora", {"lora", "dora", "saved", "embedding-dora", "saved-mlp"}},
                                     {"bias-all", {"bias-all", "lora-bias", "bias-dora"}},
                                     {"conv1d", {"conv1d", "conv1d-dora"}},
                                     {"shared-expert", {"shared-expert"}},
                                     {"experts", {"experts"}}};
  for (const auto& [base, names] : cases)
    for (const std::size_t rows : {512u, 3u}) {
      const CausalLM model = model_of(base, {.threads = 2});
      std::vector<AdapterSet> sets{{}};
      for (const char* name : names) sets.push_back({{load_fixture_adapter(model, name), 0.8f}});
      sets.push_back(sets[1]);
      sets.push_back(sets[1]);
      sets.push_back({});
      Batch batch(model, {.sequences = sets.size(), .rows = rows});
      std::vector<std::unique_ptr<Session>> together, alone;
      std::vector<std::vector<TokenId>> tokens;
      for (std::size_t i = 0; i < sets.size(); ++i) {
        tokens.push_back(some_ids(1 + 3 * i % 7, model.config().vocab));
        for (auto* sessions : {&together, &alone}) {
          sessions->push_back(std::make_unique<Session>(model, SessionOptions{.context = 64}));
          sessions->back()->set_adapters(sets[i]);
        }
      }
      for (int step = 0; step < 3; ++step) {
        std::vector<BatchEntry> entries;
        for (std::size_t i = 0; i < sets.size(); ++i) entries.push_back({together[i].get(), tokens[i]});
        const TensorView<const float, 2> logits = batch.forward(entries);
        for (std::size_t i = 0; i < sets.size(); ++i) {
          const std::span<const float> expected = alone[i]->forward(tokens[i]);
          EXPECT_TRUE(same_bits(std::span(&logits(i, 0), expected.size()), expected)) << base << " " << i;
          tokens[i] = {argmax(expected)};
        }
      }
    }
}

TEST(AdapterSet, TapsSeeAdaptedIntermediates) {
  const CausalLM model = model_of("lora");
  const auto observe_mlp = [&](const AdapterSet& set) {
    std::vector<float> values;
    Session session(model, {.context = 64});
    session.set_adapters(set);
    session.set_tap([&](std::string_view name, TensorView<const float, 2> x) {
      if (name == "model.layers.0.self_attn") values.assign(x.data(), x.data() + x.size());
    });
    session.forward(AdapterReference("lora").prompt());
    return values;
  };
  EXPECT_GT(max_difference(observe_mlp({{load_fixture_adapter(model, "lora")}}), observe_mlp({})), 0.01f);
}

}  // namespace
