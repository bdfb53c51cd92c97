#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include <weft/cpu/kernels.hpp>
#include <weft/cpu/vec_neon.hpp>

#if WEFT_AARCH64

WEFT_BEGIN_TARGET(WEFT_TARGET_NEON)

namespace weft::inline v0::cpu::neon {

// clang-format off
#include <weft/cpu/kernels/tile.inl>
#include <weft/cpu/kernels/linear_i8.inl>
#include <weft/cpu/kernels/formats_i8.inl>
#include <weft/cpu/kernels/panel_i8.inl>
#include <weft/cpu/kernels/all.inl>
// clang-format on

}  // namespace weft::inline v0::cpu::neon

WEFT_END_TARGET

#endif  // WEFT_AARCH64
