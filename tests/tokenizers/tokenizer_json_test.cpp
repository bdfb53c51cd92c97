#include <weft/tokenizers/tokenizer_json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <weft/tokenizers/stream_decoder.hpp>

#include "../formats/temporary_directory.hpp"

namespace {

using testing::AllOf;
using testing::HasSubstr;
using weft_tests::message_of;
using weft_tests::TemporaryDirectory;

const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "tokenizer_json";

std::vector<std::string> texts() {
  std::vector<std::string> texts;
  for (const weft::Json& text : weft::parse_json_file((fixtures / "texts.json").string()))
    texts.emplace_back(text.as_string());
  return texts;
}

template <class Number>
std::vector<Number> numbers(const weft::Json& json) {
  std::vector<Number> numbers;
  for (const weft::Json& number : json.as_array()) numbers.push_back(static_cast<Number>(number.as_int()));
  return numbers;
}

std::vector<std::uint32_t> flat(const std::vector<weft::TextRange>& offsets) {
  std::vector<std::uint32_t> flat;
  for (const weft::TextRange range : offsets) flat.insert(flat.end(), {range.begin, range.end});
  return flat;
}

std::vector<std::optional<std::uint32_t>> words_of(const weft::Json& json) {
  std::vector<std::optional<std::uint32_t>> words;
  for (const weft::Json& word : json.as_array())
    words.push_back(word.is_null() ? std::nullopt : std::optional(static_cast<std::uint32_t>(word.as_int())));
  return words;
}

weft::TokenizerConfig nothing_stated() {
  weft::TokenizerConfig config;
  config.bos = config.eos = config.unk = std::nullopt;
  return config;
}

class Family : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path directory = fixtures / GetParam();
  weft::PipelineTokenizer tokenizer{weft::read_tokenizer_json(directory / "tokenizer.json", nothing_stated())};
  weft::Json expected = weft::parse_json_file((directory / "expected.json").string());
};

TEST_P(Family, EncodesAsTheLibrary) {
  const std::vector<std::string> all = texts();
  ASSERT_GE(all.size(), 70u);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const weft::Encoding encoding = tokenizer.tokenize(all[i], {.offset_unit = weft::OffsetUnit::characters});
    const std::string shown = testing::PrintToString(all[i]);
    EXPECT_EQ(encoding.ids, numbers<weft::TokenId>(expected.at("ids").at(i))) << shown;
    EXPECT_EQ(flat(encoding.offsets), numbers<std::uint32_t>(expected.at("offsets").at(i))) << shown;
    EXPECT_EQ(encoding.words, words_of(expected.at("words").at(i))) << shown;
    EXPECT_EQ(tokenizer.encode(all[i]), encoding.ids) << shown;
    EXPECT_EQ(tokenizer.encode(all[i], {.add_special_tokens = false, .parse_special_tokens = false}),
              numbers<weft::TokenId>(expected.at("plain").at(i)))
        << shown;
  }
}

TEST_P(Family, DecodesAsTheLibrary) {
  const std::vector<std::string> all = texts();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto ids = numbers<weft::TokenId>(expected.at("ids").at(i));
    const std::string shown = testing::PrintToString(all[i]);
    EXPECT_EQ(tokenizer.decode(ids), expected.at("text").at(i).as_string()) << shown;
    EXPECT_EQ(tokenizer.decode(ids, {.skip_special_tokens = false}), expected.at("shown").at(i).as_string()) << shown;
  }
}

TEST_P(Family, DecodesAnyIdsAsTheLibrary) {
  for (const weft::Json& list : expected.at("random").as_array()) {
    const auto ids = numbers<weft::TokenId>(list.at("ids"));
    EXPECT_EQ(tokenizer.decode(ids), list.at("text").as_string()) << testing::PrintToString(ids);
    EXPECT_EQ(tokenizer.decode(ids, {.skip_special_tokens = false}), list.at("shown").as_string())
        << testing::PrintToString(ids);
  }
}

