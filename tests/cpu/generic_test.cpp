#include <weft/cpu/generic.hpp>

#include "complete_table.hpp"

namespace {

using namespace weft;

TEST(Generic, FillsTheTableButForBfloat16DotProducts) {
  weft::testing::expect_complete(cpu::generic::table, "generic");
  EXPECT_EQ(cpu::generic::table.linear_bf16_dot, nullptr);
  EXPECT_EQ(cpu::generic::table.pack_tokens_bf16, nullptr);
}

}  // namespace
