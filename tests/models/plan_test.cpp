#include <weft/models/plan.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../allocations.hpp"
#include "fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::HasSubstr;

/// The fixtures of every kind of decoder checkpoint.
std::vector<std::filesystem::path> all_checkpoints() {
  const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures";
  std::vector<std::filesystem::path> paths;
  for (const std::string& name : fixture_names()) paths.push_back(fixture(name));
  for (const char* name : {"gptq", "bnb-nf4", "fp8-block"}) paths.push_back(fixtures / "quantized" / name);
  for (const char* name : {"hugging-face", "meta", "meta-rows", "pickle"}) paths.push_back(fixtures / "layouts" / name);
  paths.push_back(fixtures / "gguf" / "llama.gguf");
  return paths;
}

const std::vector<LoadOptions> ways{{.threads = 1, .tokenizer = false},
                                    {.load = Load::in_place, .threads = 1, .tokenizer = false},
                                    {.weights = DType::bf16, .threads = 1, .tokenizer = false},
                                    {.weights = DType::q4_k, .threads = 1, .tokenizer = false}};

TEST(Plan, WeightsAreThoseOfTheModel) {
  for (const std::filesystem::path& path : all_checkpoints())
    for (const LoadOptions& options : ways) {
      const MemoryPlan planned = plan(path, options);
      EXPECT_EQ(planned.weights + planned.in_place, load_causal_lm(path, options).weight_bytes()) << path;
    }
}

/// What is allocated while loading is a little more: the configuration, names, rows that are converted.
TEST(Plan, WeightsAreWhatLoadingAllocates) {
  const std::filesystem::path tales = std::filesystem::path(WEFT_MODELS_DIR) / "tales";
  for (const LoadOptions& options : ways) {
    const MemoryPlan planned = plan(tales, options);
    const std::size_t before = allocated_bytes.load();
    const CausalLM model = load_causal_lm(tales, options);
    const std::size_t allocated = allocated_bytes.load() - before;
    EXPECT_GE(allocated, planned.weights);
    EXPECT_LE(allocated, planned.weights + (std::size_t{1} << 20)) << planned.weights;
  }
}

TEST(Plan, SessionsTakeWhatWasPlanned) {
  for (const std::filesystem::path& path : all_checkpoints()) {
    const CausalLM model = load_causal_lm(path, ways[0]);
    for (const SessionOptions& options : {SessionOptions{}, SessionOptions{.context = 17, .chunk = 5}}) {
      const MemoryPlan planned = plan(path, ways[0], options);
      const std::size_t before = allocated_bytes.load();
      const Session session(model, options);
      const std::size_t allocated = allocated_bytes.load() - before;
      EXPECT_EQ(planned.cache, session.cache().bytes()) << path;
      EXPECT_GE(allocated, planned.scratch) << path;
      EXPECT_LE(allocated, planned.scratch + 4096) << path;
    }
  }
}

TEST(Plan, AllocatesNothingOfIt) {
  const std::filesystem::path tales = std::filesystem::path(WEFT_MODELS_DIR) / "tales";
  const std::size_t before = allocated_bytes.load();
  const MemoryPlan planned = plan(tales, ways[0]);
  EXPECT_LT(allocated_bytes.load() - before, planned.weights / 4);
  EXPECT_EQ(planned.total(), planned.weights + planned.in_place + planned.cache + planned.scratch);
  EXPECT_THAT(planned.describe(), HasSubstr("weights " + std::to_string(planned.weights) + " bytes"));
}

TEST(Plan, KnowsCacheTypes) {
  const auto cache = [](DType dtype) {
    return plan(fixture("llama-bf16"), ways[0], {.context = 64, .cache = dtype}).cache;
  };
  EXPECT_EQ(cache(DType::f32), 2 * cache(DType::f16));
}

TEST(Plan, RefusesWhatLoadingRefuses) {
  const CheckpointCopy copy;
  copy.edit_tensors([](CheckpointCopy::Tensors& tensors) { tensors.pop_back(); });
  EXPECT_THAT(message_of<FormatError>([&] { plan(copy.path()); }), HasSubstr("is missing"));
  EXPECT_THROW(plan(fixture("llama-mha"), {.weights = DType::i32}), UnsupportedError);
  EXPECT_THAT(message_of<ConfigError>([&] { plan(fixture("llama-mha"), {}, {.context = 1 << 20}); }),
              HasSubstr("plan: a context of 1048576 tokens"));
  EXPECT_THROW(plan(fixture("llama-mha"), {}, {.chunk = 0}), ConfigError);
  EXPECT_THROW(plan(fixture("llama-mha"), {}, {.cache = DType::i32}), UnsupportedError);
}

}  // namespace
