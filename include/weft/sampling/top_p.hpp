#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include <weft/sampling/categorical.hpp>
#include <weft/sampling/params.hpp>
#include <weft/sampling/selection.hpp>

namespace weft::inline v0 {

namespace detail {

/// Bins of equal width in the logarithm of a weight, 32 to a factor of 2, from the largest weights down.
inline constexpr std::uint32_t weight_bins = 45 * 32;
inline constexpr std::uint32_t largest_weight_bits = std::bit_cast<std::uint32_t>(2.f) - 1;
inline std::uint32_t weight_bin(float weight) noexcept {
  return std::min((largest_weight_bits - std::bit_cast<std::uint32_t>(weight)) >> 18, weight_bins - 1);
}
/// The smallest weight above those of a bin.
inline float above_bin(std::uint32_t bin) noexcept {
  return std::bit_cast<float>(largest_weight_bits - (bin << 18) + 1);
}

struct WeightRange {
  float lowest;
  float below;
};

/// Between which weights the sum of all smaller ones passes `outside` (in units), as far as a sample tells: two
/// standard deviations to both sides.
inline WeightRange likely_crossing(std::span<const float> weights, double outside) noexcept {
  constexpr std::size_t samples = 4096;
  const std::size_t stride = (weights.size() + samples - 1) / samples;
  std::array<std::uint64_t, weight_bins> sums{};
  for (std::size_t i = 0; i < weights.size(); i += stride) sums[weight_bin(weights[i])] += units(weights[i]);
  WeightRange range{negligible_weight, 2.f};
  double sum = 0;
  double variance = 0;
  for (std::uint32_t bin = weight_bins; bin-- > 0;) {
    if (sums[bin] == 0) continue;
    const double here = static_cast<double>(stride) * static_cast<double>(sums[bin]);
    sum += here;
    variance += here * static_cast<double>(stride - 1) * static_cast<double>(units(above_bin(bin)));
    const double missing = outside - sum;
    if (missing * missing <= 4 * variance) continue;
    (missing > 0 ? range.lowest : range.below) = above_bin(bin);
    if (missing < 0) break;
  }
  return range;
}

/// Finds the smallest set of the largest weights whose sum exceeds p times that of all, without sorting: a sample tells
/// a narrow range of weights in which the sum passes, and only those are looked at one by one.
class TopPFinder {
 public:
  void reserve(std::size_t count) {
    candidates_.reserve(count);
    scratch_.reserve(count);
  }

  /// Returns the lowest weight that stays. A weight goes where the sum of those before it, the larger ones, exceeds p
  /// times `total`, the sum of all in units; p is in (0, 1). Of weights equal to the lowest the first ones stay, and
  /// those that go are set to 0.
  float cut(const cpu::SamplingKernels& kernels, std::span<float> weights, std::uint64_t total, float p) {
    const double mass = static_cast<double>(p) * static_cast<double>(total);
    const auto limit = static_cast<std::uint64_t>(mass);
    WeightRange range = likely_crossing(weights, static_cast<double>(total) - mass);
    candidates_.reserve(weights.size());
    for (;;) {
      const std::uint64_t before = kernels.sum_from(weights.data(), weights.size(), range.below, nullptr);
      if (before > limit) {
        range = {range.below, 2.f};
        continue;
      }
      candidates_.clear();
      candidates_.collect(kernels, weights, 0, weights.size(), range.lowest, range.below);
      const std::span<const float> values = candidates_.values();
      if (before + kernels.sum_from(values.data(), values.size(), 0.f, nullptr) > limit) {
        const Candidate last = find_crossing(candidates_, units, before, limit, scratch_);
        for (std::size_t i = 0; i < values.size(); ++i)
          if (values[i] == last.value && candidates_.indices()[i] > last.index) weights[candidates_.indices()[i]] = 0.f;
        return last.value;
      }
      range = {negligible_weight, range.lowest};
    }
  }

 private:
  Candidates candidates_;
  std::vector<Candidate> scratch_;
};

}  // namespace detail

/// Nucleus sampling (Holtzman et al. 2019) by the rule of Llama 3's sample_top_p: with the probabilities in descending
/// order, the lower id first among equals, token i goes where the sum of those before it exceeds p. Logits of the
/// tokens that go are set to -inf. A LogitsProcessor.
class TopP {
 public:
  /// Throws ConfigError for p outside (0, 1].
  explicit TopP(float p) : p_(p) { detail::check_top_p(p); }

  /// Throws NumericError naming the index of a NaN or +infinity, or where all logits are -inf.
  void operator()(std::span<float> logits, std::span<const TokenId>) {
    const cpu::SamplingKernels& kernels = cpu::best_sampling_kernels();
    const float max = detail::checked_largest(kernels, logits, "logit").value;
    if (p_ == 1.f) return;
    weights_.resize(logits.size());
    const std::uint64_t total = kernels.weigh(logits.data(), logits.size(), max, 1.f, weights_.data());
    const float lowest = finder_.cut(kernels, weights_, total, p_);
    for (std::size_t i = 0; i < logits.size(); ++i)
      if (weights_[i] < lowest) logits[i] = -std::numeric_limits<float>::infinity();
  }

 private:
  float p_;
  std::vector<float> weights_;
  detail::TopPFinder finder_;
};

/// A token drawn from the nucleus of `probabilities` (vocab), renormalised, by the rule of TopP; one uniform_double of
/// `rng`. The probabilities need not sum to 1: p is a share of their sum. Throws ConfigError for p outside (0, 1];
/// otherwise as sample_categorical.
///
///   weft::Philox rng(seed);
///   const weft::TokenId id = weft::sample_top_p(probabilities, 0.9f, rng);
template <class Rng>
TokenId sample_top_p(const FloatRow& probabilities, float p, Rng& rng) {
  detail::check_top_p(p);
  std::vector<float> weights = detail::weights_of(probabilities.values());
  float lowest = 0.f;
  if (p < 1.f) {
    const cpu::SamplingKernels& kernels = cpu::best_sampling_kernels();
    const std::uint64_t total = kernels.sum_from(weights.data(), weights.size(), 0.f, nullptr);
    lowest = detail::TopPFinder().cut(kernels, weights, total, p);
  }
  return detail::draw_weighted(weights, lowest, rng);
}

}  // namespace weft::inline v0
