#include <weft/tokenizers/word_table.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

TEST(WordTable, FindsWhatWasPutIn) {
  std::mt19937 random(3);
  std::map<std::string, weft::TokenId> expected;
  std::vector<std::string> all;
  for (int i = 0; i < 20000; ++i) {
    std::string word(1 + random() % 20, 'a');
    for (char& c : word) c = static_cast<char>(random() % 2 == 0 ? random() % 3 : 'a' + random() % 3);
    all.push_back(word);
    if (i % 2 == 0) expected[word] = i;
  }
  std::vector<std::pair<std::string_view, weft::TokenId>> words;
  for (std::size_t i = 0; i < all.size(); i += 2) words.emplace_back(all[i], static_cast<weft::TokenId>(i));
  const weft::WordTable table(words);
  for (const std::string& word : all) {
    const auto found = expected.find(word);
    ASSERT_EQ(table.find(word), found == expected.end() ? weft::WordTable::none : found->second)
        << testing::PrintToString(word);
  }
}

TEST(WordTable, TellsWordsOfEqualEndsApart) {
  const weft::WordTable table({{"abcdefgh", 1}, {"abcdefghabcdefgh", 2}, {"a", 3}, {"aa", 4}, {"", 5}});
  EXPECT_EQ(table.find("abcdefgh"), 1);
  EXPECT_EQ(table.find("abcdefghabcdefgh"), 2);
  EXPECT_EQ(table.find("a"), 3);
  EXPECT_EQ(table.find("aa"), 4);
  for (const char* word : {"aaa", "aaaa", "abcdefghh", "abcdefgh abcdefgh"})
    EXPECT_EQ(table.find(word), weft::WordTable::none) << word;
  EXPECT_EQ(weft::WordTable({}).find("a"), weft::WordTable::none);
}

}  // namespace
