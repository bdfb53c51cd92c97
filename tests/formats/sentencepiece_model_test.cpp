#include <weft/formats/sentencepiece_model.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>

#include "temporary_directory.hpp"

namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using weft_tests::message_of;
using Kind = weft::SentencePieceModel::Kind;

// Protocol Buffers fields, as far as these tests write them: short ones.
std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string number(std::uint32_t field, std::uint64_t value) { return varint(field << 3) + varint(value); }
std::string bytes(std::uint32_t field, std::string_view value) {
  return varint(field << 3 | 2) + varint(value.size()) + std::string(value);
}
std::string real(std::uint32_t field, float value) {
  std::string out = varint(field << 3 | 5) + std::string(4, '\0');
  std::memcpy(out.data() + out.size() - 4, &value, 4);
  return out;
}
std::string piece(std::string_view text, Kind kind = Kind::normal) {
  return bytes(1, bytes(1, text) + real(2, -1) + number(3, static_cast<std::uint64_t>(kind)));
}
const std::string unknown = piece("<unk>", Kind::unknown);
const std::string settings = bytes(2, number(3, 2)) + bytes(3, number(3, 1));

weft::SentencePieceModel read(std::string_view message) { return weft::read_sentencepiece_model(message, "t.model"); }
std::string error(std::string_view message) {
  return message_of<weft::FormatError>([&] { read(message); });
}

TEST(SentencePieceModel, ReadsPiecesAndSettings) {
  const weft::SentencePieceModel model =
      read(unknown + piece("\u2581a") + piece("<x>", Kind::user_defined) +
           bytes(2, number(3, 2) + bytes(44, "?") + number(24, 1)) + bytes(3, number(3, 0) + number(4, 0)) +
           bytes(4, "self test") + bytes(5, bytes(2, "rules")) + bytes(200, "extension"));
  ASSERT_EQ(model.pieces.size(), 3u);
  EXPECT_EQ(model.pieces[0].kind, Kind::unknown);
  EXPECT_EQ(model.pieces[1].text, "\u2581a");
  EXPECT_EQ(model.pieces[1].score, -1.0f);
  EXPECT_EQ(model.pieces[2].kind, Kind::user_defined);
  EXPECT_EQ(model.algorithm, weft::SentencePieceModel::Algorithm::bpe);
  EXPECT_EQ(model.unknown_surface, "?");
  EXPECT_TRUE(model.whitespace_as_suffix);
  EXPECT_FALSE(model.add_dummy_prefix);
  EXPECT_FALSE(model.remove_extra_whitespaces);
  EXPECT_TRUE(model.denormalizes);
  EXPECT_EQ(model.message.find("self test"), model.message.npos);
  EXPECT_NE(model.message.find("extension"), model.message.npos);
}

TEST(SentencePieceModel, HasTheDefaultsOfTheFormat) {
  const weft::SentencePieceModel model = read(unknown + bytes(2, "") + bytes(3, ""));
  EXPECT_EQ(model.algorithm, weft::SentencePieceModel::Algorithm::unigram);
  EXPECT_TRUE(model.add_dummy_prefix);
  EXPECT_TRUE(model.remove_extra_whitespaces);
  EXPECT_FALSE(model.byte_fallback);
  EXPECT_EQ(model.unknown_surface, " \u2047 ");
}

