#include <weft/models/registry.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include <weft/formats/json.hpp>

#include "family_checks.hpp"
#include "fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

Json config_of(std::string_view text) { return parse_json(text, "dir/config.json"); }

std::string known_families() {
  std::string known;
  for (const DecoderArchitecture* architecture : decoder_architectures) {
    known += known.empty() ? "" : ", ";
    known += architecture->model_type;
  }
  return known;
}

TEST(Registry, FindsFamiliesByModelType) {
  EXPECT_EQ(&find_architecture(config_of(R"({"model_type": "llama"})")), &arch::llama);
  EXPECT_EQ(&find_architecture(config_of(R"({"model_type": "mistral"})")), &arch::mistral);
}

TEST(Registry, EveryFamilyIsWholeAndListedOnce) {
  std::set<std::string_view> types;
  for (const DecoderArchitecture* architecture : decoder_architectures) {
    EXPECT_TRUE(types.insert(architecture->model_type).second) << architecture->model_type;
    EXPECT_NE(architecture->read_config, nullptr);
    EXPECT_FALSE(architecture->tensors.empty());
    EXPECT_NE(std::find(architecture->ignored_keys.begin(), architecture->ignored_keys.end(), "model_type"),
              architecture->ignored_keys.end());
  }
}

TEST(Registry, TheCallersOwnComeFirst) {
  static constexpr DecoderArchitecture mine{
      .model_type = "llama", .read_config = arch::read_llama, .tensors = {}, .ignored_keys = {}, .ignored_tensors = {}};
  static constexpr DecoderArchitecture other{
      .model_type = "other", .read_config = arch::read_llama, .tensors = {}, .ignored_keys = {}, .ignored_tensors = {}};
  static constexpr std::array<const DecoderArchitecture*, 2> own{&mine, &other};
  EXPECT_EQ(&find_architecture(config_of(R"({"model_type": "llama"})"), own), &mine);
  EXPECT_EQ(&find_architecture(config_of(R"({"model_type": "other"})"), own), &other);
  EXPECT_EQ(&find_architecture(config_of(R"({"model_type": "mistral"})"), own), &arch::mistral);
  EXPECT_EQ(message_of<UnsupportedError>([] { find_architecture(config_of(R"({"model_type": "third"})"), own); }),
            "dir/config.json: model_type (byte 22): the model type \"third\" is not supported (llama, other, " +
                known_families() + " are)");
}

TEST(Registry, NamesWhatIsWrong) {
  EXPECT_EQ(
      message_of<UnsupportedError>([] { find_architecture(config_of(R"({"model_type": "gpt9"})")); }),
      "dir/config.json: model_type (byte 21): the model type \"gpt9\" is not supported (" + known_families() + " are)");
  EXPECT_EQ(message_of<FormatError>([] { find_architecture(config_of("{}")); }),
            "dir/config.json: byte 1: the key \"model_type\" is missing");
}

// -- Every family by its fixtures.

class Families : public testing::TestWithParam<std::string> {
 protected:
  /// Reads a config as load_causal_lm() does.
  static DecoderConfig read(const std::string& text) {
    const Json config = parse_json(text, "config.json");
    const DecoderArchitecture& architecture = find_architecture(config);
    ConfigReader reader(config);
    DecoderConfig result = architecture.read_config(reader);
    reader.finish(architecture.ignored_keys);
    return result;
  }

  nlohmann::json config = nlohmann::json::parse(read_file(fixture(GetParam()) / "config.json"));
};

TEST_P(Families, EveryStoredElementIsOneWeight) {
  const CausalLM model = load_causal_lm(fixture(GetParam()), {.threads = 1});
  const SafetensorsFile file(fixture(GetParam()) / "model.safetensors");
  std::size_t elements = 0;
  for (const WeightsEntry& entry : file.entries()) elements += file.tensor(entry.name).size();
  EXPECT_EQ(model.parameters(), elements);
}

TEST_P(Families, AnyMissingTensorIsNamed) { expect_missing_tensors_are_named<CheckpointCopy>(GetParam(), missing); }

TEST_P(Families, AnyTensorOfAnotherShapeIsNamed) { expect_other_shapes_are_named<CheckpointCopy>(GetParam()); }

TEST_P(Families, RefuseKeysThatNobodyKnows) {
  for (const nlohmann::json& value : {nlohmann::json(0.5), nlohmann::json("some"), nlohmann::json({1})}) {
    nlohmann::json changed = config;
    changed["no_such_key"] = value;
    EXPECT_NE(message_of<UnsupportedError>([&] { read(changed.dump()); }).find("no_such_key"), std::string::npos);
  }
}

