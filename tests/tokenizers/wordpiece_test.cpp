#include <weft/tokenizers/wordpiece.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "../formats/temporary_directory.hpp"

namespace {

using Ids = std::vector<weft::TokenId>;

weft::Vocabulary vocabulary(const std::vector<std::string>& tokens) {
  weft::Vocabulary out(tokens.size(), "vocab.txt");
  for (std::size_t i = 0; i < tokens.size(); ++i) out.add(tokens[i], static_cast<std::int64_t>(i));
  return out;
}

Ids ids(const weft::SubwordModel& model, std::string_view word) {
  std::vector<weft::Subword> out;
  model.encode(word, std::vector<weft::PreToken>{{{0, static_cast<std::uint32_t>(word.size())}}}, out);
  Ids ids;
  for (const weft::Subword& token : out) ids.push_back(token.id);
  return ids;
}

TEST(WordPiece, TakesTheLongestTokenFromTheLeft) {
  const weft::WordPieceModel model(vocabulary({"[UNK]", "un", "##able", "##aff", "unaff", "##ab", "##le", "##"}), {});
  EXPECT_EQ(ids(model, "unable"), (Ids{1, 2}));
  EXPECT_EQ(ids(model, "unaffable"), (Ids{4, 2}));
  EXPECT_EQ(ids(model, "unab"), (Ids{1, 5}));
  EXPECT_EQ(ids(model, "able"), (Ids{0}));
  EXPECT_EQ(ids(model, "unabx"), (Ids{0}));
}

TEST(WordPiece, CallsLongWordsUnknown) {
  const weft::WordPieceModel model(vocabulary({"[UNK]", "\u00E9", "##\u00E9"}), {.max_input_chars_per_word = 3});
  EXPECT_EQ(ids(model, "\u00E9\u00E9\u00E9"), (Ids{1, 2, 2}));
  EXPECT_EQ(ids(model, "\u00E9\u00E9\u00E9\u00E9"), (Ids{0}));
}

TEST(WordPiece, SaysWhenThereIsNoUnknownToken) {
  const weft::WordPieceModel model(vocabulary({"a"}), {.unk_token = "?"});
  EXPECT_EQ(ids(model, "a"), (Ids{0}));
  EXPECT_THAT(weft_tests::message_of<weft::TokenizerError>([&] { ids(model, "b"); }),
              testing::AllOf(testing::HasSubstr("vocab.txt"), testing::HasSubstr("\"b\"")));
}

TEST(WordPiece, AgreesWithTheDefinition) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::string> tokens{"[UNK]"};
    for (int i = 0; i < 30; ++i) {
      std::string token = random() % 2 ? "##" : "";
      for (std::size_t size = 1 + random() % 4; size > 0; --size) token += static_cast<char>('a' + random() % 3);
      if (std::find(tokens.begin(), tokens.end(), token) == tokens.end()) tokens.push_back(token);
    }
    const weft::Vocabulary words = vocabulary(tokens);
    const weft::WordPieceModel model(vocabulary(tokens), {});
    for (int i = 0; i < 60; ++i) {
      std::string word;
      for (std::size_t size = 1 + random() % 12; size > 0; --size) word += static_cast<char>('a' + random() % 3);
      Ids expected;
      for (std::size_t at = 0; at < word.size();) {
        std::size_t end = word.size();
        const auto find = [&] { return words.find((at ? "##" : "") + word.substr(at, end - at)); };
        while (end > at && !find()) --end;
        if (end == at) {
          expected = {0};
          break;
        }
        expected.push_back(*find());
        at = end;
      }
      EXPECT_EQ(ids(model, word), expected) << word;
    }
  }
}

TEST(WordLevel, KnowsWholeWords) {
  const weft::WordLevelModel model(vocabulary({"?", "fox", ""}), "?");
  EXPECT_EQ(ids(model, "fox"), (Ids{1}));
  EXPECT_EQ(ids(model, "foxes"), (Ids{0}));
  EXPECT_THROW(ids(weft::WordLevelModel(vocabulary({"fox"}), "?"), "x"), weft::TokenizerError);
}

}  // namespace
