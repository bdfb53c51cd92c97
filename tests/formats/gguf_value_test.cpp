#include <weft/formats/gguf_value.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "gguf_bytes.hpp"
#include "temporary_directory.hpp"

namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using weft::GgufType;
using weft::GgufValue;
using weft_tests::message_of;
using weft_tests::raw;
using weft_tests::text;
using weft_tests::u32;
using weft_tests::u64;

// The value that the type and bytes make; it refers to them.
GgufValue read(std::string_view bytes) {
  weft::detail::GgufCursor cursor("m.gguf", std::as_bytes(std::span(bytes)), 100);
  return GgufValue::read(cursor, "some.key");
}
std::string error(std::string_view bytes) {
  return message_of<weft::FormatError>([&] { read(bytes); });
}
std::string array(std::uint32_t type, std::uint64_t count, std::string_view elements) {
  return u32(9) + u32(type) + u64(count).append(elements);
}

TEST(GgufValue, ReadsWholeNumbersOfEveryWidth) {
  const std::string u8 = u32(0) + raw<std::uint8_t>(200), i8 = u32(1) + raw<std::int8_t>(-100),
                    u16 = u32(2) + raw<std::uint16_t>(60000), i16 = u32(3) + raw<std::int16_t>(-30000),
                    u_32 = u32(4) + u32(4000000000u), i32 = u32(5) + raw(-2000000000), u_64 = u32(10) + u64(1ull << 62),
                    i64 = u32(11) + raw<std::int64_t>(-1);
  EXPECT_EQ(read(u8).as_int(), 200);
  EXPECT_EQ(read(i8).as_int(), -100);
  EXPECT_EQ(read(u16).as_int(), 60000);
  EXPECT_EQ(read(i16).as_int(), -30000);
  EXPECT_EQ(read(u_32).as_int(), 4000000000);
  EXPECT_EQ(read(i32).as_int(), -2000000000);
  EXPECT_EQ(read(u_64).as_size(), 1ull << 62);
  EXPECT_EQ(read(i64).as_int(), -1);
  EXPECT_EQ(read(i64).as_double(), -1.0);
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(read(i64).as_size()); }),
              HasSubstr("m.gguf: some.key (byte 104): expected a count, found -1"));
  const std::string large = u32(10) + u64(~0ull);
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(read(large).as_int()); }),
              HasSubstr("18446744073709551615 is out of range"));
}

TEST(GgufValue, ReadsNumbersBooleansAndText) {
  const std::string f32 = u32(6) + raw(0.1f), f64 = u32(12) + raw(0.1), yes = u32(7) + "\1",
                    words = u32(8) + text("a\0b");
  EXPECT_EQ(read(f32).as_double(), static_cast<double>(0.1f));
  EXPECT_EQ(read(f64).as_double(), 0.1);
  EXPECT_TRUE(read(yes).as_bool());
  EXPECT_EQ(read(words).as_string(), "a");
  EXPECT_EQ(read(words).type(), GgufType::string);
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(read(f32).as_int()); }),
              HasSubstr("expected a whole number, found f32"));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(read(f32).as_string()); }),
              HasSubstr("expected a string, found f32"));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(read(words).as_bool()); }),
              HasSubstr("expected a boolean, found a string"));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(read(words).as_strings()); }),
              HasSubstr("expected an array, found a string"));
}

TEST(GgufValue, ReadsArrays) {
  const std::string numbers = array(1, 3, "\1\2\xFF"), floats = array(6, 2, raw(0.5f) + raw(-2.f)),
                    words = array(8, 3, text("a") + text("") + text("bc")), none = array(8, 0, "");
  EXPECT_EQ(read(numbers).element_type(), GgufType::i8);
  EXPECT_EQ(read(numbers).size(), 3u);
  EXPECT_THAT(read(numbers).as_ints(), ElementsAre(1, 2, -1));
  EXPECT_THAT(read(floats).as_doubles(), ElementsAre(0.5, -2.0));
  EXPECT_THAT(read(words).as_strings(), ElementsAre("a", "", "bc"));
  EXPECT_TRUE(read(none).as_strings().empty());
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(read(words).as_ints()); }),
              HasSubstr("expected a whole number, found a string"));
}

TEST(GgufValue, ReadsArraysOfArraysToALimit) {
  const std::string two = array(9, 2, array(0, 1, "\7").substr(4) + array(0, 2, "\1\2").substr(4));
  std::size_t sum = 0;
  read(two).for_each([&](const GgufValue& inner) {
    for (const std::int64_t element : inner.as_ints()) sum += static_cast<std::size_t>(element);
  });
  EXPECT_EQ(sum, 10u);
  std::string nested = array(0, 1, "\7");
  for (int level = 2; level <= 4; ++level) nested = array(9, 1, nested.substr(4));
  EXPECT_EQ(read(nested).size(), 1u);
  EXPECT_THAT(error(array(9, 1, nested.substr(4))), HasSubstr("nested deeper than 4 levels"));
  std::string deep;
  for (int level = 0; level < 100000; ++level) deep += u32(9) + u64(1);
  EXPECT_THAT(error(u32(9) + deep), HasSubstr("nested deeper than 4 levels"));
}

TEST(GgufValue, RefusesWhatTheFileIsTooShortFor) {
  const std::string values[] = {u32(4) + u32(1), u32(8) + text("words"), array(4, 2, u64(1)),
                                array(8, 2, text("a") + text("b")), array(9, 1, array(0, 1, "\7").substr(4))};
  for (const std::string& value : values)
    for (std::size_t size = 0; size < value.size(); ++size)
      EXPECT_THAT(error(value.substr(0, size)), HasSubstr("m.gguf: ")) << size;
  EXPECT_THAT(error(u32(8) + u64(~0ull) + "abc"),
              HasSubstr("byte 112: some.key takes 18446744073709551615 bytes, the file has 3 left"));
  EXPECT_THAT(error(array(4, ~0ull, "abc")), HasSubstr("an array of 18446744073709551615 elements"));
  EXPECT_THAT(error(array(10, 1ull << 61, "abc")), HasSubstr("an array of 2305843009213693952 elements"));
  EXPECT_THAT(error(array(10, 2, u64(1))), HasSubstr("takes 16 bytes, the file has 8 left"));
  EXPECT_THAT(error(array(9, 1ull << 40, "abc")), HasSubstr("the file has 3 bytes left"));
}

TEST(GgufValue, RefusesUnknownTypesAndBooleansThatAreNone) {
  EXPECT_THAT(error(u32(13) + u64(0)), HasSubstr("m.gguf: some.key (byte 100): found the value type 13"));
  EXPECT_THAT(error(u32(~0u) + u64(0)), HasSubstr("found the value type 4294967295"));
  EXPECT_THAT(error(array(13, 1, "\1")), HasSubstr("found the value type 13"));
  EXPECT_THAT(error(u32(7) + "\2"), HasSubstr("found 2, expected a boolean, 0 or 1"));
  EXPECT_THAT(error(array(7, 2, "\1\x80")), HasSubstr("found 128, expected a boolean, 0 or 1"));
}

}  // namespace
