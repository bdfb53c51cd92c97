#include <weft/formats/quantized/stored_tensors.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <weft/formats/json.hpp>

#include "quantized_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::EndsWith;
using ::testing::HasSubstr;

using NamedTensor = std::pair<std::string, AnyTensor>;

/// Two files, the layer "a." in both.
struct Files {
  TemporaryDirectory directory;
  std::string first = (directory.path() / "first.safetensors").string();
  std::string second = (directory.path() / "second.safetensors").string();

  StoredTensors open() const {
    write_safetensors(first, std::vector<NamedTensor>{{"a.codes", tensor_of<std::int8_t>({2, 2}, {1, 2, 3, 4})},
                                                      {"b.codes", tensor_of<std::int8_t>({1}, {5})}});
    write_safetensors(second, std::vector<NamedTensor>{{"a.scales", tensor_of<float>({2}, {0.5f, 2.f})}});
    return {"the checkpoint",
            {std::make_shared<const SafetensorsFile>(first), std::make_shared<const SafetensorsFile>(second)}};
  }
};

TEST(StoredTensors, AreFoundInWhicheverFileTheyLie) {
  const Files files;
  const StoredTensors tensors = files.open();
  EXPECT_TRUE(tensors.contains("a.scales"));
  EXPECT_FALSE(tensors.contains("a."));
  EXPECT_EQ(tensors.tensor("b.codes").elements<std::int8_t>()[0], 5);
  EXPECT_EQ(tensors.tensor("a.scales").elements<float>()[1], 2.f);
  EXPECT_EQ(tensors.where("a.scales"), files.second + ": tensor a.scales");
  EXPECT_EQ(tensors.where("c"), "the checkpoint: tensor c");
  EXPECT_EQ(message_of<FormatError>([&] { tensors.tensor("c"); }), "the checkpoint: the tensor c is missing");
}

TEST(StoredLayer, GivesItsPartsAndNamesThoseThatAreWrong) {
  const Files files;
  const StoredTensors tensors = files.open();
  const StoredLayer layer(tensors, "a");
  EXPECT_TRUE(layer.contains(".codes"));
  EXPECT_FALSE(layer.contains(".zeros"));
  EXPECT_EQ(layer.tensor(".codes", {DType::i32, DType::i8}).shape(), (Shape{2, 2}));
  EXPECT_EQ(layer.matrix(".codes", {DType::i8}).shape(), (Shape{2, 2}));
  EXPECT_EQ(layer.tensor(".scales", {DType::f32}, {2}).size(), 2u);
  EXPECT_EQ(message_of<FormatError>([&] {
              layer.tensor(".codes", {DType::i32, DType::f16});
            }),
            files.first + ": tensor a.codes has element type i8, expected i32 or f16");
  EXPECT_EQ(message_of<FormatError>([&] {
              layer.tensor(".scales", {DType::f32}, {2, 1});
            }),
            files.second + ": tensor a.scales has shape (2), expected (2, 1)");
  EXPECT_THAT(message_of<FormatError>([&] { layer.matrix(".scales", {DType::f32}); }), EndsWith("expected a matrix"));
  EXPECT_THAT(message_of<FormatError>([&] { layer.tensor(".zeros"); }), HasSubstr("the tensor a.zeros is missing"));
}

TEST(StoredTensors, KeysThatSaySomethingMustBeKnown) {
  const auto check = [](const char* text) { detail::check_keys(parse_json(text, "config"), {"bits"}); };
  EXPECT_NO_THROW(check(R"({"bits": 4, "a": null, "b": false, "c": 0, "d": 0.0, "e": "", "f": [], "g": {}})"));
  for (const char* text : {R"({"a": true})", R"({"a": 1})", R"({"a": "x"})", R"({"a": [0]})", R"({"a": {"b": null}})"})
    EXPECT_THAT(message_of<UnsupportedError>([&] { check(text); }), HasSubstr("the key \"a\" is not understood"));
}

TEST(StoredTensors, SizesAreAtLeastOne) {
  EXPECT_EQ(detail::positive(parse_json("128", "config")), 128u);
  for (const char* text : {"0", "-3"})
    EXPECT_THAT(message_of<FormatError>([&] { detail::positive(parse_json(text, "config")); }),
                HasSubstr("expected a positive number"));
}

}  // namespace
