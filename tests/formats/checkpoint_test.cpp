#include <weft/formats/checkpoint.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/formats/safetensors.hpp>

#include "pickle_writer.hpp"
#include "temporary_directory.hpp"

namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using weft_tests::message_of;

class Checkpoint : public testing::Test {
 protected:
  weft_tests::TemporaryDirectory directory;

  void write_shard(const char* name, const std::vector<std::pair<std::string, float>>& values) {
    std::vector<std::pair<std::string, weft::AnyTensor>> tensors;
    for (const auto& value : values)
      tensors.emplace_back(value.first, weft::AnyTensor::make(weft::DType::f32, {1}, [&](std::span<std::byte> out) {
                             std::memcpy(out.data(), &value.second, out.size());
                           }));
    weft::write_safetensors(directory.path() / name, tensors);
  }
  void write_index(std::string_view weight_map) {
    directory.write("model.safetensors.index.json",
                    weft::detail::concat("{\"metadata\":{},\"weight_map\":", weight_map, "}"));
  }
  /// A checkpoint of PyTorch with one float.
  static std::string one_float(const std::string& name, float value) {
    namespace pickle = weft_tests::pickle;
    const std::string bytes(reinterpret_cast<const char*>(&value), sizeof value);
    const std::string tensor = pickle::tensor(pickle::storage("FloatStorage", "0", 1), 0, {1}, {1});
    return weft_tests::make_zip(pickle::archive(pickle::dict({{name, tensor}}), {{"0", bytes}})).bytes;
  }
  weft::Checkpoint open() { return weft::Checkpoint::open(directory.path()); }
  std::string error() {
    return message_of<weft::FormatError>([&] { open(); });
  }
};

TEST_F(Checkpoint, OpensADirectoryWithOneFile) {
  directory.write("config.json", R"({"model_type": "llama"})");
  write_shard("model.safetensors", {{"b", 2}, {"a", 1}});
  const weft::Checkpoint checkpoint = open();
  EXPECT_EQ(checkpoint.directory(), directory.path());
  EXPECT_EQ(checkpoint.config().at("model_type").as_string(), "llama");
  EXPECT_EQ(checkpoint.generation_config(), nullptr);
  EXPECT_THAT(checkpoint.tensor_names(), ElementsAre("a", "b"));
  EXPECT_EQ(checkpoint.tensor("b").elements<float>()[0], 2.0f);
  EXPECT_TRUE(checkpoint.contains("a"));
  EXPECT_FALSE(checkpoint.contains("c"));
  EXPECT_EQ(checkpoint.bytes(), 8u);
  EXPECT_THAT(checkpoint.source_of("a"), AllOf(HasSubstr("model.safetensors"), HasSubstr("tensor a")));
  EXPECT_THAT(checkpoint.source_of("c"), AllOf(HasSubstr(directory.path().string()), HasSubstr("tensor c")));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(checkpoint.tensor("c")); }),
              AllOf(HasSubstr(directory.path().string()), HasSubstr("there is no tensor c")));
  EXPECT_TRUE(checkpoint.file("config.json").has_value());
  EXPECT_FALSE(checkpoint.file("tokenizer.model").has_value());
}

TEST_F(Checkpoint, OpensShards) {
  directory.write("config.json", "{}");
  directory.write("generation_config.json", R"({"eos_token_id": [1, 2]})");
  write_shard("model-1.safetensors", {{"a", 1}, {"c", 3}});
  write_shard("model-2.safetensors", {{"b", 2}});
  write_index(R"({"a":"model-1.safetensors","b":"model-2.safetensors","c":"model-1.safetensors"})");
  const weft::Checkpoint checkpoint = open();
  EXPECT_THAT(checkpoint.tensor_names(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(checkpoint.tensor("b").elements<float>()[0], 2.0f);
  EXPECT_EQ(checkpoint.tensor("c").elements<float>()[0], 3.0f);
  EXPECT_THAT(checkpoint.source_of("b"), HasSubstr("model-2.safetensors"));
  EXPECT_EQ(checkpoint.bytes(), 12u);
  EXPECT_EQ(checkpoint.generation_config()->at("eos_token_id").size(), 2u);
}

TEST_F(Checkpoint, TensorsOutliveIt) {
  directory.write("config.json", "{}");
  write_shard("model.safetensors", {{"a", 1}});
  const weft::AnyTensor tensor = open().tensor("a");
  EXPECT_EQ(tensor.elements<float>()[0], 1.0f);
}

TEST_F(Checkpoint, RefusesPathsThatAreNoDirectory) {
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::Checkpoint::open(directory.path() / "none"); }),
              AllOf(HasSubstr("none"), HasSubstr("no such file or directory")));
  for (const char* name : {"m.gguf", "m.bin", "m.pth", "m.safetensors"})
    EXPECT_THAT(message_of<weft::UnsupportedError>([&] { weft::Checkpoint::open(directory.write(name, "x")); }),
                HasSubstr(name));
}

TEST_F(Checkpoint, SaysWhichFileIsMissing) {
  EXPECT_THAT(error(), AllOf(HasSubstr(directory.path().string()), HasSubstr("config.json")));
  directory.write("config.json", "{}");
  EXPECT_THAT(error(), HasSubstr("neither model.safetensors nor"));
  directory.write("flax_model.msgpack", "x");
  EXPECT_THAT(message_of<weft::UnsupportedError>([&] { open(); }),
              AllOf(HasSubstr("flax_model.msgpack"), HasSubstr("expected model.safetensors or pytorch_model.bin")));
  std::filesystem::remove(directory.path() / "config.json");
  directory.write("params.json", "{}");
  EXPECT_THAT(error(), HasSubstr("there is no consolidated.00.pth"));
}

