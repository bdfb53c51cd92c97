#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <weft/sampling/categorical.hpp>
#include <weft/sampling/greedy.hpp>
#include <weft/sampling/logits_processor.hpp>
#include <weft/sampling/min_p.hpp>
#include <weft/sampling/params.hpp>
#include <weft/sampling/penalties.hpp>
#include <weft/sampling/temperature.hpp>
#include <weft/sampling/top_k.hpp>
#include <weft/sampling/top_p.hpp>

namespace weft::inline v0 {

/// Processors that run one after the other; a LogitsProcessor itself.
///
///   weft::LogitsChain chain;
///   chain.add(weft::Temperature(0.8f)).add([](std::span<float> logits, std::span<const weft::TokenId>) { ... });
class LogitsChain {
 public:
  LogitsChain& add(AnyLogitsProcessor processor) {
    processors_.push_back(std::move(processor));
    return *this;
  }
  bool empty() const noexcept { return processors_.empty(); }
  std::size_t size() const noexcept { return processors_.size(); }

  void operator()(std::span<float> logits, std::span<const TokenId> history) {
    for (AnyLogitsProcessor& processor : processors_) processor(logits, history);
  }

 private:
  std::vector<AnyLogitsProcessor> processors_;
};

/// Chooses tokens: penalties, the caller's processors, temperature, top-k, top-p, min-p, then one draw. The order of
/// the filters, each of which sees the distribution that the one before left, is that of Hugging Face's generate().
///
/// The same parameters, logits and history give the same tokens with every compiler and on every machine: the draw is
/// the inverse of the cumulative distribution in order of the id at one uniform_double of Philox(seed, stream) per
/// token, and greedy choice draws nothing. Tokens less likely than 2^-44 of the likeliest are never drawn. Nothing is
/// allocated after construction, unless a processor of the caller does. One thread at a time.
class Sampler {
 public:
  struct Draw {
    TokenId id;
    /// The log softmax of the logits as they were passed in, before penalties, processors, temperature and filters.
    float log_probability;
    /// The probability with which it was chosen, after all of them; 1 where the choice was greedy.
    float probability;
  };

  /// `stream` tells sequences of one seed apart. `kernels` changes the speed and nothing else. Throws ConfigError
  /// naming the parameter that is out of range, found and allowed, and for a vocabulary of 0 or more than 2^20 tokens.
  explicit Sampler(const SamplingParams& params, std::size_t vocab, LogitsChain processors = {},
                   std::uint64_t stream = 0, const cpu::SamplingKernels& kernels = cpu::best_sampling_kernels())
      : params_(checked(params, vocab)),
        vocab_(vocab),
        stream_(stream),
        kernels_(&kernels),
        rng_(params.seed, stream),
        processors_(std::move(processors)),
        penalties_(
            {params.repetition_penalty, params.frequency_penalty, params.presence_penalty, params.penalty_window},
            changes_logits(params) ? vocab : 0) {
    if (changes_logits(params) || !processors_.empty()) changed_.resize(vocab);
    if (is_greedy()) return;
    const std::size_t candidates = limits_count() ? params.top_k : vocab;
    if (limits_count()) {
      block_max_.resize(detail::TopKFinder::blocks(vocab));
      top_k_.reserve(vocab);
    }
    weights_.resize(candidates);
    if (params.top_p < 1.f) top_p_.reserve(candidates);
    block_units_.reserve((candidates + cpu::weight_block - 1) / cpu::weight_block);
  }

  const SamplingParams& params() const noexcept { return params_; }
  std::size_t vocab() const noexcept { return vocab_; }
  bool is_greedy() const noexcept { return params_.temperature == 0.f || params_.top_k == 1; }

  /// Starts the random numbers again; processors keep their state.
  void reset() noexcept { rng_ = Philox(params_.seed, stream_); }

  /// Chooses the token that follows `history` (what the penalties and the processors see) from logits (vocab). Throws
  /// NumericError naming the index of a NaN or +infinity, or where all logits are -inf; ShapeError where the number of
  /// logits is another, or where a token of the history is not in the vocabulary. The random numbers are unchanged
  /// then.
  Draw operator()(std::span<const float> logits, std::span<const TokenId> history = {}) {
    if (logits.size() != vocab_)
      raise<ShapeError>("sampler: ", logits.size(), " logits, expected ", vocab_, " (vocab)");
    float* block_max = block_max_.empty() ? nullptr : block_max_.data();
    cpu::Largest largest = detail::checked_largest(*kernels_, logits, "logit", block_max);
    const float logits_max = largest.value;
    std::span<const float> candidates = logits;
    if (!changed_.empty()) {
      std::ranges::copy(logits, changed_.begin());
      penalties_(changed_, history);
      processors_(changed_, history);
      largest = detail::checked_largest(*kernels_, changed_, "logit after penalties and processors", block_max);
      candidates = changed_;
    }
    std::uint64_t total = 0;
    const detail::WeightedPick pick =
        is_greedy() ? detail::WeightedPick{largest.index, 1.f} : draw(candidates, largest.value, total);
    const bool same_weights = !is_greedy() && !limits_count() && changed_.empty() && params_.temperature == 1.f;
    if (!same_weights) total = kernels_->weigh(logits.data(), vocab_, logits_max, 1.f, nullptr);
    const double log_sum = std::log(static_cast<double>(total) * 0x1p-43);
    const double shifted = static_cast<double>(logits[pick.index]) - static_cast<double>(logits_max);
    return {static_cast<TokenId>(pick.index), static_cast<float>(shifted - log_sum), pick.probability};
  }

 private:
  static const SamplingParams& checked(const SamplingParams& params, std::size_t vocab) {
    validate(params);
    if (vocab == 0 || vocab > detail::max_sampling_vocab)
      raise<ConfigError>("vocab is ", vocab, ", allowed: 1 to ", detail::max_sampling_vocab);
    return params;
  }
  static bool changes_logits(const SamplingParams& params) noexcept {
    return params.repetition_penalty != 1.f || params.frequency_penalty != 0.f || params.presence_penalty != 0.f;
  }
  bool limits_count() const noexcept { return params_.top_k != 0 && params_.top_k < vocab_; }

  // `total` becomes the sum of the weights before top-p and min-p.
  detail::WeightedPick draw(std::span<const float> candidates, float max, std::uint64_t& total) {
    std::span<const std::uint32_t> ids;
    if (limits_count()) {
      const detail::Candidates& largest = top_k_.find(*kernels_, candidates, block_max_, params_.top_k);
      candidates = largest.values();
      ids = largest.indices();
    }
    total = kernels_->weigh(candidates.data(), candidates.size(), max, params_.temperature, weights_.data());
    float lowest = params_.min_p;
    if (params_.top_p < 1.f) lowest = std::max(lowest, top_p_.cut(*kernels_, weights_, total, params_.top_p));
    detail::WeightedPick pick = detail::pick_weighted(*kernels_, weights_, lowest, uniform_double(rng_), block_units_);
    if (!ids.empty()) pick.index = ids[pick.index];
    return pick;
  }

  SamplingParams params_;
  std::size_t vocab_;
  std::uint64_t stream_;
  const cpu::SamplingKernels* kernels_;
  Philox rng_;
  LogitsChain processors_;
  Penalties penalties_;
  detail::TopKFinder top_k_;
  detail::TopPFinder top_p_;
  std::vector<float> changed_;    // the logits after penalties and processors
  std::vector<float> block_max_;  // of the logits, where top-k needs them
  std::vector<float> weights_;    // of the candidates
  std::vector<std::uint64_t> block_units_;
};

}  // namespace weft::inline v0
