#include <weft/formats/quantized/gptq.hpp>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quantized_fixtures.hpp"

namespace {

using namespace weft;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using weft_tests::message_of;
using weft_tests::QuantizedCopy;
using weft_tests::tensor_of;
using weft_tests::zeros_of;

const std::string layer = "model.layers.0.self_attn.k_proj";  // (32, 64)

template <class E = FormatError>
std::string refusal(const QuantizedCopy& copy) {
  return message_of<E>([&] { copy.read(); });
}

TEST(Gptq, ByTheDefinition) {
  // Four inputs, 16 outputs of 2 bits: the integers count up from 0 (modulo 4), the zero points are 1.
  const QuantizedCopy copy("gptq-2bit");
  std::vector<std::int32_t> words(16);
  for (int out = 0; out < 16; ++out)
    for (int in = 0; in < 16; ++in)
      words[static_cast<std::size_t>(out)] |=
          static_cast<std::int32_t>(static_cast<std::uint32_t>((in + out) % 4) << (2 * in));
  copy.set("group_size", -1).edit_tensors([&](QuantizedCopy::Tensors& tensors) {
    tensors.clear();
    tensors.emplace_back("x.qweight", tensor_of(Shape{1, 16}, words));
    tensors.emplace_back("x.qzeros", tensor_of<std::int32_t>({1, 1}, {0}));
    tensors.emplace_back("x.scales", tensor_of(Shape{1, 16}, std::vector<float>(16, 0.5f)));
  });
  const AnyTensor weight = copy.open().tensor("x.weight");
  EXPECT_EQ(weight.shape(), (Shape{16, 16}));
  for (std::size_t out = 0; out < 16; ++out)
    for (std::size_t in = 0; in < 16; ++in)
      EXPECT_EQ(weight.elements<float>()[out * 16 + in], 0.5f * (static_cast<float>((in + out) % 4) - 1.f));
}

TEST(Gptq, OutputsNeedNotFillWords) {
  const QuantizedCopy copy("gptq");
  copy.set("group_size", 8).set("checkpoint_format", "gptq_v2").edit_tensors([&](QuantizedCopy::Tensors& tensors) {
    tensors.clear();
    tensors.emplace_back("x.qweight", tensor_of<std::int32_t>({1, 3}, {0x76543210, 0, 0x11111111}));
    tensors.emplace_back("x.qzeros", tensor_of<std::int32_t>({1, 1}, {0x321}));
    tensors.emplace_back("x.scales", tensor_of<float>({1, 3}, {1.f, 2.f, 4.f}));
  });
  EXPECT_THAT(copy.open().tensor("x.weight").elements<float>(),
              ElementsAre(-1, 0, 1, 2, 3, 4, 5, 6, -4, -4, -4, -4, -4, -4, -4, -4, -8, -8, -8, -8, -8, -8, -8, -8));
}

TEST(Gptq, MissingTensors) {
  for (const char* part : {".qzeros", ".scales"})
    EXPECT_THAT(refusal(QuantizedCopy("gptq").remove(layer + part)),
                HasSubstr("the tensor " + layer + part + " is missing"));
  // Without g_idx groups lie one after the other.
  EXPECT_EQ(refusal(QuantizedCopy("gptq").remove(layer + ".g_idx")), "no exception");
}

TEST(Gptq, TensorsOfOtherTypes) {
  const QuantizedCopy copy("gptq");
  copy.put(layer + ".qweight", zeros_of(DType::i64, {8, 32}));
  EXPECT_EQ(refusal(copy),
            copy.file("model.safetensors") + ": tensor " + layer + ".qweight has element type i64, expected i32");
  EXPECT_THAT(refusal(QuantizedCopy("gptq").put(layer + ".scales", zeros_of(DType::i32, {2, 32}))),
              HasSubstr("scales has element type i32, expected f16 or bf16 or f32"));
  EXPECT_THAT(refusal(QuantizedCopy("gptq").put(layer + ".qzeros", zeros_of(DType::f32, {2, 4}))),
              HasSubstr("qzeros has element type f32"));
  EXPECT_THAT(refusal(QuantizedCopy("gptq").put(layer + ".g_idx", zeros_of(DType::i64, {64}))),
              HasSubstr("g_idx has element type i64"));
}

TEST(Gptq, TensorsOfOtherShapes) {
  const auto put = [](const char* part, DType dtype, const Shape& shape) {
    return refusal(QuantizedCopy("gptq").put(layer + part, zeros_of(dtype, shape)));
  };
  EXPECT_THAT(put(".qweight", DType::i32, {256}), HasSubstr("qweight has shape (256), expected a matrix"));
  EXPECT_THAT(put(".qweight", DType::i32, {8, 0}), HasSubstr("qweight has shape (8, 0), expected a matrix"));
  EXPECT_THAT(put(".qweight", DType::i32, {0, std::size_t{1} << 60}), HasSubstr("expected a matrix"));
  EXPECT_THAT(put(".qweight", DType::i32, {16, 32}), HasSubstr("scales has shape (2, 32), expected (4, 32)"));
  EXPECT_THAT(put(".scales", DType::f16, {1, 32}), HasSubstr("scales has shape (1, 32), expected (2, 32)"));
  EXPECT_THAT(put(".scales", DType::f16, {2, 31}), HasSubstr("scales has shape (2, 31)"));
  EXPECT_THAT(put(".scales", DType::f16, {64}), HasSubstr("scales has shape (64)"));
  EXPECT_THAT(put(".qzeros", DType::i32, {2, 3}), HasSubstr("qzeros has shape (2, 3), expected (2, 4)"));
  EXPECT_THAT(put(".g_idx", DType::i32, {63}), HasSubstr("g_idx has shape (63), expected (64)"));
}

TEST(Gptq, InputsInNoGroup) {
  for (const std::int32_t group : {-1, 2, -2147483647}) {
    std::vector<std::int32_t> groups(64);
    groups[5] = group;
    const QuantizedCopy copy("gptq-act-order");
    copy.put(layer + ".g_idx", tensor_of(Shape{64}, groups));
    EXPECT_EQ(refusal(copy), copy.file("model.safetensors") + ": tensor " + layer + ".g_idx: input 5 is in group " +
                                 std::to_string(group) + ", there are 2");
  }
}

TEST(Gptq, OptionsThatAreNone) {
  const auto set = [](const char* key, const nlohmann::json& value) {
    return message_of<UnsupportedError>([&] { QuantizedCopy("gptq").set(key, value).open(); });
  };
  for (const int bits : {0, -4, 3, 5, 16, 32}) {
    EXPECT_THAT(set("bits", bits),
                AllOf(HasSubstr("quantization_config.bits"), HasSubstr("are not supported (2, 4, 8)")));
  }
  EXPECT_THAT(set("checkpoint_format", "marlin"), HasSubstr("the format \"marlin\" is not supported"));
  EXPECT_THAT(set("format", "marlin"), HasSubstr("the format \"marlin\" is not supported"));
  EXPECT_THAT(set("is_marlin_format", true), HasSubstr("\"is_marlin_format\" is not understood"));
  EXPECT_THAT(set("pack_dtype", "int16"), HasSubstr("integers packed in int16"));
  EXPECT_THAT(set("dynamic", {{"+:.*up_proj", {{"bits", 8}}}}), HasSubstr("options of their own"));
  EXPECT_EQ(set("dynamic", {{"-:.*router", nlohmann::json::object()}}), "no exception");
  for (const int size : {0, -2, -128})
    EXPECT_THAT(refusal(QuantizedCopy("gptq").set("group_size", size)), HasSubstr("expected a positive number, found"));
  EXPECT_THAT(refusal(QuantizedCopy("gptq").set("group_size", "32")), HasSubstr("expected an integer"));
  for (const char* key : {"bits", "group_size"}) {
    const QuantizedCopy copy("gptq");
    copy.edit_config([&](nlohmann::json& config) { config["quantization_config"].erase(key); });
    EXPECT_THAT(refusal(copy), HasSubstr("the key \"" + std::string(key) + "\" is missing"));
  }
}

}  // namespace
