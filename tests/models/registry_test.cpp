#include <weft/models/registry.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include <weft/formats/json.hpp>

#include "../formats/temporary_directory.hpp"

namespace {

using namespace weft;
using weft_tests::message_of;

Json config_of(std::string_view text) { return parse_json(text, "dir/config.json"); }

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
            "dir/config.json: model_type (byte 22): the model type \"third\" is not supported (llama, other, llama, "
            "mistral are)");
}

TEST(Registry, NamesWhatIsWrong) {
  EXPECT_EQ(message_of<UnsupportedError>([] { find_architecture(config_of(R"({"model_type": "gpt9"})")); }),
            "dir/config.json: model_type (byte 21): the model type \"gpt9\" is not supported (llama, mistral are)");
  EXPECT_EQ(message_of<FormatError>([] { find_architecture(config_of("{}")); }),
            "dir/config.json: byte 1: the key \"model_type\" is missing");
}

}  // namespace
