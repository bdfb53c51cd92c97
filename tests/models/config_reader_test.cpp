#include <weft/models/config_reader.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

#include <weft/formats/json.hpp>

#include "../formats/temporary_directory.hpp"

namespace {

using namespace weft;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using weft_tests::message_of;

ConfigReader reader_of(std::string_view text) { return ConfigReader(parse_json(text, "config.json")); }

TEST(ConfigReader, ReadsTypedValues) {
  ConfigReader config = reader_of(R"({"size": 32, "eps": 1e-5, "whole": 3, "on": true, "act": "silu", "none": null})");
  EXPECT_EQ(config.positive("size"), 32u);
  EXPECT_EQ(config.positive_or("size", 7), 32u);
  EXPECT_EQ(config.positive_or("absent", 7), 7u);
  EXPECT_EQ(config.positive_or("none", 7), 7u);
  EXPECT_EQ(config.number("eps"), 1e-5f);
  EXPECT_EQ(config.number("whole"), 3.f);
  EXPECT_EQ(config.number_or("absent", 0.5f), 0.5f);
  EXPECT_EQ(config.number_or("none", 0.5f), 0.5f);
  EXPECT_TRUE(config.flag_or("on", false));
  EXPECT_TRUE(config.flag_or("none", true));
  EXPECT_EQ(config.text("act"), "silu");
  EXPECT_EQ(config.text_or("absent", "relu"), "relu");
  EXPECT_EQ(config.text_or("none", "relu"), "relu");
  EXPECT_EQ(config.optional("none"), nullptr);
  EXPECT_EQ(config.required("whole").as_int(), 3);
}

TEST(ConfigReader, NeedsAnObject) {
  for (const char* text : {"[]", "3", "null", "\"config\""})
    EXPECT_THAT(message_of<FormatError>([&] { reader_of(text); }), HasSubstr("expected an object")) << text;
}

TEST(ConfigReader, NamesTheKeyThatIsMissing) {
  ConfigReader config = reader_of(R"({"none": null})");
  for (const char* key : {"absent", "none"}) {
    const std::string message = std::string("the key \"") + key + "\" is missing";
    EXPECT_THAT(message_of<ConfigError>([&] { config.positive(key); }), HasSubstr(message));
    EXPECT_THAT(message_of<ConfigError>([&] { config.number(key); }), HasSubstr(message));
    EXPECT_THAT(message_of<ConfigError>([&] { config.text(key); }), HasSubstr(message));
  }
}

TEST(ConfigReader, RefusesNumbersOutOfRange) {
  for (const char* number : {"0", "-1", "2147483649", "9223372036854775807", "-9223372036854775808"}) {
    ConfigReader config = reader_of("{\"size\": " + std::string(number) + "}");
    const auto wrong = AllOf(StartsWith("config.json: size (byte "), HasSubstr("found " + std::string(number)));
    EXPECT_THAT(message_of<ConfigError>([&] { config.positive("size"); }), wrong);
    EXPECT_THAT(message_of<ConfigError>([&] { config.positive_or("size", 1); }), wrong);
  }
  EXPECT_EQ(reader_of(R"({"size": 2147483648})").positive("size"), std::size_t{1} << 31);
  ConfigReader huge = reader_of(R"({"eps": -1e39})");
  EXPECT_THAT(message_of<ConfigError>([&] { huge.number("eps"); }), HasSubstr("does not fit a float"));
  EXPECT_THAT(message_of<ConfigError>([&] { huge.number_or("eps", 1.f); }), HasSubstr("does not fit a float"));
}

TEST(ConfigReader, RefusesOtherTypes) {
  ConfigReader config = reader_of(R"({"number": 1.5, "text": "1", "flag": true, "list": [1]})");
  EXPECT_THAT(message_of<FormatError>([&] { config.positive("number"); }), HasSubstr("expected an integer"));
  EXPECT_THAT(message_of<FormatError>([&] { config.positive("flag"); }), HasSubstr("found a boolean"));
  EXPECT_THAT(message_of<FormatError>([&] { config.number("text"); }), HasSubstr("expected a number, found a string"));
  EXPECT_THAT(message_of<FormatError>([&] { config.flag_or("number", true); }), HasSubstr("expected a boolean"));
  EXPECT_THAT(message_of<FormatError>([&] { config.text("list"); }), HasSubstr("expected a string, found an array"));
}

TEST(ConfigReader, FinishFindsWhatNobodyRead) {
  constexpr std::array<std::string_view, 1> ignored{"license"};
  ConfigReader config = reader_of(R"({"size": 3, "license": "mit", "_class": "x", "surprise": 4, "inner": {"a": 1}})");
  config.positive("size");
  EXPECT_EQ(message_of<UnsupportedError>([&] { config.finish(ignored); }),
            "config.json: surprise (byte 59): the key \"surprise\" is not understood, and running without it could "
            "change the result");
  config.number("surprise");
  EXPECT_THAT(message_of<UnsupportedError>([&] { config.finish(ignored); }), HasSubstr("the key \"inner\""));
  config.optional("inner");
  config.finish(ignored);
}

TEST(ConfigReader, FinishPassesWhatSaysNothing) {
  reader_of(R"({"a": null, "b": false, "c": 0, "d": 0.0, "e": -0.0, "f": [], "g": {}, "h": ""})").finish({});
  for (const char* text :
       {R"({"a": true})", R"({"a": 1})", R"({"a": 1e-9})", R"({"a": [0]})", R"({"a": {"b": null}})", R"({"a": "x"})"})
    EXPECT_THROW(reader_of(text).finish({}), UnsupportedError) << text;
}

TEST(ConfigReader, RefuseIsForWhatAFamilyDoesNotHave) {
  ConfigReader config = reader_of(R"({"a": null, "b": false, "c": {"bits": 4}})");
  config.refuse("a");
  config.refuse("b");
  config.refuse("absent");
  EXPECT_THAT(message_of<UnsupportedError>([&] { config.refuse("c"); }), StartsWith("config.json: c (byte "));
}

}  // namespace
