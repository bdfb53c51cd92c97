#include <weft/tokenizers/gguf_tokenizer.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <weft/tokenizers/load_tokenizer.hpp>

#include "../formats/temporary_directory.hpp"

namespace {

using testing::HasSubstr;
using weft_tests::message_of;
using Ids = std::vector<weft::TokenId>;

const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "tokenizer_json";

// The model of a fixture's tokenizer.json as a GGUF file has it.
weft::GgufVocabulary from_fixture(const char* family) {
  weft::GgufVocabulary out{.source = "model.gguf", .model = "gpt2"};
  const weft::Json json = weft::parse_json_file((fixtures / family / "tokenizer.json").string());
  const auto put = [&](std::string_view token, std::size_t id, std::int32_t type) {
    if (id >= out.tokens.size()) {
      out.tokens.resize(id + 1);
      out.token_types.resize(id + 1, 1);
    }
    out.tokens[id] = token;
    out.token_types[id] = type;
  };
  for (const weft::Json& id : json.at("model").at("vocab")) put(id.key(), id.as_size(), 1);
  for (const weft::Json& token : json.at("added_tokens"))
    put(token.at("content").as_string(), token.at("id").as_size(), token.at("special").as_bool() ? 3 : 4);
  for (const weft::Json& merge : json.at("model").at("merges"))
    out.merges.push_back(std::string(merge.at(0).as_string()) + " " + std::string(merge.at(1).as_string()));
  return out;
}

void expect_same(const weft::Tokenizer& tokenizer, const char* family) {
  const weft::Json texts = weft::parse_json_file((fixtures / "texts.json").string());
  const weft::Json expected = weft::parse_json_file((fixtures / family / "expected.json").string());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string text(texts.at(i).as_string());
    if (text.find("<|") != text.npos || text.find("Normal") != text.npos) continue;  // GGUF has no flags
    Ids ids;
    for (const weft::Json& id : expected.at("ids").at(i)) ids.push_back(static_cast<weft::TokenId>(id.as_int()));
    EXPECT_EQ(tokenizer.encode(text), ids) << text;
    EXPECT_EQ(tokenizer.decode(ids), expected.at("text").at(i).as_string()) << text;
  }
}

TEST(GgufTokenizer, CutsByteLevelTextByTheNamedRecipe) {
  for (const auto& [family, pre] : std::vector<std::pair<const char*, const char*>>{
           {"gpt2", "gpt-2"}, {"qwen2", "qwen2"}, {"o200k", "gpt-4o"}, {"deepseek", "deepseek-v3"}}) {
    weft::GgufVocabulary file = from_fixture(family);
    file.pre = pre;
    expect_same(*weft::make_gguf_tokenizer(file), family);
  }
  weft::GgufVocabulary file = from_fixture("llama3");
  file.pre = "llama-bpe";
  for (std::size_t i = 0; i < file.tokens.size(); ++i)
    if (file.tokens[i] == "<|begin_of_text|>") file.bos = static_cast<weft::TokenId>(i);
  expect_same(*weft::make_gguf_tokenizer(file), "llama3");
}

TEST(GgufTokenizer, EveryRecipeCompiles) {
  for (const weft::ByteLevelRecipe& recipe : weft::detail::byte_level_recipes) {
    EXPECT_EQ(weft::find_byte_level_recipe(recipe.name), &recipe);
    weft::PreTokens tokens{weft::AlignedText("It's 12345 한국어,\n  ok"), {}};
    tokens.pieces.push_back({{0, tokens.text.size()}});
    for (const weft::PreTokenizer& step : weft::byte_level_steps(recipe.patterns)) step(tokens);
    EXPECT_GT(tokens.pieces.size(), 4u) << recipe.name;
  }
  EXPECT_EQ(weft::find_byte_level_recipe("nonsense"), nullptr);
}

weft::GgufVocabulary sentence_piece() {
  return {.source = "model.gguf",
          .model = "llama",
          .tokens = {"<unk>", "<s>", "</s>", "<0xC3>", "<0xA9>", "\u2581", "a", "b", "\u2581a", "ab", "\u2581ab"},
          .scores = {0, 0, 0, 0, 0, -5, -6, -7, -2, -1, -3},
          .token_types = {2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1},
          .bos = 1,
          .eos = 2,
          .unk = 0};
}

