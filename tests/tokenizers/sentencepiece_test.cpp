#include <weft/tokenizers/sentencepiece.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <weft/formats/json.hpp>
#include <weft/tokenizers/stream_decoder.hpp>

#include "../formats/temporary_directory.hpp"

namespace {

using testing::AllOf;
using testing::HasSubstr;
using weft_tests::message_of;
using weft_tests::TemporaryDirectory;

const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "tokenizers";

std::vector<std::string> texts() {
  std::vector<std::string> texts;
  for (const weft::Json& text : weft::parse_json_file((fixtures / "texts.json").string()))
    texts.emplace_back(text.as_string());
  return texts;
}

std::vector<weft::TokenId> ids_of(const weft::Json& json) {
  std::vector<weft::TokenId> ids;
  for (const weft::Json& id : json.as_array()) ids.push_back(static_cast<weft::TokenId>(id.as_int()));
  return ids;
}

weft::SentencePieceTokenizer open(const std::filesystem::path& directory) {
  return {directory / "tokenizer.model", weft::read_tokenizer_config(directory)};
}

class Fixture : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path directory = fixtures / GetParam();
  weft::SentencePieceTokenizer tokenizer = open(directory);
  weft::Json expected = weft::parse_json_file((directory / "expected.json").string());
};

TEST_P(Fixture, EncodesAsTheReference) {
  const std::vector<std::string> all = texts();
  ASSERT_GE(all.size(), 400u);
  ASSERT_EQ(expected.at("ids").size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(tokenizer.encode(all[i]), ids_of(expected.at("ids").at(i)))
        << i << ": " << testing::PrintToString(all[i]);
    if (const weft::Json* plain = expected.find("plain")) {
      EXPECT_EQ(tokenizer.encode(all[i], {.add_special_tokens = false, .parse_special_tokens = false}),
                ids_of(plain->at(i)))
          << i << ": " << testing::PrintToString(all[i]);
    }
  }
}

TEST_P(Fixture, InstalledLibraryAgreesWithItsPythonBinding) {
  sentencepiece::SentencePieceProcessor library;
  ASSERT_TRUE(library.Load((directory / "tokenizer.model").string()).ok());
  const std::vector<std::string> all = texts();
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(library.EncodeAsIds(all[i]), ids_of(expected.at("library").at(i))) << testing::PrintToString(all[i]);
  }
}

TEST_P(Fixture, DecodesAsTheReference) {
  const std::vector<std::string> all = texts();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::vector<weft::TokenId> ids = ids_of(expected.at("ids").at(i));
    if (const weft::Json* text = expected.find("text")) {
      EXPECT_EQ(tokenizer.decode(ids), text->at(i).as_string()) << testing::PrintToString(all[i]);
    }
    if (const weft::Json* shown = expected.find("shown")) {
      EXPECT_EQ(tokenizer.decode(ids, {.skip_special_tokens = false}), shown->at(i).as_string())
          << testing::PrintToString(all[i]);
    }
  }
}

TEST_P(Fixture, KnowsItsSpecialTokens) {
  const auto check = [&](const char* role, std::optional<weft::TokenId> id) {
    const weft::Json& json = expected.at(role);
    EXPECT_EQ(id, json.is_null() ? std::nullopt : std::optional(static_cast<weft::TokenId>(json.as_int()))) << role;
    EXPECT_TRUE(!id || tokenizer.is_special(*id)) << role;
  };
  check("bos", tokenizer.bos());
  check("eos", tokenizer.eos());
  check("unk", tokenizer.unk());
  check("pad", tokenizer.pad());
  EXPECT_EQ(tokenizer.vocab_size(), expected.at("vocab_size").as_size());
}

