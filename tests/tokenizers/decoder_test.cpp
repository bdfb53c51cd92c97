#include <weft/tokenizers/decoder.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

std::string decode(const weft::TokenDecoder& decoder, const std::vector<std::string>& tokens) {
  std::string out;
  weft::DecodeState state;
  for (const std::string& token : tokens) {
    const std::size_t begin = out.size();
    out += token;
    decoder(out, begin, state);
  }
  decoder.end(out, state);
  return out;
}

TEST(TokenDecoder, JoinsWithSpaces) { EXPECT_EQ(decode({.steps = {weft::DecodeJoined{}}}, {"a", "b", ""}), "a b "); }

TEST(TokenDecoder, MakesBytes) {
  const weft::TokenDecoder decoder{.steps = {weft::DecodeByteLevel{}}};
  EXPECT_EQ(decode(decoder, {"Ġa", "Ã", "©", "Ċ"}), " a\u00E9\n");
  EXPECT_EQ(decode(decoder, {"Ġa 한", "Ġ"}), "Ġa 한 ");
  const weft::TokenDecoder fallback{.byte_fallback = true};
  EXPECT_EQ(decode(fallback, {"<0xC3>", "<0xa9>", "<0x4>", "<0xGG>", "<0x41>x"}), "\u00E9<0x4><0xGG><0x41>x");
}

TEST(TokenDecoder, MakesTextOfARunOfBytesOrNone) {
  const weft::TokenDecoder decoder{.byte_fallback = true};
  EXPECT_EQ(decode(decoder, {"a", "<0x41>", "<0xC3>", "", "<0xA9>", "b"}), "a\uFFFD\uFFFD\uFFFDb");
  EXPECT_EQ(decode(decoder, {"<0x41>", "<0xFF>"}), "\uFFFD\uFFFD");
  const weft::TokenDecoder words{.byte_fallback = true, .text_steps = {weft::DecodeMetaspace{}}};
  EXPECT_EQ(decode(words, {"<0xE2>", "<0x96>", "<0x81>", "\u2581a", "<0xE2>", "<0x96>", "<0x81>"}), " a ");
  const weft::TokenDecoder stripped{.byte_fallback = true, .start = weft::TokenDecoder::Start::strip, .stripped = " "};
  EXPECT_EQ(decode(stripped, {"<0x20>", "<0x20>", "a"}), " a");
  EXPECT_EQ(decode(stripped, {"<0x20>", "<0xFF>", " a"}), "\uFFFD\uFFFD a");
}

TEST(TokenDecoder, JoinsWordPieces) {
  EXPECT_EQ(decode({.steps = {weft::DecodeWordPiece{}}}, {"##un", "##able", "to", ".", "n't"}), "##unable to.n't");
  EXPECT_EQ(decode({.steps = {weft::DecodeWordPiece{.cleanup = false}}}, {"a", "."}), "a .");
}

TEST(TokenDecoder, TurnsMarksIntoSpaces) {
  EXPECT_EQ(decode({.steps = {weft::DecodeMetaspace{}}}, {"\u2581a\u2581", "\u2581b", "c"}), "a bc");
  EXPECT_EQ(decode({.steps = {weft::DecodeMetaspace{.prepends = false}}}, {"\u2581a"}), " a");
}

TEST(TokenDecoder, StripsTheBeginningOfTheText) {
  const weft::TokenDecoder decoder{
      .steps = {weft::DecodeReplace{"\u2581", " "}}, .start = weft::TokenDecoder::Start::strip, .stripped = " "};
  EXPECT_EQ(decode(decoder, {"\u2581a", "\u2581b"}), "a b");
  EXPECT_EQ(decode(decoder, {"", "\u2581\u2581a"}), " a");
  EXPECT_EQ(decode(decoder, {"\u2581", "\u2581a"}), " a");
}

TEST(TokenDecoder, JoinsWordsThatEndInASuffix) {
  const weft::TokenDecoder decoder{.start = weft::TokenDecoder::Start::word, .suffix = "</w>"};
  EXPECT_EQ(decode(decoder, {"he", "llo</w>", "you</w>"}), "hello you");
  EXPECT_EQ(decode(decoder, {"a</w>", "b"}), "a b");
}

TEST(TokenDecoder, ReplacesAndStripsTokens) {
  EXPECT_EQ(decode({.steps = {weft::DecodeReplaceMatches{weft::Regex("^#+", "t"), "-"}}}, {"##a#", "#", ""}), "-a#-");
  EXPECT_EQ(decode({.steps = {weft::DecodeStrip{"x", 1, 2}}}, {"xxaxxx", "x", ""}), "xax");
}

}  // namespace
