#pragma once

#include <algorithm>
#include <functional>
#include <limits>

#include <weft/sampling/categorical.hpp>

namespace weft::inline v0 {

namespace detail {

inline float max_of(std::span<const float> values) noexcept {
  std::array<float, weight_chunk> max;
  max.fill(-std::numeric_limits<float>::infinity());
  in_chunks(values, -std::numeric_limits<float>::infinity(), [&](const float* x, std::size_t) {
    for (std::size_t j = 0; j < weight_chunk; ++j) max[j] = x[j] > max[j] ? x[j] : max[j];
  });
  return *std::ranges::max_element(max);
}

/// What separates the k largest values from the rest: those above `value`, and the first `equal` of those equal to it.
struct TopKCut {
  float value;
  std::size_t equal;
};

/// Finds the cut without sorting: the k-th largest maximum of a block of 64 is a lower bound of it, which leaves few
/// blocks to look into. 1 <= k <= values.size(); no NaN.
class TopKFinder {
 public:
  void reserve(std::size_t vocab) {
    block_max_.reserve(blocks(vocab));
    values_.reserve(std::max(vocab, blocks(vocab)));
  }

  TopKCut cut(std::span<const float> values, std::size_t k) {
    const std::size_t count = blocks(values.size());
    block_max_.resize(count);
    for (std::size_t b = 0; b < count; ++b) block_max_[b] = max_of(block(values, b));
    float bound = -std::numeric_limits<float>::infinity();
    if (k <= count) {
      values_.assign(block_max_.begin(), block_max_.end());
      bound = *kth(k);
    }
    values_.clear();
    for (std::size_t b = 0; b < count; ++b) {
      if (block_max_[b] < bound) continue;
      for (const float x : block(values, b))
        if (x >= bound) values_.push_back(x);
    }
    const auto last = kth(k);
    const float value = *last;
    return {value, static_cast<std::size_t>(std::count(values_.begin(), last + 1, value))};
  }

 private:
  static std::size_t blocks(std::size_t vocab) noexcept { return (vocab + weight_block - 1) / weight_block; }
  static std::span<const float> block(std::span<const float> values, std::size_t b) noexcept {
    return values.subspan(b * weight_block, std::min(weight_block, values.size() - b * weight_block));
  }
  // The k-th largest of values_, with the larger ones before it.
  std::vector<float>::iterator kth(std::size_t k) {
    const auto position = values_.begin() + static_cast<std::ptrdiff_t>(k - 1);
    std::nth_element(values_.begin(), position, values_.end(), std::greater<>());
    return position;
  }

  std::vector<float> block_max_;
  std::vector<float> values_;
};

/// Calls f(i) in order of i for every value that a cut keeps.
template <class F>
void for_each_kept(std::span<const float> values, TopKCut cut, F&& f) {
  for (std::size_t first = 0; first < values.size(); first += weight_block) {
    const std::size_t end = std::min(first + weight_block, values.size());
    if (max_of(values.subspan(first, end - first)) < cut.value) continue;
    for (std::size_t i = first; i < end; ++i)
      if (values[i] > cut.value || (values[i] == cut.value && cut.equal != 0 && cut.equal-- != 0)) f(i);
  }
}

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
    detail::checked_max(logits, "logit");
    if (k_ >= logits.size()) return;
    const detail::TopKCut cut = finder_.cut(logits, k_);
    std::size_t next = 0;
    const auto ban = [&](std::size_t end) {
      std::fill(logits.begin() + static_cast<std::ptrdiff_t>(next), logits.begin() + static_cast<std::ptrdiff_t>(end),
                -std::numeric_limits<float>::infinity());
      next = end + 1;
    };
    detail::for_each_kept(logits, cut, ban);
    if (next < logits.size()) ban(logits.size());
  }

 private:
  std::size_t k_;
  detail::TopKFinder finder_;
};

/// A token drawn from the k most probable ones (the lower ids among equals), renormalised; one uniform_double of `rng`.
/// `probabilities` (vocab) need not sum to 1. Throws ConfigError for k = 0; otherwise as sample_categorical.
template <class Rng>
TokenId sample_top_k(const FloatRow& probabilities, std::size_t k, Rng& rng) {
  detail::check_top_k(k);
  std::vector<float> weights = detail::weights_of(probabilities.values());
  if (k < weights.size()) {
    const detail::TopKCut cut = detail::TopKFinder().cut(weights, k);
    std::vector<float> kept(weights.size(), 0.f);
    detail::for_each_kept(weights, cut, [&](std::size_t i) { kept[i] = weights[i]; });
    weights.swap(kept);
  }
  return static_cast<TokenId>(detail::pick_weighted(weights, uniform_double(rng)).index);
}

}  // namespace weft::inline v0
