#include <weft/formats/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/formats/utf8.hpp>

#include "temporary_directory.hpp"

namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using weft_tests::message_of;

weft::Json parse(std::string_view text) { return weft::parse_json(text, "test.json"); }
std::string error(std::string_view text) {
  return message_of<weft::FormatError>([&] { parse(text); });
}
template <class Access>
std::string access_error(std::string_view text, Access access) {
  const weft::Json json = parse(text);
  return message_of<weft::FormatError>([&] { static_cast<void>(access(json)); });
}

TEST(Json, ReadsEveryKindOfValue) {
  const weft::Json json =
      parse(R"([null, true, false, -7, 9223372036854775807, 1.5, 1e3, "a\u00e9\ud83d\ude00\n", [], {}])");
  ASSERT_EQ(json.size(), 10u);
  EXPECT_TRUE(json.at(0).is_null());
  EXPECT_TRUE(json.at(1).as_bool());
  EXPECT_FALSE(json.at(2).as_bool());
  EXPECT_EQ(json.at(3).as_int(), -7);
  EXPECT_EQ(json.at(4).as_int(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(json.at(5).as_double(), 1.5);
  EXPECT_EQ(json.at(3).as_double(), -7.0);
  EXPECT_TRUE(json.at(6).is_number());
  EXPECT_FALSE(json.at(6).is_int());
  EXPECT_EQ(json.at(7).as_string(), "a\u00e9\U0001F600\n");
  EXPECT_TRUE(json.at(8).is_array());
  EXPECT_TRUE(json.at(9).is_object());
  EXPECT_TRUE(json.at(9).empty());
}

TEST(Json, ReadsIntegersPast64BitsAsNumbers) {
  for (const char* text : {"9223372036854775808", "18446744073709551616", "1000000000000000019884624838656"}) {
    EXPECT_EQ(parse(text).type(), weft::JsonType::number) << text;
    EXPECT_THAT(access_error(text, [](const weft::Json& json) { return json.as_int(); }),
                HasSubstr("expected an integer, found a number"));
  }
  EXPECT_EQ(parse("1000000000000000019884624838656").as_double(), 1e30);
  EXPECT_EQ(parse("-9223372036854775808").as_int(), std::numeric_limits<std::int64_t>::min());
}

TEST(Json, RefusesDuplicateKeys) {
  EXPECT_THAT(error(R"({"a": 1, "b": 2, "a": 3})"),
              AllOf(StartsWith("test.json: a (byte "), HasSubstr("duplicate key \"a\"")));
  EXPECT_THAT(error(R"({"x": [{"a": 1, "\u0061": 1}]})"), HasSubstr("duplicate key \"a\""));
  EXPECT_EQ(parse(R"({"a": {"a": 1}, "b": {"a": 2}})").at("b").at("a").as_int(), 2);
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const char* text :
       {"",        " ",          "{",           "[1,",      "[1 2]",  "{\"a\"}", "{\"a\":}", "{a:1}", "{'a':1}",
        "[1,]",    "{\"a\":1,}", "01",          "1.",       ".5",     "+1",      "0x10",     "tru",   "\"",
        "\"\\x\"", "\"\\u12\"",  "\"\\ud800\"", "\"a\nb\"", "/*c*/1", "[1]]",    "{} {}",    "1 x"})
    EXPECT_THAT(error(text), AllOf(StartsWith("test.json: byte "), HasSubstr("not valid JSON"))) << text;
  EXPECT_THAT(error("1e999"), HasSubstr("not valid JSON"));
  EXPECT_THAT(error(std::string_view("[1]\0", 4)), HasSubstr("byte 4: not valid JSON: a zero byte"));
  EXPECT_THAT(error(std::string_view("[1]\0]", 5)), HasSubstr("byte 4: not valid JSON: a zero byte"));
  EXPECT_THAT(error(R"({"a": tru})"), StartsWith("test.json: byte 10: "));
}

TEST(Json, RefusesNanAndInfinity) {
  for (const char* text : {"NaN", "[NaN]", "[Infinity]", "[1, -Infinity]", "{\"a\": -Infinity}"})
    EXPECT_THAT(error(text), AllOf(StartsWith("test.json: byte "), HasSubstr("NaN and Infinity are no JSON numbers")))
        << text;
}

TEST(Json, RefusesTextThatIsNotUtf8) {
  for (const char* bytes : {"\xFF", "\xC3", "\xED\xA0\x80", "\xC0\x80", "\xF5\x80\x80\x80"}) {
    const std::string message = error("{\"k" + std::string(bytes) + "\": 1}");
    EXPECT_THAT(message, HasSubstr("UTF-8")) << testing::PrintToString(bytes);
    EXPECT_TRUE(weft::is_utf8(message));
    EXPECT_THAT(error("[\"" + std::string(bytes) + "\"]"), HasSubstr("UTF-8"));
  }
}

TEST(Json, RefusesDeepNesting) {
  const auto nested = [](std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  EXPECT_EQ(parse(nested(64)).size(), 1u);
  EXPECT_THAT(error(nested(65)), AllOf(StartsWith("test.json: byte 65: "), HasSubstr("deeper than 64")));
  EXPECT_THAT(error(std::string(1000000, '[')), HasSubstr("deeper than 64"));
}

TEST(Json, KeepsToItsLimitsAndOrigin) {
  EXPECT_THAT(message_of<weft::FormatError>([] { weft::parse_json("[1,2,3]", "t", {.max_values = 3}); }),
              HasSubstr("more than 3 values"));
  EXPECT_THAT(message_of<weft::FormatError>([] { weft::parse_json("[x]", "t", {.origin = 100}); }),
              StartsWith("t: byte 102: "));
  EXPECT_THAT(weft::parse_json("[\"a\"]", "t", {.origin = 100}).at(0).location(), "t: [0] (byte 104)");
}

TEST(Json, ReadsFiles) {
  const weft_tests::TemporaryDirectory directory;
  const std::string path = directory.write("a.json", "\xEF\xBB\xBF{\"a\": 1}").string();
  EXPECT_EQ(weft::parse_json_file(path).at("a").as_int(), 1);
  const std::string broken = directory.write("b.json", "{").string();
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::parse_json_file(broken); }), StartsWith(broken + ": byte "));
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::parse_json_file(path + "x"); }), HasSubstr("a.jsonx"));
  const std::string empty = directory.write("c.json", "").string();
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::parse_json_file(empty); }), HasSubstr("empty"));
}

