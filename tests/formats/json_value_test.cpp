#include <weft/formats/json_value.hpp>

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

#include <weft/formats/json.hpp>

#include "temporary_directory.hpp"

namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using weft_tests::message_of;

weft::Json parse(std::string_view text) { return weft::parse_json(text, "test.json"); }
template <class Access>
std::string access_error(std::string_view text, Access access) {
  const weft::Json json = parse(text);
  return message_of<weft::FormatError>([&] { static_cast<void>(access(json)); });
}

TEST(JsonValue, KeepsTheOrderOfKeys) {
  const weft::Json json = parse(R"({"b": 1, "a": {"z": 2}, "c": [3]})");
  EXPECT_THAT(json.keys(), ElementsAre("b", "a", "c"));
  std::vector<std::string> seen;
  for (const weft::Json& member : json) seen.emplace_back(member.key());
  EXPECT_THAT(seen, ElementsAre("b", "a", "c"));
  EXPECT_EQ(json.at("a").at("z").as_int(), 2);
  EXPECT_EQ(json.at(0).as_int(), 1);
  EXPECT_EQ(json.at("c").at(0).key(), "");
}

TEST(JsonValue, FindsKeysInLargeObjects) {
  std::string text = "{";
  for (int i = 0; i < 5000; ++i)
    text += (i ? ",\"key" : "\"key") + std::to_string(i * 7919 % 5000) + "\":" + std::to_string(i);
  const weft::Json json = parse(text + "}");
  ASSERT_EQ(json.size(), 5000u);
  for (int i = 0; i < 5000; ++i) EXPECT_EQ(json.at("key" + std::to_string(i * 7919 % 5000)).as_int(), i);
  EXPECT_FALSE(json.contains("key5000"));
  EXPECT_FALSE(json.contains("key"));
  EXPECT_FALSE(json.contains(""));
}

TEST(JsonValue, GivesDefaultsForMissingAndNullKeys) {
  const weft::Json json = parse(R"({"b": true, "i": 3, "d": 2.5, "s": "x", "n": null})");
  EXPECT_TRUE(json.get_or("b", false));
  EXPECT_EQ(json.get_or("i", 1), 3);
  EXPECT_EQ(json.get_or("i", std::size_t{1}), 3u);
  EXPECT_EQ(json.get_or("i", 1.0), 3.0);
  EXPECT_EQ(json.get_or("d", 1.0), 2.5);
  EXPECT_EQ(json.get_or("s", "y"), "x");
  for (const char* key : {"n", "missing"}) {
    EXPECT_TRUE(json.get_or(key, true));
    EXPECT_EQ(json.get_or(key, 4), 4);
    EXPECT_EQ(json.get_or(key, 4.5), 4.5);
    EXPECT_EQ(json.get_or(key, "y"), "y");
    EXPECT_EQ(json.given(key), nullptr);
  }
  EXPECT_NE(json.find("n"), nullptr);
  EXPECT_THAT(access_error(R"({"i": -1})", [](const weft::Json& j) { return j.get_or("i", 1u); }),
              HasSubstr("out of range"));
  EXPECT_THAT(access_error(R"({"i": 3000000000})", [](const weft::Json& j) { return j.get_or("i", 1); }),
              HasSubstr("out of range"));
  EXPECT_THAT(access_error(R"({"i": "1"})", [](const weft::Json& j) { return j.get_or("i", 1); }),
              HasSubstr("expected an integer"));
}

TEST(JsonValue, ValuesOutliveTheDocumentTheyCameFrom) {
  weft::Json inner;
  EXPECT_TRUE(inner.is_null());
  {
    const weft::Json json = parse(R"({"a": {"b": ["long enough not to be stored in place", 1]}})");
    inner = json.at("a");
    weft::Json copy = inner;
    weft::Json moved = std::move(copy);
    inner = moved;
  }
  EXPECT_EQ(inner.at("b").at(0).as_string(), "long enough not to be stored in place");
  EXPECT_EQ(inner.at("b").path(), "a.b");
  inner = inner.at("b");
  EXPECT_EQ(inner.at(1).path(), "a.b[1]");
  EXPECT_EQ(inner.source(), "test.json");
}

TEST(JsonValue, NamesFileKeyAndByteOfAWrongType) {
  const char* text = R"({"rope_scaling": {"factor": "8", "list": [1, {"x": 2}]}})";
  EXPECT_EQ(access_error(text, [](const weft::Json& j) { return j.at("rope_scaling").at("factor").as_double(); }),
            "test.json: rope_scaling.factor (byte 31): expected a number, found a string");
  EXPECT_THAT(
      access_error(text, [](const weft::Json& j) { return j.at("rope_scaling").at("list").at(1).at("x").as_string(); }),
      AllOf(StartsWith("test.json: rope_scaling.list[1].x (byte "), HasSubstr("expected a string, found an integer")));
  EXPECT_THAT(access_error(text, [](const weft::Json& j) { return j.as_array().size(); }),
              StartsWith("test.json: byte 1: expected an array, found an object"));
  EXPECT_THAT(access_error(text, [](const weft::Json& j) { return j.at("missing").is_null(); }),
              HasSubstr("the key \"missing\" is missing"));
  EXPECT_THAT(
      access_error(text, [](const weft::Json& j) { return j.at("rope_scaling").at("factor").at("x").is_null(); }),
      HasSubstr("expected an object, found a string"));
  EXPECT_THAT(access_error(text, [](const weft::Json& j) { return j.at("rope_scaling").at("list").at(2).is_null(); }),
              HasSubstr("rope_scaling.list (byte 42): there is no element 2, the size is 2"));
  EXPECT_THAT(access_error("[]", [](const weft::Json& j) { return j.at(-1).is_null(); }), HasSubstr("no element -1"));
  EXPECT_THAT(access_error("-1", [](const weft::Json& j) { return j.as_size(); }),
              HasSubstr("expected a count, found -1"));
  EXPECT_THAT(access_error("1", [](const weft::Json& j) { return j.as_bool(); }),
              HasSubstr("expected a boolean, found an integer"));
  EXPECT_THAT(access_error("null", [](const weft::Json& j) { return j.as_object().size(); }), HasSubstr("found null"));
}

}  // namespace
