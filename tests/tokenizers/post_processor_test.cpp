#include <weft/tokenizers/post_processor.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "../formats/temporary_directory.hpp"

namespace {

using testing::HasSubstr;
using Ids = std::vector<weft::TokenId>;
using weft::PostProcessor;
using weft::Truncation;

std::vector<weft::TextToken> text(weft::TokenId first, std::size_t size) {
  std::vector<weft::TextToken> tokens;
  for (std::uint32_t i = 0; i < size; ++i)
    tokens.push_back({first + static_cast<weft::TokenId>(i), {2 * i, 2 * i + 1}, i, 0, 0});
  return tokens;
}

PostProcessor bert() {
  PostProcessor processor;
  const auto cls = PostProcessor::added({101});
  const auto sep = PostProcessor::added({102});
  processor.single = {cls, {PostProcessor::Piece::Kind::first}, sep};
  processor.pair = {cls,
                    {PostProcessor::Piece::Kind::first},
                    sep,
                    {PostProcessor::Piece::Kind::second, {}, 1},
                    PostProcessor::added({102}, 1)};
  return processor;
}

weft::Encoding build(std::size_t first, std::size_t second, const weft::TokenizeOptions& options) {
  const PostProcessor processor = bert();
  const auto b = text(20, second);
  return weft::EncodingBuilder(processor, options).build(text(0, first), second ? &b : nullptr);
}

TEST(PostProcessor, PutsTokensAroundTexts) {
  const weft::Encoding encoding = build(2, 1, {});
  EXPECT_EQ(encoding.ids, (Ids{101, 0, 1, 102, 20, 102}));
  EXPECT_EQ(encoding.type_ids, (std::vector<std::int32_t>{0, 0, 0, 0, 1, 1}));
  EXPECT_EQ(encoding.special_tokens_mask, (std::vector<char>{1, 0, 0, 1, 0, 1}));
  EXPECT_EQ(encoding.attention_mask, (std::vector<char>(6, 1)));
  EXPECT_EQ(encoding.offsets[2], (weft::TextRange{2, 3}));
  EXPECT_EQ(encoding.words[3], std::nullopt);
  EXPECT_EQ(build(2, 1, {.add_special_tokens = false}).ids, (Ids{0, 1, 20}));
}

TEST(PostProcessor, TruncatesOneText) {
  const weft::TokenizeOptions options{.max_length = 5, .truncation = Truncation::longest_first, .stride = 1};
  const weft::Encoding encoding = build(7, 0, options);
  EXPECT_EQ(encoding.ids, (Ids{101, 0, 1, 2, 102}));
  ASSERT_EQ(encoding.overflowing.size(), 2u);
  EXPECT_EQ(encoding.overflowing[0].ids, (Ids{101, 2, 3, 4, 102}));
  EXPECT_EQ(encoding.overflowing[1].ids, (Ids{101, 4, 5, 6, 102}));
  EXPECT_TRUE(build(3, 0, options).overflowing.empty());

  weft::TokenizeOptions left = options;
  left.truncation_side = weft::Side::left;
  EXPECT_EQ(build(6, 0, left).ids, (Ids{101, 3, 4, 5, 102}));
  EXPECT_EQ(build(6, 0, left).overflowing.back().ids, (Ids{101, 0, 1, 102}));
}

// The types of a template are those of what is kept (tokenizers 0.23).
TEST(PostProcessor, WhatIsCutOffMayHaveAnotherType) {
  PostProcessor processor = bert();
  processor.pair[3].type_id = 2;
  processor.pair[3].rest_type_id = 1;
  const auto a = text(0, 2), b = text(20, 4);
  const weft::Encoding encoding =
      weft::EncodingBuilder(processor, {.max_length = 7, .truncation = Truncation::only_second}).build(a, &b);
  EXPECT_EQ(encoding.type_ids, (std::vector<std::int32_t>{0, 0, 0, 0, 2, 2, 1}));
  ASSERT_EQ(encoding.overflowing.size(), 1u);
  EXPECT_EQ(encoding.overflowing[0].type_ids, (std::vector<std::int32_t>{0, 0, 0, 0, 1, 1, 1}));
}

// What Hugging Face's truncation gives (tokenizers 0.23): lengths of the first and the second text.
TEST(PostProcessor, TruncatesPairsByStrategy) {
  const auto sizes = [](std::size_t first, std::size_t second, std::size_t max_length, Truncation truncation) {
    const weft::Encoding encoding = build(first, second, {.max_length = max_length, .truncation = truncation});
    std::size_t kept_first = 0, kept_second = 0;
    for (const weft::TokenId id : encoding.ids) (id < 20 ? kept_first : kept_second) += id < 100 ? 1 : 0;
    return std::tuple(kept_first, kept_second);
  };
  using T = std::tuple<std::size_t, std::size_t>;
  EXPECT_EQ(sizes(5, 5, 11, Truncation::longest_first), T(4, 4));
  EXPECT_EQ(sizes(5, 5, 12, Truncation::longest_first), T(4, 5));
  EXPECT_EQ(sizes(9, 2, 11, Truncation::longest_first), T(6, 2));
  EXPECT_EQ(sizes(2, 9, 11, Truncation::longest_first), T(2, 6));
  EXPECT_EQ(sizes(9, 4, 10, Truncation::longest_first), T(4, 3));
  EXPECT_EQ(sizes(9, 2, 11, Truncation::only_first), T(6, 2));
  EXPECT_EQ(sizes(2, 9, 11, Truncation::only_second), T(2, 6));
  EXPECT_EQ(sizes(2, 2, 3, Truncation::longest_first), T(0, 0));
}

TEST(PostProcessor, CombinesTheRestsOfBothTexts) {
  const weft::Encoding encoding =
      build(3, 3, {.add_special_tokens = false, .max_length = 4, .truncation = Truncation::longest_first});
  EXPECT_EQ(encoding.ids, (Ids{0, 1, 20, 21}));
  ASSERT_EQ(encoding.overflowing.size(), 3u);
  EXPECT_EQ(encoding.overflowing[0].ids, (Ids{2, 20, 21}));
  EXPECT_EQ(encoding.overflowing[1].ids, (Ids{2, 22}));
  EXPECT_EQ(encoding.overflowing[2].ids, (Ids{0, 1, 22}));
}

TEST(PostProcessor, EveryTokenIsKeptOrOverflows) {
  for (std::size_t size = 0; size < 30; ++size)
    for (std::size_t length = 3; length < 12; ++length)
      for (std::size_t stride = 0; stride < length - 2; ++stride)
        for (const weft::Side side : {weft::Side::left, weft::Side::right}) {
          const weft::Encoding encoding = build(size, 0,
                                                {.max_length = length,
                                                 .truncation = Truncation::longest_first,
                                                 .truncation_side = side,
                                                 .stride = stride});
          std::vector<int> seen(size);
          const auto count = [&](const weft::Encoding& part) {
            EXPECT_LE(part.size(), length);
            for (const weft::TokenId id : part.ids)
              if (id < 100) ++seen[static_cast<std::size_t>(id)];
          };
          count(encoding);
          for (const weft::Encoding& part : encoding.overflowing) count(part);
          EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), 0) << size << " " << length << " " << stride;
        }
}

