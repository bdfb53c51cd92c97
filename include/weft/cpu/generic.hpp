#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include <weft/cpu/kernels.hpp>
#include <weft/cpu/vec_generic.hpp>

namespace weft::inline v0::cpu::generic {

// clang-format off
#include <weft/cpu/kernels/tile.inl>
#include <weft/cpu/kernels/linear_i8.inl>
#include <weft/cpu/kernels/formats_i8.inl>
#include <weft/cpu/kernels/panel_i8.inl>
#include <weft/cpu/kernels/all.inl>
// clang-format on

}  // namespace weft::inline v0::cpu::generic
