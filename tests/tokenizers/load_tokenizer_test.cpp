#include <weft/tokenizers/load_tokenizer.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
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

std::vector<std::filesystem::path> files_of(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) files.push_back(entry.path());
  return files;
}

/// In memory, from streams and from callbacks in turn.
std::vector<weft::Source> sources_of(const std::filesystem::path& directory) {
  std::vector<weft::Source> sources;
  for (const std::filesystem::path& path : files_of(directory)) {
    const std::string name = path.filename().string();
    const auto bytes = std::make_shared<const std::string>(weft_tests::read_file(path));
    const auto read = [bytes](std::size_t offset, std::span<std::byte> to) {
      const std::size_t count = std::min({to.size(), bytes->size() - offset, std::size_t{100}});
      std::memcpy(to.data(), bytes->data() + offset, count);
      return count;
    };
    switch (sources.size() % 3) {
      case 0: sources.push_back(weft::Source::memory(name, std::as_bytes(std::span(*bytes)), bytes)); break;
      case 1: sources.push_back(weft::Source::stream(name, std::make_shared<std::istringstream>(*bytes))); break;
      default: sources.push_back(weft::Source::callback(name, bytes->size(), read));
    }
  }
  return sources;
}

TEST(LoadTokenizer, OpensSourcesAsFilesOfTheseNames) {
  const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures";
  std::vector<std::filesystem::path> directories{tales, fixtures / "tiktoken", fixtures / "tokenizer_json" / "bert"};
  for (const char* kind : {"m2m-100", "marian", "mbart", "nllb", "t5"})
    directories.push_back(fixtures / "piece_vocabulary" / kind);
  const weft_tests::TemporaryDirectory bert, gpt2;
  bert.write("vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\n##b\n");
  gpt2.write("vocab.json", R"({"a": 0, "b": 1, "ab": 2})");
  gpt2.write("merges.txt", "#version: 0.2\na b\n");
  gpt2.write("tokenizer_config.json", R"({"add_bos_token": true, "bos_token": "b"})");
  directories.push_back(bert.path());
  directories.push_back(gpt2.path());
  for (const std::filesystem::path& directory : directories) {
    const auto expected = weft::load_tokenizer(directory);
    const auto found = weft::load_tokenizer(sources_of(directory));
    EXPECT_EQ(found->vocab_size(), expected->vocab_size()) << directory;
    const std::vector<weft::TokenId> ids = found->encode("ab");
    EXPECT_EQ(ids, expected->encode("ab")) << directory;
    EXPECT_EQ(found->decode(ids), expected->decode(ids)) << directory;
    EXPECT_GT(ids.size(), 1u) << directory;
  }
}

TEST(LoadTokenizer, OpensASourceOfGguf) {
  const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "gguf";
  const std::string bytes = weft_tests::read_file(fixtures / "llama.gguf");
  const auto source = [](const char* name, const std::string& of) {
    return std::vector{weft::Source::memory(name, std::as_bytes(std::span(of)))};
  };
  const auto expected = weft::load_tokenizer(weft::Checkpoint::open(fixtures / "llama.gguf"));
  EXPECT_EQ(weft::load_tokenizer(source("any name", bytes))->encode("a b"), expected->encode("a b"));
  const std::string none = weft_tests::read_file(fixtures / "types.gguf");
  EXPECT_EQ(message_of<weft::FormatError>([&] { weft::load_tokenizer(source("any name", none)); }),
            "any name: there is no tokenizer in its metadata");
}

TEST(LoadTokenizer, NamesTheSourceThatIsWrong) {
  const auto error = [](const char* name, const std::string& text) {
    return message_of<weft::FormatError>(
        [&] { weft::load_tokenizer(std::vector{weft::Source::memory(name, std::as_bytes(std::span(text)))}); });
  };
  EXPECT_THAT(error("tokenizer.json", "{"), testing::StartsWith("tokenizer.json: byte"));
  EXPECT_THAT(error("tokenizer.model", "IQ== 0\n"), HasSubstr("tokenizer.model: the byte 0 is no token"));
  EXPECT_THAT(error("spiece.model", "x"), testing::StartsWith("spiece.model: "));
  EXPECT_EQ(error("config.json", "{}"),
            "config.json: there is no tokenizer; expected tokenizer.json or tokenizer.model");
  EXPECT_THROW(weft::load_tokenizer(std::vector<weft::Source>()), weft::FormatError);
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
