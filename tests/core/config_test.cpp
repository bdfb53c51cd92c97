#include <weft/core/config.hpp>

#include <string>

#include <gtest/gtest.h>

namespace {

TEST(Config, VersionTextMatchesTheNumbers) {
  EXPECT_EQ(weft::version, std::to_string(WEFT_VERSION_MAJOR) + "." + std::to_string(WEFT_VERSION_MINOR) + "." +
                               std::to_string(WEFT_VERSION_PATCH));
}

TEST(ConfigDeathTest, AssertsAreOnInTests) {
  WEFT_ASSERT(1 + 1 == 2);
  const auto break_it = [] { WEFT_ASSERT(1 + 1 == 3); };
  EXPECT_DEATH(break_it(), "1 \\+ 1 == 3");
}

}  // namespace
