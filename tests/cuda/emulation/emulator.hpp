#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_EMULATION_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_EMULATION_ASAN 1
#endif
#endif
#ifndef WEFT_EMULATION_ASAN
#define WEFT_EMULATION_ASAN 0
#endif
#if WEFT_EMULATION_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#include <weft/core/error.hpp>

// Runs kernels on the CPU: the threads of a block are fibers that change at barriers and at what a warp does together,
// blocks follow each other (those of a cooperative launch take turns). It shows whether kernels compute what they
// should; it emulates no memory model and no time. Barriers that some threads of a block or warp do not reach, or that
// they reach at different calls, fail the launch. Memory that is not written yet is NaN. Variables that are __shared__
// without being dynamic are one for all blocks, so that a cooperative launch must not use them. With
// WEFT_EMULATION_BACKWARD=1 in the environment the last thread runs first: a missing barrier that one order hides, the
// other one shows.
namespace emulation {

struct Dim3 {
  unsigned x, y, z;
  constexpr Dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  constexpr std::size_t count() const { return std::size_t{x} * y * z; }
};

inline constexpr unsigned warp_lanes = 32;

/// Threads that wait for each other.
struct Meeting {
  unsigned members = 0;
  unsigned arrived = 0;
  unsigned round = 0;
  const char* what = nullptr;  // the first of them to arrive called
};

struct Warp {
  Meeting meeting;
  alignas(16) std::byte values[2][warp_lanes][64];  // of rounds in turn
};

struct Block {
  Dim3 index;
  Meeting barrier;
  std::vector<Warp> warps;
  std::unique_ptr<std::byte, decltype(&std::free)> shared{nullptr, &std::free};
  std::size_t shared_bytes = 0;
};

struct PendingCopy {
  void* to;
  const void* from;  // null: zeros
};

/// A thread of a block.
struct Thread {
  Block* block = nullptr;
  Warp* warp = nullptr;
  Dim3 index;
  unsigned lane = 0;
  const Meeting* waits = nullptr;
  unsigned round = 0;                            // that it waits for
  std::vector<std::vector<PendingCopy>> copies;  // groups
  std::vector<PendingCopy> open_copies;          // of the group that is not ended
};

struct Fiber {
  ucontext_t context;
  std::unique_ptr<std::byte[]> stack;
  Thread thread;
  bool busy = false;
};

/// Some blocks that run at once.
class Machine {
 public:
  static Machine& get() {
    static Machine machine;
    return machine;
  }

  /// Runs `kernel` for every thread of the blocks [first, last) of the grid. Returns what went wrong, or "".
  std::string run(const std::function<void()>& kernel, Dim3 grid, Dim3 block, std::size_t shared_bytes,
                  std::size_t first, std::size_t last) {
    kernel_ = &kernel;
    block_ = block;
    error_.clear();
    blocks_.clear();
    for (std::size_t i = first; i < last; ++i) add_block(grid, i, shared_bytes);
    started_ = 0;
    finished_ = 0;
    pauses_ = 0;
    threads_ = block.count() * blocks_.size();
    switch_fiber(nullptr, idle_fiber());
    return error_;
  }

  Thread& thread() { return fibers_[current_]->thread; }

  /// Waits until all members are here.
  void meet(Meeting& meeting, const char* what) {
    if (meeting.arrived == 0) {
      meeting.what = what;
    } else if (std::strcmp(meeting.what, what) != 0) {
      fail(std::string("divergence: some threads are at ") + meeting.what + ", others at " + what);
    }
    Thread& self = thread();
    self.waits = &meeting;
    self.round = meeting.round + 1;
    if (++meeting.arrived == meeting.members) {
      meeting.arrived = 0;
      ++meeting.round;
      pauses_ = 0;
    } else {
      give_way();
    }
    thread().waits = nullptr;
  }

  /// Lets others run first.
  void pause() {
    if (++pauses_ > 10'000'000) fail("threads wait for others that never come");
    give_way();
  }

