#include <weft/formats/weights_file.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <weft/formats/gguf.hpp>
#include <weft/formats/safetensors.hpp>

#include "gguf_bytes.hpp"
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

/// Writes `header`, then `hole` bytes that take no room on the disk, then two floats. False where the disk cannot.
bool write_large(const std::filesystem::path& path, const std::string& header) {
  std::ofstream(path, std::ios::binary) << header;
  std::error_code failed;
  std::filesystem::resize_file(path, header.size() + hole, failed);
  if (failed) return false;
  const float last[] = {1.5f, -2.f};
  std::ofstream file(path, std::ios::binary | std::ios::app);
  file.write(reinterpret_cast<const char*>(last), sizeof last);
  return static_cast<bool>(file.flush());
}

template <class File>
void expect_last(const std::filesystem::path& path) {
  for (const weft::Source& source : {weft::Source::file(path.string()), weft::Source::read_file(path.string())}) {
    const File file(source);
    EXPECT_EQ(file.entries()[0].bytes, hole);
    const weft::AnyTensor last = file.tensor("last");
    EXPECT_THAT(last.elements<float>(), testing::ElementsAre(1.5f, -2.f));
  }
  const File mapped(weft::Source::file(path.string()));
  EXPECT_EQ(mapped.tensor("large").bytes()[hole - 1], std::byte{0});
}

TEST(WeightsFile, TensorsBeyondFourGibibytes) {
  const weft_tests::TemporaryDirectory directory;
  std::string json = weft::detail::concat(R"({"large":{"dtype":"I32","shape":[)", hole / 4, R"(],"data_offsets":[0,)",
                                          hole, R"(]},"last":{"dtype":"F32",)", R"("shape":[2],"data_offsets":[)", hole,
                                          ",", hole + 8, "]}}");
  json.append((8 - json.size() % 8) % 8, ' ');  // aligned: nothing is copied
  const std::filesystem::path path = directory.path() / "large";
  if (!write_large(path, weft_tests::u64(json.size()) + json)) GTEST_SKIP() << "no file of " << hole << " bytes here";
  expect_last<weft::SafetensorsFile>(path);
  constexpr std::uint32_t f32 = 0, i32 = 26;
  std::string gguf = weft_tests::GgufBytes()
                         .value("general.architecture", 8, weft_tests::text("llama"))
                         .tensor("large", {hole / 4}, i32, 0)
                         .tensor("last", {2}, f32, hole)
                         .with();
  gguf.append((32 - gguf.size() % 32) % 32, '\0');
  ASSERT_TRUE(write_large(path, gguf));
  expect_last<weft::GgufFile>(path);
}

TEST(WeightsFile, SaysWhichTensorIsMissing) {
  const Names file({"a"});
  EXPECT_NO_THROW(file.tensor("a"));
  EXPECT_EQ(message_of<weft::FormatError>([&] { file.tensor("b"); }), "folder/names: there is no tensor b");
}

}  // namespace
