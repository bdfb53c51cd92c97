#include <weft/cpu/isa.hpp>

#include <utility>

#include <gtest/gtest.h>

namespace {

using namespace weft;

TEST(Isa, PortableCodeRunsEverywhere) { EXPECT_TRUE(cpu::supported(cpu::Isa::generic)); }

TEST(Isa, ASetComesWithTheOneItExtends) {
  using cpu::Isa;
  constexpr std::pair<Isa, Isa> extended[]{
      {Isa::avx2, Isa::generic},       {Isa::avx2_vnni, Isa::avx2},          {Isa::avx512, Isa::avx2},
      {Isa::avx512_vnni, Isa::avx512}, {Isa::avx512_bf16, Isa::avx512_vnni}, {Isa::neon, Isa::generic},
      {Isa::neon_dot, Isa::neon}};
  for (const auto& [isa, base] : extended)
    EXPECT_TRUE(!cpu::supported(isa) || cpu::supported(base)) << static_cast<int>(isa);
}

TEST(Isa, Avx512IsPreferredToAvx2) {
  EXPECT_TRUE(!cpu::supported(cpu::Isa::avx512) || cpu::best_isa() >= cpu::Isa::avx512);
}

TEST(Isa, TheBestIsTheLastSupportedWhoseDotProductsAreFast) {
  cpu::Isa last = cpu::Isa::generic;
  for (const cpu::Isa isa : cpu::all_isas)
    if (cpu::supported(isa)) last = isa;
#if WEFT_X86_64
  if (last == cpu::Isa::avx512_bf16 && __builtin_cpu_is("intel")) last = cpu::Isa::avx512_vnni;
#endif
  EXPECT_EQ(cpu::best_isa(), last);
}

TEST(Isa, AnUnknownOneIsNotSupported) { EXPECT_FALSE(cpu::supported(static_cast<cpu::Isa>(200))); }

}  // namespace
