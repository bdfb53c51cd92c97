#include <weft/formats/quantized/scaled_matrix.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "quantized_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using NamedTensor = std::pair<std::string, AnyTensor>;

const std::vector<std::int8_t> codes{1, 2, 3, -4, -5, 6, 7, -8, 9};  // (3, 3)

/// The matrix of `codes` with these tensors beside it.
class Layer {
 public:
  explicit Layer(std::vector<NamedTensor> parts) {
    parts.push_back({"x.codes", tensor_of<std::int8_t>({3, 3}, codes)});
    write_safetensors(directory_.path() / "x.safetensors", parts);
    tensors_ = std::make_unique<StoredTensors>(
        "x", std::vector<std::shared_ptr<const WeightsFile>>{
                 std::make_shared<const SafetensorsFile>((directory_.path() / "x.safetensors").string())});
  }

  AnyTensor read(const ScaleBlock& block) const {
    const StoredLayer layer(*tensors_, "x");
    return ScaledMatrix(layer, layer.tensor(".codes"), {".scales", ".zeros", ".groups"}, block).read();
  }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<StoredTensors> tensors_;
};

NamedTensor scales(const Shape& shape, const std::vector<float>& values) {
  return {"x.scales", tensor_of<float>(shape, values)};
}

// The last blocks are cut off.
TEST(ScaledMatrix, EveryBlockHasAScale) {
  const Layer layer({scales({2, 2}, {1.f, 10.f, 0.5f, 2.f})});
  EXPECT_THAT(layer.read({2, 2}).elements<float>(), ElementsAre(1, 2, 30, -4, -5, 60, 3.5f, -4, 18));
}

TEST(ScaledMatrix, OneScaleARowOrForAll) {
  for (const Shape& shape : {Shape{3}, Shape{3, 1}})
    EXPECT_THAT(Layer({scales(shape, {1.f, 2.f, 3.f})}).read({1, 3}).elements<float>(),
                ElementsAre(1, 2, 3, -8, -10, 12, 21, -24, 27));
  EXPECT_THAT(Layer({scales({1}, {-1.f})}).read({3, 3}).elements<float>(),
              ElementsAre(-1, -2, -3, 4, 5, -6, -7, 8, -9));
}

TEST(ScaledMatrix, ZerosAreSubtractedFirst) {
  const Layer layer({scales({3, 1}, {1.f, 2.f, 3.f}), {"x.zeros", tensor_of<std::int8_t>({3, 1}, {1, 0, -2})}});
  EXPECT_THAT(layer.read({1, 3}).elements<float>(), ElementsAre(0, 1, 2, -8, -10, 12, 27, -18, 33));
}

TEST(ScaledMatrix, InputsMayBeInGroupsOfAnyOrder) {
  const auto grouped = [](const std::vector<std::int32_t>& groups) {
    const Shape shape{groups.size()};
    return Layer({scales({3, 2}, {1.f, 10.f, 1.f, 10.f, 1.f, 10.f}), {"x.groups", tensor_of(shape, groups)}})
        .read({1, 2});
  };
  EXPECT_THAT(grouped({1, 0, 1}).elements<float>(), ElementsAre(10, 2, 30, -40, -5, 60, 70, -8, 90));
  // -1 alone says nothing: two inputs after the other.
  EXPECT_THAT(grouped({-1, -1, -1}).elements<float>(), ElementsAre(1, 2, 30, -4, -5, 60, 7, -8, 90));
  EXPECT_THAT(message_of<FormatError>([&] { grouped({0, 2, 0}); }), HasSubstr("input 1 is in group 2, there are 2"));
  EXPECT_THAT(message_of<FormatError>([&] { grouped({0, 0, -1}); }), HasSubstr("input 2 is in group -1"));
  EXPECT_THAT(message_of<FormatError>([&] { grouped({0, 0}); }), HasSubstr("x.groups has shape (2), expected (3)"));
}

TEST(ScaledMatrix, IsOfTheTypeOfItsScales) {
  const Layer layer({{"x.scales", tensor_of<bfloat16>({1}, {bfloat16(0.3f)})}});
  const AnyTensor matrix = layer.read({3, 3});
  EXPECT_EQ(matrix.dtype(), DType::bf16);
  const float scale = static_cast<float>(bfloat16(0.3f));
  for (std::size_t i = 0; i < codes.size(); ++i)
    EXPECT_EQ(matrix.elements<bfloat16>()[i], bfloat16(scale * static_cast<float>(codes[i])));
}

TEST(ScaledMatrix, RefusesScalesThatDoNotFit) {
  const auto refused = [](const NamedTensor& tensor) {
    return message_of<FormatError>([&] { Layer({tensor}).read({2, 2}); });
  };
  EXPECT_THAT(refused(scales({2, 3}, std::vector<float>(6))), HasSubstr("x.scales has shape (2, 3), expected (2, 2)"));
  EXPECT_THAT(refused(scales({4}, std::vector<float>(4))), HasSubstr("expected (2, 2)"));
  EXPECT_THAT(refused({"x.scales", tensor_of<std::int8_t>({2, 2}, {1, 1, 1, 1})}), HasSubstr("has element type i8"));
  EXPECT_THAT(refused({"x.other", tensor_of<std::int8_t>({1}, {1})}), HasSubstr("the tensor x.scales is missing"));
}

}  // namespace
