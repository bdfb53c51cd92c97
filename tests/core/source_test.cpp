#include <weft/core/source.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <sstream>
#include <stdexcept>
#include <streambuf>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "../formats/temporary_directory.hpp"

namespace {

using testing::HasSubstr;
using weft::ConfigError;
using weft::FormatError;
using weft::Source;
using weft_tests::message_of;

const std::string text = "0123456789abcdef";

std::string text_of(const Source::Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.span.data()), bytes.span.size()};
}

/// A callback that hands out at most `most` bytes at once.
Source::Read in_steps(std::string_view bytes, std::size_t most) {
  return [=](std::size_t offset, std::span<std::byte> to) {
    const std::string_view part = bytes.substr(std::min(offset, bytes.size()), std::min(most, to.size()));
    std::copy_n(reinterpret_cast<const std::byte*>(part.data()), part.size(), to.begin());
    return part.size();
  };
}

TEST(Source, AllKindsHaveTheSameBytes) {
  const weft_tests::TemporaryDirectory directory;
  const std::string path = directory.write("f", text).string();
  const auto stream = std::make_shared<std::istringstream>(text);
  for (const Source& source : {Source::file(path), Source::memory("m", std::as_bytes(std::span(text))),
                               Source::callback("c", text.size(), in_steps(text, 3)), Source::stream("s", stream)}) {
    EXPECT_EQ(source.size(), text.size()) << source.name();
    for (std::size_t begin = 0; begin <= text.size(); ++begin)
      for (std::size_t end = begin; end <= text.size(); ++end)
        EXPECT_EQ(text_of(source.bytes(begin, end - begin)), text.substr(begin, end - begin)) << source.name();
    source.fetch(0, 16, {});
    source.release(source.bytes(0, 16).span);
    for (const std::size_t count : {std::size_t{17}, std::numeric_limits<std::size_t>::max()})
      EXPECT_THAT(message_of<FormatError>([&] { source.bytes(1, count - 1); }),
                  HasSubstr(source.name() + ": " + std::to_string(count - 1) + " bytes from byte 1"));
    EXPECT_THROW(source.bytes(17, 0), FormatError);
  }
  EXPECT_EQ(Source::file(path).name(), path);
}

TEST(Source, UsesMemoryInPlaceAndKeepsItAlive) {
  auto owner = std::make_shared<const std::string>(text);
  const std::weak_ptr<const std::string> watched = owner;
  Source::Bytes bytes;
  {
    const Source source = Source::memory("m", std::as_bytes(std::span(*owner)), owner);
    bytes = source.bytes(2, 3);
    EXPECT_EQ(reinterpret_cast<const char*>(bytes.span.data()), owner->data() + 2);
    EXPECT_TRUE(source.in_memory());
  }
  owner.reset();
  EXPECT_EQ(text_of(bytes), "234");
  bytes = {};
  EXPECT_TRUE(watched.expired());
}

TEST(Source, SaysWhereItEndsTooEarly) {
  const std::string half = text.substr(0, 8);
  EXPECT_EQ(message_of<FormatError>([&] { Source::callback("c", 16, in_steps(half, 3)).bytes(2, 10); }),
            "c: byte 8: 0 bytes were read, expected 4 more");
  const auto stream = std::make_shared<std::stringstream>(text);
  const Source source = Source::stream("s", stream);
  stream->str(half);
  EXPECT_EQ(message_of<FormatError>([&] { source.bytes(2, 10); }), "s: byte 8: 0 bytes were read, expected 4 more");
  stream->clear();
  stream->exceptions(std::ios::failbit | std::ios::badbit | std::ios::eofbit);
  EXPECT_EQ(message_of<FormatError>([&] { source.bytes(9, 2); }), "s: byte 9: 0 bytes were read, expected 2 more");
  EXPECT_EQ(text_of(source.bytes(6, 2)), "67");
}

TEST(Source, CallbacksMayFail) {
  const Source boastful = Source::callback("c", 16, [](std::size_t, std::span<std::byte> to) { return to.size() + 1; });
  EXPECT_THAT(message_of<FormatError>([&] { boastful.bytes(0, 4); }),
              HasSubstr("5 bytes were read, expected at most 4"));
  const Source broken = Source::callback(
      "c", 16, [](std::size_t, std::span<std::byte>) -> std::size_t { throw std::out_of_range("mine"); });
  EXPECT_THROW(broken.bytes(0, 4), std::out_of_range);
  EXPECT_THROW(broken.bytes(0, 4), std::out_of_range);  // the lock was let go
  EXPECT_EQ(message_of<ConfigError>([] { Source::callback("c", 16, nullptr); }), "c: the callback is empty");
}

TEST(Source, StreamsNeedPositions) {
  struct Pipe : std::streambuf {};
  Pipe pipe;
  const auto stream = std::make_shared<std::istream>(&pipe);
  EXPECT_THAT(message_of<FormatError>([&] { Source::stream("s", stream); }), HasSubstr("no positions"));
  const auto throwing = std::make_shared<std::istream>(&pipe);
  throwing->exceptions(std::ios::failbit | std::ios::badbit);
  EXPECT_THAT(message_of<FormatError>([&] { Source::stream("s", throwing); }), HasSubstr("no positions"));
  EXPECT_EQ(message_of<ConfigError>([] { Source::stream("s", nullptr); }), "s: the stream is a null pointer");
}

TEST(Source, ThreadsMayShareAStream) {
  const Source source = Source::stream("s", std::make_shared<std::istringstream>(text));
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (std::size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 200; ++i) wrong[t] += text_of(source.bytes(4 * t, 4)) != text.substr(4 * t, 4);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

}  // namespace
