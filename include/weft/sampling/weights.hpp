#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include <weft/core/config.hpp>
#include <weft/core/error.hpp>

namespace weft::inline v0::detail {

// The arithmetic of sampling. The same logits and the same seed must give the same token with every compiler,
// instruction set and optimisation level, so nothing here is left to the compiler's choice: no product is fused with a
// sum, and weights (probabilities relative to the likeliest token, whose weight is in [1, 2)) are added up as integers,
// whose sums do not depend on the order.
//
// The unit of those integers is 2^-43: floats from 2^-20 up are counted exactly, what lies below 2^-44 counts as
// nothing, and 2^20 tokens fit into 64 bits.

inline constexpr std::size_t weight_chunk = 16;
inline constexpr std::size_t weight_block = 64;
inline constexpr std::size_t max_sampling_vocab = std::size_t{1} << 20;

/// 0, which the compiler cannot know.
inline std::uint32_t opaque_zero() noexcept {
#if defined(__GNUC__) || defined(__clang__)
  std::uint32_t zero = 0;
  asm("" : "+r"(zero));
  return zero;
#else
  const volatile std::uint32_t zero = 0;
  return zero;
#endif
}

/// x, given opaque_zero(): compilers fuse the product that made x with the sum that takes it, also across statements,
/// unless the bits of x are needed in between.
WEFT_ALWAYS_INLINE float rounded(float x, std::uint32_t zero) noexcept {
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) ^ zero);
}

/// e^d for d <= 0, within 2 units in the last place, 0 below -31; e^0 is exactly 1. `zero` is opaque_zero().
WEFT_ALWAYS_INLINE float exp_weight(float d, std::uint32_t zero) noexcept {
  constexpr float lowest = -31.f;
  constexpr float log2_e = 0x1.715476p+0f;
  constexpr float ln2_high = 0x1.62ep-1f;  // so few bits that its product with n is exact
  constexpr float ln2_low = 0x1.0bfbe8p-15f;
  constexpr float round_to_integer = 0x1.8p+23f;
  const std::uint32_t counts = 0u - static_cast<std::uint32_t>(d >= lowest);  // a mask, so that compilers vectorise
  const float c = std::bit_cast<float>(std::bit_cast<std::uint32_t>(d) & counts);
  const float shifted = rounded(c * log2_e, zero) + round_to_integer;
  const float n = shifted - round_to_integer;
  const float coarse = c - n * ln2_high;
  const float r = coarse - rounded(n * ln2_low, zero);
  float p = 1.f / 5040.f;
  p = rounded(p * r, zero) + 1.f / 720.f;
  p = rounded(p * r, zero) + 1.f / 120.f;
  p = rounded(p * r, zero) + 1.f / 24.f;
  p = rounded(p * r, zero) + 1.f / 6.f;
  p = rounded(p * r, zero) + 0.5f;
  p = rounded(p * r, zero) + 1.f;
  p = rounded(p * r, zero) + 1.f;
  const std::uint32_t exponent = std::bit_cast<std::uint32_t>(shifted) << 23;
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(p) + exponent) & counts);
}

inline constexpr double unit_shift = 512.0;  // the spacing of doubles in [512, 1024) is one unit

/// A weight in [0, 2) in units, plus shifted_zero.
WEFT_ALWAYS_INLINE std::uint64_t shifted_units(float weight) noexcept {
  return std::bit_cast<std::uint64_t>(static_cast<double>(weight) + unit_shift);
}
inline constexpr std::uint64_t shifted_zero = std::bit_cast<std::uint64_t>(unit_shift);

WEFT_ALWAYS_INLINE std::uint64_t units(float weight) noexcept { return shifted_units(weight) - shifted_zero; }

/// Calls f(first, offset) for each 16 values, the last of them filled up with `padding`.
template <class F>
WEFT_ALWAYS_INLINE void in_chunks(std::span<const float> values, float padding, F&& f) {
  std::size_t i = 0;
  for (; i + weight_chunk <= values.size(); i += weight_chunk) f(values.data() + i, i);
  if (i == values.size()) return;
  std::array<float, weight_chunk> tail;
  tail.fill(padding);
  std::copy(values.begin() + static_cast<std::ptrdiff_t>(i), values.end(), tail.begin());
  f(tail.data(), i);
}

inline std::uint64_t sum_of(const std::array<std::uint64_t, weight_chunk>& lanes) noexcept {
  std::uint64_t sum = 0;
  for (const std::uint64_t lane : lanes) sum += lane;
  return sum;
}

/// The sum of weights in units.
inline std::uint64_t total_units(std::span<const float> weights) noexcept {
  std::array<std::uint64_t, weight_chunk> lanes{};
  in_chunks(weights, 0.f, [&](const float* w, std::size_t) {
    for (std::size_t j = 0; j < weight_chunk; ++j) lanes[j] += shifted_units(w[j]) - shifted_zero;
  });
  return sum_of(lanes);
}

/// Sets weights below `lowest` to 0.
inline void drop_below(std::span<float> weights, float lowest) noexcept {
  std::size_t i = 0;
  for (; i + weight_chunk <= weights.size(); i += weight_chunk)
    for (std::size_t j = 0; j < weight_chunk; ++j) weights[i + j] = weights[i + j] >= lowest ? weights[i + j] : 0.f;
  for (; i < weights.size(); ++i) weights[i] = weights[i] >= lowest ? weights[i] : 0.f;
}

/// The largest value. Throws NumericError naming the index of a NaN or +infinity, or where nothing is finite.
inline float checked_max(std::span<const float> logits, const char* what) {
  constexpr std::uint32_t infinity = 0x7f800000u;
  constexpr float lowest = -std::numeric_limits<float>::infinity();
  std::array<float, weight_chunk> max;
  std::array<std::uint32_t, weight_chunk> bad{};
  max.fill(lowest);
  const auto is_bad = [](std::uint32_t bits) { return bits == infinity || (bits & 0x7fffffffu) > infinity; };
  in_chunks(logits, lowest, [&](const float* x, std::size_t) {
    for (std::size_t j = 0; j < weight_chunk; ++j) max[j] = x[j] > max[j] ? x[j] : max[j];
    for (std::size_t j = 0; j < weight_chunk; ++j) bad[j] |= is_bad(std::bit_cast<std::uint32_t>(x[j])) ? 1u : 0u;
  });
  if (std::ranges::find(bad, 1u) != bad.end()) {
    for (std::size_t i = 0; i < logits.size(); ++i)
      if (is_bad(std::bit_cast<std::uint32_t>(logits[i])))
        raise<NumericError>(what, "[", i, "] is ", logits[i], ", expected a finite number or -inf");
  }
  const float result = *std::ranges::max_element(max);
  if (std::bit_cast<std::uint32_t>(result) == std::bit_cast<std::uint32_t>(lowest))
    raise<NumericError>(what, ": all ", logits.size(), " are -inf, no token can be chosen");
  return result;
}

/// The first index of a value that occurs.
inline std::size_t first_index_of(std::span<const float> values, float value) noexcept {
  std::size_t i = 0;
  for (; i + weight_chunk <= values.size(); i += weight_chunk) {
    std::array<std::uint32_t, weight_chunk> equal;
    for (std::size_t j = 0; j < weight_chunk; ++j) equal[j] = values[i + j] == value ? 1u : 0u;
    std::uint32_t any = 0;
    for (std::size_t j = 0; j < weight_chunk; ++j) any |= equal[j];
    if (any != 0) break;
  }
  while (i + 1 < values.size() && values[i] != value) ++i;
  return i;
}

}  // namespace weft::inline v0::detail
