#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <weft/core/rng.hpp>
#include <weft/sampling/logits_processor.hpp>
#include <weft/sampling/weights.hpp>

namespace weft::inline v0 {

namespace detail {

struct WeightedPick {
  std::size_t index;
  float probability;
};

/// The index i at which the running sum of the weights, in order of the index, first exceeds u times their sum; u is in
/// [0, 1). The weights must not all be 0.
inline WeightedPick pick_weighted(std::span<const float> weights, double u) noexcept {
  const std::uint64_t total = total_units(weights);
  const auto scaled = static_cast<std::uint64_t>(u * static_cast<double>(total));
  const std::uint64_t target = scaled < total ? scaled : total - 1;
  std::uint64_t before = 0;
  std::size_t i = 0;
  for (; i + weight_block <= weights.size(); i += weight_block) {
    const std::uint64_t block = total_units(weights.subspan(i, weight_block));
    if (before + block > target) break;
    before += block;
  }
  for (;; ++i) {
    WEFT_ASSERT(i < weights.size());
    const std::uint64_t here = units(weights[i]);
    if (before + here > target) return {i, static_cast<float>(static_cast<double>(here) / static_cast<double>(total))};
    before += here;
  }
}

/// Copies probabilities, scaled by a power of two so that the largest is in [1, 2). Throws ShapeError for none, and
/// NumericError naming the index of a NaN, an infinity or a negative number, or where all are 0.
inline std::vector<float> weights_of(std::span<const float> probabilities) {
  if (probabilities.empty()) raise<ShapeError>("sampling: there are no probabilities, expected at least one");
  if (probabilities.size() > max_sampling_vocab)
    raise<ShapeError>("sampling: ", probabilities.size(), " probabilities, expected at most ", max_sampling_vocab);
  constexpr std::uint32_t infinity = 0x7f800000u;
  constexpr std::uint32_t minus_zero = 0x80000000u;
  const auto is_bad = [](std::uint32_t bits) { return bits >= infinity && bits != minus_zero; };
  std::array<float, weight_chunk> max{};
  std::array<std::uint32_t, weight_chunk> bad{};
  in_chunks(probabilities, 0.f, [&](const float* p, std::size_t) {
    for (std::size_t j = 0; j < weight_chunk; ++j) max[j] = p[j] > max[j] ? p[j] : max[j];
    for (std::size_t j = 0; j < weight_chunk; ++j) bad[j] |= is_bad(std::bit_cast<std::uint32_t>(p[j])) ? 1u : 0u;
  });
  if (std::ranges::find(bad, 1u) != bad.end()) {
    for (std::size_t i = 0; i < probabilities.size(); ++i)
      if (is_bad(std::bit_cast<std::uint32_t>(probabilities[i])))
        raise<NumericError>("sampling: probability[", i, "] is ", probabilities[i],
                            ", expected a finite number of at least 0");
  }
  const float largest = *std::ranges::max_element(max);
  if (largest == 0.f) raise<NumericError>("sampling: all ", probabilities.size(), " probabilities are 0");
  const double scale = std::ldexp(1.0, -std::ilogb(largest));
  std::vector<float> weights(probabilities.size());
  std::ranges::transform(probabilities, weights.begin(),
                         [scale](float p) { return static_cast<float>(static_cast<double>(p) * scale); });
  return weights;
}

}  // namespace detail

/// A token drawn with its probability: the inverse of the cumulative distribution in order of the id, at one
/// uniform_double of `rng`. `probabilities` (vocab) need not sum to 1; those below 2^-44 of the largest count as 0.
/// Throws NumericError naming the index of a NaN, an infinity or a negative number, or where all are 0, and ShapeError
/// where there are none.
template <class Rng>
TokenId sample_categorical(const FloatRow& probabilities, Rng& rng) {
  const std::vector<float> weights = detail::weights_of(probabilities.values());
  return static_cast<TokenId>(detail::pick_weighted(weights, uniform_double(rng)).index);
}

}  // namespace weft::inline v0
