#include <weft/cpu/dispatch.hpp>

#include <string>

#include <gtest/gtest.h>

namespace {

using namespace weft;

TEST(Dispatch, PortableKernelsRunEverywhere) { EXPECT_STREQ(cpu::kernels_for(cpu::Isa::generic).name, "generic"); }

TEST(Dispatch, TheBestAreThoseOfTheBestInstructionSet) {
  EXPECT_EQ(&cpu::best_kernels(), &cpu::kernels_for(cpu::best_isa()));
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
