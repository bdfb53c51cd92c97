#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <weft/core/config.hpp>
#include <weft/core/error.hpp>
#include <weft/sampling/logits_processor.hpp>
#include <weft/sampling/params.hpp>

namespace weft::inline v0 {

namespace detail {

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

}  // namespace detail

/// Parameters of Penalties; the defaults change nothing.
struct PenaltyParams {
  float repetition = 1.f;  // above 0; above 1 makes tokens that occurred less likely
  float frequency = 0.f;   // taken off once for every occurrence
  float presence = 0.f;    // taken off once where a token occurred at all
  std::size_t window = 0;  // how many of the latest tokens count; 0: all
};

/// Lowers the logits of tokens that have occurred. For a token with logit x that occurs n > 0 times in the window:
///
///   x <- x / repetition where x > 0, x * repetition otherwise     (Keskar et al. 2019, CTRL)
///   x <- x - n * frequency - presence
///
/// A LogitsProcessor; costs time in the length of the history, not of the vocabulary.
class Penalties {
 public:
  /// Throws ConfigError for a repetition penalty that is not above 0, and for parameters that are not finite.
  explicit Penalties(const PenaltyParams& params, std::size_t vocab = 0) : params_(params), counts_(vocab) {
    detail::check_penalties(params.repetition, params.frequency, params.presence);
  }

  bool changes_nothing() const noexcept {
    return params_.repetition == 1.f && params_.frequency == 0.f && params_.presence == 0.f;
  }

  /// Throws ShapeError naming the position of a token in the window that is not in the vocabulary.
  void operator()(std::span<float> logits, std::span<const TokenId> history) {
    if (changes_nothing()) return;
    const std::size_t skipped =
        params_.window != 0 && params_.window < history.size() ? history.size() - params_.window : 0;
    const std::span<const TokenId> window = history.subspan(skipped);
    for (std::size_t i = 0; i < window.size(); ++i)
      if (window[i] < 0 || static_cast<std::size_t>(window[i]) >= logits.size())
        raise<ShapeError>("penalties: history[", skipped + i, "] is ", window[i], ", the vocabulary has ",
                          logits.size(), " tokens");
    if (counts_.size() < logits.size()) counts_.resize(logits.size());
    for (const TokenId id : window) ++counts_[static_cast<std::size_t>(id)];
    const std::uint32_t zero = detail::opaque_zero();
    for (const TokenId id : window) {
      const auto token = static_cast<std::size_t>(id);
      if (counts_[token] == 0) continue;
      const float x = logits[token];
      const float repeated = x > 0.f ? x / params_.repetition : x * params_.repetition;
      const float often = static_cast<float>(counts_[token]) * params_.frequency;
      logits[token] = detail::rounded(repeated, zero) - detail::rounded(often, zero) - params_.presence;
      counts_[token] = 0;
    }
  }

 private:
  PenaltyParams params_;
  std::vector<std::uint32_t> counts_;  // all 0 between calls
};

}  // namespace weft::inline v0
