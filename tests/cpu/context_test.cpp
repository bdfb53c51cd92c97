#include <weft/cpu/context.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/thread_pool.hpp>

namespace {

using namespace weft;

TEST(Workspace, GivesAlignedMemoryThatGrowsAndStays) {
  cpu::Workspace workspace;
  std::byte* large = workspace.reserve(10000);
  ASSERT_NE(large, nullptr);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(large) % alignment, 0u);
  for (std::size_t i = 0; i < 10000; ++i) large[i] = std::byte{7};
  EXPECT_EQ(workspace.reserve(10000), large);
  EXPECT_EQ(workspace.reserve(1), large);
  std::byte* larger = workspace.reserve(20000);
  for (std::size_t i = 0; i < 20000; ++i) larger[i] = std::byte{9};
  EXPECT_EQ(workspace.reserve(15000), larger);
}

TEST(Workspace, AcceptsNothing) { EXPECT_NO_THROW(cpu::Workspace().reserve(0)); }

TEST(Context, DefaultsToTheBestKernelsOnTheCallingThreadInFloat) {
  const cpu::Context ctx;
  EXPECT_EQ(ctx.kernels, &cpu::best_kernels());
  EXPECT_EQ(ctx.concurrency(), 1u);
  EXPECT_EQ(ctx.compute, Compute::f32);
  EXPECT_EQ(ctx.workspace, nullptr);
}

TEST(Context, AnExecutorOnWhichNothingMakesProgressIsAnError) {
  struct : Executor {
    std::size_t concurrency() const noexcept override { return 0; }
    void run(std::size_t, FunctionRef<void(std::size_t)>) override {}
  } none;
  cpu::Context ctx;
  ctx.executor = &none;
  EXPECT_THROW(ctx.concurrency(), ConfigError);
  const auto body = [](std::size_t, std::size_t, std::size_t = 0) { FAIL() << "nothing runs"; };
  EXPECT_THROW(detail::parallel_for(ctx, 3, body), ConfigError);
  EXPECT_THROW(detail::parallel_shares(ctx, 3, body), ConfigError);
}

TEST(Scratch, BorrowsTheWorkspaceWhereThereIsOne) {
  cpu::Workspace workspace;
  cpu::Context ctx;
  ctx.workspace = &workspace;
  const detail::Scratch borrowed(ctx, 256);
  EXPECT_EQ(borrowed.as<std::byte>(), workspace.reserve(256));
  EXPECT_EQ(borrowed.as<std::byte>(64), workspace.reserve(256) + 64);
  ctx.workspace = nullptr;
  const detail::Scratch own(ctx, 256);
  EXPECT_NE(own.as<std::byte>(), workspace.reserve(256));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(own.as<float>()) % alignment, 0u);
}

TEST(ParallelFor, VisitsEveryItemOnceAndNeverSharesASlot) {
  for (const std::size_t threads : {1u, 2u, 3u}) {
    ThreadPool pool(threads);
    cpu::Context ctx;
    ctx.executor = &pool;
    for (const std::size_t items : {0u, 1u, 2u, 3u, 7u, 1000u}) {
      std::vector<std::atomic<int>> visits(items);
      std::vector<std::atomic<int>> inside(threads);
      std::atomic<bool> shared{false};
      detail::parallel_for(ctx, items, [&](std::size_t item, std::size_t slot) {
        ASSERT_LT(slot, threads);
        if (inside[slot].fetch_add(1) != 0) shared = true;
        visits[item].fetch_add(1);
        inside[slot].fetch_sub(1);
      });
      for (const auto& visit : visits) EXPECT_EQ(visit.load(), 1);
      EXPECT_FALSE(shared);
    }
  }
}

TEST(ParallelFor, PassesOnWhatABodyThrows) {
  ThreadPool pool(2);
  cpu::Context ctx;
  ctx.executor = &pool;
  const auto body = [](std::size_t item, std::size_t) {
    if (item == 5) raise<ShapeError>("five");
  };
  EXPECT_THROW(detail::parallel_for(ctx, 10, body), ShapeError);
  EXPECT_THROW(detail::parallel_for(cpu::Context{}, 10, body), ShapeError);
}

TEST(ParallelShares, VisitsEveryItemOnceWithTheOneThatFollowsInItsShare) {
  for (const std::size_t threads : {1u, 2u, 3u, 70u}) {
    ThreadPool pool(threads);
    cpu::Context ctx;
    ctx.executor = &pool;
    for (const std::size_t items : {0u, 1u, 2u, 3u, 7u, 1000u}) {
      std::vector<std::atomic<int>> visits(items);
      std::vector<std::atomic<int>> inside(threads);
      std::atomic<std::size_t> ends{0};
      std::atomic<bool> wrong{false};
      detail::parallel_shares(ctx, items, [&](std::size_t item, std::size_t slot, std::size_t next) {
        if (slot >= threads || (next != item + 1 && next != items) || inside[slot].fetch_add(1) != 0) wrong = true;
        visits[item].fetch_add(1);
        if (next == items) ends.fetch_add(1);
        inside[slot].fetch_sub(1);
      });
      for (const auto& visit : visits) EXPECT_EQ(visit.load(), 1);
      EXPECT_EQ(ends.load(), std::min<std::size_t>({threads, items, 64u}));
      EXPECT_FALSE(wrong);
    }
  }
}

/// Two slots, the second of which does all it can before the first begins.
struct Backwards final : Executor {
  std::size_t concurrency() const noexcept override { return 2; }
  void run(std::size_t tasks, FunctionRef<void(std::size_t)> task) override {
    while (tasks-- != 0) task(tasks);
  }
};

TEST(ParallelShares, ASlotBeginsWithItsShareAndHelpsWithTheOthers) {
  Backwards executor;
  cpu::Context ctx;
  ctx.executor = &executor;
  std::vector<std::size_t> order;
  detail::parallel_shares(ctx, 7, [&](std::size_t item, std::size_t slot, std::size_t) {
    EXPECT_EQ(slot, 1u);
    order.push_back(item);
  });
  EXPECT_EQ(order, (std::vector<std::size_t>{3, 4, 5, 6, 0, 1, 2}));
}

TEST(ParallelShares, PassesOnWhatABodyThrows) {
  ThreadPool pool(2);
  cpu::Context ctx;
  ctx.executor = &pool;
  const auto body = [](std::size_t item, std::size_t, std::size_t) {
    if (item == 5) raise<ShapeError>("five");
  };
  EXPECT_THROW(detail::parallel_shares(ctx, 10, body), ShapeError);
}

}  // namespace