  [[noreturn]] void fail(const std::string& what) {
    const auto text = [](const Dim3& d) { return weft::detail::concat("(", d.x, ", ", d.y, ", ", d.z, ")"); };
    error_ = what + ", block " + text(thread().block->index) + " thread " + text(thread().index);
    switch_fiber(fibers_[current_].get(), nullptr);
    std::abort();  // nobody comes back to a fiber of a launch that failed
  }

 private:
  static constexpr std::size_t stack_bytes = std::size_t{1} << 18;

  Machine() {
    const char* order = std::getenv("WEFT_EMULATION_BACKWARD");
    backward_ = order && *order == '1';
  }

  void add_block(Dim3 grid, std::size_t number, std::size_t shared_bytes) {
    auto block = std::make_unique<Block>();
    block->index = Dim3(static_cast<unsigned>(number % grid.x), static_cast<unsigned>(number / grid.x % grid.y),
                        static_cast<unsigned>(number / grid.x / grid.y));
    const auto threads = static_cast<unsigned>(block_.count());
    block->barrier.members = threads;
    block->warps.resize((threads + warp_lanes - 1) / warp_lanes);
    for (std::size_t w = 0; w < block->warps.size(); ++w)
      block->warps[w].meeting.members = std::min(warp_lanes, threads - static_cast<unsigned>(w) * warp_lanes);
    block->shared_bytes = shared_bytes;
    block->shared.reset(static_cast<std::byte*>(std::malloc(shared_bytes + 1)));
    std::memset(block->shared.get(), 0xff, shared_bytes);
    blocks_.push_back(std::move(block));
  }

  /// A fiber for the next thread that has not begun.
  Fiber* idle_fiber() {
    std::size_t i = 0;
    while (i < fibers_.size() && fibers_[i]->busy) ++i;
    if (i == fibers_.size()) {
      fibers_.push_back(std::make_unique<Fiber>());
      fibers_[i]->stack = std::unique_ptr<std::byte[]>(new std::byte[stack_bytes]);
    }
    Fiber& fiber = *fibers_[i];
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = stack_bytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, &Machine::enter, 0);
    fiber.busy = true;
    fiber.thread.waits = nullptr;
    next_ = i;
    return &fiber;
  }

  /// What a fiber does: one thread after the other, as long as there are some that have not begun.
  static void enter() {
    Machine& machine = get();
    machine.begin_fiber();
    while (machine.begin_thread()) {
      (*machine.kernel_)();
      machine.end_thread();
    }
    machine.end_fiber();
  }
  bool begin_thread() {
    if (started_ == threads_) return false;
    const std::size_t count = block_.count();
    const std::size_t number = backward_ ? threads_ - 1 - started_ : started_;
    ++started_;
    Thread& t = thread();
    t = Thread{};
    t.block = blocks_[number / count].get();
    const auto i = static_cast<unsigned>(number % count);
    t.index = Dim3(i % block_.x, i / block_.x % block_.y, i / block_.x / block_.y);
    t.warp = &t.block->warps[i / warp_lanes];
    t.lane = i % warp_lanes;
    show_thread();
    return true;
  }
  void end_thread() {
    Thread& t = thread();
    if (t.block->barrier.arrived != 0) fail(std::string("a thread ends while others are at ") + t.block->barrier.what);
    if (t.warp->meeting.arrived != 0) fail(std::string("a thread ends while others are at ") + t.warp->meeting.what);
    --t.block->barrier.members;
    --t.warp->meeting.members;
    ++finished_;
  }

