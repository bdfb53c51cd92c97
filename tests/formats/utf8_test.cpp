#include <weft/formats/utf8.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace {

using Kind = weft::Utf8Character::Kind;

std::string repaired(std::string_view bytes, bool last, std::size_t taken) {
  std::string out;
  EXPECT_EQ(weft::append_repaired(bytes, last, out), taken) << testing::PrintToString(bytes);
  return out;
}

// The definition, slowly: decode the bits, then check range, length and surrogates.
bool is_character(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const std::size_t length = bytes.size();
  std::uint32_t code = length == 1 ? at(0) : at(0) & (0xffu >> (length + 1));
  if (length == 1) return code < 0x80;
  if ((0xffu & at(0)) >> (7 - length) != (0xffu >> (7 - length)) - 1) return false;
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xC0) != 0x80) return false;
    code = code << 6 | (at(i) & 0x3Fu);
  }
  constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  return code >= least[length] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

TEST(Utf8, OneReplacementForABeginning) {
  const auto repair = [](std::string_view bytes, bool last, std::size_t taken) {
    std::string out;
    EXPECT_EQ(weft::append_repaired(bytes, last, out, weft::Utf8Repair::beginnings), taken);
    return out;
  };
  EXPECT_EQ(repair("a\xF0\x9F\x98", true, 4), "a\uFFFD");
  EXPECT_EQ(repair("a\xF0\x9F\x98", false, 1), "a");
  EXPECT_EQ(repair("\xE2\x82z\xF0\x9F\xF0\x9F\x98\x80", true, 9), "\uFFFDz\uFFFD\U0001F600");
  EXPECT_EQ(repair("\x80\x80", true, 2), "\uFFFD\uFFFD");            // no beginnings
  EXPECT_EQ(repair("\xF0\x80\x80", true, 3), "\uFFFD\uFFFD\uFFFD");  // not well-formed
  EXPECT_EQ(repair("\xED\xA0\x80", true, 3), "\uFFFD\uFFFD\uFFFD");
}

TEST(Utf8, AgreesWithTheDefinitionOnShortSequences) {
  const std::string_view interesting(
      "\x00\x41\x7F\x80\x8F\x90\x9F\xA0\xBF\xC0\xC1\xC2\xDF\xE0\xE1\xED\xEF\xF0\xF1\xF4\xF5\xFF", 22);
  for (const char a : interesting)
    for (const char b : interesting)
      for (const char c : interesting)
        for (const char d : interesting) {
          const char bytes[] = {a, b, c, d};
          const std::string_view text(bytes, 4);
          std::size_t expected = 0;
          for (std::size_t length = 1; length <= 4 && !expected; ++length)
            if (is_character(text.substr(0, length))) expected = length;
          const weft::Utf8Character found = weft::first_character(text);
          ASSERT_EQ(found.kind == Kind::complete ? found.bytes : 0, expected) << testing::PrintToString(text);
          // Cut short, it must still be able to become that character, and nothing else may.
          for (std::size_t length = 1; length < expected; ++length)
            ASSERT_EQ(weft::first_character(text.substr(0, length)).kind, Kind::truncated)
                << testing::PrintToString(text);
        }
}

TEST(Utf8, KnowsWhatCannotBeCompletedAnyMore) {
  for (const char* bad :
       {"\x80", "\xC0", "\xC1", "\xF5", "\xFF", "\xE0\x80", "\xED\xA0", "\xF0\x8F", "\xF4\x90", "\xC2\x41"})
    EXPECT_EQ(weft::first_character(bad).kind, Kind::invalid) << testing::PrintToString(bad);
  for (const char* cut : {"\xC2", "\xE0", "\xE0\xA0", "\xED\x9F", "\xF0\x90", "\xF0\x90\x80", "\xF4\x8F\xBF"})
    EXPECT_EQ(weft::first_character(cut).kind, Kind::truncated) << testing::PrintToString(cut);
}

TEST(Utf8, FindsTheFirstInvalidByte) {
  EXPECT_EQ(weft::first_invalid_byte(""), 0u);
  EXPECT_EQ(weft::first_invalid_byte("a\u00E9\u2581\U0001F600"), 10u);
  EXPECT_EQ(weft::first_invalid_byte("ab\xFFz"), 2u);
  EXPECT_EQ(weft::first_invalid_byte("ab\xE2\x96"), 2u);
  EXPECT_TRUE(weft::is_utf8("\uFFFD"));
  EXPECT_FALSE(weft::is_utf8("\xED\xA0\x80"));
}

TEST(Utf8, RepairsEveryByteByItself) {
  EXPECT_EQ(repaired("a\xFF\xE2\x96z", true, 5), "a\uFFFD\uFFFD\uFFFDz");
  EXPECT_EQ(repaired("a\xE2\x96", true, 3), "a\uFFFD\uFFFD");
  EXPECT_EQ(repaired("a\xE2\x96", false, 1), "a");
  EXPECT_EQ(repaired("\xE2\xFF\xE2", false, 2), "\uFFFD\uFFFD");
  EXPECT_EQ(repaired("", true, 0), "");
}

}  // namespace
