#include <weft/core/token_id.hpp>

#include <limits>
#include <type_traits>

#include <gtest/gtest.h>

TEST(TokenId, IsSignedAndHoldsEveryVocabulary) {
  static_assert(std::is_signed_v<weft::TokenId>);
  EXPECT_GT(std::numeric_limits<weft::TokenId>::max(), 1'000'000'000);
}
