#include <weft/formats/weights_file.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <weft/formats/gguf.hpp>
#include <weft/formats/pytorch.hpp>
#include <weft/formats/safetensors.hpp>

#include "gguf_bytes.hpp"
#include "pickle_writer.hpp"
#include "temporary_directory.hpp"

namespace {

using testing::HasSubstr;
using weft_tests::message_of;

/// Names without data.
class Names final : public weft::WeightsFile {
 public:
  explicit Names(const std::vector<std::string>& names) : WeightsFile("folder/names") {
    std::vector<weft::WeightsEntry> entries;
    for (const std::string& name : names) entries.push_back({.name = name, .type = "F32"});
    set_entries(std::move(entries));
  }
  weft::AnyTensor tensor(std::string_view name) const override { return expect(name), weft::AnyTensor(); }
  void release(const weft::AnyTensor&) const noexcept override {}
};

TEST(WeightsFile, FindsEntriesByName) {
  const Names file({"b", "a.weight", "", "a"});
  EXPECT_EQ(file.path(), "folder/names");
  ASSERT_EQ(file.entries().size(), 4u);
  EXPECT_EQ(file.entries()[2].name, "a.weight");
  for (const weft::WeightsEntry& entry : file.entries()) EXPECT_EQ(file.find(entry.name), &entry);
  EXPECT_TRUE(file.contains(""));
  EXPECT_FALSE(file.contains("a.weigh"));
  EXPECT_EQ(file.find("c"), nullptr);
  EXPECT_EQ(Names({}).find("a"), nullptr);
}

constexpr std::size_t hole = std::size_t{5} << 30;

/// Writes `begin`, then `hole` bytes that take no room on the disk, then `end`. False where the disk cannot.
bool write_large(const std::filesystem::path& path, std::string_view begin, std::string_view end) {
  std::ofstream(path, std::ios::binary) << begin;
  std::error_code failed;
  std::filesystem::resize_file(path, begin.size() + hole, failed);
  if (failed) return false;
  std::ofstream file(path, std::ios::binary | std::ios::app);
  file << end;
  return static_cast<bool>(file.flush());
}

void expect_last(const weft::WeightsFile& file) {
  EXPECT_EQ(file.entries()[0].bytes, hole);
  EXPECT_THAT(file.tensor("last").elements<float>(), testing::ElementsAre(1.5f, -2.f));
}
void expect_all(const weft::WeightsFile& file) {
  expect_last(file);
  EXPECT_EQ(file.tensor("large").bytes()[hole - 1], std::byte{0});
}

class Large : public testing::Test {
 protected:
  weft_tests::TemporaryDirectory directory;
  const std::string path = (directory.path() / "large").string();
  const std::string last = {"\0\0\xc0\x3f\0\0\0\xc0", 8};  // two floats
};

TEST_F(Large, SafetensorsBeyondFourGibibytes) {
  std::string json = weft::detail::concat(R"({"large":{"dtype":"I32","shape":[)", hole / 4, R"(],"data_offsets":[0,)",
                                          hole, R"(]},"last":{"dtype":"F32",)", R"("shape":[2],"data_offsets":[)", hole,
                                          ",", hole + 8, "]}}");
  json.append((8 - json.size() % 8) % 8, ' ');  // aligned: nothing is copied
  if (!write_large(path, weft_tests::u64(json.size()) + json, last))
    GTEST_SKIP() << "no file of " << hole << " bytes here";
  expect_all(weft::SafetensorsFile(path));
  expect_last(weft::SafetensorsFile(weft::Source::read_file(path)));
}

TEST_F(Large, GgufBeyondFourGibibytes) {
  constexpr std::uint32_t f32 = 0, i32 = 26;
  std::string gguf = weft_tests::GgufBytes()
                         .value("general.architecture", 8, weft_tests::text("llama"))
                         .tensor("large", {hole / 4}, i32, 0)
                         .tensor("last", {2}, f32, hole)
                         .with();
  gguf.append((32 - gguf.size() % 32) % 32, '\0');
  if (!write_large(path, gguf, last)) GTEST_SKIP() << "no file of " << hole << " bytes here";
  expect_all(weft::GgufFile(path));
  expect_last(weft::GgufFile(weft::Source::read_file(path)));
}

/// As torch.save writes it: in the ZIP64 records is what does not fit elsewhere, and nothing else.
TEST_F(Large, PytorchBeyondFourGibibytes) {
  using namespace weft_tests::pickle;
  const auto vector = [](std::string_view type, std::string_view key, std::size_t elements) {
    const auto count = static_cast<std::int64_t>(elements);
    return tensor(storage(type, key, count), 0, {count}, {1});
  };
  auto files = archive(dict({{"large", vector("IntStorage", "0", hole / 4)}, {"last", vector("FloatStorage", "1", 2)}}),
                       {{"1", last}});
  files.insert(files.begin(), {"m/data/0", ""});
  const weft_tests::ZipParts zip = weft_tests::make_zip(files, {.multiple = 64, .hole = hole});
  const std::string_view bytes = zip.bytes;
  if (!write_large(path, bytes.substr(0, zip.hole), bytes.substr(zip.hole)))
    GTEST_SKIP() << "no file of " << hole << " bytes here";
  expect_all(weft::PytorchFile(path));
}

TEST(WeightsFile, SaysWhichTensorIsMissing) {
  const Names file({"a"});
  EXPECT_NO_THROW(file.tensor("a"));
  EXPECT_EQ(message_of<weft::FormatError>([&] { file.tensor("b"); }), "folder/names: there is no tensor b");
}

}  // namespace
