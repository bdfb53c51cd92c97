#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <utility>

#include <weft/core/error.hpp>
#include <weft/core/executor.hpp>
#include <weft/core/memory.hpp>
#include <weft/cpu/dispatch.hpp>

namespace weft::inline v0 {

/// In what the products of matrix multiplications are computed; sums are always float.
enum class Compute : unsigned char {
  f32,  ///< float: weights of every type are widened exactly
  /// The weights' own type: bfloat16 dot products for bfloat16 weights where the processor has them, and for attention
  /// over a bfloat16 cache; int8 products for block formats; float for all others.
  native,
};

namespace cpu {

/// Memory that kernels borrow between their beginning and their end. It grows to the largest amount asked for and is
/// kept, so that a repeated computation allocates once. One computation at a time.
class Workspace {
 public:
  /// At least `bytes` bytes, 64-byte aligned, with no particular contents; valid until the next call.
  std::byte* reserve(std::size_t bytes) {
    if (bytes > size_) {
      memory_ = allocate_aligned(bytes);
      size_ = bytes;
    }
    return memory_.get();
  }

 private:
  AlignedBytes memory_;
  std::size_t size_ = 0;
};

/// Where and how an op runs. The default is the best instruction set, the calling thread, float products and scratch
/// memory of its own.
struct Context {
  const Kernels* kernels = &best_kernels();
  Executor* executor = nullptr;    ///< null: the calling thread
  Workspace* workspace = nullptr;  ///< null: every op allocates what it needs
  Compute compute = Compute::f32;

  /// The executor's. Throws ConfigError for one on which nothing makes progress, and so does every op that divides its
  /// work among threads.
  std::size_t concurrency() const {
    const std::size_t tasks = executor ? executor->concurrency() : 1;
    if (tasks == 0) raise<ConfigError>("cpu::Context: the executor's concurrency is 0, expected at least 1");
    return tasks;
  }
};

}  // namespace cpu

namespace detail {

/// Calls body(item, slot) for every item in [0, items). Calls of one slot never overlap, so `slot` in
/// [0, ctx.concurrency()) can name scratch memory.
template <class Body>
void parallel_for(const cpu::Context& ctx, std::size_t items, Body&& body) {
  const std::size_t slots = items < ctx.concurrency() ? items : ctx.concurrency();
  if (slots <= 1) {
    for (std::size_t item = 0; item < items; ++item) body(item, std::size_t{0});
    return;
  }
  std::atomic<std::size_t> next{0};
  ctx.executor->run(slots, [&](std::size_t slot) {
    for (std::size_t item; (item = next.fetch_add(1, std::memory_order_relaxed)) < items;) body(item, slot);
  });
}

/// As parallel_for, but a slot begins with a share of the items that is the same in every call of as many, so that what
/// it reads again stays near it, and helps with the others' shares after that. Calls body(item, slot, next), `next`
/// being the item of the share that follows, or `items`.
template <class Body>
void parallel_shares(const cpu::Context& ctx, std::size_t items, Body&& body) {
  constexpr std::size_t most = 64;
  struct alignas(64) Share {
    std::atomic<std::size_t> next;
    std::size_t end;
  };
  const std::size_t slots = items < ctx.concurrency() ? items : ctx.concurrency();
  if (slots <= 1) {
    for (std::size_t item = 0; item < items; ++item) body(item, std::size_t{0}, item + 1);
    return;
  }
  const std::size_t count = slots < most ? slots : most;
  std::array<Share, most> shares;
  for (std::size_t i = 0; i < count; ++i) {
    shares[i].next.store(items * i / count, std::memory_order_relaxed);
    shares[i].end = items * (i + 1) / count;
  }
  ctx.executor->run(slots, [&](std::size_t slot) {
    for (std::size_t i = 0; i < count; ++i) {
      Share& share = shares[(slot + i) % count];
      for (std::size_t item; (item = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;)
        body(item, slot, item + 1 < share.end ? item + 1 : items);
    }
  });
}

/// Scratch memory for one op: the context's workspace, or its own.
class Scratch {
 public:
  Scratch(const cpu::Context& ctx, std::size_t bytes)
      : memory_((ctx.workspace ? *ctx.workspace : own_).reserve(bytes)) {}

  template <class T>
  T* as(std::size_t byte_offset = 0) const noexcept {
    return reinterpret_cast<T*>(memory_ + byte_offset);
  }

 private:
  cpu::Workspace own_;
  std::byte* memory_;
};

}  // namespace detail
}  // namespace weft::inline v0
