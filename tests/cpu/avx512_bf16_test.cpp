#include <weft/cpu/avx512_bf16.hpp>

#include "complete_table.hpp"

#if WEFT_X86_64

namespace {

using namespace weft;

TEST(Avx512Bf16, AddsBfloat16DotProductsToTheAvx512Table) {
  const cpu::Kernels& table = cpu::avx512_bf16::table;
  weft::testing::expect_complete(table, "avx512_bf16");
  EXPECT_NE(table.linear_bf16_dot, nullptr);
  EXPECT_NE(table.pack_tokens_bf16, nullptr);
  EXPECT_EQ(table.linear_tokens, cpu::avx512::table.linear_tokens);
  EXPECT_EQ(table.linear_f32, cpu::avx512::table.linear_f32);
  EXPECT_EQ(table.attention_bf16, cpu::avx512::table.attention_bf16);
  EXPECT_EQ(table.softmax, cpu::avx512::table.softmax);
}

}  // namespace

#endif  // WEFT_X86_64
