#include <weft/cpu/avx512.hpp>

#include "complete_table.hpp"

#if WEFT_X86_64

namespace {

using namespace weft;

TEST(Avx512, FillsTheTableButForBfloat16DotProducts) {
  weft::testing::expect_complete(cpu::avx512::table, "avx512");
  EXPECT_EQ(cpu::avx512::table.bf16.most, 0u);
  EXPECT_EQ(cpu::avx512::table.tile_bf16, nullptr);
}

}  // namespace

#endif  // WEFT_X86_64
