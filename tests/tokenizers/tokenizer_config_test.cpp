#include <weft/tokenizers/tokenizer_config.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "../formats/temporary_directory.hpp"

namespace {

using testing::AllOf;
using testing::HasSubstr;
using weft_tests::message_of;

class TokenizerConfig : public testing::Test {
 protected:
  weft_tests::TemporaryDirectory directory;

  weft::TokenizerConfig read() { return weft::read_tokenizer_config(directory.path()); }
};

TEST_F(TokenizerConfig, HasTheDefaultsOfTheReference) {
  const weft::TokenizerConfig config = read();
  EXPECT_EQ(config.bos->content, "<s>");
  EXPECT_EQ(config.eos->content, "</s>");
  EXPECT_EQ(config.unk->content, "<unk>");
  EXPECT_TRUE(config.bos->special);
  EXPECT_FALSE(config.pad.has_value());
  EXPECT_FALSE(config.add_bos.has_value());
  EXPECT_FALSE(config.legacy.has_value());
  EXPECT_TRUE(config.added.empty());
}

TEST_F(TokenizerConfig, ReadsTokensAsStringsAndObjects) {
  directory.write("tokenizer_config.json", R"({"bos_token": "<b>", "eos_token": {"content": "<e>", "lstrip": true},
    "unk_token": {"__type": "AddedToken", "content": "<u>", "rstrip": true, "single_word": true}, "pad_token": null,
    "mask_token": "<m>", "additional_special_tokens": ["<x>", {"content": "<y>"}],
    "legacy": false, "add_bos_token": true, "add_eos_token": null, "tokenizer_class": "LlamaTokenizer"})");
  const weft::TokenizerConfig config = read();
  EXPECT_EQ(config.bos->content, "<b>");
  EXPECT_EQ(config.eos->content, "<e>");
  EXPECT_TRUE(config.eos->strip_left);
  EXPECT_TRUE(config.eos->special);
  EXPECT_TRUE(config.unk->strip_right);
  EXPECT_TRUE(config.unk->whole_word);
  EXPECT_FALSE(config.pad.has_value());
  EXPECT_EQ(config.mask->content, "<m>");
  ASSERT_EQ(config.additional.size(), 2u);
  EXPECT_EQ(config.additional[1].content, "<y>");
  EXPECT_EQ(config.legacy, false);
  EXPECT_EQ(config.add_bos, true);
  EXPECT_EQ(config.add_eos, std::nullopt);
  EXPECT_EQ(config.tokenizer_class, "LlamaTokenizer");
}

TEST_F(TokenizerConfig, ReadsTheOlderFilesOnlyWithoutAddedTokensDecoder) {
  directory.write("special_tokens_map.json", R"({"eos_token": "<e>"})");
  directory.write("added_tokens.json", R"({"<x>": 7})");
  directory.write("tokenizer.json", R"({"added_tokens": [{"id": 8, "content": "<y>", "special": true}]})");
  weft::TokenizerConfig config = read();
  EXPECT_EQ(config.eos->content, "<e>");
  ASSERT_EQ(config.added.size(), 2u);
  EXPECT_EQ(config.added[0].content, "<x>");
  EXPECT_EQ(config.added[0].id, 7);
  EXPECT_FALSE(config.added[0].special);
  EXPECT_EQ(config.added[1].id, 8);
  EXPECT_TRUE(config.added[1].special);

  directory.write("tokenizer_config.json", R"({"added_tokens_decoder": {"9": {"content": "<z>", "lstrip": true}}})");
  config = read();
  EXPECT_EQ(config.eos->content, "</s>");
  ASSERT_EQ(config.added.size(), 1u);
  EXPECT_EQ(config.added[0].id, 9);
  EXPECT_TRUE(config.added[0].strip_left);
}

TEST_F(TokenizerConfig, NamesFileAndKeyOfWhatIsWrong) {
  const auto error = [&](const char* json) {
    directory.write("tokenizer_config.json", json);
    return message_of<weft::FormatError>([&] { read(); });
  };
  EXPECT_THAT(error("[]"), AllOf(HasSubstr("tokenizer_config.json"), HasSubstr("expected an object, found an array")));
  EXPECT_THAT(error(R"({"bos_token": 1})"), HasSubstr("bos_token (byte 16): expected a string, found an integer"));
  EXPECT_THAT(error(R"({"bos_token": {}})"), HasSubstr("the key \"content\" is missing"));
  EXPECT_THAT(error(R"({"legacy": "no"})"), HasSubstr("legacy (byte 15): expected a boolean"));
  EXPECT_THAT(error(R"({"added_tokens_decoder": {"x": {"content": "a"}}})"), HasSubstr("\"x\" is no token id"));
  EXPECT_THAT(error(R"({"added_tokens_decoder": {"-1": {"content": "a"}}})"), HasSubstr("\"-1\" is no token id"));
  EXPECT_THAT(error(R"({"added_tokens_decoder": {"99999999999": {"content": "a"}}})"), HasSubstr("is no token id"));
  EXPECT_THAT(error(R"({"added_tokens_decoder": {"1": {"content": 5}}})"),
              HasSubstr("added_tokens_decoder.1.content (byte 45): expected a string"));
  directory.write("tokenizer_config.json", "{}");
  directory.write("added_tokens.json", R"({"<x>": 3000000000})");
  EXPECT_THAT(message_of<weft::FormatError>([&] { read(); }),
              AllOf(HasSubstr("added_tokens.json: <x>"), HasSubstr("is no token id")));
}

TEST_F(TokenizerConfig, RefusesRandomSegmentation) {
  directory.write("tokenizer_config.json", R"({"sp_model_kwargs": {"enable_sampling": true}})");
  EXPECT_THAT(message_of<weft::UnsupportedError>([&] { read(); }), HasSubstr("sp_model_kwargs"));
  directory.write("tokenizer_config.json", R"({"sp_model_kwargs": {}})");
  read();
}

}  // namespace
