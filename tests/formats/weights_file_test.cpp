#include <weft/formats/weights_file.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

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

TEST(WeightsFile, SaysWhichTensorIsMissing) {
  const Names file({"a"});
  EXPECT_NO_THROW(file.tensor("a"));
  EXPECT_EQ(message_of<weft::FormatError>([&] { file.tensor("b"); }), "folder/names: there is no tensor b");
}

}  // namespace
