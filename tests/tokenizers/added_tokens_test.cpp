#include <weft/tokenizers/added_tokens.hpp>

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace {

using Strings = std::vector<std::string>;

// The parts, tokens in angle brackets with their id.
Strings split(const weft::AddedTokens& tokens, std::string_view text, bool parse_special = true) {
  Strings parts;
  for (const auto& part : tokens.split(text, parse_special))
    parts.push_back(part.token ? "#" + std::to_string(part.token->id) : part.text);
  return parts;
}

weft::AddedTokens tokens(std::vector<weft::AddedToken> list) {
  weft::AddedTokens tokens;
  for (weft::AddedToken& token : list) tokens.add(std::move(token));
  return tokens;
}

TEST(AddedTokens, TakesTheFirstAndOfThoseTheLongest) {
  const auto set = tokens({{.content = "ab", .id = 1}, {.content = "abc", .id = 2}, {.content = "bcd", .id = 3}});
  EXPECT_EQ(split(set, "xabcdx"), (Strings{"x", "#2", "dx"}));
  EXPECT_EQ(split(set, "abdbcd"), (Strings{"#1", "d", "#3"}));
  EXPECT_EQ(split(set, "ababc"), (Strings{"#1", "#2"}));
  EXPECT_EQ(split(set, "a"), (Strings{"a"}));
  EXPECT_EQ(split(set, ""), Strings{});
}

TEST(AddedTokens, LeavesSpecialTokensInTheTextWhereAsked) {
  const auto set =
      tokens({{.content = "<s>", .id = 1, .special = true}, {.content = "<s>x", .id = 2}, {.content = "s", .id = 3}});
  EXPECT_EQ(split(set, "<s><s>x"), (Strings{"#1", "#2"}));
  EXPECT_EQ(split(set, "<s><s>x", false), (Strings{"<", "#3", ">", "#2"}));
}

TEST(AddedTokens, StripsWhiteSpaceAround) {
  const auto set =
      tokens({{.content = "L", .id = 1, .strip_left = true}, {.content = "R", .id = 2, .strip_right = true}});
  EXPECT_EQ(split(set, "a \t L b"), (Strings{"a", "#1", " b"}));
  EXPECT_EQ(split(set, "a R \u00A0\u3000\n b"), (Strings{"a ", "#2", "b"}));
  EXPECT_EQ(split(set, "  L  "), (Strings{"#1", "  "}));
  EXPECT_EQ(split(set, "R   L"), (Strings{"#2", "#1"}));
}

TEST(AddedTokens, TakesWholeWordsOnlyWhereAsked) {
  const auto set = tokens({{.content = "W", .id = 1, .whole_word = true}});
  EXPECT_EQ(split(set, "W"), (Strings{"#1"}));
  EXPECT_EQ(split(set, "a W b"), (Strings{"a ", "#1", " b"}));
  EXPECT_EQ(split(set, "aW b"), (Strings{"aW", " b"}));
  EXPECT_EQ(split(set, "a Wb"), (Strings{"a ", "Wb"}));
}

// As the slow tokenizers of transformers: the token turns into text with the space behind it, which the next one takes.
TEST(AddedTokens, TakesTextThatEndsUpAsATokenForIt) {
  const auto set = tokens({{.content = "W", .id = 1, .special = true, .whole_word = true},
                           {.content = "L", .id = 2, .special = true, .strip_left = true}});
  EXPECT_EQ(split(set, "a W\nLb"), (Strings{"a ", "#1", "#2", "b"}));
  EXPECT_EQ(split(set, "a W\nb"), (Strings{"a ", "W\nb"}));
  EXPECT_EQ(split(set, "a W\nLb", false), (Strings{"a W\nLb"}));
}

TEST(AddedTokens, FindsByIdAndText) {
  auto set = tokens({{.content = "a", .id = 1}, {.content = "a", .id = 2}, {.content = "", .id = 3}});
  EXPECT_EQ(set.find("a")->id, 2);
  EXPECT_EQ(set.find(1)->content, "a");
  EXPECT_EQ(set.find("b"), nullptr);
  EXPECT_EQ(set.find(4), nullptr);
  EXPECT_EQ(split(set, "a"), (Strings{"#2"}));
  set.add({.content = "b", .id = 2});
  EXPECT_EQ(set.find(2)->content, "b");
  EXPECT_EQ(split(set, "ab"), (Strings{"#1", "#2"}));
}

TEST(AddedTokens, KnowsUnicodeWhiteSpace) {
  for (const char* space : {" ", "\t", "\x0b", "\x1f", "\u0085", "\u00A0", "\u1680", "\u2003", "\u2029", "\u3000"}) {
    EXPECT_EQ(weft::detail::leading_white_space(space), std::string_view(space).size());
    EXPECT_EQ(weft::detail::without_trailing_white_space(std::string("x") + space + space), "x");
    EXPECT_EQ(weft::detail::without_leading_white_space(std::string(space) + space + "x"), "x");
  }
  for (const char* other : {"a", "\u200B", "\u2581", "\uFEFF", "", "\x85"})
    EXPECT_EQ(weft::detail::leading_white_space(other), 0u);
}

}  // namespace
