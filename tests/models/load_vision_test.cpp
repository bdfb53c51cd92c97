#include <weft/models/load_vision.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <weft/models/arch/siglip.hpp>
#include <weft/models/vision_registry.hpp>

#include "int8_copies.hpp"
#include "vision_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(LoadVision, TakesADirectoryAsDownloaded) {
  const VisionModel model = load_vision(vision_fixture("vit"));
  EXPECT_EQ(model.model_type(), "vit");
  EXPECT_EQ(model.compute(), Compute::native);
  EXPECT_EQ(&model.kernels(), &cpu::best_kernels());
  EXPECT_EQ(model.executor().concurrency(), available_processors());
  EXPECT_EQ(model.config().labels, (std::vector<std::string>{"cat", "dog", "neither"}));
  EXPECT_EQ(model.config().tokens(), 10u);
  EXPECT_EQ(model.image_processor().params().size, (ImageSize{12, 12}));
  EXPECT_FALSE(model.has_tokenizer());
  EXPECT_THAT(message_of<TokenizerError>([&] { model.tokenizer(); }), HasSubstr("without a tokenizer"));
  EXPECT_THAT(model.describe(), AllOf(StartsWith(model.source() + ": vit, " + std::to_string(model.parameters()) +
                                                 " parameters (f32, " + std::to_string(model.tensors()) + " tensors, " +
                                                 std::to_string(model.weight_bytes()) + " bytes)\n"),
                                      HasSubstr("images 3 x 12 x 12, patches 4 x 4"), HasSubstr("classes 3")));
  EXPECT_THAT(load_vision(vision_fixture("clip"), {.threads = 1}).describe(),
              AllOf(HasSubstr("image layers 2, hidden 24"), HasSubstr("text layers 2, hidden 20"),
                    HasSubstr("vocab 64, context 10, projection 16")));
}

// Vectors are floats in memory, whatever they are in the file.
TEST(LoadVision, CountsTensorsAndBytes) {
  for (const char* name : {"vit", "vit-bf16", "deit-classes", "clip", "clip-vision", "siglip-vision-no-head"}) {
    const VisionModel model = load_vision(vision_fixture(name), {.load = Load::in_place, .threads = 1});
    const SafetensorsFile file(vision_fixture(name) / "model.safetensors");
    std::size_t bytes = 0;
    for (const WeightsEntry& entry : file.entries()) {
      const AnyTensor tensor = file.tensor(entry.name);
      const bool vector = tensor.rank() == 0 || tensor.size() == tensor.extent(tensor.rank() - 1);
      bytes += vector ? tensor.size() * sizeof(float) : tensor.bytes().size();
    }
    EXPECT_EQ(model.tensors(), file.entries().size()) << name;
    EXPECT_EQ(model.weight_bytes(), bytes) << name;
  }
}

TEST(LoadVision, ATowerForTextsAlone) {
  const VisionModel model = load_vision_text(vision_fixture("clip-text"), {.threads = 1});
  EXPECT_EQ(model.model_type(), "clip_text_model");
  EXPECT_FALSE(model.config().has_images());
  EXPECT_EQ(model.config().projection, model.config().text.hidden);
  const std::string text = model.describe();
  EXPECT_THAT(text, StartsWith(model.source() + ": clip_text_model, "));
  EXPECT_EQ(text.substr(text.find('\n') + 1, text.find("  kernels") - text.find('\n') - 1),
            "  text layers 2, hidden 20, intermediate 32, heads 2, head_dim 10, vocab 64, context 10, projection 20\n");
  EXPECT_EQ(message_of<UnsupportedError>([] { load_vision_text(vision_fixture("clip-vision"), {.threads = 1}); }),
            vision_fixture("clip-vision").string() + ": the checkpoint has no text tower");
}

TEST(LoadVision, SaysThatThereIsNoImageProcessor) {
  const VisionModel model = load_vision(vision_fixture("vit-pooler"), {.threads = 1});
  EXPECT_FALSE(model.has_image_processor());
  EXPECT_EQ(
      message_of<ConfigError>([&] { static_cast<void>(model.image_processor()); }),
      vision_fixture("vit-pooler").string() + ": there is neither preprocessor_config.json nor processor_config.json");
}

TEST(LoadVision, RefusesOtherKindsOfModels) {
  EXPECT_THAT(message_of<UnsupportedError>([] { load_vision(fixture("llama-mha")); }),
              HasSubstr("the model type \"llama\" is not supported (clip, "));
}

TEST(LoadVision, ReportsProgressAndStops) {
  std::size_t tensors = 0;
  LoadProgress last{};
  const VisionModel model = load_vision(vision_fixture("siglip"), {.threads = 1, .progress = [&](const auto& progress) {
                                                                     ++tensors;
                                                                     last = progress;
                                                                   }});
  EXPECT_GT(tensors, 20u);
  EXPECT_EQ(last.bytes_done, last.bytes_total);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(load_vision(vision_fixture("vit"), {.threads = 1, .stop = stop.get_token()}), Cancelled);
}

// -- What other programs wrote.

/// Changes a copy of a fixture in a way that must not change what it computes.
void expect_the_same(std::string_view name, const std::function<void(const VisionCopy&)>& change) {
  const VisionCopy copy(name), kept(name);
  change(copy);
  const VisionReference reference(name);
  EXPECT_TRUE(same_bits(all_outputs(copy.load(), reference), all_outputs(kept.load(), reference))) << name;
}

