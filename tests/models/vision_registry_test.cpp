#include <weft/models/vision_registry.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <weft/formats/json.hpp>

#include "family_checks.hpp"
#include "vision_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

/// Reads a config as load_vision() does.
VisionConfig read(const std::string& text) {
  const Json config = parse_json(text, "config.json");
  const VisionArchitecture& architecture = find_vision(config);
  ConfigReader reader(config);
  VisionConfig result = architecture.read_config(reader);
  reader.finish(architecture.ignored_keys);
  return result;
}

TEST(VisionRegistry, EveryFamilyIsWholeAndHasAFixture) {
  std::set<std::string> built;
  for (const std::string& name : vision_fixture_names())
    built.insert(nlohmann::json::parse(read_file(vision_fixture(name) / "config.json"))["model_type"]);
  std::set<std::string_view> types;
  for (const VisionArchitecture* architecture : vision_architectures) {
    EXPECT_TRUE(types.insert(architecture->model_type).second) << architecture->model_type;
    EXPECT_NE(architecture->read_config, nullptr);
    EXPECT_FALSE(architecture->tensors.empty());
    EXPECT_TRUE(built.contains(std::string(architecture->model_type))) << architecture->model_type;
  }
  EXPECT_EQ(built.size(), types.size());
}

TEST(VisionRegistry, TheCallersOwnComeFirst) {
  static constexpr VisionArchitecture mine{
      .model_type = "vit", .read_config = arch::read_vit, .tensors = {}, .ignored_keys = {}, .ignored_tensors = {}};
  static constexpr std::array<const VisionArchitecture*, 1> own{&mine};
  const Json vit = parse_json(R"({"model_type": "vit"})", "config.json");
  EXPECT_EQ(&find_vision(vit, own), &mine);
  EXPECT_EQ(&find_vision(vit), &arch::vit);
  const Json other = parse_json(R"({"model_type": "swin"})", "config.json");
  EXPECT_EQ(message_of<UnsupportedError>([&] { find_vision(other); }),
            "config.json: model_type (byte 21): the model type \"swin\" is not supported (clip, clip_text_model, "
            "clip_vision_model, deit, siglip, siglip_text_model, siglip_vision_model, vit are)");
}

// -- Every family by its fixtures.

class VisionFamilies : public testing::TestWithParam<std::string> {
 protected:
  /// The objects of the config that describe a tower.
  std::vector<nlohmann::json*> parts(nlohmann::json& of) const {
    if (!of.contains("vision_config")) return {&of};
    if (!of["architectures"][0].get<std::string>().ends_with("Model")) return {&of["vision_config"]};
    return {&of["vision_config"], &of["text_config"]};
  }
  nlohmann::json config = nlohmann::json::parse(read_file(vision_fixture(GetParam()) / "config.json"));
};

TEST_P(VisionFamilies, EveryStoredElementIsOneWeight) {
  const VisionModel model = load_vision(vision_fixture(GetParam()), {.threads = 1});
  const SafetensorsFile file(vision_fixture(GetParam()) / "model.safetensors");
  std::size_t elements = 0;
  for (const WeightsEntry& entry : file.entries()) elements += file.tensor(entry.name).size();
  EXPECT_EQ(model.parameters(), elements);
}

// But for that by which ViT's pooler is known.
TEST_P(VisionFamilies, AnyMissingTensorIsNamed) {
  expect_missing_tensors_are_named<VisionCopy>(GetParam(), [&](const std::string& name, const VisionCopy& copy) {
    return name == "pooler.dense.weight"
               ? copy.file("model.safetensors") + ": tensor pooler.dense.bias: a " +
                     config["model_type"].get<std::string>() + " model with this config.json has no such tensor"
               : missing(name, copy);
  });
}

TEST_P(VisionFamilies, AnyTensorOfAnotherShapeIsNamed) { expect_other_shapes_are_named<VisionCopy>(GetParam()); }

TEST_P(VisionFamilies, RefuseTensorsThatNobodyKnows) { expect_unknown_tensors_are_refused<VisionCopy>(GetParam()); }

TEST_P(VisionFamilies, RefuseKeysAndValuesThatNobodyKnows) {
  nlohmann::json changed = config;
  const auto refused = [&](nlohmann::json& object, const char* key, const nlohmann::json& value) {
    const nlohmann::json kept = object;
    object[key] = value;
    const std::string message = message_of<UnsupportedError>([&] { read(changed.dump()); });
    object = kept;
    return message;
  };
  EXPECT_NE(refused(changed, "no_such_key", 0.5).find("no_such_key"), std::string::npos);
  EXPECT_NE(refused(changed, "architectures", {"OddForMaskedImageModeling"}).find("\"OddForMaskedImageModeling\""),
            std::string::npos);
  for (nlohmann::json* part : parts(changed)) {
    EXPECT_NE(refused(*part, "no_such_key", "some").find("no_such_key"), std::string::npos);
    EXPECT_NE(refused(*part, "is_decoder", true).find("is_decoder"), std::string::npos);
    EXPECT_NE(refused(*part, "hidden_act", "xielu").find("the activation \"xielu\" is not supported"),
              std::string::npos);
  }
}

TEST_P(VisionFamilies, SurviveAnyValueOfAnyKey) {
  const auto check = [](const std::string& text) {
    const VisionConfig c = read(text);
    EXPECT_TRUE(c.has_images() || c.has_text());
    const bool images = c.has_images();
    EXPECT_GT(images ? c.tokens() * c.image.hidden * c.image.head_dim * c.patch_size() : c.text.layers, 0u);
    EXPECT_GT(c.has_text() ? c.vocab * c.context * c.text.hidden * c.text.head_dim * c.projection : 1, 0u);
  };
  if (!config.contains("vision_config")) return expect_configs_or_errors(config, {""}, check);
  expect_configs_or_errors(config, {"/vision_config", "/text_config", ""}, check);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, VisionFamilies, testing::ValuesIn(vision_fixture_names()),
                         [](const auto& name_of) { return test_name(name_of.param); });

}  // namespace
