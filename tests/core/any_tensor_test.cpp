#include <weft/core/any_tensor.hpp>

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/tensor.hpp>

namespace {

using namespace weft;

AnyTensor sixths() {
  return AnyTensor::make(DType::f32, {2, 3}, [](std::span<std::byte> bytes) {
    const std::vector<float> values{0, 1, 2, 3, 4, 5};
    std::memcpy(bytes.data(), values.data(), bytes.size());
  });
}

TEST(AnyTensor, HoldsTypeShapeAndBytes) {
  const AnyTensor x = sixths();
  EXPECT_EQ(x.dtype(), DType::f32);
  EXPECT_EQ(x.shape(), (Shape{2, 3}));
  EXPECT_EQ(x.rank(), 2u);
  EXPECT_EQ(x.extent(1), 3u);
  EXPECT_EQ(x.size(), 6u);
  EXPECT_EQ(x.bytes().size(), 24u);
  EXPECT_TRUE(x);
  EXPECT_EQ((x.view<float, 2>()(1, 2)), 5.f);
}

TEST(AnyTensor, DefaultHoldsNothing) {
  const AnyTensor none;
  EXPECT_FALSE(none);
  EXPECT_EQ(none.size(), 0u);
}

TEST(AnyTensor, CopiesShareTheBytesAndKeepThemAlive) {
  auto owner = std::make_shared<std::vector<std::byte>>(std::size_t{8});
  const std::weak_ptr<std::vector<std::byte>> watch = owner;
  AnyTensor x(DType::i64, {1}, *owner, owner);
  owner.reset();
  {
    const AnyTensor copy = x;
    EXPECT_EQ(copy.bytes().data(), x.bytes().data());
    x = AnyTensor();
    EXPECT_FALSE(watch.expired());
    EXPECT_EQ(copy.elements<std::int64_t>()[0], 0);
  }
  EXPECT_TRUE(watch.expired());
}

TEST(AnyTensor, RejectsWhatDoesNotFit) {
  alignas(8) const std::byte bytes[16]{};
  EXPECT_THROW(AnyTensor(DType::f32, {5}, bytes, nullptr), ShapeError);
  EXPECT_THROW(AnyTensor(DType::f32, Shape{dynamic, 2}, bytes, nullptr), ShapeError);
  const AnyTensor x(DType::f32, {4}, bytes, nullptr);
  EXPECT_THROW(x.elements<half>(), ShapeError);
  EXPECT_THROW((x.view<float, 2>()), ShapeError);
  EXPECT_THROW((x.view<double, 1>()), ShapeError);
  const AnyTensor odd(DType::f32, {3}, std::span(bytes).subspan(1, 12), nullptr);
  EXPECT_THROW(odd.elements<float>(), ShapeError);
}

TEST(AnyTensor, VisitFindsTheElementType) {
  EXPECT_EQ(visit(sixths(), [](auto elements) { return elements.size_bytes(); }), 24u);
  double sum = 0;
  visit(sixths(), [&](auto elements) {
    for (const auto element : elements) sum += static_cast<double>(element);
  });
  EXPECT_EQ(sum, 15.0);
}

TEST(AnyTensor, BlockFormatsTakeWholeRowsAndPanelsWholeUnits) {
  const AnyTensor rows = AnyTensor::make(DType::q4_0, {3, 64}, [](auto) {});
  EXPECT_EQ(rows.bytes().size(), 3 * 36u);
  EXPECT_EQ(rows.layout(), Layout::rows);
  EXPECT_THROW(AnyTensor::make(DType::q4_0, {3, 33}, [](auto) {}), ShapeError);
  const AnyTensor panels = AnyTensor::make(
      DType::q4_0, {3, 32}, [](auto) {}, Layout::panels);
  EXPECT_EQ(panels.bytes().size(), 32 * 20u);
  EXPECT_EQ(panels.extent(0), 3u);
  EXPECT_THROW(AnyTensor::make(
                   DType::f32, {3, 32, 1}, [](auto) {}, Layout::panels),
               ShapeError);
  EXPECT_THROW(AnyTensor::make(
                   DType::f32, {3, 32}, [](auto) {}, Layout::panels)
                   .elements<float>(),
               ShapeError);
}

TEST(AnyTensor, RowsShareTheBytes) {
  const AnyTensor whole = sixths();
  const AnyTensor part = whole.rows(1, 2);
  EXPECT_EQ(part.shape()[0], 1u);
  EXPECT_EQ(part.rank(), whole.rank());
  EXPECT_EQ(part.bytes().data(), whole.bytes().data() + whole.bytes().size() / whole.extent(0));
  EXPECT_EQ(whole.rows(1, 1).size(), 0u);
  EXPECT_THROW(whole.rows(0, whole.extent(0) + 1), ShapeError);
  EXPECT_THROW(whole.rows(2, 1), ShapeError);
  const AnyTensor blocks = AnyTensor::make(DType::q4_0, {3, 64}, [](auto) {});
  EXPECT_EQ(blocks.rows(1, 3).bytes().size(), 2 * 36u);
  EXPECT_THROW(AnyTensor::make(
                   DType::q4_0, {3, 32}, [](auto) {}, Layout::panels)
                   .rows(0, 1),
               ShapeError);
}

TEST(AnyTensor, ReshapedSharesTheBytes) {
  const AnyTensor whole = sixths();
  const AnyTensor flat = whole.reshaped({6});
  EXPECT_EQ(flat.shape(), Shape{6});
  EXPECT_EQ(flat.bytes().data(), whole.bytes().data());
  EXPECT_THROW(whole.reshaped({7}), ShapeError);
}

}  // namespace
