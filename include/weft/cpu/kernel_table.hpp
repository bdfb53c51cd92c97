#pragma once

#include <weft/core/config.hpp>
#include <weft/cpu/isa.hpp>
#include <weft/cpu/kernels.hpp>

#if !WEFT_SEPARATE_COMPILATION
#include <weft/cpu/all_kernels.hpp>
#endif

namespace weft::inline v0::cpu::detail {

#if WEFT_SEPARATE_COMPILATION
const Kernels& kernel_table(Isa isa) noexcept;  // in the file that includes define_kernels.hpp
#else
inline const Kernels& kernel_table(Isa isa) noexcept { return table_of(isa); }
#endif

}  // namespace weft::inline v0::cpu::detail
