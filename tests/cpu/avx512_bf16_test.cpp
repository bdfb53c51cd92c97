#include <weft/cpu/avx512_bf16.hpp>

#include "complete_table.hpp"

#if WEFT_X86_64

namespace {

using namespace weft;

TEST(Avx512Bf16, AddsBfloat16DotProductsToTheVnniTable) {
  const cpu::Kernels& table = cpu::avx512_bf16::table;
  weft::testing::expect_complete(table, "avx512_bf16");
  EXPECT_NE(table.tile_bf16, nullptr);
  EXPECT_NE(table.bf16.pack, nullptr);
  EXPECT_GE(table.bf16.most, 1u);
  EXPECT_EQ(table.tile_f32, cpu::avx512::table.tile_f32);
  EXPECT_EQ(table.i8.tokens.pack, cpu::avx512_vnni::table.i8.tokens.pack);
  EXPECT_EQ(table.attention.bf16, cpu::avx512::table.attention.bf16);
  EXPECT_EQ(table.softmax, cpu::avx512::table.softmax);
}

}  // namespace

#endif  // WEFT_X86_64
