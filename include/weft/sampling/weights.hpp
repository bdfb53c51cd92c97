#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include <weft/core/error.hpp>
#include <weft/cpu/sampling.hpp>

namespace weft::inline v0::detail {

// The same logits and the same seed must give the same token with every compiler, instruction set and optimisation
// level, so nothing here is left to the compiler's choice: no product is fused with a sum, and weights (probabilities
// relative to the likeliest token, whose weight is in [1, 2)) are added up as integers; see cpu::SamplingKernels.

inline constexpr std::size_t max_sampling_vocab = std::size_t{1} << 20;

/// Weights up to here count as nothing.
inline constexpr float negligible_weight = 0x1p-44f;

/// A weight in [0, 2) in units.
WEFT_ALWAYS_INLINE std::uint64_t units(float weight) noexcept {
  constexpr double shift = 512.0;  // the spacing of doubles in [512, 1024) is one unit
  return std::bit_cast<std::uint64_t>(static_cast<double>(weight) + shift) - std::bit_cast<std::uint64_t>(shift);
}

/// The largest value and its first index; see cpu::SamplingKernels::largest. Throws NumericError naming the index of a
/// NaN or +infinity, or where nothing is finite.
inline cpu::Largest checked_largest(const cpu::SamplingKernels& kernels, std::span<const float> values,
                                    const char* what, float* block_max = nullptr) {
  constexpr std::uint32_t infinity = 0x7f800000u;
  const cpu::Largest largest = kernels.largest(values.data(), values.size(), block_max);
  const auto bits = std::bit_cast<std::uint32_t>(largest.value);
  if ((bits & ~0x80000000u) > infinity) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto here = std::bit_cast<std::uint32_t>(values[i]);
      if (here == infinity || (here & ~0x80000000u) > infinity)
        raise<NumericError>(what, "[", i, "] is ", values[i], ", expected a finite number or -inf");
    }
  }
  if (bits == (infinity | 0x80000000u))
    raise<NumericError>(what, ": all ", values.size(), " are -inf, no token can be chosen");
  return largest;
}

}  // namespace weft::inline v0::detail
