#include <weft/core/dtype.hpp>

#include <array>
#include <concepts>
#include <cstdint>
#include <string>

#include <gtest/gtest.h>

namespace {

using namespace weft;

constexpr std::array all{DType::f32, DType::f16, DType::bf16,    DType::f64,     DType::i8,     DType::u8,
                         DType::i32, DType::i64, DType::boolean, DType::f8_e4m3, DType::f8_e5m2};

static_assert(Element<float> && Element<const half> && Element<bool> && !Element<char> && !Element<long double>);
static_assert(FloatingElement<bfloat16> && FloatingElement<double> && !FloatingElement<std::int32_t>);
static_assert(dtype_of<float> == DType::f32 && dtype_of<const bool> == DType::boolean);

TEST(DType, VisitGoesToTheTypeTheTableNames) {
  for (const DType dtype : all) {
    visit(dtype, [&]<class T>(std::type_identity<T>) {
      EXPECT_EQ(dtype_of<T>, dtype);
      EXPECT_EQ(bytes_of(dtype, 7), 7 * sizeof(T));
    });
  }
  EXPECT_EQ(visit(DType::i8, []<class T>(std::type_identity<T>) { return sizeof(T); }), 1u);
  EXPECT_THROW(visit(static_cast<DType>(200), [](auto) {}), UnsupportedError);
}

TEST(DType, NamesAreThoseOfTheField) {
  std::string names;
  for (const DType dtype : all) names += std::string(name(dtype)) + " ";
  EXPECT_EQ(names, "f32 f16 bf16 f64 i8 u8 i32 i64 bool f8_e4m3 f8_e5m2 ");
}

TEST(DType, AreFoundByTheirNames) {
  for (const DType dtype : all) EXPECT_EQ(dtype_named(name(dtype)), dtype);
  EXPECT_EQ(dtype_named("q4_k"), DType::q4_k);
  EXPECT_THROW(dtype_named("q4"), UnsupportedError);
  EXPECT_THROW(dtype_named(""), UnsupportedError);
}

TEST(DType, BlockFormatsTakeWholeBlocksAndHaveNoElementType) {
  EXPECT_FALSE(is_block_format(DType::boolean));
  EXPECT_TRUE(is_block_format(DType::q8_0));
  EXPECT_EQ(bytes_of(DType::q4_k, 512), 2 * 144u);
  EXPECT_EQ(bytes_of(DType::q8_row, 64), 4 + 64u);
  EXPECT_THROW(bytes_of(DType::q8_row, 33), ShapeError);
  EXPECT_THROW(bytes_of(DType::q6_k, 255), ShapeError);
  EXPECT_THROW(visit(DType::q4_0, [](auto) {}), UnsupportedError);
}

TEST(DType, VisitAmongRejectsTheOthersByName) {
  int calls = 0;
  const auto count = [&]<class T>(std::type_identity<T>) {
    static_assert(std::same_as<T, float> || std::same_as<T, half>);
    ++calls;
  };
  visit_among<float, half>(DType::f16, "matmul", count);
  EXPECT_EQ(calls, 1);
  try {
    visit_among<float, half>(DType::i32, "matmul", count);
    FAIL() << "i32 was accepted";
  } catch (const UnsupportedError& error) {
    EXPECT_STREQ(error.what(), "matmul: element type i32 is not supported here");
  }
  EXPECT_EQ(calls, 1);
}

}  // namespace
