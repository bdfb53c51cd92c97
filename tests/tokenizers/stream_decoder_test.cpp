#include <weft/tokenizers/stream_decoder.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/error.hpp>

#include "../allocations.hpp"

namespace {

// Tokens are the pieces given; a leading space goes at the start of a sequence.
class Pieces final : public weft::Tokenizer {
 public:
  explicit Pieces(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}

  std::vector<weft::TokenId> encode(std::string_view, const weft::EncodeOptions&) const override { return {}; }
  void append_bytes(weft::TokenId id, const weft::DecodeOptions&, weft::DecodeState& state,
                    std::string& out) const override {
    std::string_view piece = pieces_[checked(id)];
    if (state.at_start && piece.starts_with(' ')) piece.remove_prefix(1);
    state.at_start = false;
    out += piece;
  }
  std::size_t vocab_size() const noexcept override { return pieces_.size(); }
  std::optional<weft::TokenId> bos() const noexcept override { return std::nullopt; }
  std::optional<weft::TokenId> eos() const noexcept override { return std::nullopt; }
  std::optional<weft::TokenId> unk() const noexcept override { return std::nullopt; }
  std::optional<weft::TokenId> pad() const noexcept override { return std::nullopt; }
  std::optional<weft::TokenId> id_of(std::string_view) const override { return std::nullopt; }
  std::string token_of(weft::TokenId id) const override { return pieces_[checked(id)]; }
  bool is_special(weft::TokenId) const override { return false; }

 private:
  std::vector<std::string> pieces_;
};

std::vector<std::string> push_all(weft::StreamDecoder& stream, const std::vector<weft::TokenId>& ids) {
  std::vector<std::string> pieces;
  for (const weft::TokenId id : ids) pieces.emplace_back(stream.push(id));
  pieces.emplace_back(stream.finish());
  return pieces;
}

using Strings = std::vector<std::string>;

TEST(StreamDecoder, WaitsForTheRestOfACharacter) {
  const Pieces tokenizer({"\xF0", "\x9F", "\x98", "\x80", "a"});
  weft::StreamDecoder stream(tokenizer);
  EXPECT_EQ(push_all(stream, {4, 0, 1, 2, 3, 4}), (Strings{"a", "", "", "", "\U0001F600", "a", ""}));
}

TEST(StreamDecoder, GivesUpOnACharacterAsSoonAsItCannotBeOne) {
  const Pieces tokenizer({"\xE2\x96", "a", "\xFF", "\xC3"});
  weft::StreamDecoder stream(tokenizer);
  EXPECT_EQ(push_all(stream, {0, 1, 2, 0}), (Strings{"", "\uFFFD\uFFFDa", "\uFFFD", "", "\uFFFD\uFFFD"}));
  EXPECT_EQ(push_all(stream, {3, 3, 1}), (Strings{"", "\uFFFD", "\uFFFDa", ""}));
}

TEST(StreamDecoder, StartsAnewAfterTheEnd) {
  const Pieces tokenizer({" a"});
  weft::StreamDecoder stream(tokenizer);
  EXPECT_EQ(push_all(stream, {0, 0}), (Strings{"a", " a", ""}));
  EXPECT_EQ(push_all(stream, {0}), (Strings{"a", ""}));
}

TEST(StreamDecoder, IsUnchangedByAnIdOutsideTheVocabulary) {
  const Pieces tokenizer({"\xC3", "\xA9"});
  weft::StreamDecoder stream(tokenizer);
  stream.push(0);
  EXPECT_THROW(stream.push(2), weft::TokenizerError);
  EXPECT_THROW(stream.push(-1), weft::TokenizerError);
  EXPECT_EQ(stream.push(1), "\u00E9");
}

TEST(StreamDecoder, JoinsToTheWholeDecodedText) {
  std::vector<std::string> pieces;
  for (int byte = 0; byte < 256; ++byte) pieces.emplace_back(1, static_cast<char>(byte));
  for (const char* text : {" the", "\u2581", "\U0001F600", "\xE2\x96", "\x96\x81x", "", "\xF0\x9F\x98"})
    pieces.emplace_back(text);
  const Pieces tokenizer(pieces);
  weft::StreamDecoder stream(tokenizer);
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<weft::TokenId> ids(random() % 30);
    for (weft::TokenId& id : ids)
      id = static_cast<weft::TokenId>(round % 2 ? random() % pieces.size() : 128 + random() % (pieces.size() - 128));
    std::string joined;
    for (const std::string& piece : push_all(stream, ids)) {
      EXPECT_TRUE(weft::is_utf8(piece));
      joined += piece;
    }
    EXPECT_EQ(joined, tokenizer.decode(ids));
  }
}

TEST(StreamDecoder, AllocatesNothingOnceWarm) {
  const Pieces tokenizer({"\xF0", "\x9F", "\x98", "\x80", " word", std::string(1000, 'x')});
  weft::StreamDecoder stream(tokenizer);
  std::size_t bytes = stream.push(5).size();
  const std::size_t before = weft_tests::allocations;
  for (int i = 0; i < 10000; ++i) bytes += stream.push(i % 6).size();
  bytes += stream.finish().size();
  EXPECT_EQ(weft_tests::allocations, before);
  EXPECT_GT(bytes, std::size_t{1000000});
}

TEST(Tokenizer, DecodeRepairsWhatIsNoText) {
  const Pieces tokenizer({"a", "\xFF", "\xE2\x82"});
  EXPECT_EQ(tokenizer.decode(std::vector<weft::TokenId>{0, 1, 2, 0}), "a\uFFFD\uFFFD\uFFFDa");
  EXPECT_EQ(tokenizer.decode({}), "");
}

}  // namespace
