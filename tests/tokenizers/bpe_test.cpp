#include <weft/tokenizers/bpe.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../formats/temporary_directory.hpp"

namespace {

using testing::HasSubstr;
using Ids = std::vector<weft::TokenId>;
using Pairs = std::vector<std::pair<std::string_view, std::string_view>>;

weft::Vocabulary vocabulary(const std::vector<std::string>& tokens) {
  weft::Vocabulary out(tokens.size(), "test.json");
  for (std::size_t i = 0; i < tokens.size(); ++i) out.add(tokens[i], static_cast<std::int64_t>(i));
  return out;
}

weft::BpeModel model(const std::vector<std::string>& tokens, const Pairs& pairs, weft::BpeOptions options = {}) {
  weft::Vocabulary words = vocabulary(tokens);
  const auto merges = weft::resolve_merges(words, pairs, options.continuing_subword_prefix);
  return {std::move(words), merges, std::move(options)};
}

std::vector<weft::Subword> encode(const weft::SubwordModel& model, std::string_view word) {
  std::vector<weft::Subword> out;
  model.encode(word, std::vector<weft::PreToken>{{{0, static_cast<std::uint32_t>(word.size())}}}, out);
  return out;
}
Ids ids(const weft::SubwordModel& model, std::string_view word) {
  Ids out;
  for (const weft::Subword& token : encode(model, word)) out.push_back(token.id);
  return out;
}

TEST(Bpe, MergesTheLowestRankFirstAndOfThoseTheLeftmost) {
  const auto bpe = model({"a", "b", "c", "ab", "bc", "abc", "aa"}, {{"b", "c"}, {"a", "b"}, {"a", "bc"}, {"a", "a"}});
  EXPECT_EQ(ids(bpe, "abc"), (Ids{5}));
  EXPECT_EQ(ids(bpe, "ab"), (Ids{3}));
  EXPECT_EQ(ids(bpe, "aaa"), (Ids{6, 0}));
  EXPECT_EQ(ids(bpe, "aaab"), (Ids{6, 3}));
  EXPECT_EQ(ids(bpe, ""), Ids{});
}

// A byte-level vocabulary with random merges, and a token that is no UTF-8.
weft::BpeModel byte_level_model(std::mt19937& random, weft::BpeOptions options) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(weft::to_byte_level(std::string(1, static_cast<char>(byte))));
  std::vector<std::pair<std::string, std::string>> pairs;
  const std::vector<std::string> some{tokens['a'], tokens['b'], tokens[' '], tokens[0xC3], tokens[0xA9]};
  std::vector<std::string> parts = some;
  while (pairs.size() < 60) {
    const std::string left = parts[random() % parts.size()], right = parts[random() % parts.size()];
    if (std::count(tokens.begin(), tokens.end(), left + right) > 0) continue;
    pairs.emplace_back(left, right);
    tokens.push_back(left + right);
    parts.push_back(left + right);
  }
  tokens.push_back("\xE2");
  tokens.push_back("\u4E00");
  return model(tokens, Pairs(pairs.begin(), pairs.end()), std::move(options));
}

TEST(Bpe, EncodesBytesAsTheirSpelling) {
  std::mt19937 random(11);
  for (const bool ignore_merges : {false, true}) {
    const weft::BpeModel bpe = byte_level_model(random, {.ignore_merges = ignore_merges});
    ASSERT_TRUE(bpe.encodes_bytes());
    for (int i = 0; i < 2000; ++i) {
      std::string text;
      for (std::size_t letters = 1 + random() % 80; letters > 0; --letters)
        text += std::vector<std::string>{"a", "b", " ", "\u00E9"}[random() % 4];
      std::vector<weft::Subword> found;
      bpe.encode_bytes(text, std::vector<weft::PreToken>{{{0, static_cast<std::uint32_t>(text.size())}}}, found);
      std::vector<weft::Subword> expected = encode(bpe, weft::to_byte_level(text));
      std::uint32_t begin = 0;
      for (weft::Subword& token : expected) {
        const auto bytes = static_cast<std::uint32_t>(weft::count_characters(bpe.vocabulary().token(token.id)));
        token.range = {begin, begin + bytes};
        begin += bytes;
      }
      ASSERT_EQ(found, expected) << text;
    }
  }
  EXPECT_FALSE(model({"a", "b"}, {}).encodes_bytes());
}

TEST(Bpe, TakesAWholeWordWithoutMergesWhereAsked) {
  EXPECT_EQ(ids(model({"a", "b", "ab"}, {}), "ab"), (Ids{0, 1}));
  EXPECT_EQ(ids(model({"a", "b", "ab"}, {}, {.ignore_merges = true}), "ab"), (Ids{2}));
}

TEST(Bpe, TreatsUnknownCharactersAsAsked) {
  const std::vector<std::string> tokens{"a", "?", "<0xC3>", "<0xA9>"};
  EXPECT_EQ(ids(model(tokens, {}), "a\u00E9\u00E8a"), (Ids{0, 0}));
  EXPECT_EQ(ids(model(tokens, {}, {.unk_token = "?"}), "a\u00E9\u00E8a"), (Ids{0, 1, 1, 0}));
  const auto fused = model(tokens, {}, {.unk_token = "?", .fuse_unk = true});
  EXPECT_EQ(ids(fused, "a\u00E9\u00E8a"), (Ids{0, 1, 0}));
  EXPECT_EQ(encode(fused, "a\u00E9\u00E8a")[1].range, (weft::TextRange{1, 5}));
  const auto bytes = model(tokens, {}, {.unk_token = "?", .byte_fallback = true});
  EXPECT_EQ(ids(bytes, "\u00E9a\u00E8"), (Ids{2, 3, 0, 1}));
  EXPECT_THAT(weft_tests::message_of<weft::TokenizerError>([&] { ids(model(tokens, {}, {.unk_token = "none"}), "x"); }),
              HasSubstr("\"none\""));
}

