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

// The passes over a vocabulary that sampling needs, in a table of their own: whoever draws tokens does not compile the
// kernels of models.
namespace weft::inline v0::cpu {

/// Logits of which one maximum is kept.
inline constexpr std::size_t logit_block = 64;
/// Weights of which one sum is kept.
inline constexpr std::size_t weight_block = 256;
/// By how many elements the results of SamplingKernels::collect may be overrun.
inline constexpr std::size_t collect_slack = 16;

struct Largest {
  float value;
  std::size_t index;
};

/// Weights are probabilities relative to the likeliest token, in [0, 2). They are added up as integers, whose sums do
/// not depend on the order, in units of 2^-43: floats from 2^-20 up are counted exactly, those below are rounded to
/// units, ties to even, and 2^20 tokens fit into 64 bits.
struct SamplingKernels {
  /// The largest of n > 0 elements and its first index; the value is NaN where one of x is NaN or +infinity.
  /// block_max[b] becomes the largest of the b-th logit_block elements, where block_max is not null.
  Largest (*largest)(const float* x, std::size_t n, float* block_max) noexcept;

  /// weights[i] = e^((x[i] - max) / temperature), not written where weights is null; returns their sum in units. No x
  /// is NaN or above max, which is finite, and no x and no temperature above 0 overflows. x and weights may be the
  /// same.
  std::uint64_t (*weigh)(const float* x, std::size_t n, float max, float temperature, float* weights) noexcept;

  /// The sum in units of the weights that are at least `lowest`; block_units[b] becomes that of the b-th weight_block
  /// weights, where block_units is not null.
  std::uint64_t (*sum_from)(const float* weights, std::size_t n, float lowest, std::uint64_t* block_units) noexcept;

  /// Copies the elements in [lowest, below) and their indices, in order; returns how many they are. `values` and
  /// `indices` have room for collect_slack more.
  std::size_t (*collect)(const float* x, std::size_t n, float lowest, float below, float* values,
                         std::uint32_t* indices) noexcept;
};

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

/// The sampling kernels for an instruction set this processor has.
inline const SamplingKernels& sampling_kernels_for([[maybe_unused]] Isa isa) noexcept {
#if WEFT_X86_64
  if (isa >= Isa::avx512) return avx512::sampling_table;
  if (isa >= Isa::avx2) return avx2::sampling_table;
#endif
  return generic::sampling_table;
}

/// The sampling kernels of the best instruction set this processor has.
inline const SamplingKernels& best_sampling_kernels() noexcept {
  static const SamplingKernels& best = sampling_kernels_for(best_isa());
  return best;
}

}  // namespace weft::inline v0::cpu
