#include <weft/core/executor.hpp>

#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace weft;

TEST(SerialExecutor, RunsEveryTaskInOrder) {
  SerialExecutor executor;
  EXPECT_EQ(executor.concurrency(), 1u);
  std::vector<std::size_t> seen;
  executor.run(4, [&](std::size_t i) { seen.push_back(i); });
  EXPECT_EQ(seen, (std::vector<std::size_t>{0, 1, 2, 3}));
  executor.run(0, [](std::size_t) { FAIL() << "there is no task"; });
}

TEST(SerialExecutor, PassesOnWhatATaskThrows) {
  SerialExecutor executor;
  EXPECT_THROW(executor.run(2, [](std::size_t) { throw std::runtime_error("task"); }), std::runtime_error);
}

TEST(SerialExecutor, ATaskMayRunTasks) {
  SerialExecutor serial;
  Executor& executor = serial;
  int calls = 0;
  executor.run(3, [&](std::size_t) { executor.run(2, [&](std::size_t) { ++calls; }); });
  EXPECT_EQ(calls, 6);
}

}  // namespace