TEST_P(Family, EncodesPairsAsTheLibrary) {
  const std::vector<std::string> all = texts();
  std::size_t at = 0;
  for (const weft::Json& pair : expected.at("pair").as_array()) {
    const weft::Encoding encoding =
        tokenizer.tokenize(all[at], all[at + 1], {.offset_unit = weft::OffsetUnit::characters});
    EXPECT_EQ(encoding.ids, numbers<weft::TokenId>(pair.at("ids"))) << at;
    EXPECT_EQ(encoding.type_ids, numbers<std::int32_t>(pair.at("types"))) << at;
    EXPECT_EQ(flat(encoding.offsets), numbers<std::uint32_t>(pair.at("offsets"))) << at;
    at += 10;
  }
}

TEST_P(Family, StreamsWhatItDecodes) {
  std::mt19937 random(5);
  for (const bool skip : {true, false}) {
    weft::StreamDecoder stream(tokenizer, {.skip_special_tokens = skip});
    for (int round = 0; round < 200; ++round) {
      std::vector<weft::TokenId> ids(random() % 40);
      for (weft::TokenId& id : ids) id = static_cast<weft::TokenId>(random() % tokenizer.vocab_size());
      std::string joined;
      for (const weft::TokenId id : ids) {
        const std::string_view piece = stream.push(id);
        EXPECT_TRUE(weft::is_utf8(piece));
        joined += piece;
      }
      joined += stream.finish();
      EXPECT_EQ(joined, tokenizer.decode(ids, {.skip_special_tokens = skip})) << testing::PrintToString(ids);
    }
  }
}

TEST_P(Family, TakesEveryByteSequence) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::string text(random() % 24, '\0');
    for (char& c : text) c = static_cast<char>(random());
    std::string repaired;
    weft::append_repaired(text, true, repaired);
    const weft::Encoding encoding = tokenizer.tokenize(text);
    EXPECT_EQ(encoding.ids, tokenizer.encode(repaired)) << testing::PrintToString(text);
    for (const weft::TextRange range : encoding.offsets) EXPECT_LE(range.end, text.size());
    EXPECT_TRUE(weft::is_utf8(tokenizer.decode(encoding.ids)));
  }
}

TEST_P(Family, SpellsEveryToken) {
  for (std::size_t i = 0; i < tokenizer.vocab_size(); ++i) {
    const auto id = static_cast<weft::TokenId>(i);
    EXPECT_EQ(tokenizer.id_of(tokenizer.token_of(id)), id);
  }
  EXPECT_EQ(tokenizer.id_of("no such token"), std::nullopt);
  const auto end = static_cast<weft::TokenId>(tokenizer.vocab_size());
  for (const weft::TokenId id : {weft::TokenId{-1}, end}) {
    EXPECT_THROW(tokenizer.decode(std::vector{id}), weft::TokenizerError);
    EXPECT_THROW(tokenizer.token_of(id), weft::TokenizerError);
    EXPECT_THROW(tokenizer.is_special(id), weft::TokenizerError);
  }
}

TEST_P(Family, IsSharedByThreads) {
  const std::vector<std::string> all = texts();
  std::vector<std::size_t> wrong(3);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = t; i < all.size(); i += 2)
        wrong[t] += tokenizer.encode(all[i]) != numbers<weft::TokenId>(expected.at("ids").at(i)) ? 1 : 0;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<std::size_t>(3));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Family,
                         testing::Values("gpt2", "llama3", "qwen2", "o200k", "neox", "bloom", "digit-groups",
                                         "deepseek", "smollm", "roberta", "bart-prefixed", "clip", "llama2",
                                         "llama-metaspace", "gemma", "bert", "bert-cased", "mpnet", "t5", "xlm-roberta",
                                         "albert", "byte-unigram", "mbart", "nllb", "word-level", "characters",
                                         "word-suffix", "word-suffix-kept", "odd-tokens"),
                         [](const auto& family) {
                           std::string name = family.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST(TokenizerJson, GivesOffsetsInBytesToo) {
  for (const char* name : {"bert", "t5", "llama2", "qwen2", "byte-unigram"}) {
    const weft::PipelineTokenizer tokenizer(
        weft::read_tokenizer_json(fixtures / name / "tokenizer.json", nothing_stated()));
    for (const std::string& text : texts()) {
      const weft::Encoding bytes = tokenizer.tokenize(text);
      const weft::Encoding characters = tokenizer.tokenize(text, {.offset_unit = weft::OffsetUnit::characters});
      ASSERT_EQ(bytes.ids, characters.ids);
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        const auto count = [&](std::uint32_t end) {
          return weft::count_characters(std::string_view(text).substr(0, end));
        };
        EXPECT_EQ(count(bytes.offsets[i].begin), characters.offsets[i].begin) << name << " " << text;
        EXPECT_EQ(count(bytes.offsets[i].end), characters.offsets[i].end) << name << " " << text;
      }
    }
  }
}

