#include <weft/sampling/penalties.hpp>

#include <gtest/gtest.h>

#include <vector>

#include "reference.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

static_assert(LogitsProcessor<Penalties>);

TEST(Penalties, RepetitionOncePerToken) {
  std::vector<float> logits{2.f, -2.f, 0.f, 5.f, -infinity};
  const std::vector<TokenId> history{0, 1, 1, 0, 2, 4};
  Penalties({.repetition = 2.f})(logits, history);
  EXPECT_EQ(logits, (std::vector<float>{1.f, -4.f, 0.f, 5.f, -infinity}));
}

TEST(Penalties, FrequencyCountsAndPresenceDoesNot) {
  std::vector<float> logits{2.f, 2.f, 2.f};
  const std::vector<TokenId> history{0, 1, 1, 1};
  Penalties({.frequency = 0.5f, .presence = 0.25f})(logits, history);
  EXPECT_EQ(logits, (std::vector<float>{1.25f, 0.25f, 2.f}));
}

TEST(Penalties, RepetitionComesBeforeTheOthers) {
  std::vector<float> logits{4.f};
  const std::vector<TokenId> history{0, 0};
  Penalties({.repetition = 2.f, .frequency = 1.f, .presence = 0.5f})(logits, history);
  EXPECT_EQ(logits[0], -0.5f);
}

TEST(Penalties, SeesTheLatestTokensOnly) {
  std::vector<float> logits{1.f, 1.f, 1.f};
  const std::vector<TokenId> history{0, 1, 2};
  Penalties({.presence = 1.f, .window = 2})(logits, history);
  EXPECT_EQ(logits, (std::vector<float>{1.f, 0.f, 0.f}));
}

TEST(Penalties, CallsDoNotDependOnEarlierOnes) {
  Penalties penalties({.frequency = 1.f});
  for (int i = 0; i < 3; ++i) {
    std::vector<float> logits{5.f, 5.f};
    const std::vector<TokenId> history{1, 1};
    penalties(logits, history);
    EXPECT_EQ(logits, (std::vector<float>{5.f, 3.f}));
  }
  std::vector<float> larger{5.f, 5.f, 5.f};
  const std::vector<TokenId> last{2};
  penalties(larger, last);
  EXPECT_EQ(larger, (std::vector<float>{5.f, 5.f, 4.f}));
}

TEST(Penalties, NeutralParametersAndNoHistoryChangeNothing) {
  std::vector<float> logits{1.f, 2.f};
  const std::vector<TokenId> history{0, 1};
  Penalties({})(logits, history);
  Penalties({.repetition = 2.f})(logits, {});
  EXPECT_EQ(logits, (std::vector<float>{1.f, 2.f}));
}

TEST(Penalties, ATokenOutsideTheVocabularyIsAnErrorAndChangesNothing) {
  Penalties penalties({.presence = 1.f});
  std::vector<float> logits{1.f, 2.f};
  for (const TokenId bad : {TokenId{2}, TokenId{-1}}) {
    const std::vector<TokenId> history{0, 1, bad};
    EXPECT_EQ(message_of<ShapeError>([&] { penalties(logits, history); }),
              "penalties: history[2] is " + std::to_string(bad) + ", the vocabulary has 2 tokens");
    EXPECT_EQ(logits, (std::vector<float>{1.f, 2.f}));
  }
  const std::vector<TokenId> good{0};
  penalties(logits, good);
  EXPECT_EQ(logits, (std::vector<float>{0.f, 2.f}));
}

TEST(Penalties, NamesWhatIsWrong) {
  EXPECT_EQ(message_of<ConfigError>([] { Penalties p({.repetition = 0.f}); }),
            "repetition_penalty is 0, allowed: finite and above 0");
  EXPECT_NE(message_of<ConfigError>([] { Penalties p({.repetition = -1.f}); }).find("repetition_penalty is -1"),
            std::string::npos);
  EXPECT_NE(message_of<ConfigError>([] { Penalties p({.repetition = not_a_number}); }).find("repetition_penalty"),
            std::string::npos);
  EXPECT_NE(message_of<ConfigError>([] { Penalties p({.repetition = infinity}); }).find("repetition_penalty is inf"),
            std::string::npos);
  EXPECT_NE(message_of<ConfigError>([] { Penalties p({.frequency = not_a_number}); }).find("frequency_penalty"),
            std::string::npos);
  EXPECT_NE(message_of<ConfigError>([] { Penalties p({.presence = -infinity}); }).find("presence_penalty is -inf"),
            std::string::npos);
}

}  // namespace