TEST_P(Fixture, DecodesRandomIdsAsTheLibrary) {
  sentencepiece::SentencePieceProcessor library;
  ASSERT_TRUE(library.Load((directory / "tokenizer.model").string()).ok());
  std::vector<weft::TokenId> ordinary;
  std::vector<weft::TokenId> bytes;
  for (int id = 0; id < library.GetPieceSize(); ++id) {
    if (!tokenizer.is_special(id)) ordinary.push_back(id);
    if (library.IsByte(id)) bytes.push_back(id);
  }
  std::mt19937 random(11);
  for (int round = 0; round < 400; ++round) {
    std::vector<weft::TokenId> ids(random() % 24);
    for (weft::TokenId& id : ids) {
      const bool byte = !bytes.empty() && random() % 2 == 0;
      id = byte ? bytes[random() % bytes.size()] : ordinary[random() % ordinary.size()];
    }
    EXPECT_EQ(tokenizer.decode(ids), library.DecodeIds(ids)) << testing::PrintToString(ids);
  }
}

TEST_P(Fixture, StreamsWhatItDecodes) {
  std::mt19937 random(5);
  for (const bool skip : {true, false}) {
    weft::StreamDecoder stream(tokenizer, {.skip_special_tokens = skip});
    for (int round = 0; round < 300; ++round) {
      std::vector<weft::TokenId> ids(random() % 40);
      for (weft::TokenId& id : ids)
        id = static_cast<weft::TokenId>(random() % (round % 2 ? tokenizer.vocab_size() : std::size_t{259}));
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

TEST_P(Fixture, SpellsEveryToken) {
  for (std::size_t i = 0; i < tokenizer.vocab_size(); ++i) {
    const auto id = static_cast<weft::TokenId>(i);
    EXPECT_EQ(tokenizer.id_of(tokenizer.token_of(id)), id);
  }
  EXPECT_EQ(tokenizer.id_of("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer.id_of(""), std::nullopt);
}

TEST_P(Fixture, RefusesIdsOutsideTheVocabulary) {
  const auto size = static_cast<weft::TokenId>(tokenizer.vocab_size());
  for (const weft::TokenId id : {weft::TokenId{-1}, size, std::numeric_limits<weft::TokenId>::max()}) {
    const auto expect = AllOf(HasSubstr(std::to_string(id)), HasSubstr(std::to_string(size)));
    EXPECT_THAT(message_of<weft::TokenizerError>([&] { tokenizer.decode(std::vector{id}); }), expect);
    EXPECT_THAT(message_of<weft::TokenizerError>([&] { tokenizer.token_of(id); }), expect);
    EXPECT_THAT(message_of<weft::TokenizerError>([&] { tokenizer.is_special(id); }), expect);
  }
}

TEST_P(Fixture, TakesEveryByteSequence) {
  std::mt19937 random(3);
  for (int round = 0; round < 500; ++round) {
    std::string text(random() % 24, '\0');
    for (char& c : text) c = static_cast<char>(random());
    const std::vector<weft::TokenId> ids = tokenizer.encode(text);
    EXPECT_TRUE(weft::is_utf8(tokenizer.decode(ids)));
  }
}

TEST_P(Fixture, EncodesInvalidBytesAsReplacementCharacters) {
  for (const std::string_view bad : {"\xff", "\xc3", "\xe2\x96", "\xed\xa0\x80", "\xc0\x80", "\xf5\x80\x80\x80"}) {
    std::string replaced = "a";
    for (std::size_t i = 0; i < bad.size(); ++i) replaced += weft::replacement_character;
    EXPECT_EQ(tokenizer.encode("a" + std::string(bad) + " b"), tokenizer.encode(replaced + " b"))
        << testing::PrintToString(bad);
  }
}

TEST_P(Fixture, IsSharedByThreads) {
  const std::vector<std::string> all = texts();
  std::vector<std::size_t> wrong(3);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = t; i < all.size(); i += 2)
        wrong[t] += tokenizer.encode(all[i]) != ids_of(expected.at("ids").at(i)) ? 1 : 0;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<std::size_t>(3));
}

INSTANTIATE_TEST_SUITE_P(Models, Fixture,
                         testing::Values("legacy", "modern", "unigram", "bare", "squeezed", "unprefixed"),
                         [](const auto& fixture) { return std::string(fixture.param); });

TEST(SentencePieceTokenizer, RoundTripsTextWhereSpacesAreKept) {
  for (const char* name : {"legacy", "modern", "bare"}) {
    const weft::SentencePieceTokenizer tokenizer = open(fixtures / name);
    for (const std::string& text : texts()) {
      if (text.find("\u2581") != text.npos) continue;
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, {.parse_special_tokens = false})), text) << name;
    }
  }
}