// As the library: one U+FFFD for the beginning of a character, however many bytes it has.
TEST(TokenizerJson, DecodesBeginningsOfCharacters) {
  for (const char* name : {"gpt2", "llama3", "roberta"}) {
    const weft::PipelineTokenizer tokenizer(
        weft::read_tokenizer_json(fixtures / name / "tokenizer.json", nothing_stated()));
    std::vector<weft::TokenId> ids;
    for (const char* byte : {"\u00F0", "\u0141", "\u013A"}) ids.push_back(tokenizer.id_of(byte).value());
    EXPECT_EQ(tokenizer.decode(ids), "\uFFFD");
    ids.push_back(tokenizer.id_of("a").value());
    EXPECT_EQ(tokenizer.decode(ids), "\uFFFDa");
    EXPECT_EQ(tokenizer.decode(std::vector{ids[1], ids[2]}), "\uFFFD\uFFFD");
  }
}

// A tokenizer.json that a test writes.
class File : public testing::Test {
 protected:
  TemporaryDirectory directory;

  weft::TokenizerParts read(std::string_view json, const weft::TokenizerConfig& config = nothing_stated()) {
    return weft::read_tokenizer_json(directory.write("tokenizer.json", json), config);
  }
  template <class E>
  std::string error(std::string_view json) {
    return message_of<E>([&] { weft::PipelineTokenizer tokenizer(read(json)); });
  }
  static std::string word_level(std::string_view rest, std::string_view vocab = R"({"a": 0, "b": 1, "[UNK]": 2})") {
    return std::string(R"({"model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": )") + std::string(vocab) +
           "}" + std::string(rest) + "}";
  }
};

TEST_F(File, NamesWhatIsNotBuilt) {
  const auto check = [&](std::string_view rest, const char* what) {
    EXPECT_THAT(error<weft::UnsupportedError>(word_level(rest)), AllOf(HasSubstr("tokenizer.json"), HasSubstr(what)));
  };
  check(R"(, "normalizer": {"type": "Shout"})", "normalizer Shout");
  check(R"(, "normalizer": {"type": "Sequence", "normalizers": [{"type": "Shout"}]})", "normalizers[0]");
  check(R"(, "pre_tokenizer": {"type": "UnicodeScripts"})", "pre-tokenizer UnicodeScripts");
  check(R"(, "post_processor": {"type": "Thing"})", "post-processor Thing");
  check(R"(, "decoder": {"type": "CTC"})", "decoder CTC");
  check(R"(, "decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "ByteFallback"}]})",
        "decoder ByteFallback");
  check(R"(, "version": "2.0")", "version 2.0");
  EXPECT_THAT(error<weft::UnsupportedError>(R"({"model": {"type": "Magic", "vocab": {}}})"), HasSubstr("model Magic"));
  EXPECT_THAT(error<weft::UnsupportedError>(R"({"model": {"type": "BPE", "vocab": {}, "merges": [], "dropout": 0.5}})"),
              HasSubstr("dropout"));
}