  bool is_ready(const Fiber& fiber) const {
    return fiber.busy && (!fiber.thread.waits || fiber.thread.waits->round == fiber.thread.round);
  }
  /// Whether a fiber after the current one can go on, which then is the next.
  bool find_ready() {
    const std::size_t n = fibers_.size();
    for (std::size_t step = 1; step < n; ++step) {
      next_ = (current_ + (backward_ ? n - step : step)) % n;
      if (is_ready(*fibers_[next_])) return true;
    }
    return false;
  }
  void give_way() {
    Fiber* self = fibers_[current_].get();
    if (started_ < threads_) {
      switch_fiber(self, idle_fiber());
    } else if (find_ready()) {
      switch_fiber(self, fibers_[next_].get());
    } else if (!is_ready(*self)) {
      fail(std::string("threads wait for ever at ") + self->thread.waits->what);
    }
  }
  void end_fiber() {
    Fiber* self = fibers_[current_].get();
    self->busy = false;
    if (find_ready()) switch_fiber(self, fibers_[next_].get());
    if (finished_ != threads_) fail("threads wait for ever, and one has ended");
    switch_fiber(self, nullptr);
  }

  /// From a fiber, or from run() (null), to another one, or back to run().
  void switch_fiber(Fiber* from, Fiber* to) {
    if (!to)
      for (const auto& fiber : fibers_) fiber->busy = false;
    ucontext_t* own = from ? &from->context : &outside_;
    const ucontext_t* other = to ? &to->context : &outside_;
#if WEFT_EMULATION_ASAN
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, to ? to->stack.get() : outside_stack_, to ? stack_bytes : outside_bytes_);
    swapcontext(own, other);
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#else
    swapcontext(own, other);
#endif
    if (from) {
      current_ = next_;
      show_thread();
    }
  }
  void begin_fiber() {
    current_ = next_;
#if WEFT_EMULATION_ASAN
    const void* stack = nullptr;
    std::size_t bytes = 0;
    __sanitizer_finish_switch_fiber(nullptr, &stack, &bytes);
    if (!outside_stack_) {
      outside_stack_ = stack;
      outside_bytes_ = bytes;
    }
#endif
  }
  inline void show_thread();

  const std::function<void()>* kernel_ = nullptr;
  Dim3 block_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::size_t current_ = 0;
  std::size_t next_ = 0;  // the fiber that is switched to
  std::size_t threads_ = 0;
  std::size_t started_ = 0;
  std::size_t finished_ = 0;
  std::size_t pauses_ = 0;  // since a barrier was passed
  bool backward_ = false;
  std::string error_;
  ucontext_t outside_;
  const void* outside_stack_ = nullptr;
  std::size_t outside_bytes_ = 0;
};

}  // namespace emulation

// What CUDA gives every thread.
inline emulation::Dim3 threadIdx;
inline emulation::Dim3 blockIdx;
inline emulation::Dim3 blockDim;
inline emulation::Dim3 gridDim;

namespace emulation {

inline void Machine::show_thread() {
  threadIdx = thread().index;
  blockIdx = thread().block->index;
}

/// What the lanes of a warp bring to exchange(), by lane.
template <class T>
struct Exchanged {
  const std::byte (*values)[64];

  T operator[](unsigned lane) const {
    T value;
    std::memcpy(&value, values[lane], sizeof value);
    return value;
  }
};
/// All 32 lanes of a warp must come.
template <class T>
Exchanged<T> exchange(const T& value, const char* what) {
  static_assert(sizeof(T) <= 64);
  Machine& machine = Machine::get();
  Thread& t = machine.thread();
  if (t.warp->meeting.members != warp_lanes) machine.fail(std::string(what) + " without all 32 threads of the warp");
  auto& slots = t.warp->values[t.warp->meeting.round % 2];
  std::memcpy(slots[t.lane], &value, sizeof value);
  machine.meet(t.warp->meeting, what);
  return {slots};
}

/// Runs a grid. Returns what went wrong, or "".
inline std::string run_grid(const std::function<void()>& kernel, Dim3 grid, Dim3 block, std::size_t shared_bytes,
                            bool cooperative) {
  gridDim = grid;
  blockDim = block;
  if (cooperative) return Machine::get().run(kernel, grid, block, shared_bytes, 0, grid.count());
  for (std::size_t i = 0; i < grid.count(); ++i) {
    const std::string error = Machine::get().run(kernel, grid, block, shared_bytes, i, i + 1);
    if (!error.empty()) return error;
  }
  return "";
}

}  // namespace emulation
