#include <weft/tokenizers/vocabulary_files.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "../formats/temporary_directory.hpp"

namespace {

using testing::HasSubstr;
using weft_tests::message_of;

const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "tokenizer_json";

// Vocabulary and merges of a fixture's tokenizer.json as the files of before, and the tokenizer made of those.
class Files : public testing::Test {
 protected:
  weft_tests::TemporaryDirectory directory;

  void write_vocab_json(const char* family) {
    const weft::Json model = weft::parse_json_file((fixtures / family / "tokenizer.json").string()).at("model");
    std::string vocab;
    for (const weft::Json& id : model.at("vocab"))
      vocab += (vocab.empty() ? "{\"" : ", \"") + escaped(id.key()) + "\": " + std::to_string(id.as_int());
    directory.write("vocab.json", vocab + "}");
    std::string merges = "#version: 0.2\n";
    for (const weft::Json& merge : model.at("merges"))
      merges.append(merge.at(0).as_string()).append(" ").append(merge.at(1).as_string()).append("\r\n");
    directory.write("merges.txt", merges);
  }
  static std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) out.append(c == '"' || c == '\\' ? "\\" : "").append(1, c);
    return out;
  }
  weft::TokenizerConfig config() { return weft::read_stated_tokenizer_config(directory.path()); }
  weft::PipelineTokenizer read_json_files() {
    return weft::PipelineTokenizer(weft::read_vocab_json(directory.path(), config()));
  }

  // On texts without the tokens that only the fixture has.
  static void expect_same(const weft::Tokenizer& tokenizer, const char* family) {
    weft::TokenizerConfig nothing;
    nothing.bos = nothing.eos = nothing.unk = std::nullopt;
    const weft::PipelineTokenizer expected(weft::read_tokenizer_json(fixtures / family / "tokenizer.json", nothing));
    for (const weft::Json& json : weft::parse_json_file((fixtures / "texts.json").string())) {
      const std::string text(json.as_string());
      if (text.find("<|") != text.npos || text.find("Normal") != text.npos || text.find("NORMAL") != text.npos ||
          text.find("<mask>") != text.npos)
        continue;
      EXPECT_EQ(tokenizer.encode(text), expected.encode(text)) << text;
      EXPECT_EQ(tokenizer.tokenize(text, "a b").type_ids, expected.tokenize(text, "a b").type_ids) << text;
      EXPECT_EQ(tokenizer.tokenize(text).offsets, expected.tokenize(text).offsets) << text;
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), expected.decode(expected.encode(text))) << text;
    }
  }
};

TEST_F(Files, OfRobertaAndClipAreKnownByTheirTokens) {
  for (const char* family : {"roberta", "clip"}) {
    write_vocab_json(family);
    expect_same(read_json_files(), family);
  }
}

TEST_F(Files, OfGpt2AndQwenFollowTheTokenizerClass) {
  write_vocab_json("qwen2");
  directory.write("tokenizer_config.json", R"({"tokenizer_class": "Qwen2TokenizerFast"})");
  expect_same(read_json_files(), "qwen2");
  directory.write("tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true,
                                               "bos_token": "a", "eos_token": "a"})");
  const auto tokenizer = read_json_files();
  EXPECT_EQ(tokenizer.encode("").size(), 1u);
  EXPECT_EQ(tokenizer.bos(), tokenizer.id_of("a"));
  directory.write("tokenizer_config.json", R"({"tokenizer_class": "WhisperTokenizer"})");
  EXPECT_THAT(message_of<weft::UnsupportedError>([&] { read_json_files(); }), HasSubstr("WhisperTokenizer"));
}

TEST_F(Files, OfBertFollowTheConfiguration) {
  for (const char* family : {"bert", "bert-cased"}) {
    const weft::Json model = weft::parse_json_file((fixtures / family / "tokenizer.json").string()).at("model");
    std::vector<std::string> lines(model.at("vocab").size());
    for (const weft::Json& id : model.at("vocab")) lines[id.as_size()] = id.key();
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    directory.write("vocab.txt", text);
    if (family == std::string_view("bert-cased"))
      directory.write("tokenizer_config.json", R"({"do_lower_case": false})");
    expect_same(weft::PipelineTokenizer(weft::read_vocab_txt(directory.path(), config())), family);
  }
}

TEST_F(Files, ThatAreMalformedAreNamed) {
  directory.write("vocab.txt", "[UNK]\n[CLS]\n");
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::read_vocab_txt(directory.path(), config()); }),
              testing::AllOf(HasSubstr("vocab.txt"), HasSubstr("[SEP]")));
  directory.write("vocab.txt", "[UNK]\n\xFF\n");
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::read_vocab_txt(directory.path(), config()); }),
              HasSubstr("byte 6 is not UTF-8"));
  directory.write("vocab.json", R"({"a": 0})");
  directory.write("merges.txt", "a b c\n");
  EXPECT_THAT(message_of<weft::FormatError>([&] { read_json_files(); }), HasSubstr("merges.txt"));
  directory.write("merges.txt", "a b\n");
  EXPECT_THAT(message_of<weft::FormatError>([&] { read_json_files(); }), HasSubstr("\"b\""));
}

}  // namespace