TEST(GgufTokenizer, JoinsSentencePiecesByScore) {
  const auto tokenizer = weft::make_gguf_tokenizer(sentence_piece());
  EXPECT_EQ(tokenizer->encode("ab"), (Ids{1, 10}));
  EXPECT_EQ(tokenizer->encode("ab a"), (Ids{1, 10, 8}));
  EXPECT_EQ(tokenizer->encode("\u00E9"), (Ids{1, 5, 3, 4}));
  EXPECT_EQ(tokenizer->encode("b</s>"), (Ids{1, 5, 7, 2}));
  EXPECT_EQ(tokenizer->decode(Ids{1, 10, 8, 3, 4}), "ab a\u00E9");
  weft::GgufVocabulary bare = sentence_piece();
  bare.add_space_prefix = bare.add_bos = false;
  bare.add_eos = true;
  EXPECT_EQ(weft::make_gguf_tokenizer(bare)->encode("ab"), (Ids{9, 2}));
}

TEST(GgufTokenizer, RebuildsWordPieces) {
  const weft::GgufVocabulary file{.source = "model.gguf",
                                  .model = "bert",
                                  .tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581fox", "es", "\u2581["},
                                  .token_types = {3, 3, 3, 3, 1, 1, 1},
                                  .unk = 1,
                                  .pad = 0,
                                  .sep = 3,
                                  .cls = 2};
  const auto tokenizer = weft::make_gguf_tokenizer(file);
  EXPECT_EQ(tokenizer->encode("Foxes [ es"), (Ids{2, 4, 5, 6, 1, 3}));
  EXPECT_EQ(tokenizer->pad(), 0);
}

TEST(GgufTokenizer, FindsTheBestUnigrams) {
  const weft::GgufVocabulary file{.source = "model.gguf",
                                  .model = "t5",
                                  .tokens = {"<pad>", "</s>", "<unk>", "\u2581", "a", "\u2581a"},
                                  .scores = {0, 0, 0, -2, -3, -1},
                                  .token_types = {3, 3, 2, 1, 1, 1},
                                  .eos = 1,
                                  .unk = 2,
                                  .pad = 0};
  EXPECT_EQ(weft::make_gguf_tokenizer(file)->encode("a aa z"), (Ids{5, 5, 4, 3, 2, 1}));
}

/// As llama.cpp's converter wrote them.
TEST(GgufTokenizer, ReadsThoseOfEncoders) {
  const std::filesystem::path files = fixtures.parent_path() / "gguf" / "tokenizers";
  const auto read = [&](const char* name) {
    return weft::make_gguf_tokenizer(*weft::read_gguf_vocabulary(weft::GgufFile(files / name)));
  };
  expect_same(*read("bert.gguf"), "bert");
  expect_same(*read("bert-cased.gguf"), "bert-cased");
  expect_same(*read("roberta.gguf"), "roberta");
  expect_same(*read("xlm-roberta.gguf"), "xlm-roberta");
  const auto t5 = read("t5.gguf");
  const auto original = weft::load_tokenizer(fixtures.parent_path() / "piece_vocabulary" / "t5");
  for (const weft::Json& json : weft::parse_json_file((fixtures / "texts.json").string())) {
    const std::string_view text = json.as_string();
    // White space that published models turn into spaces before anything else; this one has no rules.
    const auto has = [&](std::string_view part) { return text.find(part) != text.npos; };
    if (has("\n") || has("\t") || has("\u3000") || has("\u2581")) continue;
    EXPECT_EQ(t5->encode(text), original->encode(text)) << text;
  }
}

TEST(GgufTokenizer, SaysWhatIsWrong) {
  const auto error = [](auto change) {
    weft::GgufVocabulary file = sentence_piece();
    change(file);
    return message_of<weft::FormatError>([&] { weft::make_gguf_tokenizer(file); });
  };
  EXPECT_THAT(error([](auto& file) { file.scores.pop_back(); }), HasSubstr("10 entries in tokenizer.ggml.scores"));
  EXPECT_THAT(error([](auto& file) { file.token_types.pop_back(); }), HasSubstr("tokenizer.ggml.token_type"));
  EXPECT_THAT(error([](auto& file) { file.bos = 11; }), HasSubstr("special token id 11"));
  EXPECT_THAT(error([](auto& file) { file.model = "gpt2", file.merges = {"a x"}; }), HasSubstr("\"x\""));
  EXPECT_THAT(error([](auto& file) { file.model = "gpt2", file.merges = {"a"}; }), HasSubstr("two tokens"));
  weft::GgufVocabulary file = sentence_piece();
  file.model = "rwkv";
  EXPECT_THAT(message_of<weft::UnsupportedError>([&] { weft::make_gguf_tokenizer(file); }), HasSubstr("rwkv"));
  file.model = "gpt2";
  file.pre = "nonsense";
  EXPECT_THAT(message_of<weft::UnsupportedError>([&] { weft::make_gguf_tokenizer(file); }), HasSubstr("nonsense"));
}

}  // namespace
