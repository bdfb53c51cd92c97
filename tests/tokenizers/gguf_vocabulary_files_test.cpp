#include <weft/tokenizers/gguf_vocabulary_files.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <weft/formats/gguf.hpp>
#include <weft/tokenizers/load_tokenizer.hpp>

#include "../formats/temporary_directory.hpp"

namespace {

using namespace weft;
using ::testing::HasSubstr;
using weft_tests::message_of;
using weft_tests::TemporaryDirectory;

const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures";

/// Through a file and back.
GgufVocabulary written(const GgufVocabulary& vocabulary) {
  const TemporaryDirectory directory;
  GgufWriter writer;
  set_gguf_vocabulary(vocabulary, writer);
  writer.write(directory.path() / "v.gguf");
  return *read_gguf_vocabulary(GgufFile(directory.path() / "v.gguf"));
}

void expect_same_ids(const std::filesystem::path& tokenizer) {
  const std::optional<GgufVocabulary> vocabulary = gguf_vocabulary_of(tokenizer, 3000);
  ASSERT_TRUE(vocabulary) << tokenizer;
  EXPECT_EQ(vocabulary->tokens.size(), 3000u);
  const auto before = load_tokenizer(tokenizer);
  const auto after = make_gguf_tokenizer(written(*vocabulary));
  const EncodeOptions plain{.add_special_tokens = false};
  for (const char* text : {"Once upon a time, in 1812, there were 123456 mice.", "  two  spaces", "don't 'tis I'll",
                           "\xC3\xA9t\xC3\xA9 \xF0\x9F\x90\xB1\n\n x", ""})
    EXPECT_EQ(after->encode(text, plain), before->encode(text, plain)) << tokenizer << " " << text;
}

TEST(GgufVocabularyFiles, KeepSentencePieces) {
  for (const char* name : {"bare", "legacy", "modern", "unprefixed"}) expect_same_ids(fixtures / "tokenizers" / name);
}

TEST(GgufVocabularyFiles, KeepByteLevelBpe) {
  for (const char* name : {"gpt2", "llama3", "qwen2"}) expect_same_ids(fixtures / "tokenizer_json" / name);
}

/// With the tokens around texts, as the models were trained.
TEST(GgufVocabularyFiles, KeepThoseOfEncoders) {
  const auto expect_same = [](const std::filesystem::path& tokenizer) {
    const auto before = load_tokenizer(tokenizer);
    const auto after = make_gguf_tokenizer(written(*gguf_vocabulary_of(tokenizer, 3000)));
    for (const char* text : {"Once upon a time, in 1812, there were 123456 mice.", "  two  spaces", "don't 'tis I'll",
                             "\xC3\xA9t\xC3\xA9 \xF0\x9F\x90\xB1  x", "HELLO World's", ""})
      EXPECT_EQ(after->encode(text), before->encode(text)) << tokenizer << " " << text;
  };
  for (const char* name : {"bert", "bert-cased", "roberta", "xlm-roberta", "t5"})
    expect_same(fixtures / "tokenizer_json" / name);
  expect_same(fixtures / "piece_vocabulary" / "t5");
  const TemporaryDirectory words;
  std::ofstream(words.path() / "vocab.txt") << "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nonce\ntwo\nspace\n##s\ndon\n'\nt\n";
  expect_same(words.path());
}

TEST(GgufVocabularyFiles, RefuseOtherKinds) {
  const TemporaryDirectory empty;
  EXPECT_FALSE(gguf_vocabulary_of(empty.path(), 10));
  EXPECT_THAT(
      message_of<UnsupportedError>([] { gguf_vocabulary_of(fixtures / "tokenizer_json" / "word-level", 3000); }),
      HasSubstr("WordLevel"));
  EXPECT_THAT(message_of<UnsupportedError>([] { gguf_vocabulary_of(fixtures / "tokenizer_json" / "albert", 3000); }),
              HasSubstr("GGUF has no place for this normalizer"));
  EXPECT_THAT(message_of<UnsupportedError>([] { gguf_vocabulary_of(fixtures / "tokenizer_json" / "smollm", 3000); }),
              HasSubstr("add_prefix_space"));
  EXPECT_THAT(message_of<FormatError>([] { gguf_vocabulary_of(fixtures / "tokenizers" / "bare", 10); }),
              HasSubstr("the embedding 10 rows"));
}

}  // namespace