TEST_P(Families, SurviveAnyValueOfAnyKey) {
  expect_configs_or_errors(config, {""}, [](const std::string& text) {
    const DecoderConfig c = read(text);
    EXPECT_GT(c.vocab * c.hidden * c.layers * c.heads * c.kv_heads * c.head_dim, 0u);
  });
}

// What published checkpoints say beyond what transformers writes today.
TEST(Registry, KeysOfPublishedCheckpoints) {
  const auto expect_the_same = [](const char* name, const nlohmann::json& more) {
    nlohmann::json config = nlohmann::json::parse(read_file(fixture(name) / "config.json"));
    const auto read = [&] {
      const Json json = parse_json(config.dump(), "config.json");
      const DecoderArchitecture& architecture = find_architecture(json);
      ConfigReader reader(json);
      DecoderConfig result = architecture.read_config(reader);
      reader.finish(architecture.ignored_keys);
      return result;
    };
    const DecoderConfig before = read();
    config.update(more);
    EXPECT_EQ(read(), before) << name;
  };
  expect_the_same("llama-tied", {{"is_llama_config", true}, {"rope_interleaved", false}});  // SmolLM2
  expect_the_same("smollm3", {{"max_window_layers", 28}});
  expect_the_same("gpt2", {{"n_special", 0}, {"predict_special_tokens", true}, {"output_past", true}});
  expect_the_same("gptj", {{"rotary", true}, {"scale_attn_weights", true}});
  expect_the_same("gpt-neox", {{"custom_pipelines", {{"text-generation", {{"impl", "a.B"}}}}}});  // Dolly
  expect_the_same("mpt", {{"tokenizer_name", "EleutherAI/gpt-neox-20b"}, {"verbose", 0}});
  expect_the_same("phi3", {{"full_attn_mod", 1}, {"interpolate_factor", 1}, {"lm_head_bias", false}});  // Phi-4-mini
}

// transformers, models/qwen2_moe/configuration_qwen2_moe.py: every other layer of those before max_window_layers.
TEST(Registry, WindowsOfQwen2MoeAlternate) {
  nlohmann::json config = nlohmann::json::parse(read_file(fixture("qwen2-moe") / "config.json"));
  config.erase("layer_types");
  config.update({{"use_sliding_window", true}, {"sliding_window", 8}, {"max_window_layers", 2}});
  const Json json = parse_json(config.dump(), "config.json");
  ConfigReader reader(json);
  const DecoderConfig c = arch::read_qwen2_moe(reader);
  EXPECT_EQ(c.window, 8u);
  EXPECT_EQ(c.full_attention, (std::vector<bool>{false, true, true}));
}

// transformers, models/qwen3_moe/modeling_qwen3_moe.py: all layers.
TEST(Registry, WindowsOfQwen3MoeAreInAllLayers) {
  nlohmann::json config = nlohmann::json::parse(read_file(fixture("qwen3-moe") / "config.json"));
  config.update({{"use_sliding_window", true}, {"sliding_window", 8}, {"max_window_layers", 2}});
  const Json json = parse_json(config.dump(), "config.json");
  ConfigReader reader(json);
  const DecoderConfig c = arch::read_qwen3_moe(reader);
  for (std::size_t i = 0; i < c.layers; ++i) EXPECT_EQ(c.window_of(i), 8u);
}

// transformers' dynamic rope begins where max_position_embeddings end, whatever the config says beside it.
TEST(Registry, DynamicRopeStretchesTheWholeContext) {
  nlohmann::json config = nlohmann::json::parse(read_file(fixture("llama-mha") / "config.json"));
  config["rope_scaling"] = {{"rope_type", "dynamic"}, {"factor", 2.0}, {"original_max_position_embeddings", 32}};
  config["max_position_embeddings"] = 128;
  const Json json = parse_json(config.dump(), "config.json");
  ConfigReader reader(json);
  const DecoderConfig c = arch::read_llama(reader);
  EXPECT_EQ(c.rope.scaling, RopeScaling(DynamicRopeScaling{.factor = 2.f, .original_context = 128}));
  EXPECT_EQ(c.context, 256u);
}

TEST_P(Families, SizesMustBeThere) {
  expect_keys_are_needed(config,
                         {"vocab_size", "hidden_size n_embd d_model", "num_hidden_layers n_layer num_layers n_layers",
                          "num_attention_heads n_head num_heads n_heads"},
                         read);
}

std::vector<std::string> single_file_fixtures() {
  std::vector<std::string> names = fixture_names();
  std::erase(names, "llama-sharded");
  return names;
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Families, testing::ValuesIn(single_file_fixtures()),
                         [](const auto& name_of) { return test_name(name_of.param); });

}  // namespace
