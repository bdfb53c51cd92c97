#include <weft/cpu/neon.hpp>

#include "complete_table.hpp"

#if WEFT_AARCH64

namespace {

using namespace weft;

TEST(Neon, FillsTheTableButForBfloat16DotProducts) {
  weft::testing::expect_complete(cpu::neon::table, "neon");
  EXPECT_EQ(cpu::neon::table.bf16.most, 0u);
  EXPECT_EQ(cpu::neon::table.tile_bf16, nullptr);
}

}  // namespace

#endif  // WEFT_AARCH64
