#include <weft/models/encoder_registry.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <weft/formats/json.hpp>

#include "encoder_fixtures.hpp"
#include "family_checks.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

/// Reads a config as load_encoder() does.
EncoderConfig read(const std::string& text) {
  const Json config = parse_json(text, "config.json");
  const EncoderArchitecture& architecture = find_encoder(config);
  ConfigReader reader(config);
  EncoderConfig result = architecture.read_config(reader);
  reader.finish(architecture.ignored_keys);
  return result;
}

TEST(EncoderRegistry, EveryFamilyIsWholeAndHasAFixture) {
  std::set<std::string> built;
  for (const std::string& name : encoder_fixture_names())
    built.insert(nlohmann::json::parse(read_file(encoder_fixture(name) / "config.json"))["model_type"]);
  std::set<std::string_view> types;
  for (const EncoderArchitecture* architecture : encoder_architectures) {
    EXPECT_TRUE(types.insert(architecture->model_type).second) << architecture->model_type;
    EXPECT_NE(architecture->read_config, nullptr);
    EXPECT_FALSE(architecture->tensors.empty());
    EXPECT_TRUE(built.contains(std::string(architecture->model_type))) << architecture->model_type;
  }
  EXPECT_EQ(built.size(), types.size());
}

TEST(EncoderRegistry, TheCallersOwnComeFirst) {
  static constexpr EncoderArchitecture mine{
      .model_type = "bert", .read_config = arch::read_bert, .tensors = {}, .ignored_keys = {}, .ignored_tensors = {}};
  static constexpr std::array<const EncoderArchitecture*, 1> own{&mine};
  const Json bert = parse_json(R"({"model_type": "bert"})", "config.json");
  EXPECT_EQ(&find_encoder(bert, own), &mine);
  EXPECT_EQ(&find_encoder(bert), &arch::bert);
  const Json other = parse_json(R"({"model_type": "llama"})", "config.json");
  EXPECT_EQ(message_of<UnsupportedError>([&] {
              find_encoder(other);
            }).find("config.json: model_type (byte 22): the model type \"llama\" is not supported (albert, bert, "),
            0u);
}

// transformers makes the bottleneck of queries and keys also where another is used in its place.
TEST(EncoderRegistry, MobileBertMayHoldABottleneckThatItDoesNotUse) {
  const std::string name = "mobilebert-one-bottleneck";
  const EncoderCopy copy(name);
  copy.edit_config([](nlohmann::json& config) { config["key_query_shared_bottleneck"] = true; });
  copy.edit_tensors([](DirectoryCopy::Tensors& tensors) {
    for (std::size_t i = tensors.size(); i-- > 0;) {
      std::string unused = tensors[i].first;
      const std::size_t at = unused.find("bottleneck.input");
      if (at == unused.npos) continue;
      tensors.emplace_back(unused.replace(at, 16, "bottleneck.attention"), tensors[i].second);
    }
  });
  const Encoder expected = load_encoder(encoder_fixture(name), {.threads = 1});
  const EncoderReference reference(name);
  EXPECT_TRUE(same_bits(all_outputs(copy.load(), reference.inputs()), all_outputs(expected, reference.inputs())));
}

TEST(EncoderRegistry, MobileBertHasABottleneckForQueriesAndKeys) {
  nlohmann::json config = nlohmann::json::parse(read_file(encoder_fixture("mobilebert") / "config.json"));
  config["key_query_shared_bottleneck"] = false;
  EXPECT_NE(message_of<UnsupportedError>([&] { read(config.dump()); }).find("key_query_shared_bottleneck"),
            std::string::npos);
  config["normalization_type"] = "batch_norm";
  config["use_bottleneck"] = false;
  EXPECT_NE(message_of<UnsupportedError>([&] { read(config.dump()); }).find("\"batch_norm\""), std::string::npos);
}

// -- Every family by its fixtures.

