#pragma once

#include <cstddef>
#include <cstdint>

#include <weft/core/config.hpp>
#include <weft/cpu/isa.hpp>

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

/// The sampling kernels for an instruction set this processor has.
const SamplingKernels& sampling_kernels_for(Isa isa) noexcept;

/// The sampling kernels of the best instruction set this processor has.
inline const SamplingKernels& best_sampling_kernels() noexcept {
  static const SamplingKernels& best = sampling_kernels_for(best_isa());
  return best;
}

}  // namespace weft::inline v0::cpu

#if !WEFT_SEPARATE_COMPILATION
#include <weft/cpu/sampling.inl>
#endif