TEST(OlderVision, BuffersAmongTheTensors) {
  expect_the_same("clip", [](const VisionCopy& copy) {
    copy.edit_tensors([&](DirectoryCopy::Tensors& tensors) {
      tensors.emplace_back("text_model.embeddings.position_ids", zeros(DType::i64, {1, 10}));
      tensors.emplace_back("vision_model.embeddings.position_ids", zeros(DType::i64, {1, 10}));
    });
  });
}

// SiglipVisionModel, CLIPTextModel and so on of transformers 4.
TEST(OlderVision, TowersWithAPrefix) {
  for (const std::string name : {"clip-vision", "siglip-vision", "clip-text", "siglip-text"})
    expect_the_same(name, [&](const VisionCopy& copy) {
      copy.edit_tensors([&](DirectoryCopy::Tensors& tensors) {
        for (auto& [key, tensor] : tensors) key = (name.ends_with("text") ? "text_model." : "vision_model.") + key;
      });
    });
}

// "text_config_dict" counts alone where it is given, with defaults for what it does not say.
TEST(OlderVision, PartsOfTheConfigUnderAnotherName) {
  expect_the_same("clip", [](const VisionCopy& copy) {
    copy.edit_config([](json& config) {
      for (const std::string part : {"text_config", "vision_config"}) {
        config[part + "_dict"] = config[part];
        for (const char* key : {"hidden_act", "layer_norm_eps", "num_channels"}) config[part + "_dict"].erase(key);
        config[part]["hidden_size"] = 512;
      }
    });
  });
}

TEST(OlderVision, ConfigsThatSayLess) {
  for (const char* name : {"clip", "siglip"})
    expect_the_same(name, [](const VisionCopy& copy) {
      copy.edit_config([](json& config) {
        config.erase("architectures");
        for (const char* part : {"text_config", "vision_config"})
          for (const char* key : {"hidden_act", "layer_norm_eps", "num_channels", "vision_use_head"})
            config[part].erase(key);
      });
    });
}

TEST(LoadVision, DefaultsAreThoseOfTransformers) {
  const auto read = [](const char* type) {
    const Json config = parse_json(std::string(R"({"model_type": ")") + type + "\"}", "config.json");
    ConfigReader reader(config);
    return find_vision(config).read_config(reader);
  };
  const VisionConfig clip = read("clip"), siglip = read("siglip");
  EXPECT_EQ(clip.image.hidden, 768u);
  EXPECT_EQ(clip.patch_height, 32u);
  EXPECT_EQ(clip.text.hidden, 512u);
  EXPECT_EQ(clip.text.intermediate, 2048u);
  EXPECT_EQ(clip.text.heads, 8u);
  EXPECT_EQ(clip.vocab, 49408u);
  EXPECT_EQ(clip.context, 77u);
  EXPECT_EQ(clip.projection, 512u);
  EXPECT_EQ(clip.end_token, 49407);
  EXPECT_EQ(clip.image.activation, Activation::quick_gelu);
  EXPECT_EQ(siglip.patch_width, 16u);
  EXPECT_EQ(siglip.text.hidden, 768u);
  EXPECT_EQ(siglip.context, 64u);
  EXPECT_EQ(siglip.vocab, 32000u);
  EXPECT_EQ(siglip.text.activation, Activation::gelu_tanh);
}

TEST(LoadVision, SizesOfViTMustBeThere) {
  for (const char* key :
       {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "image_size", "patch_size"}) {
    const VisionCopy copy("vit");
    copy.edit_config([&](json& config) { config.erase(key); });
    EXPECT_THAT(message_of<ConfigError>([&] { copy.load(); }),
                AllOf(StartsWith(copy.file("config.json")), HasSubstr(std::string("\"") + key + "\" is missing")));
  }
}

TEST(LoadVision, SizesMustFit) {
  const auto message = [](const char* name, const char* key, const json& value) {
    const VisionCopy copy(name);
    copy.set_config(key, value);
    return message_of<ConfigError>([&] { copy.load(); });
  };
  EXPECT_THAT(message("vit", "num_attention_heads", 5), HasSubstr("hidden_size 24 is not a multiple"));
  EXPECT_THAT(message("vit", "patch_size", 13), HasSubstr("have no patch of 13 x 13"));
  EXPECT_THAT(message("vit", "image_size", {12, 12, 12}), HasSubstr("a height and a width, found 3"));
  EXPECT_THAT(message("vit", "image_size", {0, 12}), HasSubstr("images of 0 x 12"));
  const VisionCopy copy("siglip");
  copy.edit_config([](json& config) { config["text_config"]["projection_size"] = 20; });
  EXPECT_THAT(message_of<ConfigError>([&] { copy.load(); }), HasSubstr("images become 24 numbers, texts 20"));
}

/// A quantised model computes what one with the weights that are meant does.
TEST(LoadVision, ReadsQuantisedWeights) {
  const VisionCopy quantised("clip"), plain("clip");
  round_to_int8(quantised, plain, ".layers.");
  const VisionReference reference("clip");
  const LoadOptions options{.threads = 1, .compute = Compute::f32};
  EXPECT_LE(
      max_difference(all_outputs(quantised.load(options), reference), all_outputs(plain.load(options), reference)),
      1e-5f);
}

}  // namespace