TEST(SentencePieceTokenizer, FollowsTheShippedModel) {
  const auto directory = std::filesystem::path(WEFT_MODELS_DIR) / "tales";
  const weft::SentencePieceTokenizer tokenizer = open(directory);
  sentencepiece::SentencePieceProcessor library;
  ASSERT_TRUE(library.Load((directory / "tokenizer.model").string()).ok());
  EXPECT_EQ(tokenizer.vocab_size(), 4096u);
  EXPECT_EQ(tokenizer.bos(), 1);
  EXPECT_EQ(tokenizer.eos(), 2);
  for (const char* text : {"Once upon a time", "", "The fox said: \"Come!\"\n\nAnd 안녕 😀."}) {
    std::vector<int> ids = library.EncodeAsIds(text);
    ids.insert(ids.begin(), 1);
    EXPECT_EQ(tokenizer.encode(text), ids) << text;
    EXPECT_EQ(tokenizer.decode(ids), text);
  }
  EXPECT_EQ(tokenizer.encode("a</s>b", {.add_special_tokens = false}),
            (std::vector<weft::TokenId>{*tokenizer.id_of("\u2581a"), 2, *tokenizer.id_of("b")}));
}

// A directory whose model and configuration a test writes.
class Directory : public testing::Test {
 protected:
  TemporaryDirectory directory;
  const std::string model = weft_tests::read_file(fixtures / "legacy" / "tokenizer.model");

  std::unique_ptr<weft::SentencePieceTokenizer> load() {
    directory.write("tokenizer.model", model);
    return std::make_unique<weft::SentencePieceTokenizer>(directory.path() / "tokenizer.model",
                                                          weft::read_tokenizer_config(directory.path()));
  }
};

TEST_F(Directory, AddsBosAndEosAsConfigured) {
  EXPECT_EQ(load()->encode(""), (std::vector<weft::TokenId>{1}));
  directory.write("tokenizer_config.json", R"({"add_bos_token": false, "add_eos_token": true})");
  EXPECT_EQ(load()->encode(""), (std::vector<weft::TokenId>{2}));
  directory.write("tokenizer_config.json", R"({"add_bos_token": true, "add_eos_token": true})");
  EXPECT_EQ(load()->encode(""), (std::vector<weft::TokenId>{1, 2}));
  EXPECT_EQ(load()->encode("", {.add_special_tokens = false}), std::vector<weft::TokenId>{});
  directory.write("tokenizer_config.json", R"({"bos_token": null})");
  EXPECT_THAT(message_of<weft::ConfigError>([&] { load(); }), HasSubstr("bos_token is null"));
  directory.write("tokenizer_config.json", R"({"bos_token": null, "add_bos_token": false})");
  EXPECT_EQ(load()->bos(), std::nullopt);
}

TEST_F(Directory, NeverParsesSpecialTokensWhereTheFilesSaySo) {
  directory.write("tokenizer_config.json", R"({"split_special_tokens": true})");
  const auto tokenizer = load();
  EXPECT_EQ(tokenizer->encode("</s>"), tokenizer->encode("</s>", {.parse_special_tokens = false}));
}

TEST_F(Directory, LeavesHolesBetweenAddedTokensEmpty) {
  directory.write("tokenizer_config.json", R"({"added_tokens_decoder": {"700": {"content": "<far>"}}})");
  const auto tokenizer = load();
  EXPECT_EQ(tokenizer->vocab_size(), 701u);
  EXPECT_EQ(tokenizer->decode(std::vector<weft::TokenId>{650}), "");
  EXPECT_EQ(tokenizer->token_of(650), "");
  EXPECT_EQ(tokenizer->encode("<far>", {.add_special_tokens = false}).back(), 700);
}

