#include <weft/ops/values_and_indices.hpp>

#include <gtest/gtest.h>

TEST(ValuesAndIndices, TakesApart) {
  const weft::ValuesAndIndices<float, long> found{0.5f, 3};
  const auto [value, index] = found;
  EXPECT_EQ(value, 0.5f);
  EXPECT_EQ(index, 3);
}
