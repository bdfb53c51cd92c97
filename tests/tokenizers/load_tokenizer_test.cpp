#include <weft/tokenizers/load_tokenizer.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "../formats/temporary_directory.hpp"

namespace {

using testing::AllOf;
using testing::HasSubstr;
using weft_tests::message_of;

const std::filesystem::path tales = std::filesystem::path(WEFT_MODELS_DIR) / "tales";

TEST(LoadTokenizer, OpensASentencePieceModel) {
  const auto tokenizer = weft::load_tokenizer(tales);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("Once upon a time")), "Once upon a time");
}

TEST(LoadTokenizer, OpensTheTokenizerOfACheckpoint) {
  const auto tokenizer = weft::load_tokenizer(weft::Checkpoint::open(tales));
  EXPECT_EQ(tokenizer->vocab_size(), 4096u);
}

TEST(LoadTokenizer, PrefersTokenizerJson) {
  const weft_tests::TemporaryDirectory directory;
  directory.write("tokenizer.model", weft_tests::read_file(tales / "tokenizer.model"));
  directory.write("tokenizer.json", R"({"model": {"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0, "b": 1}},
                                        "added_tokens": [{"id": 2, "content": "</s>", "special": true}]})");
  directory.write("tokenizer_config.json", R"({"pad_token": "b"})");
  const auto tokenizer = weft::load_tokenizer(directory.path());
  EXPECT_EQ(tokenizer->vocab_size(), 3u);
  EXPECT_EQ(tokenizer->bos(), std::nullopt);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_EQ(tokenizer->pad(), 1);
}

TEST(LoadTokenizer, OpensVocabularyFiles) {
  const weft_tests::TemporaryDirectory bert;
  bert.write("vocab.txt", "[UNK]\n[CLS]\n[SEP]\nfox\n");
  EXPECT_EQ(weft::load_tokenizer(bert.path())->encode("Fox"), (std::vector<weft::TokenId>{1, 3, 2}));
  const weft_tests::TemporaryDirectory gpt2;
  gpt2.write("vocab.json", R"({"a": 0, "b": 1, "ab": 2})");
  gpt2.write("merges.txt", "#version: 0.2\na b\n");
  EXPECT_EQ(weft::load_tokenizer(gpt2.path())->encode("abb"), (std::vector<weft::TokenId>{2, 1}));
}

TEST(LoadTokenizer, NamesTheFileOfAKindThatIsNotBuilt) {
  for (const char* name : {"vocab.json", "sentencepiece.bpe.model"}) {
    const weft_tests::TemporaryDirectory directory;
    directory.write(name, "{}");
    EXPECT_THAT(message_of<weft::UnsupportedError>([&] { weft::load_tokenizer(directory.path()); }),
                AllOf(HasSubstr(directory.path().string()), HasSubstr(name)));
  }
}

TEST(LoadTokenizer, RecognisesAByteLevelVocabularyByItsLines) {
  const weft_tests::TemporaryDirectory directory;
  directory.write("tokenizer.model", "IQ== 0\nIg== 1\nIw== 2\n");
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::load_tokenizer(directory.path()); }),
              AllOf(HasSubstr("tokenizer.model"), HasSubstr("the byte 0 is no token")));
}

TEST(LoadTokenizer, SaysWhatIsMissing) {
  const weft_tests::TemporaryDirectory directory;
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::load_tokenizer(directory.path()); }),
              AllOf(HasSubstr(directory.path().string()), HasSubstr("tokenizer.model")));
  directory.write("tokenizer.model", "");
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::load_tokenizer(directory.path()); }), HasSubstr("empty"));
  directory.write("tokenizer.model", "IQ== x\n");
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::load_tokenizer(directory.path()); }),
              HasSubstr("not a SentencePiece"));
}

}  // namespace
