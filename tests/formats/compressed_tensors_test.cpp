#include <weft/formats/quantized/compressed_tensors.hpp>

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quantized_fixtures.hpp"

namespace {

using namespace weft;
using ::testing::HasSubstr;
using weft_tests::message_of;
using weft_tests::QuantizedCopy;
using weft_tests::tensor_of;
using weft_tests::zeros_of;

const std::string layer = "model.layers.0.self_attn.k_proj";  // (32, 64)

template <class E = FormatError>
std::string refusal(const QuantizedCopy& copy) {
  return message_of<E>([&] { copy.read(); });
}

bool same_bytes(const AnyTensor& a, const AnyTensor& b) {
  return std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin(), b.bytes().end());
}

const QuantizedCopy& set_weights(const QuantizedCopy& copy, const char* key, const nlohmann::json& value) {
  return copy.edit_config([&](nlohmann::json& config) {
    config["quantization_config"]["config_groups"]["group_0"]["weights"][key] = value;
  });
}

TEST(CompressedTensors, GroupsInTheOrderOfActivations) {
  for (const char* name : {"packed-int4", "int8-group"}) {
    const QuantizedCopy copy(name);
    const auto with = [&](const std::vector<std::int32_t>& groups) {
      copy.put(layer + ".weight_g_idx", tensor_of(Shape{groups.size()}, groups));
      return copy.open().tensor(layer + ".weight");
    };
    const AnyTensor weight = copy.open().tensor(layer + ".weight");
    std::vector<std::int32_t> groups(64, -1);
    EXPECT_TRUE(same_bytes(with(groups), weight)) << name;  // -1: not used
    for (std::size_t i = 0; i < 64; ++i) groups[i] = static_cast<std::int32_t>(i / 32);
    EXPECT_TRUE(same_bytes(with(groups), weight)) << name;
    groups[3] = 1;
    groups[62] = 0;
    const AnyTensor other = with(groups);
    ASSERT_EQ(other.dtype(), weight.dtype());
    const auto number = [](const AnyTensor& matrix, std::size_t i) {
      return matrix.dtype() == DType::f16 ? static_cast<float>(matrix.elements<half>()[i])
                                          : static_cast<float>(matrix.elements<bfloat16>()[i]);
    };
    const SafetensorsFile file(copy.path() / "model.safetensors");
    const AnyTensor scale = file.tensor(layer + ".weight_scale");
    for (std::size_t i = 0; i < other.size(); ++i) {
      const std::size_t c = i % 64, from = i / 64 * 2 + c / 32, to = i / 64 * 2 + 1 - c / 32;
      const bool moved = c == 3 || c == 62;
      const float expected = moved ? number(weight, i) / number(scale, from) * number(scale, to) : number(weight, i);
      EXPECT_NEAR(number(other, i), expected, moved ? 0.01f : 0.f) << name << i;
    }
    groups[3] = 2;
    EXPECT_THAT(message_of<FormatError>([&] { with(groups); }),
                HasSubstr("weight_g_idx: input 3 is in group 2, there are 2"));
    EXPECT_THAT(message_of<FormatError>([&] { with(std::vector<std::int32_t>(32)); }),
                HasSubstr("weight_g_idx has shape (32), expected (64)"));
  }
}

TEST(CompressedTensors, SeveralGroupsOfLayers) {
  // The first group has 8 bits and fits no layer; the second is that of the file.
  const QuantizedCopy copy("packed-int4");
  const AnyTensor weight = copy.open().tensor(layer + ".weight");
  copy.edit_config([](nlohmann::json& config) {
    nlohmann::json& groups = config["quantization_config"]["config_groups"];
    groups["group_1"] = groups["group_0"];
    groups["group_0"]["weights"]["num_bits"] = 8;
    groups["group_0"]["targets"] = {"re:.*down_proj"};
    config["quantization_config"]["format"] = "mixed-precision";
  });
  EXPECT_TRUE(same_bytes(copy.open().tensor(layer + ".weight"), weight));
  copy.put(layer + ".weight_packed", zeros_of(DType::i32, {32, 9}));
  EXPECT_THAT(refusal(copy), HasSubstr("weight_packed has shape (32, 9), expected (32, 8)"));
}

