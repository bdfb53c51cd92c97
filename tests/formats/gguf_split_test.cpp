#include <weft/formats/gguf_split.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include <weft/formats/gguf_writer.hpp>

#include "temporary_directory.hpp"

namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using weft_tests::message_of;

const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "gguf";

void write_part(const std::filesystem::path& path, int number, int count, int tensors) {
  weft::GgufWriter writer;
  writer.set("split.no", static_cast<std::uint16_t>(number));
  writer.set("split.count", static_cast<std::uint16_t>(count));
  writer.set("split.tensors.count", tensors);
  writer.add_tensor("t" + std::to_string(number), weft::AnyTensor::make(weft::DType::f32, {1}, [](auto) {}));
  writer.write(path);
}

std::string error(const std::filesystem::path& path) {
  return message_of<weft::FormatError>([&] { weft::open_gguf(path); });
}

TEST(GgufSplit, OpensAllFilesOfAModel) {
  const auto files = weft::open_gguf(fixtures / "split-00001-of-00002.gguf");
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0]->value("general.name").as_string(), "split in two");
  EXPECT_THAT(files[1]->tensor("c").elements<float>(), ElementsAre(4, 5, 6));
  EXPECT_EQ(weft::open_gguf(fixtures / "aligned.gguf").size(), 1u);
}

TEST(GgufSplit, WantsTheFirstFile) {
  EXPECT_THAT(
      error(fixtures / "split-00002-of-00002.gguf"),
      AllOf(HasSubstr("one of 2 files"), HasSubstr("expected the first, whose name ends with -00001-of-00002")));
  const weft_tests::TemporaryDirectory directory;
  std::filesystem::copy_file(fixtures / "split-00001-of-00002.gguf", directory.path() / "renamed.gguf");
  EXPECT_THAT(error(directory.path() / "renamed.gguf"), HasSubstr("name ends with -00001-of-00002.gguf"));
}

TEST(GgufSplit, FindsFilesThatAreMissingOrBelongElsewhere) {
  const weft_tests::TemporaryDirectory directory;
  const auto path = [&](const char* name) { return directory.path() / name; };
  write_part(path("m-00001-of-00003.gguf"), 0, 3, 3);
  write_part(path("m-00002-of-00003.gguf"), 1, 3, 3);
  EXPECT_THAT(error(path("m-00001-of-00003.gguf")), AllOf(HasSubstr("m-00003-of-00003.gguf"), HasSubstr("missing")));
  write_part(path("m-00003-of-00003.gguf"), 1, 3, 3);
  EXPECT_THAT(error(path("m-00001-of-00003.gguf")), HasSubstr("found file 1 of 3, expected 2 of 3"));
  write_part(path("m-00003-of-00003.gguf"), 2, 4, 3);
  EXPECT_THAT(error(path("m-00001-of-00003.gguf")), HasSubstr("found file 2 of 4, expected 2 of 3"));
  write_part(path("m-00003-of-00003.gguf"), 2, 3, 3);
  EXPECT_EQ(weft::open_gguf(path("m-00001-of-00003.gguf")).size(), 3u);
  write_part(path("m-00001-of-00003.gguf"), 0, 3, 4);
  EXPECT_THAT(error(path("m-00001-of-00003.gguf")), HasSubstr("the files hold 3 tensors, split.tensors.count says 4"));
}

}  // namespace
