#include <weft/tokenizers/load_tokenizer.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

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

TEST(LoadTokenizer, NamesTheFileOfAKindThatIsNotBuilt) {
  for (const char* name : {"tokenizer.json", "vocab.json", "vocab.txt", "spiece.model"}) {
    const weft_tests::TemporaryDirectory directory;
    directory.write(name, "{}");
    EXPECT_THAT(message_of<weft::UnsupportedError>([&] { weft::load_tokenizer(directory.path()); }),
                AllOf(HasSubstr(directory.path().string()), HasSubstr(name)));
  }
}

TEST(LoadTokenizer, RecognisesAByteLevelVocabularyByItsLines) {
  const weft_tests::TemporaryDirectory directory;
  directory.write("tokenizer.model", "IQ== 0\nIg== 1\nIw== 2\n");
  EXPECT_THAT(message_of<weft::UnsupportedError>([&] { weft::load_tokenizer(directory.path()); }),
              AllOf(HasSubstr("tokenizer.model"), HasSubstr("tiktoken")));
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
