#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include <weft/core/config.hpp>
#include <weft/cpu/isa.hpp>
#include <weft/cpu/vec_avx2.hpp>
#include <weft/cpu/vec_avx512.hpp>
#include <weft/cpu/vec_generic.hpp>

namespace weft::inline v0::cpu {

namespace generic {

/// Appends the lanes of v whose bits are set, with their indices, the first of which is i; returns how many they are.
/// May write collect_slack elements in all.
WEFT_ALWAYS_INLINE std::size_t append(Vec v, std::size_t i, std::uint32_t lanes, float* values,
                                      std::uint32_t* indices) noexcept {
  std::size_t count = 0;
  for (std::size_t j = 0; j < width; ++j) {
    values[count] = v[j];
    indices[count] = static_cast<std::uint32_t>(i + j);
    count += (lanes >> j) & 1u;
  }
  return count;
}

#include <weft/cpu/kernels/sampling.inl>

}  // namespace generic

#if WEFT_X86_64

WEFT_BEGIN_TARGET("avx2,fma,f16c")

namespace avx2 {

WEFT_ALWAYS_INLINE std::size_t append(Vec v, std::size_t i, std::uint32_t lanes, float* values,
                                      std::uint32_t* indices) noexcept {
  float all[width];
  store(all, v);
  std::size_t count = 0;
  for (; lanes != 0; lanes &= lanes - 1, ++count) {
    const auto j = static_cast<std::size_t>(std::countr_zero(lanes));
    values[count] = all[j];
    indices[count] = static_cast<std::uint32_t>(i + j);
  }
  return count;
}

#include <weft/cpu/kernels/sampling.inl>

}  // namespace avx2

WEFT_END_TARGET

WEFT_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")

namespace avx512 {

WEFT_ALWAYS_INLINE std::size_t append(Vec v, std::size_t i, std::uint32_t lanes, float* values,
                                      std::uint32_t* indices) noexcept {
  const __m512i iota = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const auto mask = static_cast<__mmask16>(lanes);
  // In registers first: compressing into memory is slow on some processors.
  store(values, _mm512_maskz_compress_ps(mask, v));
  store_ints(indices, _mm512_maskz_compress_epi32(mask, add_ints(iota, set_int(static_cast<std::int32_t>(i)))));
  return static_cast<std::size_t>(std::popcount(lanes));
}

#include <weft/cpu/kernels/sampling.inl>

}  // namespace avx512

WEFT_END_TARGET

#endif  // WEFT_X86_64

WEFT_INLINE const SamplingKernels& sampling_kernels_for([[maybe_unused]] Isa isa) noexcept {
#if WEFT_X86_64
  if (isa >= Isa::avx512) return avx512::sampling_table;
  if (isa >= Isa::avx2) return avx2::sampling_table;
#endif
  return generic::sampling_table;
}

}  // namespace weft::inline v0::cpu