TEST_F(Checkpoint, OpensPickles) {
  directory.write("config.json", "{}");
  directory.write("pytorch_model.bin", one_float("a", 1));
  EXPECT_EQ(open().tensor("a").elements<float>()[0], 1.0f);
  EXPECT_THAT(open().source_of("a"), HasSubstr("pytorch_model.bin: tensor a"));
  write_shard("model.safetensors", {{"a", 2}});
  EXPECT_EQ(open().tensor("a").elements<float>()[0], 2.0f) << "safetensors are preferred";
  std::filesystem::remove(directory.path() / "model.safetensors");
  directory.write("pytorch_model.bin", "x");
  EXPECT_THAT(error(), HasSubstr("pytorch_model.bin: not a ZIP archive"));
}

TEST_F(Checkpoint, OpensShardsOfPickles) {
  directory.write("config.json", "{}");
  directory.write("1.bin", one_float("a", 1));
  directory.write("2.bin", one_float("b", 2));
  directory.write("pytorch_model.bin.index.json", R"({"weight_map":{"a":"1.bin","b":"2.bin"}})");
  const weft::Checkpoint checkpoint = open();
  EXPECT_THAT(checkpoint.tensor_names(), ElementsAre("a", "b"));
  EXPECT_EQ(checkpoint.tensor("b").elements<float>()[0], 2.0f);
  EXPECT_EQ(checkpoint.bytes(), 8u);
  directory.write("2.bin", one_float("a", 2));
  EXPECT_THAT(error(), AllOf(HasSubstr("2.bin: tensor a is also in"), HasSubstr("1.bin")));
}

TEST_F(Checkpoint, NamesTheMalformedFile) {
  write_shard("model.safetensors", {{"a", 1}});
  directory.write("config.json", "{");
  EXPECT_THAT(error(), HasSubstr("config.json: byte"));
  directory.write("config.json", "[]");
  EXPECT_THAT(error(), HasSubstr("expected an object, found an array"));
  directory.write("config.json", R"({"a": 1, "a": 2})");
  EXPECT_THAT(error(), HasSubstr("duplicate key"));
  directory.write("config.json", "{}");
  directory.write("generation_config.json", "1");
  EXPECT_THAT(error(), HasSubstr("generation_config.json"));
  std::filesystem::remove(directory.path() / "generation_config.json");
  directory.write("model.safetensors", "short");
  EXPECT_THAT(error(), HasSubstr("model.safetensors: truncated"));
}

TEST_F(Checkpoint, RefusesIndexesThatContradictTheShards) {
  directory.write("config.json", "{}");
  write_shard("1.safetensors", {{"a", 1}});
  write_shard("2.safetensors", {{"b", 1}});
  write_index(R"({"a":"1.safetensors","b":"3.safetensors"})");
  EXPECT_THAT(error(), AllOf(HasSubstr("index.json"), HasSubstr("3.safetensors"), HasSubstr("missing")));
  write_index(R"({"a":"1.safetensors","c":"2.safetensors"})");
  EXPECT_THAT(error(), AllOf(HasSubstr("index.json: weight_map.c"), HasSubstr("no tensor c in 2.safetensors")));
  write_index(R"({"a":"1.safetensors","b":"1.safetensors"})");
  EXPECT_THAT(error(), HasSubstr("no tensor b in 1.safetensors"));
  write_index(R"({"a":"2.safetensors","b":"1.safetensors"})");
  EXPECT_THAT(error(), HasSubstr("no tensor a in 2.safetensors"));
  write_shard("2.safetensors", {{"b", 1}, {"x", 1}});
  write_index(R"({"a":"1.safetensors","b":"2.safetensors"})");
  EXPECT_THAT(error(), AllOf(HasSubstr("2.safetensors: tensor x is not in"), HasSubstr("index.json")));
  write_shard("2.safetensors", {{"b", 1}, {"a", 1}});
  EXPECT_THAT(error(), AllOf(HasSubstr("2.safetensors: tensor a is also in"), HasSubstr("1.safetensors")));
  directory.write("model.safetensors.index.json", "{}");
  EXPECT_THAT(error(), HasSubstr("\"weight_map\" is missing"));
  write_index(R"({"a":1})");
  EXPECT_THAT(error(), HasSubstr("weight_map.a"));
}

TEST_F(Checkpoint, StaysInsideItsDirectory) {
  directory.write("config.json", "{}");
  for (const char* name :
       {"../m.safetensors", "/etc/passwd", "sub/m.safetensors", "..", ".", "", "a\\\\b", "m\\u0000"}) {
    write_index(weft::detail::concat("{\"a\":\"", name, "\"}"));
    EXPECT_THAT(error(), AllOf(HasSubstr("weight_map.a"), HasSubstr("same directory"))) << name;
  }
}

TEST_F(Checkpoint, OpensTheShippedModel) {
  const weft::Checkpoint checkpoint = weft::Checkpoint::open(std::filesystem::path(WEFT_MODELS_DIR) / "tales");
  EXPECT_EQ(checkpoint.config().at("model_type").as_string(), "llama");
  const weft::AnyTensor embedding = checkpoint.tensor("model.embed_tokens.weight");
  EXPECT_EQ(embedding.dtype(), weft::DType::bf16);
  EXPECT_EQ(embedding.extent(0), checkpoint.config().at("vocab_size").as_size());
}

}  // namespace
