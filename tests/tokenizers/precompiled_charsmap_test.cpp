#include <weft/tokenizers/precompiled_charsmap.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../formats/temporary_directory.hpp"

namespace {

// A double array by hand: the root at 0 with offset 0x100, so that the byte b leads to unit 0x100 ^ b.
std::string rules(const std::vector<std::pair<char, std::uint32_t>>& values, std::string_view replacements) {
  std::vector<std::uint32_t> units(0x300);
  units[0] = 0x100u << 10;
  std::uint32_t leaf = 0x200;
  for (const auto& [byte, value] : values) {
    const auto label = static_cast<unsigned char>(byte);
    const std::uint32_t at = 0x100u ^ label;
    units[at] = (at ^ leaf) << 10 | 1u << 8 | label;
    units[leaf++] = value;
  }
  const auto size = static_cast<std::uint32_t>(units.size() * 4);
  std::string out(4 + size, '\0');
  std::memcpy(out.data(), &size, 4);
  std::memcpy(out.data() + 4, units.data(), size);
  return out.append(replacements);
}

const std::string some = rules({{'a', 0}, {'b', 3}, {'c', 4}}, std::string_view("xy\0\0\u00E9\0", 7));

std::string normalized(std::string_view text) {
  weft::AlignedText aligned(text);
  weft::PrecompiledCharsmap(some, "test")(aligned);
  return aligned.text();
}

TEST(PrecompiledCharsmap, ReplacesByTheShortestRule) {
  EXPECT_EQ(normalized("a-b-c"), "xy--\u00E9");
  EXPECT_EQ(normalized("d"), "d");
  EXPECT_EQ(normalized(""), "");
  // A grapheme cluster that begins with what a rule matches is replaced as a whole, unless it is long.
  EXPECT_EQ(normalized("a\u0301z"), "xyz");
  EXPECT_EQ(normalized("a\u0301\u0302\u0303z"), "xy\u0301\u0302\u0303z");
}

TEST(PrecompiledCharsmap, KeepsTextAligned) {
  weft::AlignedText aligned("zac");
  weft::PrecompiledCharsmap(some, "test")(aligned);
  EXPECT_EQ(aligned.text(), "zxy\u00E9");
  EXPECT_EQ(aligned.origin(1), (weft::TextRange{1, 2}));
  EXPECT_EQ(aligned.origin(2), (weft::TextRange{1, 2}));
  EXPECT_EQ(aligned.origin(3), (weft::TextRange{2, 3}));
}

TEST(PrecompiledCharsmap, RefusesToGrowATextWithoutEnd) {
  const std::string long_rule = rules({{'a', 0}}, std::string(1000, 'x'));
  weft::AlignedText aligned(std::string(100, 'a'));
  EXPECT_THROW(weft::PrecompiledCharsmap(long_rule, "test")(aligned), weft::TokenizerError);
}

TEST(PrecompiledCharsmap, RefusesWhatIsNone) {
  const auto error = [](std::string_view bytes) {
    return weft_tests::message_of<weft::FormatError>([&] { weft::PrecompiledCharsmap(bytes, "file: key"); });
  };
  using namespace std::string_view_literals;
  for (const std::string_view bytes :
       {""sv, "abc"sv, "\xFF\xFF\xFF\xFF"sv, "\x05\0\0\0aaaaaa"sv, "\0\0\0\0"sv, "\4\0\0\0aaaa\xFF"sv})
    EXPECT_THAT(error(bytes), testing::HasSubstr("file: key"));
}

TEST(PrecompiledCharsmap, WithRandomBytesIsRefusedOrWorks) {
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = some;
    for (int i = 0; i < 20; ++i) bytes[4 + random() % (bytes.size() - 4)] = static_cast<char>(random());
    try {
      weft::AlignedText aligned("abc\u00E9a\u0301 \uAC00");
      weft::PrecompiledCharsmap(bytes, "test")(aligned);
      EXPECT_TRUE(weft::is_utf8(aligned.text()));
    } catch (const weft::FormatError&) {
    }
  }
}

}  // namespace
