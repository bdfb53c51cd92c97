#include <weft/tokenizers/base64.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace {

using weft::detail::from_base64;

// RFC 4648, section 10, with padding and without.
TEST(Base64, GivesTheTestVectorsOfItsStandard) {
  const std::string text = "foobar";
  const char* encoded[]{"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
  for (std::size_t i = 0; i <= text.size(); ++i) {
    EXPECT_EQ(from_base64(encoded[i]), text.substr(0, i));
    std::string bare = encoded[i];
    while (bare.ends_with('=')) bare.pop_back();
    EXPECT_EQ(from_base64(bare), text.substr(0, i));
  }
}

TEST(Base64, GivesEveryByte) {
  EXPECT_EQ(from_base64("AP+A"), std::string("\0\xff\x80", 3));
  EXPECT_EQ(from_base64("////"), "\xff\xff\xff");
}

TEST(Base64, IsNothingElse) {
  for (const char* text : {"Zm9v!", "Zm 9v", "Zm9v\n", "Z=g=", "Zm-_", "\xff"})
    EXPECT_EQ(from_base64(text), std::nullopt) << text;
}

}  // namespace
