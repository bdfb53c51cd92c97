#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include <weft/sampling/categorical.hpp>
#include <weft/sampling/params.hpp>

namespace weft::inline v0 {

/// Keeps the tokens whose probability is at least p times that of the likeliest (Nguyen et al. 2024) and sets the
/// logits of the others to -inf. A LogitsProcessor.
class MinP {
 public:
  /// Throws ConfigError for p outside [0, 1).
  explicit MinP(float p) : p_(p) { detail::check_min_p(p); }

  /// Throws NumericError naming the index of a NaN or +infinity, or where all logits are -inf.
  void operator()(std::span<float> logits, std::span<const TokenId>) {
    const cpu::SamplingKernels& kernels = cpu::best_sampling_kernels();
    const float max = detail::checked_largest(kernels, logits, "logit").value;
    weights_.resize(logits.size());
    kernels.weigh(logits.data(), logits.size(), max, 1.f, weights_.data());
    for (std::size_t i = 0; i < logits.size(); ++i)
      if (weights_[i] < p_) logits[i] = -std::numeric_limits<float>::infinity();
  }

 private:
  float p_;
  std::vector<float> weights_;
};

/// A token drawn from those whose probability is at least p times the largest, renormalised; one uniform_double of
/// `rng`. `probabilities` (vocab) need not sum to 1. Throws ConfigError for p outside [0, 1); otherwise as
/// sample_categorical.
template <class Rng>
TokenId sample_min_p(const FloatRow& probabilities, float p, Rng& rng) {
  detail::check_min_p(p);
  const std::vector<float> weights = detail::weights_of(probabilities.values());
  return detail::draw_weighted(weights, p * *std::ranges::max_element(weights), rng);
}

}  // namespace weft::inline v0
