#include <weft/models/generation_config.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include <weft/formats/json.hpp>

#include "../formats/temporary_directory.hpp"

namespace {

using namespace weft;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using weft_tests::message_of;

GenerationConfig read(const char* config, const char* generation = nullptr, std::size_t vocab = 100) {
  const Json first = parse_json(config, "config.json");
  if (!generation) return read_generation_config(first, nullptr, vocab);
  const Json second = parse_json(generation, "generation_config.json");
  return read_generation_config(first, &second, vocab);
}

TEST(GenerationConfig, WithoutAFileOnlyTokenIdsOfTheConfig) {
  const GenerationConfig config = read(R"({"eos_token_id": 2, "bos_token_id": 1, "temperature": 0.5})");
  EXPECT_THAT(config.eos, ElementsAre(2));
  EXPECT_EQ(config.bos, 1);
  EXPECT_FALSE(config.do_sample);
  EXPECT_EQ(config.temperature, 1.f);
  EXPECT_EQ(config.top_k, 0u);
  EXPECT_EQ(config.top_p, 1.f);
  EXPECT_EQ(config.repetition_penalty, 1.f);
}

TEST(GenerationConfig, ReadsTheFile) {
  const GenerationConfig config = read("{}", R"({"eos_token_id": [2, 7], "bos_token_id": 1, "do_sample": true,
    "temperature": 0.6, "top_k": 50, "top_p": 0.9, "repetition_penalty": 1.1, "transformers_version": "4"})");
  EXPECT_THAT(config.eos, ElementsAre(2, 7));
  EXPECT_EQ(config.bos, 1);
  EXPECT_TRUE(config.do_sample);
  EXPECT_EQ(config.temperature, 0.6f);
  EXPECT_EQ(config.top_k, 50u);
  EXPECT_EQ(config.top_p, 0.9f);
  EXPECT_EQ(config.repetition_penalty, 1.1f);
}

TEST(GenerationConfig, SamplesAsItSays) {
  const char* file = R"({"do_sample": true, "temperature": 0.6, "top_k": 50, "top_p": 0.9, "repetition_penalty": 1.1})";
  const SamplingParams params = read("{}", file).sampling(7);
  EXPECT_EQ(params.temperature, 0.6f);
  EXPECT_EQ(params.top_k, 50u);
  EXPECT_EQ(params.top_p, 0.9f);
  EXPECT_EQ(params.repetition_penalty, 1.1f);
  EXPECT_EQ(params.seed, 7u);
  EXPECT_NO_THROW(validate(params));
  // Without do_sample the likeliest token is taken, whatever else is said, and used tokens are less likely all the
  // same.
  const SamplingParams greedy =
      read("{}", R"({"temperature": 0.6, "top_k": 50, "repetition_penalty": 1.1})").sampling();
  EXPECT_EQ(greedy.temperature, 0.f);
  EXPECT_EQ(greedy.top_k, 0u);
  EXPECT_EQ(greedy.repetition_penalty, 1.1f);
}

TEST(GenerationConfig, LengthsAndRepetitions) {
  const char* lengths = R"({"no_repeat_ngram_size": 3, "min_length": 56})";
  for (const GenerationConfig& config : {read(lengths), read("{}", lengths)}) {
    EXPECT_EQ(config.no_repeat_ngram_size, 3u);
    EXPECT_EQ(config.min_length, 56u);
  }
  const GenerationConfig none = read(lengths, "{}");  // the file is there: what the config says is not heard
  EXPECT_EQ(none.no_repeat_ngram_size + none.min_length, 0u);
}

TEST(GenerationConfig, TheFileGoesBeforeTheConfig) {
  EXPECT_THAT(read(R"({"eos_token_id": 2})", R"({"eos_token_id": [3, 4]})").eos, ElementsAre(3, 4));
  EXPECT_THAT(read(R"({"eos_token_id": 2})", R"({"eos_token_id": null})").eos, ElementsAre(2));
  EXPECT_THAT(read(R"({"eos_token_id": 2})", "{}").eos, ElementsAre(2));
}

TEST(GenerationConfig, MayHaveNoEnd) {
  EXPECT_THAT(read("{}").eos, IsEmpty());
  EXPECT_EQ(read("{}").bos, std::nullopt);
  EXPECT_THAT(read(R"({"eos_token_id": null, "bos_token_id": null})", "{}").eos, IsEmpty());
  EXPECT_THAT(read(R"({"eos_token_id": -1, "bos_token_id": -1})").eos, IsEmpty());
  EXPECT_THAT(read(R"({"eos_token_id": 5})", R"({"eos_token_id": -1})").eos, ElementsAre(5));
}

TEST(GenerationConfig, RefusesIdsOutsideTheVocabulary) {
  EXPECT_THAT(
      message_of<ConfigError>([] { read(R"({"eos_token_id": 100})"); }),
      AllOf(StartsWith("config.json: eos_token_id"), HasSubstr("token id 100 is outside the vocabulary of 100")));
  EXPECT_THAT(message_of<ConfigError>([] { read("{}", R"({"eos_token_id": [1, -7]})"); }),
              StartsWith("generation_config.json: eos_token_id[1]"));
  EXPECT_THAT(message_of<ConfigError>([] { read(R"({"bos_token_id": 4294967297})"); }), HasSubstr("bos_token_id"));
}

TEST(GenerationConfig, RefusesOtherTypes) {
  for (const char* text : {R"({"eos_token_id": "2"})", R"({"eos_token_id": 2.0})", R"({"eos_token_id": ["</s>"]})",
                           R"({"do_sample": 1})", R"({"temperature": "hot"})", R"({"top_k": 1.5})", R"({"top_k": -1})"})
    EXPECT_THAT(message_of<FormatError>([&] { read("{}", text); }), StartsWith("generation_config.json: ")) << text;
}

TEST(GenerationConfig, WhatEncoderDecodersSay) {
  const GenerationConfig config =
      read(R"({"decoder_start_token_id": 3, "forced_bos_token_id": 8, "bad_words_ids": [[5]]})",
           R"({"forced_bos_token_id": 9, "forced_eos_token_id": [2, 4], "bad_words_ids": [[7], [1, 2]]})");
  EXPECT_EQ(config.decoder_start, 3);
  EXPECT_EQ(config.forced_bos, 9);
  EXPECT_EQ(config.forced_eos, 2);
  EXPECT_THAT(config.banned_words, ElementsAre(ElementsAre(7), ElementsAre(1, 2)));
  const GenerationConfig none = read(R"({"forced_bos_token_id": null})");
  EXPECT_EQ(none.decoder_start, std::nullopt);
  EXPECT_EQ(none.forced_bos, std::nullopt);
  EXPECT_EQ(none.forced_eos, std::nullopt);
  EXPECT_THAT(none.banned_words, IsEmpty());
  EXPECT_THAT(message_of<ConfigError>([] { read(R"({"forced_eos_token_id": 100})"); }), HasSubstr("token id 100"));
  EXPECT_THAT(message_of<ConfigError>([] { read(R"({"bad_words_ids": [[3], [100]]})"); }), HasSubstr("token id 100"));
  EXPECT_THROW(read(R"({"bad_words_ids": 3})"), FormatError);
}

}  // namespace
