#include <weft/formats/file_set.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "temporary_directory.hpp"

namespace {

using namespace weft;
using ::testing::AllOf;
using ::testing::HasSubstr;
using weft_tests::message_of;

Source named(const char* name, std::string_view bytes) { return Source::memory(name, std::as_bytes(std::span(bytes))); }

TEST(FileSet, IsADirectory) {
  const weft_tests::TemporaryDirectory directory;
  directory.write("a", "of a");
  const FileSet files(directory.path());
  EXPECT_TRUE(files.contains("a"));
  EXPECT_FALSE(files.contains("b"));
  EXPECT_EQ(files.open("a").bytes().text(), "of a");
  EXPECT_EQ(files.open("a").name(), files.location_of("a"));
  EXPECT_EQ(files.location_of("b"), (directory.path() / "b").string());
  EXPECT_EQ(files.location(), directory.path().string());
  EXPECT_THAT(message_of<FormatError>([&] { files.open("b"); }), HasSubstr(files.location_of("b")));
  directory.write("b", "later");
  EXPECT_EQ(files.open("b").bytes().text(), "later");
}

TEST(FileSet, IsSources) {
  const FileSet files({named("a", "of a"), named("b", "of b")});
  EXPECT_TRUE(files.contains("b"));
  EXPECT_FALSE(files.contains("c"));
  EXPECT_EQ(files.open("b").bytes().text(), "of b");
  EXPECT_EQ(files.location(), "a");
  EXPECT_EQ(files.location_of("c"), "c");
  EXPECT_THAT(message_of<FormatError>([&] { files.open("c"); }), AllOf(HasSubstr("a: "), HasSubstr("no file c")));
}

TEST(FileSet, RefusesWhatNamesNothing) {
  EXPECT_THAT(message_of<FormatError>([] { FileSet files((std::vector<Source>())); }), HasSubstr("no files"));
  EXPECT_EQ(message_of<FormatError>([] {
              FileSet({named("a", "1"), named("b", "2"), named("a", "3")});
            }),
            "a: there are two files of this name");
}

}  // namespace
