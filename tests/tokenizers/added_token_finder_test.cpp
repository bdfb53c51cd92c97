#include <weft/tokenizers/added_token_finder.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using Strings = std::vector<std::string>;

Strings find(const std::vector<weft::AddedToken>& tokens, std::string_view text, bool parse_special = true) {
  std::vector<std::pair<std::string, weft::AddedToken>> named;
  for (const weft::AddedToken& token : tokens) named.emplace_back(token.content, token);
  Strings found;
  weft::AddedTokenFinder(std::move(named))
      .for_each(text, parse_special, [&](std::size_t begin, std::size_t end, const weft::AddedToken& token) {
        found.push_back(std::to_string(token.id) + ":" + std::string(text.substr(begin, end - begin)));
      });
  return found;
}

TEST(AddedTokenFinder, TakesTheFirstAndOfThoseTheLongest) {
  const std::vector<weft::AddedToken> tokens{
      {.content = "ab", .id = 1}, {.content = "abc", .id = 2}, {.content = "bcd", .id = 3}};
  EXPECT_EQ(find(tokens, "xabcdx"), (Strings{"2:abc"}));
  EXPECT_EQ(find(tokens, "abdbcd"), (Strings{"1:ab", "3:bcd"}));
  EXPECT_EQ(find(tokens, ""), Strings{});
  EXPECT_EQ(find({}, "ab"), Strings{});
}

TEST(AddedTokenFinder, PassesOverSpecialTokensWhereAsked) {
  const std::vector<weft::AddedToken> tokens{{.content = "<s>", .id = 1, .special = true}, {.content = "s", .id = 2}};
  EXPECT_EQ(find(tokens, "<s>s"), (Strings{"1:<s>", "2:s"}));
  EXPECT_EQ(find(tokens, "<s>s", false), (Strings{"2:s"}));
}

TEST(AddedTokenFinder, TakesWhiteSpaceAround) {
  const std::vector<weft::AddedToken> tokens{{.content = "L", .id = 1, .strip_left = true},
                                             {.content = "R", .id = 2, .strip_right = true}};
  EXPECT_EQ(find(tokens, "a \u3000L b"), (Strings{"1: \u3000L"}));
  EXPECT_EQ(find(tokens, "R \n L"), (Strings{"2:R \n ", "1:L"}));
  EXPECT_EQ(find(tokens, "a\u200BL"), (Strings{"1:L"}));
}

TEST(AddedTokenFinder, FindsWhiteSpaceThatAnotherTokenTookToo) {
  const std::vector<weft::AddedToken> tokens{{.content = "R", .id = 1, .strip_right = true},
                                             {.content = "  ", .id = 2},
                                             {.content = "\n", .id = 3, .strip_left = true}};
  EXPECT_EQ(find(tokens, "R   a"), (Strings{"1:R   ", "2:  "}));
  EXPECT_EQ(find(tokens, "R  \na"), (Strings{"1:R  \n", "2:  ", "3:\n"}));
  EXPECT_EQ(find(tokens, "R\n a"), (Strings{"1:R\n "}));
}

TEST(AddedTokenFinder, TakesWholeWordsOnlyWhereAsked) {
  const std::vector<weft::AddedToken> tokens{{.content = "fox", .id = 1, .whole_word = true}};
  EXPECT_EQ(find(tokens, "fox foxes _fox (fox) \u00E9fox fox"), (Strings{"1:fox", "1:fox", "1:fox"}));
}

}  // namespace
