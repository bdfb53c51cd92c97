#pragma once

#include <cstddef>

#include <weft/core/function_ref.hpp>

namespace weft::inline v0 {

/// Where parallel work runs. weft's own is ThreadPool; a host with a scheduler of its own (a game engine, TBB, a
/// server's pool) derives from this and passes it in, so that no second set of threads fights for its cores.
class Executor {
 public:
  virtual ~Executor() = default;

  /// How many tasks can make progress at once, the calling thread included; at least 1. Results never depend on it.
  virtual std::size_t concurrency() const noexcept = 0;

  /// Calls task(i) once for every i in [0, tasks), in any order, on any threads, and returns when all calls have. Where
  /// a task throws, those not begun may be left out; what it threw is rethrown here when no task is running any more.
  /// Calls from inside a task must not deadlock.
  virtual void run(std::size_t tasks, FunctionRef<void(std::size_t)> task) = 0;
};

/// Runs everything on the calling thread.
class SerialExecutor final : public Executor {
 public:
  std::size_t concurrency() const noexcept override { return 1; }
  void run(std::size_t tasks, FunctionRef<void(std::size_t)> task) override {
    for (std::size_t i = 0; i < tasks; ++i) task(i);
  }
};

}  // namespace weft::inline v0
