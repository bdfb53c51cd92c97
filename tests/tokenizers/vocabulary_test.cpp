#include <weft/tokenizers/vocabulary.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../formats/temporary_directory.hpp"

namespace {

TEST(Vocabulary, FindsBySpellingAndById) {
  weft::Vocabulary words(3, "file");
  words.add("a", 0);
  words.add("", 5);
  words.add("\u00E9", 2);
  EXPECT_EQ(words.find("a"), 0);
  EXPECT_EQ(words.find(""), 5);
  EXPECT_EQ(words.find("b"), std::nullopt);
  EXPECT_EQ(words.token(2), "\u00E9");
  EXPECT_EQ(words.token(1), "");
  EXPECT_TRUE(words.contains(5));
  EXPECT_FALSE(words.contains(1));
  EXPECT_FALSE(words.contains(-1));
  EXPECT_FALSE(words.contains(6));
  EXPECT_EQ(words.size(), 3u);
  EXPECT_EQ(words.end_id(), 6u);
  EXPECT_EQ(weft::Vocabulary().find("a"), std::nullopt);
}

TEST(Vocabulary, TakesTwoSpellingsOfAnIdAndTwoIdsOfASpelling) {
  weft::Vocabulary words(4, "file");
  words.add("tab", 0);
  words.add("\t", 0);
  words.add("x", 1);
  words.add("x", 2);
  EXPECT_EQ(words.find("\t"), 0);
  EXPECT_EQ(words.token(0), "tab");
  EXPECT_EQ(words.find("x"), 2);
  EXPECT_EQ(words.token(1), "x");
  std::vector<std::pair<std::string, weft::TokenId>> all;
  words.for_each([&](std::string_view token, weft::TokenId id) { all.emplace_back(token, id); });
  EXPECT_EQ(all.size(), 4u);
}

TEST(Vocabulary, GrowsPastWhatWasExpected) {
  weft::Vocabulary words(0, "file");
  for (std::int64_t i = 0; i < 5000; ++i) words.add("token " + std::to_string(i), i);
  for (std::int64_t i = 0; i < 5000; ++i) EXPECT_EQ(words.find("token " + std::to_string(i)), i);
  EXPECT_EQ(words.find("token 5000"), std::nullopt);
}

TEST(Vocabulary, RefusesIdsFarBeyondItsSize) {
  weft::Vocabulary words(2, "file");
  for (const std::int64_t id : {std::int64_t{-1}, std::int64_t{1} << 30, std::int64_t{1} << 40})
    EXPECT_THAT(weft_tests::message_of<weft::FormatError>([&] { words.add("a", id); }),
                testing::AllOf(testing::HasSubstr("file"), testing::HasSubstr(std::to_string(id))));
}

TEST(Vocabulary, SpellsBytes) {
  EXPECT_EQ(weft::spell_byte(0x0A), "<0x0A>");
  EXPECT_EQ(weft::spell_byte(0xFE), "<0xFE>");
}

}  // namespace
