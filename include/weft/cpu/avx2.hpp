#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>

#include <weft/cpu/kernels.hpp>
#include <weft/cpu/vec_avx2.hpp>

#if WEFT_X86_64

WEFT_BEGIN_TARGET("avx2,fma,f16c")

namespace weft::inline v0::cpu::avx2 {

#include <weft/cpu/kernels/all.inl>

}  // namespace weft::inline v0::cpu::avx2

WEFT_END_TARGET

#endif  // WEFT_X86_64
