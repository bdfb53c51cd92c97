#include <weft/formats/output_file.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string_view>

#include "temporary_directory.hpp"

namespace {

using weft::FormatError;
using weft::detail::OutputFile;
using weft_tests::message_of;
using weft_tests::read_file;

void write(OutputFile& file, std::string_view text) { file.write(text.data(), text.size()); }

TEST(OutputFile, HasItsNameOnlyWhenItIsComplete) {
  const weft_tests::TemporaryDirectory directory;
  const std::filesystem::path path = directory.write("a", "old");
  OutputFile file(path);
  write(file, "new ");
  write(file, "text");
  EXPECT_EQ(read_file(path), "old");
  file.finish();
  EXPECT_EQ(read_file(path), "new text");
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "a.part"));
}

TEST(OutputFile, LeavesNothingOfWhatIsNotCompleted) {
  const weft_tests::TemporaryDirectory directory;
  const std::filesystem::path path = directory.write("a", "old");
  {
    OutputFile file(path);
    write(file, "new");
  }
  EXPECT_EQ(read_file(path), "old");
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "a.part"));
}

TEST(OutputFile, SaysWhyItCannotBeWritten) {
  const weft_tests::TemporaryDirectory directory;
  const std::filesystem::path lost = directory.path() / "no" / "a";
  EXPECT_EQ(message_of<FormatError>([&] { OutputFile file(lost); }),
            lost.string() + ": cannot be written: No such file or directory");
  EXPECT_EQ(message_of<FormatError>([&] { OutputFile file(directory.path()); }),
            directory.path().string() + ": cannot be written: not a regular file");
}

TEST(OutputFile, ReplacesNothingButFiles) {
  const weft_tests::TemporaryDirectory directory;
  const std::filesystem::path pipe = directory.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(message_of<FormatError>([&] { OutputFile file(pipe); }),
            pipe.string() + ": cannot be written: not a regular file");
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
}

}  // namespace
