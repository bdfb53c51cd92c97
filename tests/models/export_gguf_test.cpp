#include <weft/models/export_gguf.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <weft/models/load.hpp>

#include "fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::HasSubstr;

void write(const std::filesystem::path& from, const std::filesystem::path& to) {
  const Checkpoint checkpoint = Checkpoint::open(from);
  GgufWriter writer;
  for (const TensorToWrite& tensor : export_gguf(checkpoint, writer))
    writer.add_tensor(tensor.name, tensor.dtype, tensor.shape, tensor.read);
  writer.write(to);
}

/// A model, and changes of its config.json without which GGUF has no place for it.
struct Exported {
  const char* name;
  std::vector<std::pair<const char*, nlohmann::json>> changes = {};
};

/// The file computes what the directory does.
TEST(ExportGguf, KeepsTheModel) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "m.gguf";
  const std::vector<Exported> models{
      {"llama-gqa"},
      {"llama-tied"},
      {"llama-head-dim"},
      {"llama3-rope"},
      {"llama-linear-rope"},
      {"llama-bias"},
      {"llama-f16"},
      {"llama-sharded"},
      {"llama-v5"},
      {"mixtral"},
      {"qwen2"},
      {"qwen2-yarn"},
      {"qwen3"},
      {"gemma"},
      {"gemma2", {{"query_pre_attn_scalar", 12}}},
      {"gemma3", {{"query_pre_attn_scalar", 12}}},
      {"phi"},
      {"phi3"},
      {"phi3-long"},
      {"olmo"},
      {"olmo2"},
      {"olmoe", {{"clip_qkv", nullptr}}},
      {"stablelm"},
      {"stablelm-parallel"},
      {"gpt-neox"},
      {"gpt-neox-sequential"},
      {"falcon"},
      {"falcon-grouped"},
      {"falcon-one-norm"},
      {"gpt2"},
      {"bloom"},
      {"mpt"},
  };
  for (const auto& [name, changes] : models) {
    const CheckpointCopy copy(name);
    for (const auto& [key, value] : changes) copy.set_config(key, value);
    write(copy.path(), path);
    const std::vector<TokenId> prompt = Reference(name).prompt();
    const LoadOptions options{.threads = 1, .compute = Compute::f32};
    const CausalLM before = load_causal_lm(copy.path(), options);
    const CausalLM after = load_causal_lm(path, options);
    EXPECT_LE(max_difference(observe(after, prompt).logits, observe(before, prompt).logits), 2e-4f) << name;
    EXPECT_FALSE(after.has_tokenizer());
  }
}

TEST(ExportGguf, KeepsGgufAsItIs) {
  const std::filesystem::path original = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "gguf" / "llama.gguf";
  const TemporaryDirectory directory;
  write(original, directory.path() / "m.gguf");
  const GgufFile before(original), after(directory.path() / "m.gguf");
  ASSERT_EQ(after.metadata().size(), before.metadata().size());
  for (const GgufValue& value : before.metadata())
    EXPECT_TRUE(std::ranges::equal(after.value(value.key()).bytes(), value.bytes())) << value.key();
  ASSERT_EQ(after.entries().size(), before.entries().size());
  for (const WeightsEntry& entry : before.entries())
    EXPECT_TRUE(std::ranges::equal(after.tensor(entry.name).bytes(), before.tensor(entry.name).bytes())) << entry.name;
}

TEST(ExportGguf, WritesTheTokenizer) {
  const TemporaryDirectory directory;
  const std::filesystem::path tales = std::filesystem::path(WEFT_MODELS_DIR) / "tales";
  write(tales, directory.path() / "m.gguf");
  const CausalLM before = load_causal_lm(tales, {.threads = 1});
  const CausalLM after = load_causal_lm(directory.path() / "m.gguf", {.threads = 1});
  for (const char* text : {"Once upon a time", "  two spaces", "\xC3\xA9t\xC3\xA9 \xF0\x9F\x90\xB1\n", ""})
    EXPECT_EQ(after.tokenizer().encode(text), before.tokenizer().encode(text)) << text;
  EXPECT_EQ(after.generation_config().eos, before.generation_config().eos);
}

TEST(ExportGguf, RefusesWhatGgufHasNoPlaceFor) {
  const TemporaryDirectory directory;
  const auto refused = [&](const char* name) {
    return message_of<UnsupportedError>([&] { write(fixture(name), directory.path() / "m.gguf"); });
  };
  EXPECT_THAT(refused("mistral-window"), HasSubstr("models of type \"mistral\" cannot be written as GGUF"));
  EXPECT_THAT(refused("opt"), HasSubstr("models of type \"opt\" cannot be written as GGUF"));
  EXPECT_THAT(refused("qwen2-window"), HasSubstr("a sliding window in these layers cannot be written as GGUF"));
  EXPECT_THAT(refused("gemma2"), HasSubstr("a factor of scores other than the root of head_dim cannot be"));
  EXPECT_THAT(refused("olmoe"), HasSubstr("clipped queries, keys and values cannot be written as GGUF"));
  EXPECT_THAT(refused("falcon-alibi"), HasSubstr("cannot be written as GGUF"));
  EXPECT_THAT(refused("qwen2-moe"), HasSubstr("layers without experts, or these weights of experts, cannot be"));
  const CheckpointCopy other("gpt-neox");
  other.set_config("hidden_act", "relu");
  EXPECT_THAT(message_of<UnsupportedError>([&] { write(other.path(), directory.path() / "m.gguf"); }),
              HasSubstr("config.json: byte 1: this activation cannot be written as GGUF"));
}

}  // namespace
