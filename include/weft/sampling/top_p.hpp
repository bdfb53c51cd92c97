#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

#include <weft/sampling/categorical.hpp>
#include <weft/sampling/weigh.hpp>

namespace weft::inline v0 {

namespace detail {

inline void check_top_p(float p) {
  if (!(p > 0.f && p <= 1.f)) raise<ConfigError>("top_p is ", p, ", allowed: above 0 and at most 1");
}

struct WeightAt {
  float weight;
  std::uint32_t index;

  /// The order in which top-p takes tokens: the larger weight first, the lower index among equals.
  friend bool operator<(const WeightAt& a, const WeightAt& b) noexcept {
    return a.weight != b.weight ? a.weight > b.weight : a.index < b.index;
  }
};

/// Bins of equal width in the logarithm of a weight, 32 to a factor of 2, from the largest weights down.
inline constexpr std::uint32_t weight_bins = 45 * 32;
WEFT_ALWAYS_INLINE std::uint32_t weight_bin(float weight) noexcept {
  constexpr std::uint32_t top = std::bit_cast<std::uint32_t>(2.f) - 1;
  const std::uint32_t bin = (top - std::bit_cast<std::uint32_t>(weight)) >> 18;
  return bin < weight_bins ? bin : weight_bins - 1;
}

/// The last candidate that is taken: the one whose units carry the sum, which is `before` at the first, above `limit`.
/// The candidates are put into another order.
inline WeightAt crossing(std::vector<WeightAt>& candidates, std::uint64_t before, std::uint64_t limit) {
  constexpr std::ptrdiff_t few = 64;
  auto first = candidates.begin();
  auto last = candidates.end();
  while (last - first > few) {
    const auto middle = first + (last - first) / 2;
    std::nth_element(first, middle, last);
    std::uint64_t upper = 0;
    for (auto c = first; c != middle; ++c) upper += units(c->weight);
    if (before + upper > limit) {
      last = middle;
    } else {
      before += upper;
      first = middle;
    }
  }
  std::sort(first, last);
  for (; last - first > 1; ++first) {
    before += units(first->weight);
    if (before > limit) break;
  }
  return *first;
}

/// Sets to 0 all weights but those of the smallest set of the largest ones whose sum exceeds p times `total`, the sum
/// of all: a weight goes where the sum of those before it, the larger ones, exceeds p times the total. `total` is in
/// units, p in (0, 1). Equal weights are taken in order of the index. Does not sort: a histogram finds the narrow range
/// of weights in which the sum passes, and only those are put in order. `scratch` is overwritten.
inline void keep_top_p(std::span<float> weights, std::uint64_t total, float p, std::vector<WeightAt>& scratch) {
  const double mass = static_cast<double>(p) * static_cast<double>(total);
  const auto limit = static_cast<std::uint64_t>(mass);
  // Weights below this one, were all of them to be added up, are less than what stays outside.
  const double outside = static_cast<double>(total) - mass;
  const auto lowest = static_cast<float>(0.5 * 0x1p-43 * outside / static_cast<double>(weights.size()));

  std::array<std::array<std::uint64_t, weight_bins>, 2> sums{};
  in_chunks(weights, 0.f, [&](const float* w, std::size_t) {
    std::uint32_t any = 0;
    for (std::size_t j = 0; j < weight_chunk; ++j) any |= w[j] >= lowest ? 1u : 0u;
    if (any == 0) return;
    for (std::size_t j = 0; j < weight_chunk; ++j) sums[j % 2][weight_bin(w[j])] += units(w[j]);
  });
  std::uint64_t before = 0;
  std::uint32_t bin = 0;
  for (; bin + 1 < weight_bins; ++bin) {
    const std::uint64_t here = sums[0][bin] + sums[1][bin];
    if (before + here > limit) break;
    before += here;
  }
  scratch.clear();
  in_chunks(weights, 0.f, [&](const float* w, std::size_t offset) {
    std::uint32_t any = 0;
    for (std::size_t j = 0; j < weight_chunk; ++j) any |= weight_bin(w[j]) == bin ? 1u : 0u;
    if (any == 0) return;
    for (std::size_t j = 0; j < weight_chunk && offset + j < weights.size(); ++j)
      if (weight_bin(w[j]) == bin) scratch.push_back({w[j], static_cast<std::uint32_t>(offset + j)});
  });
  if (scratch.empty()) return;
  const WeightAt cut = crossing(scratch, before, limit);
  const auto after_cut = weights.subspan(cut.index + 1);
  drop_below(weights.first(cut.index + 1), cut.weight);
  drop_below(after_cut, std::bit_cast<float>(std::bit_cast<std::uint32_t>(cut.weight) + 1));
}

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
    const float max = detail::checked_max(logits, "logit");
    if (p_ == 1.f) return;
    weights_.resize(logits.size());
    const std::uint64_t total = detail::weigh(logits, max, 1.f, weights_);
    detail::keep_top_p(weights_, total, p_, scratch_);
    for (std::size_t i = 0; i < logits.size(); ++i)
      if (weights_[i] == 0.f) logits[i] = -std::numeric_limits<float>::infinity();
  }

 private:
  float p_;
  std::vector<float> weights_;
  std::vector<detail::WeightAt> scratch_;
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
  if (p < 1.f) {
    std::vector<detail::WeightAt> scratch;
    detail::keep_top_p(weights, detail::total_units(weights), p, scratch);
  }
  return static_cast<TokenId>(detail::pick_weighted(weights, uniform_double(rng)).index);
}

}  // namespace weft::inline v0
