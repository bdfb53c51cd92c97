#include "allocations.hpp"

#include <cstdlib>
#include <new>

#include <weft/core/config.hpp>

// ThreadSanitizer has operators of its own, which cannot be replaced; nothing is counted there.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_TESTS_KEEP_OPERATORS 1
#endif
#endif
#if !defined(__SANITIZE_THREAD__) && !defined(WEFT_TESTS_KEEP_OPERATORS)

namespace {

void count_allocation(std::size_t bytes) noexcept {
  weft_tests::allocations.fetch_add(1, std::memory_order_relaxed);
  weft_tests::allocated_bytes.fetch_add(bytes, std::memory_order_relaxed);
}

}  // namespace

// Not inlined, or GCC takes free() for the wrong partner of new.
WEFT_NO_INLINE void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  count_allocation(bytes);
  return std::malloc(bytes != 0 ? bytes : 1);
}
WEFT_NO_INLINE void* operator new(std::size_t bytes, std::align_val_t align, const std::nothrow_t&) noexcept {
  count_allocation(bytes);
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

#endif
