#include <weft/formats/quantized/fp8.hpp>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quantized_fixtures.hpp"

namespace {

using namespace weft;
using ::testing::ElementsAre;
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

TEST(Fp8, ByTheDefinition) {
  // Three rows and three columns of 1, 2, -1.5 in blocks of two by two.
  const QuantizedCopy copy("fp8-block");
  copy.set("weight_block_size", {2, 2}).edit_tensors([](QuantizedCopy::Tensors& tensors) {
    tensors.clear();
    std::vector<float8_e4m3> elements;
    for (int row = 0; row < 3; ++row)
      for (const int bits : {0x38, 0x40, 0xbc}) elements.push_back({static_cast<std::uint8_t>(bits)});
    tensors.emplace_back("x.weight", tensor_of(Shape{3, 3}, elements));
    tensors.emplace_back("x.weight_scale_inv", tensor_of<float>({2, 2}, {1.f, 2.f, 4.f, 8.f}));
  });
  EXPECT_THAT(copy.open().tensor("x.weight").elements<float>(), ElementsAre(1, 2, -3, 1, 2, -3, 4, 8, -12));
}

TEST(Fp8, OneScaleForEveryRowWhereThereAreAsMany) {
  std::vector<float> scales(32);
  for (std::size_t i = 0; i < 32; ++i) scales[i] = static_cast<float>(i);
  for (const Shape& shape : {Shape{32}, Shape{32, 1}}) {
    const QuantizedCopy copy("fp8-tensor");
    const AnyTensor stored = SafetensorsFile(copy.path() / "model.safetensors").tensor(layer + ".weight");
    const AnyTensor weight =
        copy.put(layer + ".weight_scale", tensor_of(shape, scales)).open().tensor(layer + ".weight");
    for (std::size_t i = 0; i < weight.size(); ++i)
      ASSERT_EQ(weight.elements<float>()[i], stored.elements<float8_e5m2>()[i] * scales[i / 64]);
  }
}

TEST(Fp8, TensorsThatDoNotFit) {
  const auto put = [](const char* part, DType dtype, const Shape& shape) {
    return refusal(QuantizedCopy("fp8-block").put(layer + part, zeros_of(dtype, shape)));
  };
  EXPECT_THAT(put(".weight", DType::i8, {32, 64}),
              HasSubstr("weight has element type i8, expected f8_e4m3 or f8_e5m2"));
  EXPECT_THAT(put(".weight", DType::f8_e4m3, {2048}), HasSubstr("expected a matrix"));
  EXPECT_THAT(put(".weight", DType::f8_e4m3, {0, std::size_t{1} << 60}), HasSubstr("expected a matrix"));
  EXPECT_THAT(put(".weight_scale_inv", DType::f32, {1, 2}), HasSubstr("has shape (1, 2), expected (1, 3)"));
  EXPECT_THAT(put(".weight_scale_inv", DType::f32, {3, 1}), HasSubstr("has shape (3, 1), expected (1, 3)"));
  EXPECT_THAT(put(".weight_scale_inv", DType::f32, {4}), HasSubstr("has shape (4), expected (1, 3)"));
  EXPECT_THAT(put(".weight_scale_inv", DType::i32, {1, 3}), HasSubstr("element type i32"));
  EXPECT_THAT(refusal(QuantizedCopy("fp8-block").remove(layer + ".weight")), HasSubstr("weight is missing"));
  EXPECT_THAT(refusal(QuantizedCopy("fbgemm-fp8").put(layer + ".weight_scale", zeros_of(DType::f32, {31}))),
              HasSubstr("weight_scale has shape (31), expected (32, 1)"));
}

TEST(Fp8, BlockSizesThatAreNone) {
  const auto set = [](const nlohmann::json& value) {
    return refusal(QuantizedCopy("fp8-block").set("weight_block_size", value));
  };
  EXPECT_THAT(set({128}), HasSubstr("expected 2 numbers, found 1"));
  EXPECT_THAT(set({128, 0}), HasSubstr("expected a positive number, found 0"));
  EXPECT_THAT(set({-1, 128}), HasSubstr("expected a positive number, found -1"));
  EXPECT_THAT(set(128), HasSubstr("expected an array"));
  EXPECT_THAT(set({1, 1}), HasSubstr("expected (64, 96)"));
  EXPECT_THAT(set({std::int64_t{1} << 62, std::int64_t{1} << 62}), HasSubstr("expected (1, 1)"));
}

TEST(Fp8, ScalesOfCachesAreLeftOut) {
  const QuantizedCopy copy("fp8-tensor");
  copy.put("model.layers.0.self_attn.k_scale", zeros_of(DType::f32, {}));
  EXPECT_FALSE(copy.open().contains("model.layers.0.self_attn.k_scale"));
}

}  // namespace
