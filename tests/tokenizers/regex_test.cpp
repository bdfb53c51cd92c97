#include <weft/tokenizers/regex.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <weft/tokenizers/unicode.hpp>

#include "../formats/temporary_directory.hpp"

namespace {

using testing::HasSubstr;
using Strings = std::vector<std::string>;

Strings matches(std::string_view pattern, std::string_view text) {
  Strings out;
  weft::Regex(pattern, "test").for_each_match(text, [&](std::size_t begin, std::size_t end) {
    out.emplace_back(text.substr(begin, end - begin));
  });
  return out;
}

TEST(Regex, FindsMatchesFromLeftToRight) {
  EXPECT_EQ(matches("a+", "aabaaab"), (Strings{"aa", "aaa"}));
  EXPECT_EQ(matches(R"(\s+(?!\S)|\s+)", "a   b "), (Strings{"  ", " ", " "}));
  EXPECT_EQ(matches(R"(\p{L}+|\p{N})", "한국12é"), (Strings{"한국", "1", "2", "é"}));
  EXPECT_EQ(matches("x", ""), Strings{});
}

TEST(Regex, FindsEmptyMatchesButNotBehindOthers) {
  EXPECT_EQ(matches("a*", "baac"), (Strings{"", "aa", ""}));
  EXPECT_EQ(matches("", "é"), (Strings{"", ""}));
}

TEST(Regex, IsBlindToWhatLiesOutsideTheText) {
  EXPECT_EQ(matches("(?<=a)b", std::string_view("ab").substr(1)), Strings{});
  EXPECT_EQ(matches("a(?!b)", std::string_view("ab").substr(0, 1)), (Strings{"a"}));
}

// The classes mean what they mean in the tokenizers library, whose tables a Unicode version or two older or newer.
TEST(Regex, KnowsTheClassesOfOniguruma) {
  const weft::Regex space(R"(\A\s\z)", "test");
  const weft::Regex no_space(R"(\A[\S]\z)", "test");
  const weft::Regex hexadecimal(R"(\A\h\z)", "test");
  const auto match = [](const weft::Regex& regex, const std::string& text) {
    bool any = false;
    regex.for_each_match(text, [&](std::size_t, std::size_t) { any = true; });
    return any;
  };
  for (char32_t c = 0; c < 0x11000; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    weft::append_code_point(c, text);
    ASSERT_EQ(match(space, text), weft::is_white_space(c)) << static_cast<unsigned>(c);
    ASSERT_EQ(match(no_space, text), !weft::is_white_space(c)) << static_cast<unsigned>(c);
    const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    ASSERT_EQ(match(hexadecimal, text), digit) << static_cast<unsigned>(c);
  }
  EXPECT_EQ(matches(R"(\w+)", "a\u0301_1\u00B2-\u2460"), (Strings{"a\u0301_1\u00B2"}));
  EXPECT_EQ(matches(R"([^\w\s]+)", "a, (b)"), (Strings{",", "(", ")"}));
  EXPECT_EQ(matches(R"(\W+)", "a, b"), (Strings{", "}));
}

// U+10D50 is a capital letter, U+10D40 a digit and U+0897 a mark since Unicode 16.
TEST(Regex, KnowsTheCategoriesOfUnicode16) {
  const std::string text = "\U00010D50\u0897-\U00010D40";
  EXPECT_EQ(matches(R"(\p{L}+)", text), (Strings{"\U00010D50"}));
  EXPECT_EQ(matches(R"([\p{Lu}\p{Mark}]+)", text), (Strings{"\U00010D50\u0897"}));
  EXPECT_EQ(matches(R"(\p{Nd}|\p{Ll})", text), (Strings{"\U00010D40"}));
  EXPECT_EQ(matches(R"(\P{Letter}+)", text), (Strings{"\u0897-\U00010D40"}));
  EXPECT_EQ(matches(R"(\w+)", text), (Strings{"\U00010D50\u0897", "\U00010D40"}));
}

TEST(Regex, TranslatesTheSyntaxOfOniguruma) {
  EXPECT_EQ(matches(R"( ?[^(\s|[.,!?…。，、।۔،])]+)", "Hi, you (there)"), (Strings{"Hi", " you", "there"}));
  EXPECT_EQ(matches(R"(\p{Letter}+)", "ab1"), (Strings{"ab"}));
  EXPECT_EQ(matches(R"(\p{^Uppercase_Letter}+)", "abC"), (Strings{"ab"}));
  EXPECT_EQ(matches(R"(\u0061{,2})", "aaa"), (Strings{"aa", "a"}));
  EXPECT_EQ(matches(R"([]a]+)", "a]b"), (Strings{"a]"}));
  EXPECT_EQ(matches(R"([[:upper:]x]+)", "aXxb"), (Strings{"Xx"}));
  EXPECT_EQ(matches("(?i:'s|'ll)", "it'S we'LL"), (Strings{"'S", "'LL"}));
  EXPECT_EQ(matches("^b$", "a\nb\nc"), (Strings{"b"}));
}

TEST(Regex, NamesTheKeyOfAPatternItCannotTake) {
  const auto error = [](std::string_view pattern) {
    return weft_tests::message_of<weft::FormatError>([&] { weft::Regex(pattern, "file: key"); });
  };
  for (const char* pattern : {"(", "[a", "a\\", "*", R"(\p{Nonsense})", "[[:alpha]", "(?<n", "a{2,1}"})
    EXPECT_THAT(error(pattern), HasSubstr("file: key")) << pattern;
  EXPECT_THAT(error("[" + std::string(100, '[') + "a"), HasSubstr("too many sets"));
  for (const char* pattern : {"[a&&b]", "[a[^b]]", R"([\W])"})
    EXPECT_THROW(weft::Regex(pattern, "test"), weft::UnsupportedError) << pattern;
}

TEST(Regex, GivesUpWhereMatchingTakesTooLong) {
  const weft::Regex regex("(a+)+[bc]", "file: key");
  const auto ignore = [](std::size_t, std::size_t) {};
  std::string text(3000, 'a');
  text.push_back('!');
  EXPECT_THAT(weft_tests::message_of<weft::TokenizerError>([&] { regex.for_each_match(text, ignore); }),
              HasSubstr("file: key"));
}

TEST(Regex, TakesLongTexts) {
  const std::string text(300000, 'a');
  EXPECT_EQ(matches("(?:a|b)+", text), (Strings{text}));
}

}  // namespace
