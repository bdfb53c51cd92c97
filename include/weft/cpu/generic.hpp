#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>

#include <weft/cpu/kernels.hpp>
#include <weft/cpu/vec_generic.hpp>

namespace weft::inline v0::cpu::generic {

#include <weft/cpu/kernels/all.inl>

}  // namespace weft::inline v0::cpu::generic
