#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include <weft/core/token_id.hpp>

namespace weft::inline v0 {

/// Bans the tokens that end a text before there are `length` tokens, those of the prompt included (transformers,
/// generation/logits_process.py, MinLengthLogitsProcessor). A LogitsProcessor.
class MinLength {
 public:
  MinLength(std::vector<TokenId> ends, std::size_t length) : ends_(std::move(ends)), length_(length) {}

  /// Ids outside the vocabulary ban nothing.
  void operator()(std::span<float> logits, std::span<const TokenId> history) const {
    if (history.size() >= length_) return;
    for (const TokenId end : ends_)
      if (end >= 0 && static_cast<std::size_t>(end) < logits.size())
        logits[static_cast<std::size_t>(end)] = -std::numeric_limits<float>::infinity();
  }

 private:
  std::vector<TokenId> ends_;
  std::size_t length_;
};

}  // namespace weft::inline v0
