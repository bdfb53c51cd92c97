#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>

namespace weft::inline v0 {

/// Bans every token that would end an n-gram of `length` tokens that has occurred before (transformers,
/// generation/logits_process.py, NoRepeatNGramLogitsProcessor). A LogitsProcessor.
class NoRepeatNgram {
 public:
  /// Throws ConfigError for a length of 0.
  explicit NoRepeatNgram(std::size_t length) : before_(length - 1) {
    if (length == 0) raise<ConfigError>("no_repeat_ngram: an n-gram of no tokens");
  }

  void operator()(std::span<float> logits, std::span<const TokenId> history) const {
    if (history.size() < before_) return;
    const std::span<const TokenId> end = history.last(before_);
    for (std::size_t i = 0; i + before_ < history.size(); ++i) {
      const TokenId next = history[i + before_];
      if (next >= 0 && static_cast<std::size_t>(next) < logits.size() &&
          std::equal(end.begin(), end.end(), history.begin() + static_cast<std::ptrdiff_t>(i)))
        logits[static_cast<std::size_t>(next)] = -std::numeric_limits<float>::infinity();
    }
  }

 private:
  std::size_t before_;  // tokens of an n-gram before its last
};

}  // namespace weft::inline v0
