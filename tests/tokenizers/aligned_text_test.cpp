#include <weft/tokenizers/aligned_text.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

TEST(AlignedText, RepairsWhatIsNoText) {
  const weft::AlignedText text("a\xFF\xE2\x82z");
  EXPECT_EQ(text.text(), "a\uFFFD\uFFFD\uFFFDz");
  EXPECT_EQ(text.origin(1), (weft::TextRange{1, 2}));
  EXPECT_EQ(text.origin(4), (weft::TextRange{2, 3}));
  EXPECT_EQ(text.origin(weft::TextRange{1, 11}), (weft::TextRange{1, 5}));
}

TEST(AlignedText, PartsKnowWhereTheyComeFrom) {
  const weft::AlignedText text("ab\u00E9cd");
  weft::AlignedText part = text.slice({2, 5});
  EXPECT_EQ(part.text(), "\u00E9c");
  part.prepend("_");
  EXPECT_EQ(part.origin(0), (weft::TextRange{2, 4}));
  EXPECT_EQ(part.origin(3), (weft::TextRange{4, 5}));
}

TEST(AlignedText, RewritesCharacterByCharacter) {
  weft::AlignedText text("ab\u00E9d");
  text.rewrite(std::vector<weft::CharacterChange>{{U'b', 0}, {U'x', 1}, {U'y', -1}}, 1);
  EXPECT_EQ(text.text(), "bxy");
  EXPECT_EQ(text.origin(0), (weft::TextRange{1, 2}));
  EXPECT_EQ(text.origin(1), (weft::TextRange{1, 2}));
  EXPECT_EQ(text.origin(2), (weft::TextRange{2, 4}));
}

TEST(AlignedText, ReplacesRanges) {
  weft::AlignedText text("abcd");
  text.replace(std::vector<weft::TextRange>{{0, 0}, {1, 3}}, "\u00E9");
  EXPECT_EQ(text.text(), "\u00E9a\u00E9d");
  EXPECT_EQ(text.origin(0), (weft::TextRange{0, 0}));
  EXPECT_EQ(text.origin(3), (weft::TextRange{2, 3}));
  EXPECT_EQ(text.origin(5), (weft::TextRange{3, 4}));
}

}  // namespace
