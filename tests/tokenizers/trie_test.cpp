#include <weft/tokenizers/trie.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using Found = std::vector<std::pair<std::size_t, std::uint32_t>>;

Found prefixes(const weft::Trie& trie, std::string_view text) {
  Found found;
  trie.for_each_prefix(text, [&](std::size_t bytes, std::uint32_t value) { found.emplace_back(bytes, value); });
  return found;
}

TEST(Trie, FindsWhatATextBeginsWith) {
  const weft::Trie trie({{"ab", 1}, {"a", 0}, {"abc", 2}, {"b", 3}, {"", 4}, {"a", 5}});
  EXPECT_EQ(prefixes(trie, "abd"), (Found{{1, 5}, {2, 1}}));
  EXPECT_EQ(prefixes(trie, "c"), Found{});
  EXPECT_EQ(prefixes(trie, ""), Found{});
  EXPECT_EQ(trie.longest_prefix("abcd"), (std::pair<std::size_t, std::uint32_t>(3, 2)));
  EXPECT_EQ(trie.longest_prefix("x").first, 0u);
  EXPECT_FALSE(trie.empty());
  EXPECT_TRUE(weft::Trie().empty());
  EXPECT_EQ(prefixes(weft::Trie(), "a"), Found{});
}

TEST(Trie, AgreesWithASearchThroughAllKeys) {
  std::mt19937 random(2);
  for (int round = 0; round < 50; ++round) {
    std::map<std::string, std::uint32_t> keys;
    for (std::uint32_t i = 0; i < 200; ++i) {
      std::string key(1 + random() % 5, '\0');
      for (char& c : key) c = static_cast<char>(round % 2 ? random() : 'a' + random() % 3);
      keys[key] = i;
    }
    std::vector<weft::Trie::Entry> entries;
    for (const auto& [key, value] : keys) entries.push_back({key, value});
    std::shuffle(entries.begin(), entries.end(), random);
    const weft::Trie trie(entries);
    for (int i = 0; i < 200; ++i) {
      std::string text(random() % 8, '\0');
      for (char& c : text) c = static_cast<char>(round % 2 ? random() : 'a' + random() % 3);
      Found expected;
      for (std::size_t bytes = 1; bytes <= text.size(); ++bytes)
        if (const auto found = keys.find(text.substr(0, bytes)); found != keys.end())
          expected.emplace_back(bytes, found->second);
      EXPECT_EQ(prefixes(trie, text), expected);
    }
  }
}

}  // namespace
