#include <weft/sampling/no_repeat_ngram.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include <weft/sampling/logits_processor.hpp>

namespace {

using namespace weft;

static_assert(LogitsProcessor<NoRepeatNgram>);

/// The tokens of a vocabulary of 5 that are banned.
std::vector<TokenId> banned(std::size_t length, const std::vector<TokenId>& history) {
  std::vector<float> logits(5);
  NoRepeatNgram{length}(logits, history);
  std::vector<TokenId> ids;
  for (TokenId id = 0; id < 5; ++id)
    if (logits[static_cast<std::size_t>(id)] == -std::numeric_limits<float>::infinity()) ids.push_back(id);
  return ids;
}

using Ids = std::vector<TokenId>;

TEST(NoRepeatNgram, BansWhatFollowedTheSameTokens) {
  EXPECT_EQ(banned(2, {1, 2, 1}), Ids{2});
  EXPECT_EQ(banned(2, {1, 2, 1, 3, 1}), (Ids{2, 3}));
  EXPECT_EQ(banned(3, {1, 2, 3, 2, 1, 2}), Ids{3});
  EXPECT_EQ(banned(3, {1, 2, 3, 2}), Ids{});
  EXPECT_EQ(banned(2, {4, 4}), Ids{4});
}

TEST(NoRepeatNgram, OfOneTokenBansEveryTokenThatOccurred) { EXPECT_EQ(banned(1, {0, 3, 3}), (Ids{0, 3})); }

TEST(NoRepeatNgram, NeedsAHistory) {
  EXPECT_EQ(banned(3, {}), Ids{});
  EXPECT_EQ(banned(3, {1}), Ids{});
  EXPECT_EQ(banned(3, {1, 1}), Ids{});
}

TEST(NoRepeatNgram, IdsOutsideTheVocabularyBanNothing) { EXPECT_EQ(banned(2, {1, 9, 1, -1, 1}), Ids{}); }

TEST(NoRepeatNgram, NeedsALength) { EXPECT_THROW(NoRepeatNgram(0), ConfigError); }

}  // namespace
