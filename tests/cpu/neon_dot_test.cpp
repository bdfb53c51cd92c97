#include <weft/cpu/neon_dot.hpp>

#include "complete_table.hpp"

#if WEFT_AARCH64

namespace {

using namespace weft;

TEST(NeonDot, AddsInt8DotProductsToTheNeonTable) {
  const cpu::Kernels& table = cpu::neon_dot::table;
  weft::testing::expect_complete(table, "neon_dot");
  EXPECT_NE(table.i8.tokens.pack, cpu::neon::table.i8.tokens.pack);
  EXPECT_EQ(table.tile_f32, cpu::neon::table.tile_f32);
  EXPECT_EQ(table.bf16.most, 0u);
  EXPECT_EQ(table.softmax, cpu::neon::table.softmax);
}

}  // namespace

#endif  // WEFT_AARCH64
