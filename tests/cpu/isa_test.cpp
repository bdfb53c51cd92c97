#include <weft/cpu/isa.hpp>

#include <gtest/gtest.h>

namespace {

using namespace weft;

TEST(Isa, PortableCodeRunsEverywhere) { EXPECT_TRUE(cpu::supported(cpu::Isa::generic)); }

TEST(Isa, EverySetIsASupersetOfTheOneBefore) {
  for (std::size_t i = 1; i < cpu::all_isas.size(); ++i)
    EXPECT_TRUE(!cpu::supported(cpu::all_isas[i]) || cpu::supported(cpu::all_isas[i - 1])) << i;
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
