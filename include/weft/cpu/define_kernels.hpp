#pragma once

// For programs of many files: kernels are compiled in every file that uses them, which takes some seconds each. Where a
// whole program is compiled with WEFT_SEPARATE_COMPILATION=1, they are compiled in the one file that includes this
// header.

#include <weft/cpu/all_kernels.hpp>
#include <weft/cpu/kernel_table.hpp>
#include <weft/cpu/sampling.hpp>

#if WEFT_SEPARATE_COMPILATION
#include <weft/cpu/sampling.inl>

namespace weft::inline v0::cpu::detail {

const Kernels& kernel_table(Isa isa) noexcept { return table_of(isa); }

}  // namespace weft::inline v0::cpu::detail
#endif
