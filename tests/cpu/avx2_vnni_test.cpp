#include <weft/cpu/avx2_vnni.hpp>

#include <cstddef>
#include <vector>

#include "complete_table.hpp"
#include "instruction_sets.hpp"

#if WEFT_X86_64

namespace {

using namespace weft;

TEST(Avx2Vnni, AddsInt8DotProductsToTheAvx2Table) {
  const cpu::Kernels& table = cpu::avx2_vnni::table;
  weft::testing::expect_complete(table, "avx2_vnni");
  EXPECT_NE(table.i8.tokens.pack, cpu::avx2::table.i8.tokens.pack);
  EXPECT_EQ(table.tile_f32, cpu::avx2::table.tile_f32);
  EXPECT_EQ(table.bf16.most, 0u);
  EXPECT_EQ(table.softmax, cpu::avx2::table.softmax);
  EXPECT_EQ(table.attention.q8_0, cpu::avx2::table.attention.q8_0);
}

/// Packs blocks of 32 of one token; what they hold.
template <class Block>
std::vector<Block> packed(const cpu::Kernels& table, const std::vector<float>& x) {
  std::vector<Block> blocks((x.size() + 31) / 32);
  bool overflow = false;
  table.i8.tokens.pack(x.data(), x.size(), 1, x.size(), blocks.data(), &overflow);
  EXPECT_FALSE(overflow);
  return blocks;
}

TEST(Avx2Vnni, TokensBecomeTheSameCodesAsInTheAvx2Set) {
  if (!cpu::supported(cpu::Isa::avx2_vnni)) GTEST_SKIP() << "this processor does not have the instruction set";
  for (const float scale : {0.f, 1e-30f, 1.f, 1e20f}) {
    const std::vector<float> x = weft::testing::random_floats(300, 5, scale);
    const auto expected = packed<cpu::avx2::I8Tokens>(cpu::avx2::table, x);
    const auto found = packed<cpu::avx2_vnni::I8Tokens>(cpu::avx2_vnni::table, x);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t b = 0; b < found.size(); ++b) {
      EXPECT_EQ(found[b].origin, expected[b].scale * 0x1.8p23f);
      EXPECT_EQ(found[b].sum, expected[b].sum);
      for (std::size_t i = 0; i < 32; ++i)
        EXPECT_EQ(static_cast<signed char>(found[b].codes[i / 4] >> i % 4 * 8),
                  expected[b].codes[i / 4][i % 2][i / 2 % 2])
            << i;
    }
  }
}

}  // namespace

#endif  // WEFT_X86_64
