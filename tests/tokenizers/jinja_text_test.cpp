#include <weft/tokenizers/jinja/text.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>

namespace {

namespace jinja = weft::detail::jinja;
using testing::ElementsAre;

TEST(JinjaText, SplitsAsPython) {
  EXPECT_THAT(jinja::split_words("  a b  c ", 1), ElementsAre("a", "b  c "));
  EXPECT_THAT(jinja::split_words_right("  a b  c ", 1), ElementsAre("  a b", "c"));
  EXPECT_THAT(jinja::split_words("a\u3000b", -1), ElementsAre("a", "b"));
  EXPECT_THAT(jinja::split_at("a,,b", ",", -1), ElementsAre("a", "", "b"));
  EXPECT_THAT(jinja::split_at_right("a,b,c", ",", 1), ElementsAre("a,b", "c"));
  EXPECT_THAT(jinja::split_lines("a\r\nb\n\nc\u2028d\n", false), ElementsAre("a", "b", "", "c", "d"));
  EXPECT_THAT(jinja::split_lines("a\nb", true), ElementsAre("a\n", "b"));
}

TEST(JinjaText, StripsCharacters) {
  EXPECT_EQ(jinja::strip(" \u00A0a b\n"), "a b");
  EXPECT_EQ(jinja::strip("\u00e9\u00e9a\u00e9", "\u00e9", true, false), "a\u00e9");
}

TEST(JinjaText, WritesNumbersAsPython) {
  EXPECT_EQ(jinja::number_text(1), "1.0");
  EXPECT_EQ(jinja::number_text(0.1), "0.1");
  EXPECT_EQ(jinja::number_text(1e15), "1000000000000000.0");
  EXPECT_EQ(jinja::number_text(1e16), "1e+16");
  EXPECT_EQ(jinja::number_text(0.0001), "0.0001");
  EXPECT_EQ(jinja::number_text(-0.00001), "-1e-05");
  EXPECT_EQ(jinja::number_text(std::numeric_limits<double>::infinity()), "inf");
}

TEST(JinjaText, ReadsNumbersAsPython) {
  bool overflows = false;
  EXPECT_EQ(jinja::read_integer(" -1_000 ", 10, overflows), -1000);
  EXPECT_EQ(jinja::read_integer("0x1F", 16, overflows), 31);
  for (const char* text : {"", "1.5", "+-1", "_1", "1__0", "a"})
    EXPECT_EQ(jinja::read_integer(text, 10, overflows), std::nullopt) << text;
  EXPECT_EQ(jinja::read_integer("99999999999999999999", 10, overflows), std::nullopt);
  EXPECT_TRUE(overflows);
  EXPECT_EQ(jinja::read_number(" 1e3 "), 1000.0);
  EXPECT_EQ(jinja::read_number("-inf"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(jinja::read_number("1e"), std::nullopt);
}

TEST(JinjaText, QuotesAsPython) {
  std::string out;
  jinja::append_quoted(out, "it's \"\n\x01\u00e9\u2028");
  EXPECT_EQ(out, R"('it\'s "\n\x01é\u2028')");
}

TEST(JinjaText, ChangesCase) {
  EXPECT_EQ(jinja::upper("stra\u00dfe \u00e9"), "STRASSE \u00c9");
  EXPECT_EQ(jinja::title("hello wORLD's"), "Hello World'S");
  EXPECT_EQ(jinja::capitalize("\u00e9A"), "\u00c9a");
}

}  // namespace