TEST(Bpe, SpellsPrefixAndSuffix) {
  const auto bpe = model({"a", "##b", "##b</w>", "ab</w>", "a</w>"}, {{"a", "##b</w>"}},
                         {.continuing_subword_prefix = "##", .end_of_word_suffix = "</w>"});
  EXPECT_EQ(ids(bpe, "ab"), (Ids{3}));
  EXPECT_EQ(ids(bpe, "abb"), (Ids{0, 1, 2}));
  EXPECT_EQ(ids(bpe, "a"), (Ids{4}));
  EXPECT_EQ(encode(bpe, "ab")[0].range, (weft::TextRange{0, 2}));
}

TEST(Bpe, NamesATokenThatIsMissing) {
  for (const Pairs& pairs : {Pairs{{"x", "a"}}, Pairs{{"a", "x"}}, Pairs{{"a", "a"}}})
    EXPECT_THAT(weft_tests::message_of<weft::FormatError>([&] { model({"a"}, pairs); }),
                testing::AllOf(HasSubstr("test.json"), HasSubstr("merge 0"), HasSubstr("not in the vocabulary")));
}

// The definition, merge by merge over the whole word.
Ids merged_plainly(const std::vector<weft::BpeMerge>& merges, Ids word) {
  std::map<std::pair<weft::TokenId, weft::TokenId>, weft::BpeMerge> table;
  for (const weft::BpeMerge& merge : merges) table[{merge.left, merge.right}] = merge;
  for (;;) {
    std::size_t best = word.size();
    std::uint32_t rank = std::numeric_limits<std::uint32_t>::max();
    for (std::size_t i = 0; i + 1 < word.size(); ++i) {
      const auto found = table.find({word[i], word[i + 1]});
      if (found != table.end() && found->second.rank < rank) rank = found->second.rank, best = i;
    }
    if (best == word.size()) return word;
    word[best] = table[{word[best], word[best + 1]}].joined;
    word.erase(word.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(Bpe, AgreesWithTheDefinitionOnShortAndLongWords) {
  std::mt19937 random(17);
  for (int round = 0; round < 60; ++round) {
    std::vector<std::string> tokens{"a", "b", "c", "\u2581", "\u00E9"};
    Pairs pairs;
    const bool across_spaces = round % 2 == 0;
    std::vector<std::pair<std::string, std::string>> spelled;
    while (tokens.size() < 60) {
      const std::string left = tokens[random() % tokens.size()];
      const std::string right = tokens[random() % tokens.size()];
      if (!across_spaces && !left.ends_with("\u2581") && right.starts_with("\u2581")) continue;
      if (left.size() + right.size() > 24 || std::count(tokens.begin(), tokens.end(), left + right)) continue;
      tokens.push_back(left + right);
      spelled.emplace_back(left, right);
    }
    std::shuffle(spelled.begin(), spelled.end(), random);
    for (const auto& [left, right] : spelled) pairs.emplace_back(left, right);
    const weft::Vocabulary words = vocabulary(tokens);
    const auto merges = weft::resolve_merges(words, pairs);
    const weft::BpeModel bpe(vocabulary(tokens), merges, {});
    for (int i = 0; i < 40; ++i) {
      Ids characters(random() % (i % 4 == 0 ? 300 : 30));
      std::string word;
      for (weft::TokenId& id : characters) {
        id = static_cast<weft::TokenId>(random() % 5);
        word += tokens[static_cast<std::size_t>(id)];
      }
      for (int again = 0; again < 2; ++again) EXPECT_EQ(ids(bpe, word), merged_plainly(merges, characters)) << word;
      std::uint32_t end = 0;
      for (const weft::Subword& token : encode(bpe, word)) {
        EXPECT_EQ(token.range.begin, end);
        EXPECT_EQ(word.substr(end, token.range.end - end), words.token(token.id));
        end = token.range.end;
      }
      EXPECT_EQ(end, word.size());
    }
  }
}

TEST(Bpe, LeavesTokensThatWereFoundAlone) {
  const auto bpe = model({"a", "b"}, {});
  std::vector<weft::Subword> out;
  bpe.encode("axxb", std::vector<weft::PreToken>{{{0, 1}}, {{1, 3}, 77}, {{3, 4}}}, out);
  EXPECT_EQ(out, (std::vector<weft::Subword>{{0, {0, 1}, 0}, {77, {1, 3}, 1}, {1, {3, 4}, 2}}));
}

TEST(Bpe, RanksJoinsByTheScoreOfWhatTheyGive) {
  const weft::Vocabulary words = vocabulary({"<s>", "a", "b", "ab", "ba", "aba"});
  const float none = -std::numeric_limits<float>::infinity();
  const auto merges = weft::merges_from_scores(words, std::vector<float>{none, 0, 0, -2, -1, -3});
  const weft::BpeModel bpe(vocabulary({"<s>", "a", "b", "ab", "ba", "aba"}), merges, {});
  EXPECT_EQ(ids(bpe, "ab"), (Ids{3}));
  EXPECT_EQ(ids(bpe, "aba"), (Ids{5}));
  EXPECT_EQ(ids(bpe, "abab"), (Ids{5, 2}));
  EXPECT_EQ(merges.size(), 4u);
}

}  // namespace
