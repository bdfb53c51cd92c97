#include <weft/models/any_model.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <variant>

#include <weft/models/encoder_registry.hpp>
#include <weft/models/load.hpp>
#include <weft/models/load_encoder.hpp>
#include <weft/models/registry.hpp>
#include <weft/models/seq2seq_registry.hpp>
#include <weft/models/vision_registry.hpp>

#include "encoder_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

TEST(AnyModel, IsWhatTheDirectoryHolds) {
  const AnyModel decoder = load(fixture("llama-mha"), {.threads = 1});
  ASSERT_TRUE(std::holds_alternative<CausalLM>(decoder));
  EXPECT_EQ(describe(decoder), load_causal_lm(fixture("llama-mha"), {.threads = 1}).describe());
  const AnyModel encoder = load(encoder_fixture("electra"), {.threads = 1});
  ASSERT_TRUE(std::holds_alternative<Encoder>(encoder));
  EXPECT_EQ(describe(encoder), load_encoder(encoder_fixture("electra"), {.threads = 1}).describe());
}

TEST(AnyModel, TakesGgufFiles) {
  const AnyModel model = load(WEFT_TESTS_DIR "/fixtures/gguf/llama.gguf", {.threads = 1});
  ASSERT_TRUE(std::holds_alternative<CausalLM>(model));
  EXPECT_EQ(std::get<CausalLM>(model).model_type(), "llama");
}

TEST(AnyModel, TakesDirectoriesOfSentenceTransformers) {
  const EncoderCopy copy("bert-mean");
  const std::filesystem::path inner = copy.path() / "0_Transformer";
  std::filesystem::create_directory(inner);
  for (const char* file : {"config.json", "model.safetensors"})
    std::filesystem::rename(copy.path() / file, inner / file);
  copy.edit_json("modules.json", [](nlohmann::json& modules) { modules[0]["path"] = "0_Transformer"; });
  const AnyModel model = load(copy.path(), {.threads = 1});
  ASSERT_TRUE(std::holds_alternative<Encoder>(model));
  EXPECT_TRUE(std::get<Encoder>(model).sentence().has_value());
}

// Every family of every kind is found, and is of that kind.
TEST(AnyModel, EveryFixture) {
  for (const std::string& name : fixture_names())
    EXPECT_TRUE(std::holds_alternative<CausalLM>(load(fixture(name), {.threads = 1}))) << name;
  for (const std::string& name : encoder_fixture_names())
    EXPECT_TRUE(std::holds_alternative<Encoder>(load(encoder_fixture(name), {.threads = 1}))) << name;
  const auto each = [](const char* folder, auto&& expect) {
    std::size_t count = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(encoder_fixture("").parent_path().parent_path() / folder))
      expect(load(entry.path(), {.threads = 1, .tokenizer = false}), entry.path()), ++count;
    EXPECT_GT(count, 0u);
  };
  each("seq2seq",
       [](const AnyModel& model, const auto& at) { EXPECT_TRUE(std::holds_alternative<Seq2Seq>(model)) << at; });
  each("vision",
       [](const AnyModel& model, const auto& at) { EXPECT_TRUE(std::holds_alternative<VisionModel>(model)) << at; });
}

TEST(AnyModel, NamesTheModelTypesItKnows) {
  const EncoderCopy copy;
  copy.set_config("model_type", "mamba");
  std::string known;
  const auto append = [&](const auto& architectures) {
    for (const auto* architecture : architectures)
      known.append(known.empty() ? "" : ", ").append(architecture->model_type);
  };
  append(decoder_architectures);
  append(seq2seq_architectures);
  append(encoder_architectures);
  append(vision_architectures);
  const std::string message = message_of<UnsupportedError>([&] { load(copy.path()); });
  EXPECT_TRUE(message.starts_with(copy.file("config.json") + ": model_type (byte ")) << message;
  EXPECT_TRUE(message.ends_with("): the model type \"mamba\" is not supported (" + known + " are)")) << message;
}

TEST(AnyModel, NeedsAModelType) {
  const EncoderCopy copy;
  copy.edit_config([](nlohmann::json& config) { config.erase("model_type"); });
  EXPECT_NE(message_of<FormatError>([&] { load(copy.path()); }).find("model_type"), std::string::npos);
  EXPECT_THROW(load(copy.path() / "nothing"), FormatError);
}

}  // namespace