TEST_F(File, RefusesWhatIsMalformed) {
  const auto check = [&](std::string_view json, const char* what) {
    EXPECT_THAT(error<weft::FormatError>(json), AllOf(HasSubstr("tokenizer.json"), HasSubstr(what))) << json;
  };
  check("", "empty");
  check("[]", "expected an object");
  check("{}", "\"model\" is missing");
  check(R"({"model": 3})", "expected an object");
  check(R"({"model": {"type": 3}})", "expected a string");
  check(word_level("", R"({"a": "b"})"), "expected an integer");
  check(word_level("", R"({"a": -1})"), "-1");
  check(word_level("", R"({"a": 2147483647})"), "2147483647");
  check(word_level("", R"({"a": 99999999999999})"), "99999999999999");
  check(word_level(R"(, "added_tokens": [{"id": 1, "content": "x"}])"), "of \"b\"");
  check(word_level(R"(, "added_tokens": [{"id": 2147483000, "content": "x"}])"), "2147483000");
  check(word_level(R"(, "added_tokens": [{"id": -4, "content": "x"}])"), "-4");
  check(word_level(R"(, "added_tokens": {"x": 5})"), "expected an array");
  check(word_level(R"(, "normalizer": {"type": "Replace", "pattern": {"Regex": "("}, "content": ""})"),
        "no regular expression");
  check(word_level(R"(, "normalizer": {"type": "Replace", "pattern": {"String": ""}, "content": ""})"), "empty");
  check(word_level(R"(, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"})"), "3 bytes");
  check(word_level(R"(, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "////////"})"), "trie");
  check(word_level(R"(, "pre_tokenizer": {"type": "Metaspace", "replacement": "ab"})"), "one character");
  check(word_level(R"(, "post_processor": {"type": "BertProcessing", "sep": ["a", 70], "cls": ["b", 1]})"), "70");
  check(word_level(R"(, "post_processor": {"type": "TemplateProcessing", "special_tokens": {}, "pair": [],
                      "single": [{"Sequence": {"id": "B", "type_id": 0}}]})"),
        "no text B");
  check(word_level(R"(, "post_processor": {"type": "TemplateProcessing", "special_tokens": {}, "pair": [],
                      "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}]})"),
        "[X]");
  check(R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}})", "\"b\" is not in the vocabulary");
  check(R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}})", "two tokens");
  check(R"({"model": {"type": "Unigram", "vocab": [["a", 0.5]], "unk_id": 4}})", "unk_id");
  check(R"({"model": {"type": "Unigram", "vocab": [["a", 1e999]], "unk_id": 0}})", "");
  check(word_level(std::string(R"(, "normalizer": )") + std::string(100, '[')), "deeper than");
}

TEST_F(File, StopsPatternsThatTakeTooLong) {
  const weft::PipelineTokenizer tokenizer(read(word_level(
      R"(, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+[bc]"}, "behavior": "Isolated",
          "invert": false})")));
  std::string text(5000, 'a');
  text.push_back('!');
  EXPECT_THAT(message_of<weft::TokenizerError>([&] { tokenizer.encode(text); }), HasSubstr("tokenizer.json"));
}

TEST_F(File, TakesTwoSpellingsOfOneId) {
  const weft::PipelineTokenizer tokenizer(read(word_level("", R"({"\t": 0, "<0x09>": 0, "[UNK]": 1})")));
  EXPECT_EQ(tokenizer.encode("\t"), std::vector<weft::TokenId>{0});
  EXPECT_EQ(tokenizer.encode("<0x09>"), std::vector<weft::TokenId>{0});
  EXPECT_EQ(tokenizer.token_of(0), "\t");
}

TEST_F(File, SaysWhatTheModelHasNoTokenFor) {
  const weft::PipelineTokenizer words(read(R"({"model": {"type": "WordLevel", "unk_token": "?", "vocab": {"a": 0}}})"));
  EXPECT_THAT(message_of<weft::TokenizerError>([&] { words.encode("b"); }), HasSubstr("\"b\""));
  const weft::PipelineTokenizer unigram(read(R"({"model": {"type": "Unigram", "vocab": [["a", -1]]}})"));
  EXPECT_EQ(unigram.encode("aa"), (std::vector<weft::TokenId>{0, 0}));
  EXPECT_THAT(message_of<weft::TokenizerError>([&] { unigram.encode("b"); }), HasSubstr("unk_id"));
  const weft::PipelineTokenizer bpe(read(R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}})"));
  EXPECT_EQ(bpe.encode("aba"), (std::vector<weft::TokenId>{0, 0}));
}

TEST_F(File, KnowsModelsOfBeforeTheirTypeWasWritten) {
  EXPECT_NO_THROW(read(R"({"model": {"vocab": {"a": 0}, "merges": []}})"));
  EXPECT_NO_THROW(read(R"({"model": {"vocab": [["a", 0.0]], "unk_id": 0}})"));
  EXPECT_NO_THROW(read(R"({"model": {"vocab": {"a": 0}, "unk_token": "a"}})"));
  EXPECT_NO_THROW(read(R"({"model": {"vocab": {"a": 0}, "unk_token": "a", "max_input_chars_per_word": 9,
                                     "continuing_subword_prefix": "##"}})"));
}

