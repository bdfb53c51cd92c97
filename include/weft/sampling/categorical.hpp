#pragma once

#include <algorithm>
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

/// The index i at which the running sum of the weights that are at least `lowest`, in order of the index, first exceeds
/// u times their sum; u is in [0, 1). Not all of them are 0. `block_units` is overwritten; it grows to the number of
/// blocks.
inline WeightedPick pick_weighted(const cpu::SamplingKernels& kernels, std::span<const float> weights, float lowest,
                                  double u, std::vector<std::uint64_t>& block_units) {
  block_units.resize((weights.size() + cpu::weight_block - 1) / cpu::weight_block);
  const std::uint64_t total = kernels.sum_from(weights.data(), weights.size(), lowest, block_units.data());
  const auto scaled = static_cast<std::uint64_t>(u * static_cast<double>(total));
  const std::uint64_t target = scaled < total ? scaled : total - 1;
  std::uint64_t before = 0;
  std::size_t block = 0;
  for (; before + block_units[block] <= target; ++block) before += block_units[block];
  for (std::size_t i = block * cpu::weight_block;; ++i) {
    WEFT_ASSERT(i < weights.size());
    const std::uint64_t here = weights[i] >= lowest ? units(weights[i]) : 0;
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
  const float largest = cpu::best_sampling_kernels().largest(probabilities.data(), probabilities.size(), nullptr).value;
  const auto is_bad = [](float p) { return !(p >= 0.f && std::bit_cast<std::uint32_t>(p + 0.f) < infinity); };
  bool any_bad = is_bad(largest);
  for (const float p : probabilities) any_bad |= p < 0.f;
  if (any_bad) {
    for (std::size_t i = 0; i < probabilities.size(); ++i)
      if (is_bad(probabilities[i]))
        raise<NumericError>("sampling: probability[", i, "] is ", probabilities[i],
                            ", expected a finite number of at least 0");
  }
  if (largest == 0.f) raise<NumericError>("sampling: all ", probabilities.size(), " probabilities are 0");
  const double scale = std::ldexp(1.0, -std::ilogb(largest));
  std::vector<float> weights(probabilities.size());
  std::ranges::transform(probabilities, weights.begin(),
                         [scale](float p) { return static_cast<float>(static_cast<double>(p) * scale); });
  return weights;
}

/// A token drawn from the weights that are at least `lowest`; one uniform_double of `rng`.
template <class Rng>
TokenId draw_weighted(std::span<const float> weights, float lowest, Rng& rng) {
  std::vector<std::uint64_t> block_units;
  const double u = uniform_double(rng);
  return static_cast<TokenId>(pick_weighted(cpu::best_sampling_kernels(), weights, lowest, u, block_units).index);
}

}  // namespace detail

/// A token drawn with its probability: the inverse of the cumulative distribution in order of the id, at one
/// uniform_double of `rng`. `probabilities` (vocab) need not sum to 1; those below 2^-44 of the largest count as 0.
/// Throws NumericError naming the index of a NaN, an infinity or a negative number, or where all are 0, and ShapeError
/// where there are none.
template <class Rng>
TokenId sample_categorical(const FloatRow& probabilities, Rng& rng) {
  const std::vector<float> weights = detail::weights_of(probabilities.values());
  return detail::draw_weighted(weights, 0.f, rng);
}

}  // namespace weft::inline v0