TEST(PostProcessor, SaysWhatCannotBeTruncated) {
  const auto error = [](std::size_t first, std::size_t second, const weft::TokenizeOptions& options) {
    return weft_tests::message_of<weft::ConfigError>([&] { build(first, second, options); });
  };
  EXPECT_THAT(error(5, 0, {.max_length = 1, .truncation = Truncation::only_first}), HasSubstr("2 added tokens"));
  EXPECT_THAT(error(5, 0, {.max_length = 4, .truncation = Truncation::only_second}), HasSubstr("there is none"));
  EXPECT_THAT(error(2, 9, {.max_length = 6, .truncation = Truncation::only_first}), HasSubstr("2 tokens"));
  EXPECT_THAT(error(9, 0, {.max_length = 5, .truncation = Truncation::only_first, .stride = 3}), HasSubstr("stride"));
}

TEST(PostProcessor, TrimsOffsetsOfByteLevelTokens) {
  PostProcessor processor;
  processor.trim_offsets = true;
  const auto counts = weft::detail::count_outer_spaces("ĠĠa\u00E9 \u3000");
  EXPECT_EQ(counts, (std::pair<std::uint32_t, std::uint32_t>(2, 2)));
  const std::vector<weft::TextToken> tokens{{1, {0, 3}, 0, 1, 0}, {2, {3, 6}, 1, 1, 1}, {3, {6, 8}, 2, 2, 2}};
  const auto offsets = [&](bool prefix) {
    processor.add_prefix_space = prefix;
    return weft::EncodingBuilder(processor, {}).build(tokens, nullptr).offsets;
  };
  EXPECT_EQ(offsets(false), (std::vector<weft::TextRange>{{1, 3}, {4, 5}, {8, 8}}));
  EXPECT_EQ(offsets(true), (std::vector<weft::TextRange>{{0, 3}, {4, 5}, {8, 8}}));
}

TEST(Padding, FillsBatches) {
  std::vector<weft::Encoding> batch{build(1, 0, {}), build(4, 0, {})};
  weft::TokenizeOptions options{.padding = weft::Padding::longest, .pad_to_multiple_of = 4};
  weft::pad_encodings(batch, 7, options);
  EXPECT_EQ(batch[0].ids, (Ids{101, 0, 102, 7, 7, 7, 7, 7}));
  EXPECT_EQ(batch[0].attention_mask, (std::vector<char>{1, 1, 1, 0, 0, 0, 0, 0}));
  EXPECT_EQ(batch[0].special_tokens_mask, (std::vector<char>{1, 0, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(batch[1].size(), 8u);
  EXPECT_EQ(batch[1].words.size(), 8u);
  EXPECT_EQ(batch[1].offsets.size(), 8u);

  batch = {build(9, 0, {.max_length = 5, .truncation = Truncation::only_first})};
  options = {.max_length = 6, .padding = weft::Padding::max_length, .padding_side = weft::Side::left};
  weft::pad_encodings(batch, 7, options);
  EXPECT_EQ(batch[0].ids, (Ids{7, 101, 0, 1, 2, 102}));
  EXPECT_EQ(batch[0].overflowing[1].ids, (Ids{7, 101, 6, 7, 8, 102}));
  EXPECT_THROW(weft::pad_encodings(batch, std::nullopt, options), weft::ConfigError);
}

}  // namespace
