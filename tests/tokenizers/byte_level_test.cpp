#include <weft/tokenizers/byte_level.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>

namespace {

TEST(ByteAlphabet, IsOneToOne) {
  std::set<char32_t> characters;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char32_t c = weft::byte_alphabet.character(static_cast<unsigned char>(byte));
    characters.insert(c);
    EXPECT_EQ(weft::byte_alphabet.byte(c), byte);
  }
  EXPECT_EQ(characters.size(), 256u);
  for (const char32_t other : {U' ', U'\n', U'\u00AD', U'\u0144', U'\uAC00', U'\x7F'})
    EXPECT_EQ(weft::byte_alphabet.byte(other), std::nullopt);
}

TEST(ByteAlphabet, SpellsAsGpt2) {
  EXPECT_EQ(weft::to_byte_level("a b\n\t~"), "aĠbĊĉ~");
  EXPECT_EQ(weft::to_byte_level("\u00E9\uD55C"), "Ã©íķľ");
  EXPECT_EQ(weft::to_byte_level(""), "");
}

}  // namespace
