#pragma once

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <weft/core/config.hpp>
#include <weft/core/error.hpp>
#include <weft/core/executor.hpp>

namespace weft::inline v0 {

namespace detail {

WEFT_ALWAYS_INLINE void spin_pause() noexcept {
#if WEFT_X86_64
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace detail

/// The processors this process may run on; at least 1.
inline std::size_t available_processors() noexcept {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0)
    return std::max<std::size_t>(1, static_cast<std::size_t>(CPU_COUNT(&set)));
  return std::max<std::size_t>(1, std::thread::hardware_concurrency());
}

/// An Executor of `threads` threads, the caller of run() being one of them. Idle workers look for work for a few
/// microseconds, then sleep, so that a waiting pool costs nothing and a busy machine is not fought over. Any number of
/// threads may call run(): while one run is under way the others do their tasks by themselves, and so does a task that
/// calls run().
class ThreadPool final : public Executor {
 public:
  /// 0 threads: one per available processor. Throws ConfigError for more than 65536, std::system_error where they
  /// cannot be started.
  explicit ThreadPool(std::size_t threads = 0) {
    constexpr std::size_t most = 65536;
    if (threads > most) raise<ConfigError>("ThreadPool: ", threads, " threads, expected at most ", most);
    if (threads == 0) threads = available_processors();
    try {
      workers_.reserve(threads - 1);
      for (std::size_t i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
    } catch (...) {
      stop();
      throw;
    }
  }

  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() override { stop(); }

  std::size_t concurrency() const noexcept override { return workers_.size() + 1; }

  void run(std::size_t tasks, FunctionRef<void(std::size_t)> task) override {
    if (tasks <= 1 || workers_.empty() || busy_.exchange(true, std::memory_order_acquire)) {
      for (std::size_t i = 0; i < tasks; ++i) task(i);
      return;
    }
    const Turn turn{busy_};
    // A ticket counts to 65535 tasks; more are dealt in groups.
    const std::size_t group = (tasks + max_tickets - 1) / max_tickets;
    const auto tickets = static_cast<std::uint32_t>((tasks + group - 1) / group);
    const auto grouped = [&](std::size_t ticket) {
      const std::size_t end = std::min(tasks, (ticket + 1) * group);
      for (std::size_t i = ticket * group; i < end; ++i) task(i);
    };
    FunctionRef<void(std::size_t)> job = grouped;
    job_.store(&job, std::memory_order_relaxed);
    const std::uint64_t epoch = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
    // The first ticket is the caller's, who does not wait for the workers to see the others. A worker that goes to
    // sleep in this moment may miss them, until the next run: the caller takes what nobody else does.
    ticket_.store((epoch << 32) | (std::uint64_t{tickets} << 16) | 1, std::memory_order_release);
    if (sleepers_.load(std::memory_order_relaxed) != 0) ticket_.notify_all();

    perform(job, 0);
    const std::uint32_t by_caller = 1 + drain();
    done_before_ += tickets - by_caller;
    for (int spin = 0;;) {
      const std::uint32_t done = done_.load(std::memory_order_acquire);
      if (done == done_before_) break;
      if (++spin < spin_limit) {
        detail::spin_pause();
      } else {
        done_.wait(done, std::memory_order_acquire);
      }
    }
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  static constexpr std::size_t max_tickets = 0xffff;
  static constexpr int spin_limit = 2000;  // tens of microseconds

  struct Turn {
    std::atomic<bool>& busy;
    ~Turn() { busy.store(false, std::memory_order_release); }
  };

  // ticket_ holds (epoch, tickets, next): whoever moves `next` forward owns that task, and owning a task proves that
  // the run it belongs to has not ended, so that the job read before is the one to call. The number of tasks done.
  std::uint32_t drain() {
    std::uint32_t count = 0;
    std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
    while (next_of(ticket) < tickets_of(ticket)) {
      const FunctionRef<void(std::size_t)>* job = job_.load(std::memory_order_relaxed);
      if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel, std::memory_order_acquire))
        continue;
      perform(*job, next_of(ticket));
      ++count;
      ticket = ticket_.load(std::memory_order_acquire);
    }
    return count;
  }

  void perform(const FunctionRef<void(std::size_t)>& job, std::uint32_t ticket) noexcept {
    try {
      job(ticket);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }

  void work() {
    while (!stopping_.load(std::memory_order_acquire)) {
      if (const std::uint32_t count = drain(); count != 0) {
        done_.fetch_add(count, std::memory_order_acq_rel);
        done_.notify_all();
      }
      const std::uint64_t idle = ticket_.load(std::memory_order_acquire);
      if (next_of(idle) < tickets_of(idle)) continue;
      bool fresh = false;
      for (int spin = 0; spin < spin_limit && !fresh; ++spin) {
        detail::spin_pause();
        fresh = ticket_.load(std::memory_order_acquire) != idle;
      }
      if (fresh || stopping_.load(std::memory_order_acquire)) continue;
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      ticket_.wait(idle, std::memory_order_seq_cst);
      sleepers_.fetch_sub(1, std::memory_order_relaxed);
    }
  }

  void stop() noexcept {
    stopping_.store(true, std::memory_order_release);
    ticket_.fetch_add(std::uint64_t{1} << 32, std::memory_order_seq_cst);
    ticket_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  static constexpr std::uint32_t tickets_of(std::uint64_t ticket) noexcept {
    return static_cast<std::uint32_t>(ticket >> 16) & 0xffffu;
  }
  static constexpr std::uint32_t next_of(std::uint64_t ticket) noexcept {
    return static_cast<std::uint32_t>(ticket) & 0xffffu;
  }

  // What the caller of run() writes and workers read shares a line, so that one transfer starts a run.
  alignas(64) std::atomic<std::uint64_t> ticket_{0};
  std::atomic<const FunctionRef<void(std::size_t)>*> job_{nullptr};
  alignas(64) std::atomic<std::uint32_t> done_{0};  // by workers, in all runs
  alignas(64) std::atomic<std::uint32_t> sleepers_{0};
  std::atomic<bool> stopping_{false};
  alignas(64) std::atomic<bool> busy_{false};
  std::uint32_t done_before_ = 0;  // the value of done_ at the end of a run
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
  std::vector<std::thread> workers_;
};

}  // namespace weft::inline v0
