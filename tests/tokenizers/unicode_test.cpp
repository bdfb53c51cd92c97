#include <weft/tokenizers/unicode.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

TEST(Unicode, ReadsAndWritesEveryCharacter) {
  for (char32_t c = 0; c < 0x110000; c += c < 0x1000 ? 1 : 37) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text = "x";
    const std::size_t bytes = weft::append_code_point(c, text);
    ASSERT_EQ(text.size(), bytes + 1);
    ASSERT_EQ(weft::first_code_point(std::string_view(text).substr(1)).value, c);
    ASSERT_EQ(weft::last_code_point(text).value, c);
    ASSERT_EQ(weft::last_code_point(text).bytes, bytes);
    ASSERT_EQ(weft::count_characters(text), 2u);
  }
}

TEST(Unicode, KnowsKindsOfCharacters) {
  for (const char32_t c : {U'!', U'$', U'~', U'\u3002', U'\u00BF'}) EXPECT_TRUE(weft::is_punctuation(c));
  for (const char32_t c : {U'a', U'1', U' ', U'\u20AC', U'\x7F', U'\n'}) EXPECT_FALSE(weft::is_punctuation(c));
  for (const char32_t c : {U'0', U'\u00BD', U'\u2167', U'\u0663'}) EXPECT_TRUE(weft::is_numeric(c));
  for (const char32_t c : {U'a', U'.', U'\u4E00'}) EXPECT_FALSE(weft::is_numeric(c));
  for (const char32_t c : {U'_', U'\u0301', U'\uAC00', U'\u203F', U'\u2160', U'\u24D0', U'\u200D'})
    EXPECT_TRUE(weft::is_word_character(c));
  for (const char32_t c : {U'-', U' ', U'\u00BD', U'\U0001F600'}) EXPECT_FALSE(weft::is_word_character(c));
  for (const char32_t c : {U'\0', U'\x85', U'\u200B', U'\uE000', U'\u00AD'}) EXPECT_TRUE(weft::is_control(c));
  for (const char32_t c : {U'a', U' ', U'\u0378'}) EXPECT_FALSE(weft::is_control(c));
  EXPECT_TRUE(weft::is_mark(U'\u0903'));
  EXPECT_FALSE(weft::is_nonspacing_mark(U'\u0903'));
  EXPECT_TRUE(weft::is_nonspacing_mark(U'\u0301'));
  EXPECT_TRUE(weft::is_white_space(U'\u0085'));
  EXPECT_FALSE(weft::is_white_space(U'\u180E'));
}

// What the tokenizers package (0.23.3) makes of characters that some versions of Unicode do not have.
TEST(Unicode, KnowsTheVersionsOfTheTokenizersPackage) {
  for (const char32_t c : {U'\u2E42', U'\u166D', U'\U000111C9'}) EXPECT_TRUE(weft::is_punctuation(c));
  for (const char32_t c : {U'\u2E43', U'\u09FD', U'\U00016D6D'}) EXPECT_FALSE(weft::is_punctuation(c));
  for (const char32_t c : {U'\U00010D40', U'\U00011DE0', U'\U0001D2C0'}) EXPECT_TRUE(weft::is_numeric(c));
  for (const char32_t c : {U'\u0897', U'\U000135C2', U'\U000116D0'}) EXPECT_TRUE(weft::is_word_character(c));
  for (const char32_t c : {U'\u08D4', U'\u1885', U'\u1CF3'}) EXPECT_TRUE(weft::is_mark(c));
  for (const char32_t c : {U'\u0897', U'\u1DF6', U'\U00011F01'}) EXPECT_FALSE(weft::is_mark(c));
  EXPECT_TRUE(weft::is_nonspacing_mark(U'\u1734'));
  for (const char32_t c : {U'\u08D4', U'\u1885', U'\U0001E000'}) EXPECT_FALSE(weft::is_nonspacing_mark(c));
  EXPECT_TRUE(weft::is_control(U'\u061C'));
  for (const char32_t c : {U'\u0890', U'\u08E2', U'\U00013430'}) EXPECT_FALSE(weft::is_control(c));
  EXPECT_EQ(weft::lower_case(U'\U00010D50')[0], U'\U00010D70');
  EXPECT_EQ(weft::lower_case(U'\uA7DC')[0], U'\u019B');
  EXPECT_EQ(weft::combining_class(U'\u1DF5'), 230);
  EXPECT_EQ(weft::combining_class(U'\u1DF6'), 0);
  EXPECT_EQ(weft::decompose_character(U'\u32FF', true).size, 1u);
  EXPECT_EQ(weft::decompose_character(U'\u32FE', true).characters[0], 0x30F2);
  EXPECT_EQ(weft::compose_characters(U'\U00011935', U'\U00011930'), std::nullopt);
}

TEST(Unicode, CutsGraphemes) {
  const std::string_view text = "e\u0301\U0001F468\u200D\U0001F469x\r\n\uAC00\u11A8";
  std::vector<std::size_t> sizes;
  for (std::size_t at = 0; at < text.size(); at += sizes.back()) sizes.push_back(weft::first_grapheme(text.substr(at)));
  EXPECT_EQ(sizes, (std::vector<std::size_t>{3, 11, 1, 2, 6}));
}

TEST(Unicode, ComposesPairs) {
  EXPECT_EQ(weft::compose_characters(U'e', U'\u0301'), U'\u00E9');
  EXPECT_EQ(weft::compose_characters(U'\u1100', U'\u1161'), U'\uAC00');
  EXPECT_EQ(weft::compose_characters(U'a', U'b'), std::nullopt);
  EXPECT_EQ(weft::compose_characters(U'\u0915', U'\u093C'), std::nullopt);
}

}  // namespace