TEST(Json, WritesWhatReadsBackAsTheSame) {
  const std::string text = R"({"z":[1,-2,9007199254740993,0.1,1e-06,-0.0,1e+300],"a":{"t":true,"f":false,"n":null},)"
                           R"("e":[{},[]],"s":"\"\\\n\u0001\u00e9\ud83d\ude00/"})";
  const weft::Json json = parse(text);
  const std::string written = weft::write_json(json);
  EXPECT_EQ(written,
            "{\"z\":[1,-2,9007199254740993,0.1,1e-06,-0.0,1e+300],\"a\":{\"t\":true,\"f\":false,\"n\":null},"
            "\"e\":[{},[]],\"s\":\"\\\"\\\\\\n\\u0001\u00e9\U0001F600/\"}");
  EXPECT_EQ(weft::write_json(parse(written)), written);
  EXPECT_EQ(weft::write_json(parse(R"({"a":[1]})"), 2), "{\n  \"a\": [\n    1\n  ]\n}");
  EXPECT_EQ(weft::write_json(json.at("z").at(3)), "0.1");
  EXPECT_EQ(weft::write_json(weft::Json()), "null");
}

TEST(Json, SurvivesRandomChanges) {
  const std::string good =
      R"({"a": [1, -2.5e3, "text \u00e9 é", null], "b": {"c": true, "d": {"e": [[], {}]}}, "f": 1e-3})";
  std::mt19937 random(17);
  std::size_t accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text = good;
    for (int i = 0; i <= round % 3; ++i) text[random() % text.size()] = static_cast<char>(random());
    if (round % 5 == 0) text.resize(random() % text.size());
    try {
      accepted += parse(text).size() > 0 ? 1 : 0;
    } catch (const weft::FormatError&) {
    }
  }
  EXPECT_GT(accepted, 100u);
  EXPECT_LT(accepted, 19000u);
}

}  // namespace
