#include <weft/formats/gguf_writer.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "gguf_bytes.hpp"
#include "temporary_directory.hpp"

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using weft_tests::GgufBytes;
using weft_tests::message_of;
using weft_tests::raw;
using weft_tests::text;
using weft_tests::u32;
using weft_tests::u64;

template <class T>
weft::AnyTensor tensor(const weft::Shape& shape, const std::vector<T>& values) {
  return weft::AnyTensor::make(weft::dtype_of<T>, shape, [&](std::span<std::byte> out) {
    const auto bytes = std::as_bytes(std::span(values));
    std::copy(bytes.begin(), bytes.end(), out.begin());
  });
}

class GgufWriter : public testing::Test {
 protected:
  weft_tests::TemporaryDirectory directory;
  std::filesystem::path path = directory.path() / "w.gguf";
};

TEST_F(GgufWriter, WritesTheBytesOfTheFormat) {
  weft::GgufWriter writer;
  writer.set("general.architecture", "llama");
  writer.set("n", std::uint32_t{7});
  writer.set("f", 0.5f);
  writer.set("on", true);
  writer.set("words", std::vector<std::string>{"a", "bc"});
  writer.set("ids", std::vector<std::int32_t>{1, -1});
  writer.add_tensor("t", tensor<float>({2, 3}, {1, 2, 3, 4, 5, 6}));
  writer.add_tensor("s", tensor<float>({}, {7}));
  writer.write(path);
  const std::string data =
      raw(1.f) + raw(2.f) + raw(3.f) + raw(4.f) + raw(5.f) + raw(6.f) + u64(0) + raw(7.f) + std::string(28, '\0');
  EXPECT_EQ(weft_tests::read_file(path), GgufBytes()
                                             .value("general.architecture", 8, text("llama"))
                                             .value("n", 4, u32(7))
                                             .value("f", 6, raw(0.5f))
                                             .value("on", 7, "\1")
                                             .value("words", 9, u32(8) + u64(2) + text("a") + text("bc"))
                                             .value("ids", 9, u32(5) + u64(2) + raw(1) + raw(-1))
                                             .tensor("t", {3, 2}, 0, 0)
                                             .tensor("s", {}, 0, 32)
                                             .with(data));
}

TEST_F(GgufWriter, CopiesWhatIsRead) {
  const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "gguf";
  for (const char* name : {"types.gguf", "aligned.gguf"}) {
    const weft::GgufFile file(fixtures / name);
    weft::GgufWriter writer(file.alignment());
    for (const weft::GgufValue& value : file.metadata()) writer.set(value);
    std::size_t copied = 0;
    for (const weft::WeightsEntry& entry : file.entries()) {
      if (!weft::detail::find_gguf_tensor_type(entry.type)->dtype) continue;
      writer.add_tensor(entry.name, file.tensor(entry.name));
      ++copied;
    }
    writer.write(path);
    const weft::GgufFile written(path);
    EXPECT_EQ(written.alignment(), file.alignment());
    ASSERT_EQ(written.entries().size(), copied);
    ASSERT_EQ(written.metadata().size(), file.metadata().size());
    for (const weft::GgufValue& value : file.metadata()) {
      const weft::GgufValue& again = written.value(value.key());
      EXPECT_EQ(again.type(), value.type()) << value.key();
      EXPECT_EQ(again.size(), value.size()) << value.key();
      EXPECT_TRUE(std::ranges::equal(again.bytes(), value.bytes())) << value.key();
    }
    for (const weft::WeightsEntry& entry : written.entries()) {
      const weft::AnyTensor before = file.tensor(entry.name), after = written.tensor(entry.name);
      EXPECT_EQ(after.dtype(), before.dtype()) << entry.name;
      EXPECT_EQ(after.shape(), before.shape()) << entry.name;
      EXPECT_TRUE(std::ranges::equal(after.bytes(), before.bytes())) << entry.name;
    }
  }
}