TEST(SentencePieceModel, NamesFileAndByteOfWhatIsMalformed) {
  EXPECT_THAT(error(""), AllOf(StartsWith("t.model: "), HasSubstr("no pieces")));
  EXPECT_THAT(error(settings), HasSubstr("no pieces"));
  EXPECT_THAT(error(unknown), HasSubstr("truncated: it has no settings"));
  EXPECT_THAT(error(unknown + bytes(2, "")), HasSubstr("no settings"));
  EXPECT_THAT(error("\x0a\x7f"), HasSubstr("t.model: byte 2: not a SentencePiece model: truncated"));
  EXPECT_THAT(error(std::string(11, '\xff')), HasSubstr("more than 64 bits"));
  EXPECT_THAT(error("\x0b"), HasSubstr("unknown wire type"));
  EXPECT_THAT(error(std::string_view("\x00\x00", 2)), HasSubstr("field number out of range"));
  EXPECT_THAT(error(number(1, 5)), HasSubstr("byte 0: not a SentencePiece model: field 1 has wire type 0, expected 2"));
  EXPECT_THAT(error(unknown + bytes(1, number(1, 1)) + settings), HasSubstr("wire type 0, expected 2"));
  EXPECT_THAT(error(unknown + piece("") + settings), HasSubstr("an empty piece"));
  EXPECT_THAT(error(unknown + piece("\xFF") + settings), HasSubstr("not UTF-8"));
  EXPECT_THAT(error(unknown + piece("a", Kind{7}) + settings), HasSubstr("a piece of unknown type"));
  EXPECT_THAT(error(unknown + bytes(1, bytes(1, "a") + real(2, std::numeric_limits<float>::quiet_NaN())) + settings),
              HasSubstr("score is not a number"));
  EXPECT_THAT(error(unknown + bytes(2, number(3, 9)) + bytes(3, "")), HasSubstr("unknown algorithm"));
  EXPECT_THAT(error(unknown + piece(std::string_view("a\0", 2), Kind::user_defined) + settings),
              HasSubstr("zero byte"));
}

TEST(SentencePieceModel, ChecksThePiecesTogether) {
  EXPECT_THAT(error(piece("a") + settings), HasSubstr("expected one unknown piece, found 0"));
  EXPECT_THAT(error(unknown + piece("<u>", Kind::unknown) + settings), HasSubstr("found 2"));
  EXPECT_THAT(error(unknown + piece("<0xGG>", Kind::byte) + settings), HasSubstr("<0xGG> names no byte"));
  EXPECT_THAT(error(unknown + piece("<0x41>", Kind::byte) + bytes(2, number(35, 1)) + bytes(3, "")),
              HasSubstr("no piece for some"));
  std::string nested;
  for (std::size_t length = 1; length <= 65; ++length) nested += piece(std::string(length, 'a'), Kind::user_defined);
  EXPECT_THAT(message_of<weft::UnsupportedError>([&] { read(unknown + nested + settings); }),
              HasSubstr("more than 64"));
}

TEST(SentencePieceModel, ReadsBytePieces) {
  EXPECT_EQ(weft::detail::byte_of_piece("<0x00>"), 0);
  EXPECT_EQ(weft::detail::byte_of_piece("<0xAF>"), 0xAF);
  for (const char* other : {"<0xaf>", "<0x0>", "<0x000>", "a", "", "<0xG0>", "<0x00"})
    EXPECT_EQ(weft::detail::byte_of_piece(other), std::nullopt);
}

TEST(SentencePieceModel, ChecksTheNormalisationRules) {
  const auto with_rules = [](std::string_view rules) { return unknown + bytes(2, "") + bytes(3, bytes(2, rules)); };
  const std::string file =
      weft_tests::read_file(std::filesystem::path(WEFT_TESTS_DIR) / "fixtures/tokenizers/unigram/tokenizer.model");
  const std::string good = read(file).charsmap;
  ASSERT_GT(good.size(), 1028u);
  read(with_rules(good));
  for (const std::string& bad : {std::string("x"), std::string(8, '\0'), std::string(2000, '\xff'),
                                 good.substr(0, 1000), good.substr(0, good.size() - 1), good + "x"})
    EXPECT_THAT(error(with_rules(bad)), HasSubstr("malformed normalisation rules")) << bad.size();

  // The first unit leads to the children of the root: send it out of the array, then rules out of the texts.
  std::string outside = good;
  outside[4 + 3] = '\x7f';
  EXPECT_THAT(error(with_rules(outside)), HasSubstr("malformed normalisation rules"));
  std::uint32_t trie = 0;
  std::memcpy(&trie, good.data(), sizeof trie);
  const std::string no_texts = good.substr(0, 4 + trie) + std::string(1, '\0');
  EXPECT_THAT(error(with_rules(no_texts)), HasSubstr("malformed normalisation rules"));
}

}  // namespace
