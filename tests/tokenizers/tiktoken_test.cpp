#include <weft/tokenizers/tiktoken.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include <weft/formats/json.hpp>
#include <weft/tokenizers/load_tokenizer.hpp>

#include "../formats/temporary_directory.hpp"

namespace {

using testing::HasSubstr;
using weft_tests::message_of;

const std::filesystem::path fixture = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "tiktoken";

/// Every byte as a token, and more lines.
std::string with_bytes(const std::string& more) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t byte = 0; byte < 256; ++byte)
    text.append(1, digits[byte >> 2]).append(1, digits[byte << 4 & 63]).append("== " + std::to_string(byte) + "\n");
  return text + more;
}

TEST(Tiktoken, GivesTheIdsOfThePackage) {
  const auto tokenizer = weft::load_tokenizer(fixture);
  const weft::Json expected = weft::parse_json_file((fixture / "expected.json").string());
  ASSERT_GT(expected.size(), 30u);
  for (const weft::Json& pair : expected) {
    const std::string text(pair.at(0).as_string());
    std::vector<weft::TokenId> ids;
    for (const weft::Json& id : pair.at(1)) ids.push_back(static_cast<weft::TokenId>(id.as_int()));
    EXPECT_EQ(tokenizer->encode(text), ids) << text;
    if (text.find("<|") != text.npos) continue;
    EXPECT_EQ(tokenizer->decode(ids), text);
  }
}

TEST(Tiktoken, HasTheSpecialTokensOfLlama3) {
  const auto tokenizer = weft::load_tokenizer(fixture);
  const auto base = static_cast<weft::TokenId>(tokenizer->vocab_size()) - 256;
  EXPECT_EQ(tokenizer->bos(), base);
  EXPECT_EQ(tokenizer->eos(), base + 1);
  EXPECT_EQ(tokenizer->encode("<|eot_id|>"), (std::vector<weft::TokenId>{base, base + 9}));
  EXPECT_EQ(tokenizer->encode("<|reserved_special_token_245|>"), (std::vector<weft::TokenId>{base, base + 255}));
}

TEST(Tiktoken, MergesByTheRankOfWhatComesOut) {
  const weft_tests::TemporaryDirectory directory;
  // "bc" before "ab", and "abcd" as a whole word although no merge leads there.
  directory.write("tokenizer.model", with_bytes("YmM= 256\nYWI= 257\nYWJjZA== 258\r\n"));
  const auto tokenizer = weft::load_tokenizer(directory.path());
  EXPECT_EQ(tokenizer->encode("abc"), (std::vector<weft::TokenId>{259, 'a', 256}));
  EXPECT_EQ(tokenizer->encode("abcd"), (std::vector<weft::TokenId>{259, 258}));
  EXPECT_EQ(tokenizer->encode("abcde"), (std::vector<weft::TokenId>{259, 'a', 256, 'd', 'e'}));
}

void read(const std::filesystem::path& directory) {
  weft::read_llama3_tiktoken(weft::Source::file((directory / "tokenizer.model").string()));
}

TEST(Tiktoken, RefusesWhatIsNoVocabulary) {
  const weft_tests::TemporaryDirectory directory;
  const auto refused = [&](const std::string& text) {
    directory.write("tokenizer.model", text);
    return message_of<weft::FormatError>([&] { read(directory.path()); });
  };
  EXPECT_THAT(refused("IQ== 0\n"), HasSubstr("tokenizer.model: the byte 0 is no token"));
  EXPECT_THAT(refused(with_bytes("YWI= 300\n")), HasSubstr("line 257: expected a token in base64"));
  EXPECT_THAT(refused(with_bytes("YWI= 5\n")), HasSubstr("line 257"));
  EXPECT_THAT(refused(with_bytes("YWI=\n")), HasSubstr("line 257"));
  EXPECT_THAT(refused(with_bytes("Y?I= 256\n")), HasSubstr("line 257"));
  EXPECT_THAT(refused(with_bytes("YWI= 256 7\n")), HasSubstr("line 257"));
  std::string many;
  for (int i = 0; i < 128'001; ++i) many += "IQ== 0\n";
  directory.write("tokenizer.model", many);
  EXPECT_THAT(message_of<weft::UnsupportedError>([&] { read(directory.path()); }),
              HasSubstr("128001 tokens are not supported"));
}

}  // namespace
