#include <weft/sampling/banned_words.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include <weft/sampling/logits_processor.hpp>

namespace {

using namespace weft;

static_assert(LogitsProcessor<BannedWords>);

constexpr float banned = -std::numeric_limits<float>::infinity();

std::vector<float> after(const std::vector<TokenId>& history) {
  const BannedWords words({{2}, {0, 1}, {3, 3, 3}, {4, 9}, {-1}});
  std::vector<float> logits{0.f, 1.f, 2.f, 3.f, 4.f};
  words(logits, history);
  return logits;
}

TEST(BannedWords, TheLastTokenIsBannedAfterTheOthers) {
  EXPECT_EQ(after({}), (std::vector<float>{0.f, 1.f, banned, 3.f, 4.f}));
  EXPECT_EQ(after({0}), (std::vector<float>{0.f, banned, banned, 3.f, 4.f}));
  EXPECT_EQ(after({0, 3}), (std::vector<float>{0.f, 1.f, banned, 3.f, 4.f}));
  EXPECT_EQ(after({3, 3}), (std::vector<float>{0.f, 1.f, banned, banned, 4.f}));
}

TEST(BannedWords, IdsOutsideTheVocabularyBanNothing) {
  EXPECT_EQ(after({4}), (std::vector<float>{0.f, 1.f, banned, 3.f, 4.f}));
}

TEST(BannedWords, HaveTokens) { EXPECT_THROW(BannedWords({{1}, {}}), ConfigError); }

}  // namespace
