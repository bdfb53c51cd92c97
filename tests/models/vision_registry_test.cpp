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
  const SafetensorsFile file(vision_fixture(GetParam()) / "model.safetensors");
  for (const WeightsEntry& entry : file.entries()) {
    const VisionCopy copy(GetParam());
    copy.edit_tensors([&](DirectoryCopy::Tensors& tensors) {
      std::erase_if(tensors, [&](const auto& tensor) { return tensor.first == entry.name; });
    });
    const std::string message = message_of<FormatError>([&] { copy.load(); });
    if (entry.name == "pooler.dense.weight") {
      EXPECT_NE(message.find("tensor pooler.dense.bias: a "), std::string::npos) << message;
    } else {
      EXPECT_EQ(message, copy.path().string() + ": the tensor " + entry.name + " is missing");
    }
  }
}

TEST_P(VisionFamilies, AnyTensorOfAnotherShapeIsNamed) {
  const VisionCopy copy(GetParam());
  DirectoryCopy::Tensors kept;
  copy.edit_tensors([&](DirectoryCopy::Tensors& tensors) { kept = tensors; });
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const AnyTensor& tensor = kept[i].second;
    Shape shape{tensor.rank() == 0 ? 2 : tensor.extent(0) + 1};
    for (std::size_t d = 1; d < tensor.rank(); ++d) shape.push_back(tensor.extent(d));
    copy.edit_tensors([&](DirectoryCopy::Tensors& tensors) {
      tensors = kept;
      tensors[i].second = zeros(DType::f16, shape);
    });
    const std::string message = message_of<ConfigError>([&] { copy.load(); });
    EXPECT_NE(message.find("tensor " + kept[i].first + " has shape "), std::string::npos) << message;
  }
}

TEST_P(VisionFamilies, RefuseTensorsThatNobodyKnows) {
  const VisionCopy copy(GetParam());
  copy.edit_tensors(
      [](DirectoryCopy::Tensors& tensors) { tensors.emplace_back("no.such.tensor", zeros(DType::f32, {2})); });
  EXPECT_NE(message_of<FormatError>([&] { copy.load(); }).find("tensor no.such.tensor: a "), std::string::npos);
}

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

// Whatever stands under a key, the answer is a config or an error of ours that names the file.
TEST_P(VisionFamilies, SurviveAnyValueOfAnyKey) {
  const std::vector<nlohmann::json> values{nullptr, -1,   0,  1,   3,      1.5,     std::int64_t{1} << 40,
                                           "",      true, {}, {1}, {3, 5}, {-1, 2}, nlohmann::json::object({{"a", 1}})};
  nlohmann::json changed = config;
  const auto attempt = [&](const std::string& key) {
    try {
      const VisionConfig c = read(changed.dump());
      EXPECT_TRUE(c.has_images() || c.has_text()) << key;
      const bool images = c.has_images();
      EXPECT_GT(images ? c.tokens() * c.image.hidden * c.image.head_dim * c.patch_size() : c.text.layers, 0u) << key;
      EXPECT_GT(c.has_text() ? c.vocab * c.context * c.text.hidden * c.text.head_dim * c.projection : 1, 0u) << key;
    } catch (const Error& error) {
      EXPECT_EQ(std::string_view(error.what()).substr(0, 11), "config.json") << error.what();
    }
  };
  std::vector<nlohmann::json*> objects{&changed};
  if (changed.contains("vision_config")) objects = {&changed["vision_config"], &changed["text_config"], &changed};
  for (nlohmann::json* object : objects) {
    const nlohmann::json kept = *object;
    for (const auto& item : kept.items()) {
      object->erase(item.key());
      attempt(item.key());
      for (const nlohmann::json& value : values) {
        (*object)[item.key()] = value;
        attempt(item.key());
      }
      *object = kept;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, VisionFamilies, testing::ValuesIn(vision_fixture_names()),
                         [](const auto& name_of) { return test_name(name_of.param); });

}  // namespace
