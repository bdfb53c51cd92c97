#include <weft/tokenizers/unigram.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../formats/temporary_directory.hpp"

namespace {

using Ids = std::vector<weft::TokenId>;
using Pieces = std::vector<std::pair<std::string, double>>;

weft::UnigramModel model(const Pieces& pieces, std::optional<weft::TokenId> unk = 0, bool bytes = false) {
  weft::Vocabulary words(pieces.size(), "spiece.model");
  std::vector<double> scores;
  for (const auto& [piece, score] : pieces) {
    words.add(piece, static_cast<std::int64_t>(scores.size()));
    scores.push_back(score);
  }
  return {std::move(words), std::move(scores), unk, bytes};
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

TEST(Unigram, FindsTheBestSum) {
  const auto unigram = model({{"<unk>", 0}, {"a", -1}, {"b", -1}, {"ab", -1.5}, {"abc", -9}, {"c", -1}, {"bc", -1.2}});
  EXPECT_EQ(ids(unigram, "ab"), (Ids{3}));
  EXPECT_EQ(ids(unigram, "abc"), (Ids{1, 6}));
  EXPECT_EQ(ids(unigram, "abab"), (Ids{3, 3}));
  EXPECT_EQ(ids(unigram, ""), Ids{});
}

TEST(Unigram, JoinsUnknownCharacters) {
  const auto unigram = model({{"<unk>", 0}, {"a", -1}});
  EXPECT_EQ(ids(unigram, "xya\u00E9z"), (Ids{0, 1, 0}));
  EXPECT_EQ(encode(unigram, "xya\u00E9z")[2].range, (weft::TextRange{3, 6}));
}

TEST(Unigram, SpellsUnknownCharactersInBytes) {
  const Pieces pieces{{"<unk>", 0}, {"a", -1}, {"<0x78>", -5}, {"<0x79>", -5}};
  EXPECT_EQ(ids(model(pieces, 0, true), "xya"), (Ids{2, 3, 1}));
  EXPECT_EQ(encode(model(pieces, 0, true), "xya")[1].range, (weft::TextRange{0, 2}));
  EXPECT_EQ(ids(model(pieces, 0, true), "xza"), (Ids{0, 1}));
  EXPECT_EQ(ids(model(pieces, 0, false), "xya"), (Ids{0, 1}));
}

TEST(Unigram, RefusesWhatContradictsItself) {
  const auto error = [](const Pieces& pieces, std::optional<weft::TokenId> unk) {
    return weft_tests::message_of<weft::FormatError>([&] { model(pieces, unk); });
  };
  EXPECT_THAT(error({{"a", 0}}, 1), testing::HasSubstr("unk_id is 1"));
  EXPECT_THAT(error({{"a", std::numeric_limits<double>::quiet_NaN()}}, 0), testing::HasSubstr("no finite score"));
  EXPECT_THAT(error({{"a", -std::numeric_limits<double>::infinity()}}, 0), testing::HasSubstr("no finite score"));
}

TEST(Unigram, AgreesWithTryingEverySegmentation) {
  std::mt19937 random(9);
  for (int round = 0; round < 40; ++round) {
    Pieces pieces{{"<unk>", 0}, {"a", -3}, {"b", -3.5}};
    for (int i = 0; i < 15; ++i) {
      std::string piece;
      for (std::size_t size = 2 + random() % 3; size > 0; --size) piece += static_cast<char>('a' + random() % 2);
      pieces.emplace_back(piece, -4.0 - static_cast<double>(random() % 1000) / 100);
    }
    const auto unigram = model(pieces);
    for (int i = 0; i < 40; ++i) {
      std::string word(1 + random() % 10, ' ');
      for (char& c : word) c = static_cast<char>('a' + random() % 2);
      double best = -std::numeric_limits<double>::infinity();
      for (unsigned cuts = 0; cuts < 1u << (word.size() - 1); ++cuts) {
        double sum = 0;
        std::size_t begin = 0;
        for (std::size_t end = 1; end <= word.size(); ++end) {
          if (end < word.size() && !(cuts >> (end - 1) & 1u)) continue;
          const auto id = unigram.vocabulary().find(word.substr(begin, end - begin));
          sum += id ? pieces[static_cast<std::size_t>(*id)].second : -1e9;
          begin = end;
        }
        best = std::max(best, sum);
      }
      double found = 0;
      std::string joined;
      for (const weft::TokenId id : ids(unigram, word)) {
        found += pieces[static_cast<std::size_t>(id)].second;
        joined += unigram.vocabulary().token(id);
      }
      EXPECT_EQ(joined, word);
      EXPECT_NEAR(found, best, 1e-9) << word;
    }
  }
}

}  // namespace
