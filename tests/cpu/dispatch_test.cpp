#include <weft/cpu/dispatch.hpp>

#include <string>

#include <gtest/gtest.h>

namespace {

using namespace weft;

TEST(Dispatch, PortableKernelsRunEverywhere) {
  EXPECT_TRUE(cpu::supported(cpu::Isa::generic));
  EXPECT_STREQ(cpu::kernels_for(cpu::Isa::generic).name, "generic");
}

TEST(Dispatch, EverySetIsASupersetOfTheOneBefore) {
  for (std::size_t i = 1; i < cpu::all_isas.size(); ++i)
    EXPECT_TRUE(!cpu::supported(cpu::all_isas[i]) || cpu::supported(cpu::all_isas[i - 1])) << i;
}

TEST(Dispatch, TheBestIsTheLastSupported) {
  const cpu::Kernels* last = nullptr;
  for (const cpu::Isa isa : cpu::all_isas)
    if (cpu::supported(isa)) last = &cpu::kernels_for(isa);
  EXPECT_EQ(&cpu::best_kernels(), last);
  EXPECT_EQ(&cpu::best_kernels(), &cpu::best_kernels());
}

TEST(Dispatch, WhatTheProcessorLacksIsAnError) {
  for (const cpu::Isa isa : cpu::all_isas) {
    if (cpu::supported(isa)) {
      EXPECT_NE(cpu::kernels_for(isa).tile_f32, nullptr);
    } else {
      EXPECT_THROW(cpu::kernels_for(isa), UnsupportedError);
    }
  }
  const auto unknown = static_cast<cpu::Isa>(200);
  EXPECT_FALSE(cpu::supported(unknown));
  EXPECT_THROW(cpu::kernels_for(unknown), UnsupportedError);
}

TEST(Dispatch, NamesDiffer) {
  for (const cpu::Isa a : cpu::all_isas)
    for (const cpu::Isa b : cpu::all_isas)
      if (a != b && cpu::supported(a) && cpu::supported(b)) {
        EXPECT_NE(std::string(cpu::kernels_for(a).name), cpu::kernels_for(b).name);
      }
}

}  // namespace
