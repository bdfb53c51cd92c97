#include <weft/tokenizers/piece_vocabulary.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <weft/tokenizers/load_tokenizer.hpp>
#include <weft/tokenizers/stream_decoder.hpp>

#include "../formats/temporary_directory.hpp"

// The tokenizers of tests/fixtures/piece_vocabulary and what the reference implementation made of some texts.
namespace {

using namespace weft;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using weft_tests::message_of;

std::filesystem::path directory(const std::string& name) {
  return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "piece_vocabulary" / name;
}

class PieceVocabularies : public ::testing::TestWithParam<std::string> {
 protected:
  std::shared_ptr<const Tokenizer> tokenizer = load_tokenizer(directory(GetParam()));
  nlohmann::json expected = nlohmann::json::parse(weft_tests::read_file(directory(GetParam()) / "expected.json"));
  std::vector<std::string> texts = expected["texts"];
  std::vector<std::vector<TokenId>> ids = expected["ids"], plain = expected["plain"];
};

INSTANTIATE_TEST_SUITE_P(Fixtures, PieceVocabularies,
                         ::testing::Values("t5", "marian", "m2m-100", "mbart", "mbart-50", "nllb", "xlm-roberta"),
                         [](const auto& name_of) {
                           std::string name = name_of.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(PieceVocabularies, IdsAreTheReferences) {
  EXPECT_EQ(tokenizer->vocab_size(), expected["vocab_size"]);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(tokenizer->encode(texts[i]), ids[i]) << texts[i];
    EXPECT_EQ(tokenizer->encode(texts[i], {.add_special_tokens = false}), plain[i]) << texts[i];
  }
}

// But for the spaces at the ends, which the reference strips.
TEST_P(PieceVocabularies, TextsAreTheReferences) {
  const auto stripped = [](const std::string& text) {
    return detail::without_trailing_white_space(detail::without_leading_white_space(text));
  };
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(stripped(tokenizer->decode(ids[i])), stripped(expected["decoded"][i])) << texts[i];
    StreamDecoder decoder(*tokenizer);
    std::string streamed;
    for (const TokenId id : ids[i]) streamed += decoder.push(id);
    streamed += decoder.finish();
    EXPECT_EQ(streamed, tokenizer->decode(ids[i]));
  }
}

TEST_P(PieceVocabularies, TokensHaveNames) {
  for (std::size_t i = 0; i < tokenizer->vocab_size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const std::string token = tokenizer->token_of(id);
    if (token.empty()) continue;
    EXPECT_EQ(tokenizer->id_of(token), id) << token;
  }
  EXPECT_EQ(tokenizer->token_of(*tokenizer->eos()), "</s>");
  EXPECT_EQ(tokenizer->token_of(*tokenizer->pad()), "<pad>");
  EXPECT_EQ(tokenizer->token_of(*tokenizer->unk()), "<unk>");
  EXPECT_TRUE(tokenizer->is_special(*tokenizer->eos()));
  EXPECT_EQ(tokenizer->id_of("no such token"), std::nullopt);
  EXPECT_THROW(static_cast<void>(tokenizer->token_of(-1)), TokenizerError);
  EXPECT_THROW(static_cast<void>(tokenizer->decode(std::vector<TokenId>{100000})), TokenizerError);
}

TEST_P(PieceVocabularies, SpecialTokensMayBeText) {
  const std::vector<TokenId> found =
      tokenizer->encode("the end</s>", {.add_special_tokens = false, .parse_special_tokens = false});
  EXPECT_THAT(found, ::testing::Not(::testing::Contains(*tokenizer->eos())));
}

}  // namespace
