#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include <weft/sampling/categorical.hpp>
#include <weft/sampling/selection.hpp>

namespace weft::inline v0 {

namespace detail {

/// Finds the k largest values, the lower indices among equals, without sorting: the k-th largest maximum of a block is
/// a lower bound of them, which leaves few blocks to look into.
class TopKFinder {
 public:
  static std::size_t blocks(std::size_t count) noexcept { return (count + cpu::logit_block - 1) / cpu::logit_block; }

  void reserve(std::size_t count) {
    bounds_.reserve(blocks(count));
    candidates_.reserve(count);
    scratch_.reserve(count);
  }

  /// In order of the index; valid until the next call. 1 <= k <= values.size(); no NaN. block_max are those of
  /// cpu::SamplingKernels::largest.
  const Candidates& find(const cpu::SamplingKernels& kernels, std::span<const float> values,
                         std::span<const float> block_max, std::size_t k) {
    float bound = -std::numeric_limits<float>::infinity();
    if (k <= block_max.size()) {
      bounds_.assign(block_max.begin(), block_max.end());
      const auto kth = bounds_.begin() + static_cast<std::ptrdiff_t>(k - 1);
      std::nth_element(bounds_.begin(), kth, bounds_.end(), std::greater<>());
      bound = *kth;
    }
    candidates_.reserve(values.size());
    candidates_.clear();
    for (std::size_t b = 0; b < block_max.size(); ++b) {
      if (block_max[b] < bound) continue;
      const std::size_t first = b * cpu::logit_block;
      candidates_.collect(kernels, values, first, std::min(first + cpu::logit_block, values.size()), bound,
                          std::numeric_limits<float>::infinity());
    }
    candidates_.keep_up_to(find_crossing(
        candidates_, [](float) { return std::uint64_t{1}; }, 0, k - 1, scratch_));
    return candidates_;
  }

 private:
  std::vector<float> bounds_;
  Candidates candidates_;
  std::vector<Candidate> scratch_;
};

inline void check_top_k(std::size_t k) {
  if (k == 0) raise<ConfigError>("top_k is 0, allowed: at least 1");
}

}  // namespace detail

/// Keeps the k largest logits (the lower ids among equals) and sets the others to -inf. A LogitsProcessor.
class TopK {
 public:
  /// Throws ConfigError for k = 0.
  explicit TopK(std::size_t k) : k_(k) { detail::check_top_k(k); }

  /// Throws NumericError naming the index of a NaN or +infinity, or where all logits are -inf.
  void operator()(std::span<float> logits, std::span<const TokenId>) {
    const cpu::SamplingKernels& kernels = cpu::best_sampling_kernels();
    block_max_.resize(detail::TopKFinder::blocks(logits.size()));
    detail::checked_largest(kernels, logits, "logit", block_max_.data());
    if (k_ >= logits.size()) return;
    const detail::Candidates& kept = finder_.find(kernels, logits, block_max_, k_);
    std::ranges::fill(logits, -std::numeric_limits<float>::infinity());
    for (std::size_t i = 0; i < k_; ++i) logits[kept.indices()[i]] = kept.values()[i];
  }

 private:
  std::size_t k_;
  std::vector<float> block_max_;
  detail::TopKFinder finder_;
};

/// A token drawn from the k most probable ones (the lower ids among equals), renormalised; one uniform_double of `rng`.
/// `probabilities` (vocab) need not sum to 1. Throws ConfigError for k = 0; otherwise as sample_categorical.
template <class Rng>
TokenId sample_top_k(const FloatRow& probabilities, std::size_t k, Rng& rng) {
  detail::check_top_k(k);
  const std::vector<float> weights = detail::weights_of(probabilities.values());
  if (k >= weights.size()) return detail::draw_weighted(weights, 0.f, rng);
  const cpu::SamplingKernels& kernels = cpu::best_sampling_kernels();
  std::vector<float> block_max(detail::TopKFinder::blocks(weights.size()));
  kernels.largest(weights.data(), weights.size(), block_max.data());
  detail::TopKFinder finder;
  const detail::Candidates& kept = finder.find(kernels, weights, block_max, k);
  return static_cast<TokenId>(kept.indices()[static_cast<std::size_t>(detail::draw_weighted(kept.values(), 0.f, rng))]);
}

}  // namespace weft::inline v0