TEST_F(Directory, DecodesOrdinaryAddedTokensAlways) {
  directory.write("added_tokens.json", R"({"<name>": 620})");
  const auto tokenizer = load();
  EXPECT_FALSE(tokenizer->is_special(620));
  EXPECT_EQ(tokenizer->decode(std::vector<weft::TokenId>{1, 620, 2}), "<name>");
  EXPECT_EQ(tokenizer->encode("<name>", {.add_special_tokens = false, .parse_special_tokens = false}),
            (std::vector<weft::TokenId>{620}));
}

TEST_F(Directory, RefusesClassesWithOtherRules) {
  directory.write("tokenizer_config.json", R"({"tokenizer_class": "T5Tokenizer"})");
  EXPECT_THAT(message_of<weft::UnsupportedError>([&] { load(); }),
              AllOf(HasSubstr("tokenizer.model"), HasSubstr("T5Tokenizer")));
}

// The stderr of the process must stay empty whatever the model file holds.
class CorruptedModel : public Directory {
 protected:
  std::string error_of(std::string_view bytes) {
    const auto path = directory.write("tokenizer.model", bytes);
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    const std::string message = message_of<weft::FormatError>(
        [&] { weft::SentencePieceTokenizer(path, weft::TokenizerConfig{.add_bos = false}); });
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
    return message;
  }
};

TEST_F(CorruptedModel, GivesAFormatErrorNamingTheFile) {
  EXPECT_THAT(error_of(""), AllOf(HasSubstr("tokenizer.model"), HasSubstr("empty")));
  EXPECT_THAT(error_of("not a model at all"), HasSubstr("tokenizer.model: byte"));
  EXPECT_THAT(error_of(std::string_view("\x00\x00\x00", 3)), HasSubstr("tokenizer.model: byte"));
  EXPECT_THAT(error_of(model.substr(0, model.size() / 2)), HasSubstr("truncated"));
  EXPECT_THAT(error_of(model.substr(0, model.size() - 1)), HasSubstr("truncated"));
  EXPECT_THAT(error_of(model + '\x0a'), HasSubstr("truncated"));
}

TEST_F(CorruptedModel, TruncatedAnywhereIsRefused) {
  for (const char* name : {"legacy", "unigram"}) {
    const std::string whole = weft_tests::read_file(fixtures / name / "tokenizer.model");
    for (std::size_t size = 1; size < whole.size(); size += 1 + size % 211)
      EXPECT_THAT(error_of(std::string_view(whole).substr(0, size)), HasSubstr("tokenizer.model: byte")) << size;
  }
}

TEST_F(CorruptedModel, WithRandomBytesIsRefusedOrWorks) {
  std::mt19937 random(23);
  for (const char* name : {"legacy", "unigram"}) {
    const std::string good = weft_tests::read_file(fixtures / name / "tokenizer.model");
    for (int round = 0; round < 300; ++round) {
      std::string bad = good;
      // Most changes inside a piece are harmless; the end of the file holds the settings and the rules.
      const std::size_t from = round % 2 ? 0 : bad.size() - bad.size() / 8;
      for (int i = 0; i <= round % 4; ++i) bad[from + random() % (bad.size() - from)] = static_cast<char>(random());
      const auto path = directory.write("tokenizer.model", bad);
      testing::internal::CaptureStderr();
      try {
        const weft::SentencePieceTokenizer tokenizer(path, weft::TokenizerConfig{});
        for (const char* text : {"Once upon a time", "\xEF\xAC\x81 \xC2\xBD \t 여우 <|user|>>"})
          tokenizer.decode(tokenizer.encode(text));
      } catch (const weft::Error&) {
      }
      EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << name << " " << round;
    }
  }
}

}  // namespace
