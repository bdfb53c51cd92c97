#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include <weft/cpu/kernels.hpp>
#include <weft/cpu/vec_avx2.hpp>

#if WEFT_X86_64

WEFT_BEGIN_TARGET("avx2,fma,f16c")

namespace weft::inline v0::cpu::avx2 {

// clang-format off
#include <weft/cpu/kernels/tile.inl>
#include <weft/cpu/kernels/linear_i8.inl>
#include <weft/cpu/kernels/formats_i8.inl>
#include <weft/cpu/kernels/panel_i8.inl>
#include <weft/cpu/kernels/all.inl>
// clang-format on

}  // namespace weft::inline v0::cpu::avx2

WEFT_END_TARGET

#endif  // WEFT_X86_64
