#include <weft/core/thread_pool.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace weft;

/// Runs tasks that count themselves without synchronisation of their own and expects one call of each.
void expect_every_task_once(Executor& executor, std::size_t tasks) {
  std::vector<int> calls(tasks);
  executor.run(tasks, [&](std::size_t i) { ++calls[i]; });
  for (std::size_t i = 0; i < tasks; ++i) ASSERT_EQ(calls[i], 1) << "task " << i << " of " << tasks;
}

TEST(ThreadPool, CountsItsThreads) {
  EXPECT_GE(available_processors(), 1u);
  EXPECT_EQ(ThreadPool().concurrency(), available_processors());
  EXPECT_EQ(ThreadPool(1).concurrency(), 1u);
  EXPECT_EQ(ThreadPool(3).concurrency(), 3u);
  EXPECT_THROW(ThreadPool(static_cast<std::size_t>(-1)), ConfigError);
}

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (const std::size_t threads : {1u, 2u, 3u, 5u}) {
    ThreadPool pool(threads);
    for (const std::size_t tasks : {0u, 1u, 2u, 3u, 7u, 64u, 1000u}) expect_every_task_once(pool, tasks);
  }
}

TEST(ThreadPool, RunsMoreTasksThanATicketCounts) {
  ThreadPool pool(3);
  for (const std::size_t tasks : {65534u, 65535u, 65536u, 131070u, 131071u, 200'003u})
    expect_every_task_once(pool, tasks);
}

TEST(ThreadPool, ManyShortRunsFollowEachOther) {
  ThreadPool pool(3);
  std::vector<std::size_t> sums(8);
  for (std::size_t run = 0; run < 20'000; ++run)
    pool.run(sums.size(), [&](std::size_t i) { sums[i] += i + run % 2; });  // each run sees the writes of the last
  for (std::size_t i = 0; i < sums.size(); ++i) EXPECT_EQ(sums[i], 20'000 * i + 10'000);
}

TEST(ThreadPool, WakesUpAfterSleeping) {
  ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    expect_every_task_once(pool, 16);
  }
}

TEST(ThreadPool, UsesItsThreadsAtTheSameTime) {
  ThreadPool pool(3);
  std::atomic<int> arrived{0};
  pool.run(3, [&](std::size_t) {
    ++arrived;
    while (arrived.load() < 3) std::this_thread::yield();  // returns only where three threads are inside
  });
  EXPECT_EQ(arrived.load(), 3);
}

TEST(ThreadPool, RethrowsWhatATaskThrowsWhenNoneIsRunning) {
  ThreadPool pool(3);
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> running{0};
    try {
      pool.run(50, [&](std::size_t i) {
        ++running;
        if (i % 10 == 3) {
          --running;
          throw std::runtime_error("task");
        }
        --running;
      });
      FAIL() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(std::string(error.what()), "task");
    }
    EXPECT_EQ(running.load(), 0);
    expect_every_task_once(pool, 10);
  }
  ThreadPool alone(1);
  EXPECT_THROW(alone.run(2, [](std::size_t) { throw std::runtime_error("task"); }), std::runtime_error);
  expect_every_task_once(alone, 3);
}

TEST(ThreadPool, ATaskMayRunTasks) {
  ThreadPool pool(3);
  std::vector<std::vector<int>> calls(6, std::vector<int>(40));
  pool.run(calls.size(), [&](std::size_t outer) { pool.run(40, [&](std::size_t inner) { ++calls[outer][inner]; }); });
  for (const auto& row : calls) EXPECT_EQ(std::accumulate(row.begin(), row.end(), 0), 40);
  EXPECT_THROW(pool.run(4, [&](std::size_t) { pool.run(4, [](std::size_t) { throw std::runtime_error("inner"); }); }),
               std::runtime_error);
  expect_every_task_once(pool, 100);
}

TEST(ThreadPool, SeveralHostThreadsMayRunAtOnce) {
  ThreadPool pool(3);
  std::vector<std::thread> hosts;
  for (int host = 0; host < 2; ++host) {
    hosts.emplace_back([&] {
      for (int run = 0; run < 1000; ++run) expect_every_task_once(pool, 20);
    });
  }
  for (std::thread& host : hosts) host.join();
}

TEST(ThreadPool, EndsRightAfterARunOrWithoutOne) {
  for (int round = 0; round < 200; ++round) {
    ThreadPool pool(3);
    if (round % 3 != 0) expect_every_task_once(pool, 8);
    if (round % 7 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
  }
}

}  // namespace
