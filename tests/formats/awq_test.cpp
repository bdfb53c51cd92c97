#include <weft/formats/quantized/awq.hpp>

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

TEST(Awq, ByTheDefinition) {
  // The nibbles from the lowest on are outputs 0, 2, 4, 6, 1, 3, 5, 7; three inputs in groups of two.
  const QuantizedCopy copy("awq");
  copy.set("group_size", 2).edit_tensors([&](QuantizedCopy::Tensors& tensors) {
    tensors.clear();
    tensors.emplace_back("x.qweight", tensor_of<std::int32_t>({3, 1}, {0x75316420, 0, 0x75316420}));
    tensors.emplace_back("x.qzeros", tensor_of<std::int32_t>({2, 1}, {0x11111111, 0}));
    std::vector<float> scales(16, 1.f);
    std::fill(scales.begin() + 8, scales.end(), 10.f);
    tensors.emplace_back("x.scales", tensor_of(Shape{2, 8}, scales));
  });
  EXPECT_THAT(copy.open().tensor("x.weight").elements<float>(),
              ElementsAre(-1, -1, 0, 0, -1, 10, 1, -1, 20, 2, -1, 30, 3, -1, 40, 4, -1, 50, 5, -1, 60, 6, -1, 70));
}

TEST(Awq, TensorsThatDoNotFit) {
  const auto put = [](const char* part, DType dtype, const Shape& shape) {
    return refusal(QuantizedCopy("awq").put(layer + part, zeros_of(dtype, shape)));
  };
  for (const char* part : {".qzeros", ".scales"})
    EXPECT_THAT(refusal(QuantizedCopy("awq").remove(layer + part)), HasSubstr(layer + part + " is missing"));
  EXPECT_THAT(put(".qweight", DType::i8, {64, 4}), HasSubstr("qweight has element type i8, expected i32"));
  EXPECT_THAT(put(".qweight", DType::i32, {64, 4, 1}), HasSubstr("expected a matrix"));
  EXPECT_THAT(put(".qweight", DType::i32, {0, std::size_t{1} << 60}), HasSubstr("expected a matrix"));
  EXPECT_THAT(put(".qweight", DType::i32, {96, 4}), HasSubstr("scales has shape (2, 32), expected (3, 32)"));
  EXPECT_THAT(put(".scales", DType::f64, {2, 32}), HasSubstr("scales has element type f64"));
  EXPECT_THAT(put(".scales", DType::f16, {2, 4}), HasSubstr("scales has shape (2, 4), expected (2, 32)"));
  EXPECT_THAT(put(".qzeros", DType::i32, {2, 32}), HasSubstr("qzeros has shape (2, 32), expected (2, 4)"));
  EXPECT_THAT(put(".qzeros", DType::u8, {2, 4}), HasSubstr("qzeros has element type u8"));
}

TEST(Awq, OptionsThatAreNone) {
  const auto set = [](const char* key, const nlohmann::json& value) {
    return message_of<UnsupportedError>([&] { QuantizedCopy("awq").set(key, value).open(); });
  };
  EXPECT_THAT(set("bits", 8), HasSubstr("AWQ weights of 8 bits are not supported (4)"));
  EXPECT_THAT(set("version", "gemv"), HasSubstr("the version \"gemv\" is not supported (gemm)"));
  EXPECT_THAT(set("zero_point", false), HasSubstr("without zero points"));
  EXPECT_EQ(set("version", "GEMM"), "no exception");
  EXPECT_THAT(refusal(QuantizedCopy("awq").set("group_size", 0)), HasSubstr("expected a positive number, found 0"));
}

TEST(Awq, OlderNamesOfTheKeys) {
  const QuantizedCopy copy("awq");
  copy.edit_config([](nlohmann::json& config) {
    config["quantization_config"] = {{"quant_method", "awq"}, {"w_bit", 4}, {"q_group_size", 32}, {"version", "GEMM"}};
  });
  EXPECT_TRUE(copy.open().is_quantized(layer + ".weight"));
}

}  // namespace