TEST_F(File, AddsTheTokensOfTheConfiguration) {
  weft::TokenizerConfig config = nothing_stated();
  config.added = {{.content = "<x>", .id = 7, .special = true}, {.content = "a", .id = 0, .special = true}};
  config.bos = {.content = "<x>", .special = true};
  config.eos = {.content = "<new>", .special = true};
  config.pad = {.content = "[UNK]", .special = true};
  const weft::PipelineTokenizer tokenizer(read(word_level(""), config));
  EXPECT_EQ(tokenizer.bos(), 7);
  EXPECT_EQ(tokenizer.eos(), 8);
  EXPECT_EQ(tokenizer.pad(), 2);
  EXPECT_EQ(tokenizer.unk(), std::nullopt);
  EXPECT_EQ(tokenizer.vocab_size(), 9u);
  EXPECT_TRUE(tokenizer.is_special(0));
  EXPECT_EQ(tokenizer.encode("b<x><new>"), (std::vector<weft::TokenId>{1, 7, 8}));
  EXPECT_EQ(tokenizer.decode(std::vector<weft::TokenId>{1, 5, 0}), "b");
}

TEST_F(File, TakesRolesFromUsualSpellingsUnlessTheFilesSayOtherwise) {
  const std::string json = word_level(R"(, "added_tokens": [{"id": 3, "content": "<|endoftext|>", "special": true},
                                                            {"id": 4, "content": "<s>", "special": false}])");
  EXPECT_EQ(read(json).bos, 3);
  EXPECT_EQ(read(json).eos, 3);
  EXPECT_EQ(read(json).pad, std::nullopt);
  directory.write("tokenizer_config.json", R"({"bos_token": null, "pad_token": "a"})");
  const weft::TokenizerParts parts = read(json, weft::read_stated_tokenizer_config(directory.path()));
  EXPECT_EQ(parts.bos, std::nullopt);
  EXPECT_EQ(parts.eos, 3);
  EXPECT_EQ(parts.pad, 0);
}

TEST_F(File, AddsBosAndEosAsConfigured) {
  weft::TokenizerConfig config = nothing_stated();
  config.bos = {.content = "a", .special = true};
  config.eos = {.content = "b", .special = true};
  const std::string bert = word_level(R"(, "post_processor": {"type": "BertProcessing", "sep": ["b", 1],
                                         "cls": ["a", 0]})");
  using Ids = std::vector<weft::TokenId>;
  const auto encode = [&] { return weft::PipelineTokenizer(read(bert, config)).encode("x"); };
  EXPECT_EQ(encode(), (Ids{0, 2, 1}));
  config.add_bos = true;
  EXPECT_EQ(encode(), (Ids{0, 2}));
  config.add_eos = true;
  EXPECT_EQ(encode(), (Ids{0, 2, 1}));
  config.add_bos = false;
  EXPECT_EQ(encode(), (Ids{2, 1}));
  EXPECT_EQ(weft::PipelineTokenizer(read(bert, config)).tokenize("x", "x").type_ids,
            (std::vector<std::int32_t>{0, 0, 1, 1}));
}

TEST_F(File, WithRandomBytesIsRefusedOrWorks) {
  std::mt19937 random(23);
  for (const char* name : {"llama3", "albert", "bert", "llama2"}) {
    const std::string good = weft_tests::read_file(fixtures / name / "tokenizer.json");
    const std::size_t model = good.find("\"vocab\"");
    for (int round = 0; round < 60; ++round) {
      std::string bad = good;
      for (int i = 0; i <= round % 3; ++i) bad[random() % model] = static_cast<char>(random() % 95 + 32);
      try {
        const weft::PipelineTokenizer tokenizer(read(bad));
        for (const char* text : {"Once upon a time", "\xEF\xAC\x81 \xC2\xBD \t 여우 <|user|>>"})
          tokenizer.decode(tokenizer.encode(text));
      } catch (const weft::Error&) {
      }
    }
  }
}

}  // namespace
