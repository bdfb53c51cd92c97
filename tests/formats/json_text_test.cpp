#include <weft/formats/json_text.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include <weft/formats/json.hpp>

namespace {

using weft::detail::json_number;
using weft::detail::JsonObjectText;

TEST(JsonText, ObjectsReadBack) {
  EXPECT_EQ(JsonObjectText().finish(), "{}");
  JsonObjectText object;
  object.add_members("");
  object.add("a\"\\\n", "1");
  object.add_members("\"b\":2,\"c\":3");
  object.add_members("");
  object.add("d", "[]");
  EXPECT_EQ(object.finish(), "{\"a\\\"\\\\\\u000a\":1,\"b\":2,\"c\":3,\"d\":[]}");
  const weft::Json json = weft::parse_json(object.finish(), "text");
  EXPECT_EQ(json.at("a\"\\\n").as_int(), 1);
  EXPECT_EQ(json.size(), 4u);
}

TEST(JsonText, NumbersReadBack) {
  for (const double value : {0.0, -0.1, 1e-05, 500000.0, 1.0 / 3, std::numeric_limits<double>::max(),
                             std::numeric_limits<double>::denorm_min()})
    EXPECT_EQ(weft::parse_json(json_number(value), "text").as_double(), value);
}

}  // namespace
