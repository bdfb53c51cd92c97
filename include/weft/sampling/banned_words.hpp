#pragma once

#include <algorithm>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>

namespace weft::inline v0 {

/// Bans sequences of tokens: the last token of each wherever the tokens before it end the history (transformers,
/// generation/logits_process.py, NoBadWordsLogitsProcessor). A LogitsProcessor.
class BannedWords {
 public:
  /// Throws ConfigError for an empty sequence.
  explicit BannedWords(std::vector<std::vector<TokenId>> words) : words_(std::move(words)) {
    for (std::size_t i = 0; i < words_.size(); ++i)
      if (words_[i].empty()) raise<ConfigError>("banned words: sequence ", i, " has no tokens");
  }

  /// Ids outside the vocabulary ban nothing.
  void operator()(std::span<float> logits, std::span<const TokenId> history) const {
    for (const std::vector<TokenId>& word : words_) {
      const std::size_t before = word.size() - 1;
      const bool here = before <= history.size() &&
                        std::equal(word.begin(), word.end() - 1, history.end() - static_cast<std::ptrdiff_t>(before));
      if (here && word.back() >= 0 && static_cast<std::size_t>(word.back()) < logits.size())
        logits[static_cast<std::size_t>(word.back())] = -std::numeric_limits<float>::infinity();
    }
  }

 private:
  std::vector<std::vector<TokenId>> words_;
};

}  // namespace weft::inline v0
