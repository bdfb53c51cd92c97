#include <weft/models/export_gguf.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

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

/// The file computes what the directory does.
TEST(ExportGguf, KeepsTheModel) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "m.gguf";
  for (const char* name : {"llama-gqa", "llama-tied", "llama-head-dim", "llama3-rope", "llama-linear-rope",
                           "llama-bias", "llama-f16", "llama-sharded", "llama-v5"}) {
    write(fixture(name), path);
    const std::vector<TokenId> prompt = Reference(name).prompt();
    const LoadOptions options{.threads = 1, .compute = Compute::f32};
    const CausalLM before = load_causal_lm(fixture(name), options);
    const CausalLM after = load_causal_lm(path, options);
    EXPECT_EQ(after.config().rope.pairing, RopePairing::interleaved);
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
  EXPECT_THAT(message_of<UnsupportedError>([&] { write(fixture("mistral-window"), directory.path() / "m.gguf"); }),
              HasSubstr("models of type \"mistral\" cannot be written as GGUF"));
}

}  // namespace