TEST_F(GgufWriter, MakesTensorsInTheirTurnAndReports) {
  weft::GgufWriter writer(64);
  std::string made;
  for (const char* name : {"b", "a"})
    writer.add_tensor(name, weft::DType::f32, {3}, [&made, name] {
      made += name;
      return tensor<float>({3}, {1, 2, 3});
    });
  EXPECT_EQ(writer.tensor_bytes(), 128u);
  EXPECT_EQ(made, "");
  std::vector<std::size_t> done;
  writer.write(path, [&](const weft::WriteProgress& progress) {
    done.push_back(progress.bytes_done);
    EXPECT_EQ(progress.bytes_total, 128u);
    EXPECT_EQ(progress.tensor, made.substr(made.size() - 1));
  });
  EXPECT_EQ(made, "ba");
  EXPECT_THAT(done, ElementsAre(64u, 128u));
  EXPECT_THAT(weft::GgufFile(path).tensor("a").elements<float>(), ElementsAre(1, 2, 3));
}

TEST_F(GgufWriter, ReplacesTheFileItReads) {
  weft::GgufWriter first;
  first.set("a", std::uint32_t{1});
  first.add_tensor("t", tensor<float>({1}, {1}));
  first.write(path);
  const weft::GgufFile file(path);
  weft::GgufWriter second;
  second.set(file.value("a"));
  second.set("b", std::uint32_t{2});
  second.set("a", "changed");
  second.add_tensor("t", file.tensor("t"));
  second.write(path);
  const weft::GgufFile written(path);
  EXPECT_EQ(written.metadata()[0].as_string(), "changed");
  EXPECT_EQ(written.metadata()[1].as_int(), 2);
  EXPECT_THAT(written.tensor("t").elements<float>(), ElementsAre(1));
}

TEST_F(GgufWriter, LeavesNothingBehindWhereItFails) {
  weft::GgufWriter writer;
  writer.add_tensor("t", weft::DType::f32, {2}, [] { return tensor<float>({3}, {1, 2, 3}); });
  EXPECT_THAT(message_of<weft::ShapeError>([&] { writer.write(path); }),
              HasSubstr("tensor t was made as f32 of shape (3), announced were rows of f32 of shape (2)"));
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::GgufWriter().write(directory.path() / "no/such"); }),
              HasSubstr("cannot be written"));
  weft::GgufWriter stopped;
  stopped.add_tensor("t", tensor<float>({1}, {1}));
  EXPECT_THROW(stopped.write(path, [](const weft::WriteProgress&) { throw weft::Cancelled("enough"); }),
               weft::Cancelled);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST_F(GgufWriter, RefusesWhatCannotBeRead) {
  weft::GgufWriter writer;
  EXPECT_THROW(writer.set("", 1), weft::FormatError);
  EXPECT_THROW(writer.set("\xFF", 1), weft::FormatError);
  EXPECT_THROW(writer.add_tensor("\xFF", tensor<float>({1}, {1})), weft::FormatError);
  EXPECT_THROW(writer.add_tensor("t", weft::DType::q8_128, {128}, {}), weft::UnsupportedError);
  EXPECT_THROW(writer.add_tensor("t", weft::DType::boolean, {1}, {}), weft::UnsupportedError);
  EXPECT_THROW(writer.add_tensor("t", weft::DType::f32, {1, 1, 1, 1, 1}, {}), weft::UnsupportedError);
  EXPECT_THROW(writer.add_tensor("t", weft::DType::q8_0, {2, 33}, {}), weft::ShapeError);
  writer.add_tensor("t", tensor<float>({1}, {1}));
  EXPECT_THAT(message_of<weft::FormatError>([&] { writer.add_tensor("t", tensor<float>({1}, {1})); }),
              HasSubstr("two tensors are named t"));
  EXPECT_THROW(weft::GgufWriter(48), weft::ConfigError);
  EXPECT_THROW(weft::GgufWriter(0), weft::ConfigError);
}

}  // namespace
