#include <weft/formats/quantized/quantized_weights.hpp>

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quantized_fixtures.hpp"

// What all formats have in common; each has a file of its own for what is wrong with its tensors.
namespace {

using namespace weft;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using weft_tests::message_of;
using weft_tests::quantized_fixture;
using weft_tests::QuantizedCopy;

const std::string k_proj = "model.layers.0.self_attn.k_proj";

class QuantizedWeights : public testing::TestWithParam<std::string> {};

TEST_P(QuantizedWeights, AreThoseOfThePackageBitForBit) {
  const Checkpoint checkpoint = Checkpoint::open(quantized_fixture(GetParam()));
  const SafetensorsFile reference(quantized_fixture(GetParam()) / "reference.safetensors");
  const nlohmann::json weights = nlohmann::json::parse(reference.metadata().at(0).second).at("weights");
  for (const auto& [name, hash_and_type] : weights.items()) {
    ASSERT_TRUE(checkpoint.is_quantized(name)) << name;
    const AnyTensor weight = checkpoint.tensor(name);
    const char* type = weight.dtype() == DType::f32 ? "float32" : weight.dtype() == DType::f16 ? "float16" : "bfloat16";
    EXPECT_EQ(weft_tests::fnv1a(weight.bytes()) + " " + type, hash_and_type) << name;
    if (!reference.contains(name)) continue;
    const AnyTensor expected = reference.tensor(name);
    EXPECT_EQ(weight.shape(), expected.shape());
    EXPECT_TRUE(std::equal(weight.bytes().begin(), weight.bytes().end(), expected.bytes().begin()));
  }
  EXPECT_GE(weights.size(), 4u);
}

TEST_P(QuantizedWeights, TakeThePlaceOfWhatIsStored) {
  const Checkpoint checkpoint = Checkpoint::open(quantized_fixture(GetParam()));
  std::size_t bytes = 0;
  std::size_t quantized = 0;
  for (const std::string& name : checkpoint.tensor_names()) {
    EXPECT_TRUE(name.ends_with(".weight") || name.ends_with(".bias")) << name;
    bytes += checkpoint.tensor(name).bytes().size();
    quantized += checkpoint.is_quantized(name);
  }
  EXPECT_EQ(bytes, checkpoint.bytes());
  EXPECT_EQ(quantized, GetParam() == "bnb-gpt2" ? 4u : 7u);
  EXPECT_FALSE(checkpoint.is_quantized("lm_head.weight"));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, QuantizedWeights, testing::ValuesIn(weft_tests::quantized_fixture_names()),
                         [](const auto& fixture) {
                           std::string name = fixture.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(QuantizedFormat, MethodsThatNobodyKnows) {
  const QuantizedCopy copy("gptq");
  copy.set("quant_method", "hqq");
  EXPECT_THAT(message_of<UnsupportedError>([&] { copy.open(); }),
              AllOf(StartsWith(copy.file("config.json") + ": quantization_config"),
                    HasSubstr("the quantisation method \"hqq\" is not supported (awq, bitsandbytes, ")));
  copy.set("quant_method", 4);
  EXPECT_THAT(message_of<FormatError>([&] { copy.open(); }), HasSubstr("expected a string"));
  copy.edit_config([](nlohmann::json& config) { config["quantization_config"] = "gptq"; });
  EXPECT_THAT(message_of<FormatError>([&] { copy.open(); }), HasSubstr("expected an object, found a string"));
}

TEST(QuantizedFormat, KeysThatNobodyKnows) {
  for (const char* name : {"gptq", "awq", "bnb-nf4", "packed-int4", "fp8-block"}) {
    const QuantizedCopy copy(name);
    copy.set("rotation", false).set("extra", nullptr).open();
    copy.set("rotation", "hadamard");
    EXPECT_THAT(message_of<UnsupportedError>([&] { copy.open(); }),
                AllOf(HasSubstr("quantization_config.rotation"), HasSubstr("\"rotation\" is not understood")))
        << name;
  }
}

TEST(QuantizedFormat, ACheckpointWithoutQuantisedTensors) {
  const QuantizedCopy copy("gptq");
  copy.edit_config([](nlohmann::json& config) {
    config["quantization_config"] = {{"quant_method", "bitsandbytes"}, {"load_in_8bit", true}};
  });
  EXPECT_EQ(message_of<FormatError>([&] { copy.open(); }),
            copy.path().string() + ": the configuration says that weights are quantised, but no tensor is named *.SCB");
}

TEST(QuantizedFormat, SaysNothingWhereItIsNullOrEmpty) {
  for (const nlohmann::json& nothing : {nlohmann::json(), nlohmann::json::object()}) {
    const QuantizedCopy copy("gptq");
    copy.edit_config([&](nlohmann::json& config) { config["quantization_config"] = nothing; });
    EXPECT_TRUE(copy.open().contains(k_proj + ".qweight"));
  }
}

/// In models of texts and something else the part that writes may say it; what the whole says wins.
TEST(QuantizedFormat, APartOfTheModelMaySayIt) {
  const QuantizedCopy copy("gptq");
  copy.edit_config([](nlohmann::json& config) {
    config["text_config"] = {{"quantization_config", config["quantization_config"]}};
    config.erase("quantization_config");
  });
  EXPECT_TRUE(copy.open().is_quantized(k_proj + ".weight"));
  copy.set("quant_method", "hqq");
  EXPECT_THAT(message_of<UnsupportedError>([&] { copy.open(); }), HasSubstr("config.json: quantization_config"));
}

TEST(QuantizedFormat, OlderCheckpointsSayItElsewhere) {
  const QuantizedCopy copy("gptq");
  const AnyTensor weight = copy.open().tensor(k_proj + ".weight");
  nlohmann::json description;
  copy.edit_config([&](nlohmann::json& config) {
    description = config["quantization_config"];
    config.erase("quantization_config");
  });
  EXPECT_FALSE(copy.open().contains(k_proj + ".weight"));
  description.erase("quant_method");
  description.erase("checkpoint_format");
  copy.write("quantize_config.json", description.dump());
  const AnyTensor again = copy.open().tensor(k_proj + ".weight");
  EXPECT_TRUE(std::equal(weight.bytes().begin(), weight.bytes().end(), again.bytes().begin()));
  copy.write("quantize_config.json", R"({"bits": 3, "group_size": 32})");
  EXPECT_THAT(message_of<UnsupportedError>([&] { copy.open(); }),
              StartsWith(copy.file("quantize_config.json") + ": bits (byte "));
}

TEST(QuantizedFormat, OlderBitsandbytesHasNoName) {
  const QuantizedCopy copy("bnb-int8");
  copy.edit_config([](nlohmann::json& config) { config["quantization_config"].erase("quant_method"); });
  EXPECT_TRUE(copy.open().is_quantized(k_proj + ".weight"));
}

TEST(QuantizedFormat, TensorsOfALayerMayLieInSeveralFiles) {
  const QuantizedCopy copy("gptq-act-order");
  const AnyTensor weight = copy.open().tensor(k_proj + ".weight");
  nlohmann::json map;
  {
    const SafetensorsFile file(copy.path() / "model.safetensors");
    std::vector<std::pair<std::string, AnyTensor>> shards[2];
    for (const WeightsEntry& entry : file.entries()) {
      const std::size_t shard = map.size() % 2;
      shards[shard].emplace_back(entry.name, file.tensor(entry.name));
      map[entry.name] = shard ? "b.safetensors" : "a.safetensors";
    }
    write_safetensors(copy.path() / "a.safetensors", shards[0]);
    write_safetensors(copy.path() / "b.safetensors", shards[1]);
  }
  std::filesystem::remove(copy.path() / "model.safetensors");
  copy.write("model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
  const AnyTensor again = copy.open().tensor(k_proj + ".weight");
  EXPECT_TRUE(std::equal(weight.bytes().begin(), weight.bytes().end(), again.bytes().begin()));
}

TEST(QuantizedFormat, AFloatWeightBesideTheQuantisedOne) {
  const QuantizedCopy copy("gptq");
  copy.put(k_proj + ".weight", weft_tests::zeros_of(DType::f16, {32, 64}));
  EXPECT_THAT(message_of<FormatError>([&] { copy.open(); }), HasSubstr(k_proj + ".weight is also in"));
}

TEST(QuantizedFormat, LayersMayBeLeftOut) {
  const QuantizedCopy copy("awq");
  copy.edit_tensors([&](QuantizedCopy::Tensors& tensors) {
    std::erase_if(tensors, [&](const auto& entry) { return entry.first.starts_with(k_proj); });
    tensors.emplace_back(k_proj + ".weight", weft_tests::zeros_of(DType::f16, {32, 64}));
  });
  const Checkpoint checkpoint = copy.open();
  EXPECT_FALSE(checkpoint.is_quantized(k_proj + ".weight"));
  EXPECT_TRUE(checkpoint.is_quantized("model.layers.0.self_attn.q_proj.weight"));
  EXPECT_EQ(checkpoint.tensor(k_proj + ".weight").bytes()[0], std::byte{0});
}

}  // namespace
