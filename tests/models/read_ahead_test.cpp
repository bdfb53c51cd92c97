#include <weft/models/read_ahead.hpp>

#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

using weft::Checkpoint;
using weft::detail::ReadAhead;

const std::filesystem::path tales = std::filesystem::path(WEFT_MODELS_DIR) / "tales";

std::vector<std::string> names_of(const Checkpoint& checkpoint) {
  return {checkpoint.tensor_names().begin(), checkpoint.tensor_names().end()};
}

TEST(ReadAhead, ReadsTensorsOfMappedFilesAndPassesOverUnknownOnes) {
  const Checkpoint checkpoint = Checkpoint::open(tales);
  std::size_t bytes = 0;
  for (const std::string& name : names_of(checkpoint)) bytes += checkpoint.fetch(name);
  EXPECT_EQ(bytes, checkpoint.bytes());
  EXPECT_EQ(checkpoint.fetch("no such tensor"), 0u);
}

TEST(ReadAhead, EndsWhateverHasBeenWorkedOn) {
  const Checkpoint checkpoint = Checkpoint::open(tales);
  std::vector<std::string> many;
  const std::vector<std::string> names = names_of(checkpoint);
  for (std::size_t bytes = 0; bytes <= 2 * ReadAhead::window; bytes += checkpoint.bytes())
    many.insert(many.end(), names.begin(), names.end());
  { const ReadAhead nothing(checkpoint, {}); }
  { const ReadAhead waiting(checkpoint, many); }  // more than the window, nothing worked on
  ReadAhead ahead(checkpoint, many);
  for (const std::string& name : many) ahead.finish(checkpoint.entry(name).bytes);
}

}  // namespace
