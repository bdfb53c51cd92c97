#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

#include <weft/core/config.hpp>

// Counts what a test program allocates, on all its threads. Replaces the global operator new: include it in one file of
// a program only.

namespace weft_tests {

inline std::atomic<std::size_t> allocations{0};
inline std::atomic<std::size_t> allocated_bytes{0};  // all together, also what was freed

inline void count_allocation(std::size_t bytes) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  allocated_bytes.fetch_add(bytes, std::memory_order_relaxed);
}

}  // namespace weft_tests

// Not inlined, or GCC takes free() for the wrong partner of new.
WEFT_NO_INLINE void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  weft_tests::count_allocation(bytes);
  return std::malloc(bytes != 0 ? bytes : 1);
}
WEFT_NO_INLINE void* operator new(std::size_t bytes, std::align_val_t align, const std::nothrow_t&) noexcept {
  weft_tests::count_allocation(bytes);
  const auto unit = static_cast<std::size_t>(align);
  return std::aligned_alloc(unit, (bytes + unit) / unit * unit);
}
WEFT_NO_INLINE void* operator new(std::size_t bytes) {
  if (void* memory = ::operator new(bytes, std::nothrow)) return memory;
  throw std::bad_alloc();
}
WEFT_NO_INLINE void* operator new(std::size_t bytes, std::align_val_t align) {
  if (void* memory = ::operator new(bytes, align, std::nothrow)) return memory;
  throw std::bad_alloc();
}
WEFT_NO_INLINE void* operator new[](std::size_t bytes) { return ::operator new(bytes); }
WEFT_NO_INLINE void* operator new[](std::size_t bytes, std::align_val_t align) { return ::operator new(bytes, align); }
WEFT_NO_INLINE void* operator new[](std::size_t bytes, const std::nothrow_t& tag) noexcept {
  return ::operator new(bytes, tag);
}
WEFT_NO_INLINE void operator delete(void* memory) noexcept { std::free(memory); }
WEFT_NO_INLINE void operator delete[](void* memory) noexcept { std::free(memory); }
WEFT_NO_INLINE void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
WEFT_NO_INLINE void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
WEFT_NO_INLINE void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
WEFT_NO_INLINE void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
WEFT_NO_INLINE void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
WEFT_NO_INLINE void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
