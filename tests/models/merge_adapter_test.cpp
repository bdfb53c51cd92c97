#include <weft/models/merge_adapter.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "adapter_fixtures.hpp"

// What merged models compute is tested for every adapter in load_adapter_test.cpp.
namespace {

using namespace weft;
using namespace weft_tests;

constexpr float tolerance = 2e-4f;

TEST(MergeAdapter, TakesAScale) {
  const CausalLM model = model_of("lora");
  const std::vector<TokenId> prompt = AdapterReference("lora").prompt();
  for (const char* name : {"lora", "dora", "patterns"}) {
    const Adapter adapter = load_fixture_adapter(model, name);
    EXPECT_LE(
        max_difference(logits_of(merge(model, adapter, 0.6f), prompt), logits_of(model, prompt, {{adapter, 0.6f}})),
        tolerance)
        << name;
  }
}

TEST(MergeAdapter, LeavesTheModelAndWhatIsNotChangedAsTheyAre) {
  const CausalLM model = model_of("lora");
  const std::vector<TokenId> prompt = AdapterReference("lora").prompt();
  const std::vector<float> before = logits_of(model, prompt);
  const CausalLM merged = merge(model, load_fixture_adapter(model, "lora"));
  EXPECT_TRUE(same_bits(logits_of(model, prompt), before));
  EXPECT_EQ(merged.weights().layers[0].mlp.up.bytes().data(), model.weights().layers[0].mlp.up.bytes().data());
  EXPECT_NE(merged.weights().layers[0].attention.q.bytes().data(),
            model.weights().layers[0].attention.q.bytes().data());
  EXPECT_EQ(merged.parameters(), model.parameters());
  // The merged model has adapters of its own.
  const Adapter second = load_fixture_adapter(merged, "dora");
  EXPECT_GT(max_difference(logits_of(merged, prompt, {{second}}), logits_of(merged, prompt)), 0.02f);
  EXPECT_THROW(merge(model, second), ConfigError);
  EXPECT_THROW(merge(model, load_fixture_adapter(model, "lora"), std::nanf("")), ConfigError);
}

TEST(MergeAdapter, IsUndone) {
  const CausalLM model = model_of("lora");
  const std::vector<TokenId> prompt = AdapterReference("lora").prompt();
  const CausalLM merged = merge(model, load_fixture_adapter(model, "patterns"), 0.5f);
  const CausalLM undone = unmerge(merged, load_fixture_adapter(merged, "patterns"), 0.5f);
  EXPECT_LE(max_difference(logits_of(undone, prompt), logits_of(model, prompt)), tolerance);
  EXPECT_THROW(unmerge(model, load_fixture_adapter(model, "dora")), UnsupportedError);
  EXPECT_THROW(unmerge(model, load_fixture_adapter(model, "saved")), UnsupportedError);
}

TEST(MergeAdapter, KeepsTheTypeOfTheWeights) {
  for (const DType weights : {DType::q8_0, DType::bf16, DType::f16}) {
    const CausalLM model = model_of("dora", {.weights = weights, .compute = Compute::f32});
    const Adapter adapter = load_fixture_adapter(model, "dora");
    const CausalLM merged = merge(model, adapter);
    EXPECT_EQ(merged.weights().layers[1].mlp.down.dtype(), model.weights().layers[1].mlp.down.dtype());
    EXPECT_EQ(merged.weights().layers[1].mlp.down.layout(), model.weights().layers[1].mlp.down.layout());
    const std::vector<TokenId> prompt = AdapterReference("dora").prompt();
    EXPECT_LE(max_difference(logits_of(merged, prompt), logits_of(model, prompt, {{adapter}})), 0.5f);
  }
}

TEST(MergeAdapter, AMergedEmbeddingIsNoLongerTheHead) {
  const CausalLM model = model_of("embedding-tied");
  EXPECT_TRUE(model.config().tied_embeddings);
  const CausalLM merged = merge(model, load_fixture_adapter(model, "embedding-tied"));
  EXPECT_FALSE(merged.config().tied_embeddings);
  EXPECT_GT(merged.parameters(), model.parameters());
}

}  // namespace
