#include <weft/cpu/avx512_vnni.hpp>

#include "complete_table.hpp"

#if WEFT_X86_64

namespace {

using namespace weft;

TEST(Avx512Vnni, AddsInt8DotProductsToTheAvx512Table) {
  const cpu::Kernels& table = cpu::avx512_vnni::table;
  weft::testing::expect_complete(table, "avx512_vnni");
  EXPECT_NE(table.i8.tokens.pack, cpu::avx512::table.i8.tokens.pack);
  EXPECT_EQ(table.tile_f32, cpu::avx512::table.tile_f32);
  EXPECT_EQ(table.bf16.most, 0u);
  EXPECT_EQ(table.softmax, cpu::avx512::table.softmax);
}

}  // namespace

#endif  // WEFT_X86_64
