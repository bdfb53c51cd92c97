#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include <weft/cpu/avx2.hpp>
#include <weft/cpu/kernels.hpp>
#include <weft/cpu/vec_avx512.hpp>

#if WEFT_X86_64

WEFT_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")

namespace weft::inline v0::cpu::avx512 {

#include <weft/cpu/kernels/tile.inl>

inline constexpr const I8Kernels& i8_kernels = avx2::i8_kernels;  // without VNNI nothing is gained

#include <weft/cpu/kernels/all.inl>

}  // namespace weft::inline v0::cpu::avx512

WEFT_END_TARGET

#endif  // WEFT_X86_64
