#include <weft/tokenizers/word_pattern.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/tokenizers/regex.hpp>

namespace {

using Ranges = std::vector<std::pair<std::size_t, std::size_t>>;

Ranges matches(const auto& pattern, std::string_view text) {
  Ranges ranges;
  pattern.for_each_match(text, [&](std::size_t begin, std::size_t end) { ranges.emplace_back(begin, end); });
  return ranges;
}

// A character of a kind that the patterns tell apart, any other, or one of all Unicode.
std::string some_character(std::mt19937& random) {
  constexpr std::string_view ascii = "  \n\r\t'''stmdrevlSTMDREVLaZ019.!_-";
  constexpr std::u32string_view others =
      U"\u017F\u212A\u00E9\u0301\u00BD\u0663\u2167\u00A0\u3000\u2028\u0085\u200B"
      U"\uAC00\u4E00\U0001F600\u20AC\u3001\U00010D40\U00010D50\u0897\U0001FAE9";
  if (random() % 4 != 0) return std::string(1, ascii[random() % ascii.size()]);
  char32_t c = random() % 2 == 0 ? others[random() % others.size()] : static_cast<char32_t>(random() % 0x110000);
  if (c >= 0xD800 && c <= 0xDFFF) c = 'x';
  std::string text;
  weft::append_code_point(c, text);
  return text;
}

class EveryPattern : public testing::TestWithParam<std::string_view> {};

// The regular expression in a group is not recognised, and goes to PCRE2.
TEST_P(EveryPattern, MatchesAsTheRegularExpression) {
  const std::optional<weft::WordPattern> pattern = weft::WordPattern::find(GetParam());
  ASSERT_TRUE(pattern);
  const weft::Regex regex("(?:" + std::string(GetParam()) + ")", "test");
  std::mt19937 random(7);
  for (int i = 0; i < 50000; ++i) {
    std::string text;
    for (std::size_t characters = random() % 12; characters > 0; --characters) text += some_character(random);
    ASSERT_EQ(matches(*pattern, text), matches(regex, text)) << testing::PrintToString(text);
  }
}

INSTANTIATE_TEST_SUITE_P(WordPattern, EveryPattern,
                         testing::Values(weft::WordPattern::gpt2, weft::WordPattern::llama3, weft::WordPattern::qwen2));

TEST(WordPattern, KnowsNoOthers) {
  EXPECT_FALSE(weft::WordPattern::find(R"(\p{L}+)"));
  EXPECT_FALSE(weft::WordPattern::find(""));
}

TEST(WordPattern, CutsAsThePatternsWereMadeFor) {
  const auto words = [](std::string_view name, std::string_view text) {
    std::vector<std::string> out;
    weft::WordPattern::find(name)->for_each_match(
        text, [&](std::size_t begin, std::size_t end) { out.emplace_back(text.substr(begin, end - begin)); });
    return out;
  };
  using Strings = std::vector<std::string>;
  EXPECT_EQ(words(weft::WordPattern::gpt2, "It's 12345  DON'T\n\n x "),
            (Strings{"It", "'s", " 12345", " ", " DON", "'", "T", "\n\n", " x", " "}));
  EXPECT_EQ(words(weft::WordPattern::llama3, "It's 12345  DON'T\n\n x!\n"),
            (Strings{"It", "'s", " ", "123", "45", " ", " DON", "'T", "\n\n", " x", "!\n"}));
  EXPECT_EQ(words(weft::WordPattern::qwen2, "a12"), (Strings{"a", "1", "2"}));
}

}  // namespace