TEST(CompressedTensors, OddSizes) {
  // Three outputs, five inputs of 4 bits, one scale for the matrix.
  const QuantizedCopy copy("packed-int8-tensor");
  set_weights(copy, "num_bits", 4);
  copy.edit_tensors([](QuantizedCopy::Tensors& tensors) {
    tensors.clear();
    tensors.emplace_back("x.weight_packed", tensor_of<std::int32_t>({3, 1}, {0x43210, 0x88888, 0xfffff}));
    tensors.emplace_back("x.weight_shape", tensor_of<std::int32_t>({2}, {3, 5}));
    tensors.emplace_back("x.weight_scale", tensor_of<float>({1}, {0.5f}));
  });
  EXPECT_THAT(copy.open().tensor("x.weight").elements<float>(),
              testing::ElementsAre(-4, -3.5, -3, -2.5, -2, 0, 0, 0, 0, 0, 3.5, 3.5, 3.5, 3.5, 3.5));
}

// As versions before 0.9 wrote them, and as all do for whole matrices.
TEST(CompressedTensors, ZeroPointsThatAreNotPacked) {
  const QuantizedCopy copy("packed-int4-asymmetric");
  const auto read = [&](const AnyTensor& scales, const AnyTensor& zeros) {
    copy.edit_tensors([&](QuantizedCopy::Tensors& tensors) {
      tensors.clear();
      tensors.emplace_back("x.weight_packed", tensor_of<std::int32_t>({2, 1}, {0x3210, 0x7f8f}));
      tensors.emplace_back("x.weight_shape", tensor_of<std::int32_t>({2}, {2, 4}));
      tensors.emplace_back("x.weight_scale", scales);
      tensors.emplace_back("x.weight_zero_point", zeros);
    });
    const AnyTensor weight = copy.open().tensor("x.weight");
    return std::vector<float>(weight.elements<float>().begin(), weight.elements<float>().end());
  };
  const AnyTensor scales = tensor_of<float>({2, 2}, {1.f, 2.f, 0.5f, 4.f});
  set_weights(copy, "group_size", 2);
  EXPECT_THAT(read(scales, tensor_of<std::int8_t>({2, 2}, {-8, -7, 7, 0})),
              testing::ElementsAre(0, 1, 2, 4, 0, -3.5, 28, -4));
  EXPECT_THAT(message_of<FormatError>([&] {
                read(scales, zeros_of(DType::i8, {2, 1}));
              }),
              HasSubstr("weight_zero_point has shape (2, 1), expected (2, 2)"));
  set_weights(copy, "strategy", "tensor");
  set_weights(copy, "group_size", nullptr);
  EXPECT_THAT(read(tensor_of<float>({1}, {2.f}), tensor_of<std::int8_t>({1}, {-7})),
              testing::ElementsAre(-2, 0, 2, 4, 28, 14, 28, 12));
}

TEST(CompressedTensors, PackedTensorsThatDoNotFit) {
  const auto put = [](const char* part, const AnyTensor& tensor) {
    return refusal(QuantizedCopy("packed-int4-asymmetric").put(layer + part, tensor));
  };
  EXPECT_THAT(put(".weight_packed", zeros_of(DType::i32, {32, 7})), HasSubstr("(32, 7), expected (32, 8)"));
  EXPECT_THAT(put(".weight_packed", zeros_of(DType::i64, {32, 8})), HasSubstr("element type i64, expected i32"));
  EXPECT_THAT(put(".weight_shape", tensor_of<std::int64_t>({2}, {32, 65})), HasSubstr("expected (32, 9)"));
  EXPECT_THAT(put(".weight_shape", tensor_of<std::int64_t>({2}, {32, 60})),
              HasSubstr("60 inputs are not whole groups of 16"));
  EXPECT_THAT(put(".weight_shape", tensor_of<std::int64_t>({2}, {-32, 64})),
              HasSubstr("weight_shape: found the extent -32"));
  EXPECT_THAT(put(".weight_shape", tensor_of<std::int64_t>({2}, {0, 64})), HasSubstr("found the extent 0"));
  EXPECT_THAT(put(".weight_shape", zeros_of(DType::i64, {3})), HasSubstr("weight_shape has shape (3), expected (2)"));
  EXPECT_THAT(put(".weight_shape", zeros_of(DType::f32, {2})), HasSubstr("weight_shape has element type f32"));
  EXPECT_THAT(put(".weight_scale", zeros_of(DType::f16, {32, 3})), HasSubstr("(32, 3), expected (32, 4)"));
  EXPECT_THAT(put(".weight_scale", zeros_of(DType::i8, {32, 4})), HasSubstr("element type i8"));
  EXPECT_THAT(put(".weight_zero_point", zeros_of(DType::i32, {32, 4})), HasSubstr("(32, 4), expected (4, 4)"));
  EXPECT_THAT(put(".weight_zero_point", zeros_of(DType::i8, {4, 4})), HasSubstr("(4, 4), expected (32, 4)"));
  EXPECT_THAT(put(".weight_zero_point", zeros_of(DType::u8, {4, 4})), HasSubstr("u8, expected i32 or i8"));
  EXPECT_THAT(put(".weight", zeros_of(DType::f16, {32, 64})), HasSubstr("weight is beside a packed weight"));
  for (const char* part : {".weight_shape", ".weight_scale", ".weight_zero_point"})
    EXPECT_THAT(refusal(QuantizedCopy("packed-int4-asymmetric").remove(layer + part)), HasSubstr(" is missing"));
  const std::int64_t big = std::int64_t{1} << 62;
  EXPECT_THAT(
      message_of<ShapeError>([&] {
        QuantizedCopy("packed-int4").put(layer + ".weight_shape", tensor_of<std::int64_t>({2}, {big, big})).read();
      }),
      HasSubstr("overflow"));
}

