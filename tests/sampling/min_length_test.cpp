#include <weft/sampling/min_length.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include <weft/sampling/logits_processor.hpp>

namespace {

using namespace weft;

static_assert(LogitsProcessor<MinLength>);

TEST(MinLength, BansTheEndUntilThereAreEnoughTokens) {
  constexpr float banned = -std::numeric_limits<float>::infinity();
  const MinLength min_length({2, 0, 7, -1}, 3);
  const auto after = [&](const std::vector<TokenId>& history) {
    std::vector<float> logits{1.f, 2.f, 3.f};
    min_length(logits, history);
    return logits;
  };
  EXPECT_EQ(after({}), (std::vector<float>{banned, 2.f, banned}));
  EXPECT_EQ(after({1, 1}), (std::vector<float>{banned, 2.f, banned}));
  EXPECT_EQ(after({1, 1, 1}), (std::vector<float>{1.f, 2.f, 3.f}));
}

}  // namespace
