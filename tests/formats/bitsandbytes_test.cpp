#include <weft/formats/quantized/bitsandbytes.hpp>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quantized_fixtures.hpp"

namespace {

using namespace weft;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using weft_tests::message_of;
using weft_tests::QuantizedCopy;
using weft_tests::tensor_of;
using weft_tests::zeros_of;

const std::string layer = "model.layers.0.self_attn.k_proj";  // (32, 64)
const std::string nf4 = layer + ".weight.quant_state.bitsandbytes__nf4";

template <class E = FormatError>
std::string refusal(const QuantizedCopy& copy) {
  return message_of<E>([&] { copy.read(); });
}

AnyTensor text(const std::string& content) {
  return tensor_of(Shape{content.size()}, std::vector<std::uint8_t>(content.begin(), content.end()));
}

/// A copy of the NF4 fixture with double quantisation whose JSON of one layer says something else.
template <class Edit>
QuantizedCopy& edit_state(QuantizedCopy& copy, Edit&& edit) {
  copy.edit_tensors([&](QuantizedCopy::Tensors& tensors) {
    for (auto& [name, tensor] : tensors)
      if (name == nf4) {
        const auto* begin = reinterpret_cast<const char*>(tensor.bytes().data());
        nlohmann::json state = nlohmann::json::parse(begin, begin + tensor.bytes().size());
        edit(state);
        tensor = text(state.dump());
      }
  });
  return copy;
}
std::string with_state(const char* key, const nlohmann::json& value) {
  QuantizedCopy copy("bnb-nf4");
  return refusal(edit_state(copy, [&](nlohmann::json& state) { state[key] = value; }));
}

TEST(Bitsandbytes, EveryBlockOfAbsmaxHasItsOwnScale) {
  // 32 values of absmax in 4 blocks of 8: values 8 to 15 are scaled by another number.
  QuantizedCopy copy("bnb-nf4-single");
  const AnyTensor weight = copy.open().tensor(layer + ".weight");
  std::vector<float> map(256);
  for (std::size_t i = 0; i < 256; ++i) map[i] = static_cast<float>(i);
  std::vector<std::uint8_t> absmax(32);
  for (std::size_t i = 0; i < 32; ++i) absmax[i] = static_cast<std::uint8_t>(8 * i);
  copy.put(layer + ".weight.absmax", tensor_of(Shape{32}, absmax))
      .put(layer + ".weight.nested_absmax", tensor_of<float>({4}, {1.f, 0.5f, 2.f, 0.25f}))
      .put(layer + ".weight.nested_quant_map", tensor_of(Shape{256}, map))
      .put(layer + ".weight.quant_map", tensor_of(Shape{16}, std::vector<float>(16, 0.125f)));
  edit_state(copy, [&](nlohmann::json& state) {
    state["nested_blocksize"] = 8;
    state["nested_offset"] = 16.0;
    state["dtype"] = "float32";
  });
  const AnyTensor again = copy.open().tensor(layer + ".weight");
  ASSERT_EQ(again.size(), weight.size());
  for (std::size_t i = 0; i < 2048; ++i) {
    const float scales[] = {1.f, 0.5f, 2.f, 0.25f};
    const float expected = 0.125f * (static_cast<float>(8 * (i / 64)) * scales[i / 512] + 16.f);
    ASSERT_EQ(again.elements<float>()[i], expected) << i;
  }
}

TEST(Bitsandbytes, EightBitTensorsThatDoNotFit) {
  const auto put = [](const std::string& part, const AnyTensor& tensor) {
    return refusal(QuantizedCopy("bnb-int8").put(layer + part, tensor));
  };
  EXPECT_THAT(put(".SCB", zeros_of(DType::f16, {32})), HasSubstr("SCB has element type f16, expected f32"));
  EXPECT_THAT(put(".SCB", zeros_of(DType::f32, {64})), HasSubstr("SCB has shape (64), expected (32)"));
  EXPECT_THAT(put(".weight", zeros_of(DType::bf16, {32, 64})), HasSubstr("weight has element type bf16, expected i8"));
  EXPECT_THAT(put(".weight", zeros_of(DType::i8, {2048})), HasSubstr("expected a matrix"));
  EXPECT_THAT(put(".weight", zeros_of(DType::i8, {32, 0})), HasSubstr("expected a matrix"));
  EXPECT_THAT(put(".weight_format", zeros_of(DType::u8, {2})), HasSubstr("expected one element"));
  EXPECT_THAT(refusal(QuantizedCopy("bnb-int8").remove(layer + ".weight")), HasSubstr("weight is missing"));
  EXPECT_THAT(refusal<UnsupportedError>(
                  QuantizedCopy("bnb-int8").put(layer + ".weight_format", tensor_of<std::uint8_t>({}, {1}))),
              HasSubstr("weight_format: the order 1 is not supported"));
}

TEST(Bitsandbytes, FourBitTensorsThatDoNotFit) {
  const auto put = [](const std::string& part, const AnyTensor& tensor) {
    return refusal(QuantizedCopy("bnb-nf4").put(layer + ".weight" + part, tensor));
  };
  EXPECT_THAT(put("", zeros_of(DType::u8, {1023, 1})),
              HasSubstr("has 1023 bytes, expected 1024 for the shape (32, 64)"));
  EXPECT_THAT(put("", zeros_of(DType::u8, {0})), HasSubstr("has 0 bytes"));
  EXPECT_THAT(put(".absmax", zeros_of(DType::u8, {31})), HasSubstr("absmax has shape (31), expected (32)"));
  EXPECT_THAT(put(".absmax", zeros_of(DType::f32, {32})), HasSubstr("absmax has element type f32, expected u8"));
  EXPECT_THAT(put(".quant_map", zeros_of(DType::f32, {15})), HasSubstr("quant_map has shape (15), expected (16)"));
  EXPECT_THAT(put(".nested_absmax", zeros_of(DType::f32, {2})), HasSubstr("nested_absmax has shape (2), expected (1)"));
  EXPECT_THAT(put(".nested_quant_map", zeros_of(DType::f32, {255})), HasSubstr("(255), expected (256)"));
  EXPECT_THAT(put(".nested_quant_map", zeros_of(DType::f16, {256})), HasSubstr("element type f16"));
  for (const char* part : {"", ".absmax", ".quant_map", ".nested_quant_map"})
    EXPECT_THAT(refusal(QuantizedCopy("bnb-nf4").remove(layer + ".weight" + part)), HasSubstr(" is missing")) << part;
  EXPECT_THAT(refusal(QuantizedCopy("bnb-nf4").remove(layer + ".weight.nested_absmax")),
              HasSubstr("absmax has element type u8, expected f32"));
}

TEST(Bitsandbytes, StatesThatAreNone) {
  const QuantizedCopy copy("bnb-nf4");
  copy.put(nf4, text("{"));
  EXPECT_THAT(refusal(copy),
              AllOf(StartsWith(copy.file("model.safetensors") + ": tensor " + nf4), HasSubstr("not valid JSON")));
  EXPECT_THAT(refusal(QuantizedCopy("bnb-nf4").put(nf4, text("[]"))), HasSubstr("expected an object"));
  EXPECT_THAT(refusal(QuantizedCopy("bnb-nf4").put(nf4, zeros_of(DType::u8, {0}))), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal(QuantizedCopy("bnb-nf4").put(nf4, zeros_of(DType::f32, {4}))), HasSubstr("expected u8"));
  EXPECT_THAT(with_state("shape", {32, 32}), HasSubstr("has 1024 bytes, expected 512"));
  EXPECT_THAT(with_state("shape", {32, 64, 1}), HasSubstr("expected 2 extents, found 3"));
  EXPECT_THAT(with_state("shape", {0, 64}), HasSubstr("expected a positive number, found 0"));
  EXPECT_THAT(with_state("shape", nullptr), HasSubstr("expected an array"));
  EXPECT_THAT(with_state("blocksize", 0), HasSubstr("expected a positive number, found 0"));
  EXPECT_THAT(with_state("blocksize", 32), HasSubstr("absmax has shape (32), expected (64)"));
  EXPECT_THAT(with_state("nested_blocksize", -1), HasSubstr("expected a positive number, found -1"));
  EXPECT_THAT(with_state("nested_offset", "0"), HasSubstr("expected a number"));
  EXPECT_THAT(with_state("dtype", "float64"), HasSubstr("expected float32, float16 or bfloat16, found \"float64\""));
  EXPECT_THAT(with_state("quant_type", "fp4"), HasSubstr("found \"fp4\", the name of the tensor says \"nf4\""));
  EXPECT_THAT(with_state("quant_type", "4"), HasSubstr("found \"4\""));
  QuantizedCopy other("bnb-nf4");
  EXPECT_THAT(message_of<UnsupportedError>(
                  [&] { edit_state(other, [](nlohmann::json& state) { state["rotation"] = 1; }).read(); }),
              HasSubstr("\"rotation\" is not understood"));
  // Sizes whose product does not fit.
  const std::int64_t big = std::int64_t{1} << 40;
  QuantizedCopy wide("bnb-nf4");
  EXPECT_THAT(message_of<ShapeError>([&] {
                edit_state(wide, [&](nlohmann::json& state) { state["shape"] = {big, big}; }).read();
              }),
              HasSubstr("overflow"));
}

}  // namespace