class EncoderFamilies : public testing::TestWithParam<std::string> {
 protected:
  nlohmann::json config = nlohmann::json::parse(read_file(encoder_fixture(GetParam()) / "config.json"));
};

TEST_P(EncoderFamilies, EveryStoredElementIsOneWeight) {
  const Encoder model = load_encoder(encoder_fixture(GetParam()), {.threads = 1});
  std::size_t elements = 0;
  for (const char* path : {"model.safetensors", "2_Dense/model.safetensors"}) {
    if (!std::filesystem::exists(encoder_fixture(GetParam()) / path)) continue;
    const SafetensorsFile file(encoder_fixture(GetParam()) / path);
    for (const WeightsEntry& entry : file.entries()) elements += file.tensor(entry.name).size();
  }
  EXPECT_EQ(model.parameters(), elements);
}

// But for those by which an optional part is known.
TEST_P(EncoderFamilies, AnyMissingTensorIsNamed) {
  const bool base = config["architectures"][0].get<std::string>().ends_with("Model");
  expect_missing_tensors_are_named<EncoderCopy>(GetParam(), [&](const std::string& name, const EncoderCopy& copy) {
    const bool key = base && name.starts_with("pooler.") && name.ends_with("weight");
    return key ? copy.file("model.safetensors") + ": tensor " + name.substr(0, name.size() - 6) + "bias: a " +
                     config["model_type"].get<std::string>() + " model with this config.json has no such tensor"
               : missing(name, copy);
  });
}

TEST_P(EncoderFamilies, AnyTensorOfAnotherShapeIsNamed) { expect_other_shapes_are_named<EncoderCopy>(GetParam()); }

TEST_P(EncoderFamilies, RefuseTensorsThatNobodyKnows) { expect_unknown_tensors_are_refused<EncoderCopy>(GetParam()); }

TEST_P(EncoderFamilies, RefuseKeysAndValuesThatNobodyKnows) {
  const auto refused = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json changed = config;
    changed[key] = value;
    return message_of<UnsupportedError>([&] { read(changed.dump()); });
  };
  for (const nlohmann::json& value : {nlohmann::json(0.5), nlohmann::json("some"), nlohmann::json({1})})
    EXPECT_NE(refused("no_such_key", value).find("no_such_key"), std::string::npos);
  EXPECT_NE(refused("is_decoder", true).find("is_decoder"), std::string::npos);
  const bool t5 = config.contains("d_model");  // whose positions are all relative, and which predicts no words
  if (!t5) {
    EXPECT_NE(refused("position_embedding_type", "relative_key").find("\"relative_key\""), std::string::npos);
    EXPECT_NE(refused("tie_word_embeddings", false).find("is not the embedding"), std::string::npos);
  }
  EXPECT_NE(refused("architectures", {"OddForMultipleChoice"}).find("\"OddForMultipleChoice\""), std::string::npos);
  const char* activation = config.contains("hidden_act") ? "hidden_act" : t5 ? "dense_act_fn" : "activation";
  EXPECT_NE(refused(activation, "xielu").find("the activation \"xielu\" is not supported"), std::string::npos);
}

TEST_P(EncoderFamilies, SurviveAnyValueOfAnyKey) {
  expect_configs_or_errors(config, {""}, [](const std::string& text) {
    const EncoderConfig c = read(text);
    EXPECT_GT(c.vocab * c.hidden * c.embedding * c.layers * c.heads * c.head_dim * c.context, 0u);
  });
}

TEST_P(EncoderFamilies, SizesMustBeThere) {
  expect_keys_are_needed(
      config,
      {"vocab_size", "hidden_size dim d_model", "num_hidden_layers n_layers num_layers",
       "num_attention_heads n_heads num_heads", "intermediate_size hidden_dim d_ff", "max_position_embeddings d_kv"},
      read);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, EncoderFamilies, testing::ValuesIn(encoder_fixture_names()),
                         [](const auto& name_of) { return test_name(name_of.param); });

}  // namespace
