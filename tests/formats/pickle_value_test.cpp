#include <weft/formats/pickle_value.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <weft/formats/pickle.hpp>

#include "pickle_writer.hpp"
#include "temporary_directory.hpp"

namespace {

using namespace weft_tests::pickle;
using testing::ElementsAre;
using testing::HasSubstr;
using weft_tests::message_of;

class PickleValue : public testing::Test {
 protected:
  std::string bytes;
  std::unique_ptr<weft::Pickle> pickle;

  weft::PickleValue read(const std::string& value) {
    bytes = whole(value);
    pickle = std::make_unique<weft::Pickle>(bytes, "data.pkl", 100);
    return pickle->root();
  }
};

TEST_F(PickleValue, GivesItsItemsInOrder) {
  std::vector<std::int64_t> seen;
  for (const weft::PickleValue item : read(integers({5, -6, 7}))) seen.push_back(item.as_int());
  EXPECT_THAT(seen, ElementsAre(5, -6, 7));
  EXPECT_EQ(read(")").size(), 0u);
  EXPECT_TRUE(read(")").begin() == read(")").end());
  EXPECT_TRUE(read("N").begin() == read("N").end());
  std::vector<std::string> keys;
  const weft::PickleValue values = read(dict({{"a", "N"}, {"b", "K\1"}}));
  EXPECT_EQ(values.size(), 4u);
  for (auto item = values.begin(); item != values.end(); ++ ++item) keys.emplace_back((*item).as_string());
  EXPECT_THAT(keys, ElementsAre("a", "b"));
}

TEST_F(PickleValue, FindsKeysOfDicts) {
  const weft::PickleValue values = read("}(" + text("a") + "K\1" + "K\5" + "N" + text("a") + "K\2" + "u");
  ASSERT_TRUE(values.find("a"));
  EXPECT_EQ(values.find("a")->as_int(), 2);
  EXPECT_FALSE(values.find("b"));
  EXPECT_FALSE(read("]").find("a"));
}

TEST_F(PickleValue, SaysWhatItExpected) {
  const weft::PickleValue text_value = read(text("x"));
  EXPECT_EQ(message_of<weft::FormatError>([&] { static_cast<void>(text_value.as_int()); }),
            "data.pkl: byte 102: expected an integer, found a string");
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(text_value.as_bool()); }), HasSubstr("a boolean"));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(text_value.as_double()); }), HasSubstr("a number"));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(text_value.as_global()); }), HasSubstr("a global"));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(text_value.as_tuple()); }), HasSubstr("a tuple"));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(text_value.as_dict()); }), HasSubstr("a dict"));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(text_value.as_storage()); }),
              HasSubstr("a storage"));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(text_value.as_tensor()); }), HasSubstr("a tensor"));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(read("N").as_string()); }),
              HasSubstr("found None"));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(read(integer(-1)).as_size()); }),
              HasSubstr("expected a count, found -1"));
}

}  // namespace
