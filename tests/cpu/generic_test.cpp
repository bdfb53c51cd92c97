#include <weft/cpu/generic.hpp>

#include "complete_table.hpp"

namespace {

using namespace weft;

TEST(Generic, FillsTheTableButForBfloat16DotProducts) {
  weft::testing::expect_complete(cpu::generic::table, "generic");
  EXPECT_EQ(cpu::generic::table.bf16.most, 0u);
  EXPECT_EQ(cpu::generic::table.tile_bf16, nullptr);
}

}  // namespace
