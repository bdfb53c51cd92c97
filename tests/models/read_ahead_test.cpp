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

/// The tensors of the model again and again, more than the window in bytes.
std::vector<std::string> more_than_the_window(const Checkpoint& checkpoint) {
  std::vector<std::string> many;
  for (std::size_t bytes = 0; bytes <= 2 * ReadAhead::window; bytes += checkpoint.bytes())
    many.insert(many.end(), checkpoint.tensor_names().begin(), checkpoint.tensor_names().end());
  return many;
}

TEST(ReadAhead, ReadsEveryTensorThatIsWaitedFor) {
  const Checkpoint checkpoint = Checkpoint::open(tales);
  const std::vector<std::string> many = more_than_the_window(checkpoint);
  ReadAhead ahead(checkpoint, many);
  for (const std::string& name : many) ahead.wait(name);
  ahead.wait(many.front());
}

TEST(ReadAhead, DoesNotWaitForTensorsThatAreNotNext) {
  const Checkpoint checkpoint = Checkpoint::open(tales);
  const std::vector<std::string> names = names_of(checkpoint);
  ReadAhead ahead(checkpoint, {names[1], names[2]});
  for (const std::string& name : {names[0], names[1], names[1], names[0], names[2], names[2]}) ahead.wait(name);
  ReadAhead nothing(checkpoint, {});
  nothing.wait(names[0]);
}

TEST(ReadAhead, EndsWhateverHasBeenWorkedOn) {
  const Checkpoint checkpoint = Checkpoint::open(tales);
  const std::vector<std::string> many = more_than_the_window(checkpoint);
  { const ReadAhead nothing(checkpoint, {}); }
  { const ReadAhead waiting(checkpoint, many); }
  ReadAhead begun(checkpoint, many);
  begun.wait(many.front());
}

TEST(ReadAhead, RefusesTensorsThatAreNotThere) {
  const Checkpoint checkpoint = Checkpoint::open(tales);
  EXPECT_THROW(ReadAhead(checkpoint, {"no such tensor"}), weft::FormatError);
  checkpoint.fetch("no such tensor");
}

}  // namespace
