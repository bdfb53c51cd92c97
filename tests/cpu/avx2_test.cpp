#include <weft/cpu/avx2.hpp>

#include "complete_table.hpp"

#if WEFT_X86_64

namespace {

using namespace weft;

TEST(Avx2, FillsTheTableButForBfloat16DotProducts) {
  weft::testing::expect_complete(cpu::avx2::table, "avx2");
  EXPECT_EQ(cpu::avx2::table.bf16.most, 0u);
  EXPECT_EQ(cpu::avx2::table.tile_bf16, nullptr);
}

}  // namespace

#endif  // WEFT_X86_64