TEST(CompressedTensors, TensorsThatDoNotFit) {
  const auto put = [](const char* name, const char* part, const AnyTensor& tensor) {
    return refusal(QuantizedCopy(name).put(layer + part, tensor));
  };
  EXPECT_THAT(put("int8", ".weight", zeros_of(DType::u8, {32, 64})), HasSubstr("element type u8, expected i8"));
  EXPECT_THAT(put("int8", ".weight", zeros_of(DType::f8_e4m3, {32, 64})), HasSubstr("f8_e4m3, expected i8"));
  EXPECT_THAT(put("float8", ".weight", zeros_of(DType::i8, {32, 64})), HasSubstr("i8, expected f8_e4m3"));
  EXPECT_THAT(put("int8", ".weight_scale", zeros_of(DType::bf16, {32, 2})), HasSubstr("(32, 2), expected (32, 1)"));
  EXPECT_THAT(put("int8-asymmetric", ".weight_scale", zeros_of(DType::f32, {2})), HasSubstr("(2), expected (1, 1)"));
  EXPECT_THAT(put("int8-asymmetric", ".weight_zero_point", zeros_of(DType::i8, {32})),
              HasSubstr("(32), expected (1, 1)"));
  EXPECT_THAT(put("int8-asymmetric", ".weight_zero_point", zeros_of(DType::f32, {1})), HasSubstr("element type f32"));
  EXPECT_THAT(put("float8-block", ".weight_scale", zeros_of(DType::f32, {2, 3})), HasSubstr("(2, 3), expected (1, 3)"));
}

TEST(CompressedTensors, OptionsThatAreNone) {
  const auto weights = [](const char* key, const nlohmann::json& value) {
    const QuantizedCopy copy("packed-int4");
    return refusal<UnsupportedError>(set_weights(copy, key, value));
  };
  EXPECT_THAT(weights("num_bits", 3), HasSubstr("weights of type \"int\" and 3 bits are not supported"));
  EXPECT_THAT(weights("type", "float"), HasSubstr("weights of type \"float\" and 4 bits"));
  EXPECT_THAT(weights("type", "complex"), HasSubstr("weights of type \"complex\""));
  EXPECT_THAT(weights("strategy", "tensor_group"), HasSubstr("the strategy \"tensor_group\" is not supported"));
  EXPECT_THAT(weights("rotation", 1), HasSubstr("\"rotation\" is not understood"));
  for (const char* format : {"nvfp4-pack-quantized", "marlin-24", "dense"})
    EXPECT_THAT(refusal<UnsupportedError>(QuantizedCopy("packed-int4").set("format", format)),
                HasSubstr("the format \"" + std::string(format) + "\" is not supported (pack-quantized, "));
  EXPECT_THAT(refusal<UnsupportedError>(QuantizedCopy("packed-int4").set("transform_config", {{"a", 1}})),
              HasSubstr("\"transform_config\" is not understood"));
  EXPECT_THAT(refusal<UnsupportedError>(QuantizedCopy("packed-int4").set("config_groups", nlohmann::json::object())),
              HasSubstr("no weights are quantised"));
  const QuantizedCopy copy("packed-int4");
  EXPECT_THAT(refusal(set_weights(copy, "group_size", 0)), HasSubstr("expected a positive number, found 0"));
  EXPECT_THAT(refusal(set_weights(copy, "group_size", nullptr)), HasSubstr("expected an integer, found null"));
  EXPECT_THAT(refusal(QuantizedCopy("packed-int4").set("config_groups", {1})), HasSubstr("expected an object"));
}

}  // namespace
