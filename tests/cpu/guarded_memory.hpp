#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>

namespace weft::testing {

/// Elements that end where a page begins that no instruction may touch: reading or writing one element past the end, as
/// a vector that is too wide does, ends the program.
template <class T>
class Guarded {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit Guarded(std::size_t n) : n_(n), page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
    const std::size_t bytes = (n * sizeof(T) + page_ - 1) / page_ * page_;
    mapped_ = bytes + 2 * page_;
    memory_ = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    auto* first = static_cast<std::byte*>(memory_);
    end_ = first + page_ + bytes;
    if (::mprotect(first, page_, PROT_NONE) != 0 || ::mprotect(end_, page_, PROT_NONE) != 0) throw std::bad_alloc();
  }
  explicit Guarded(std::span<const T> values) : Guarded(values.size()) {
    if (n_ != 0) std::memcpy(data(), values.data(), n_ * sizeof(T));
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { ::munmap(memory_, mapped_); }

  std::size_t size() const noexcept { return n_; }
  T* data() noexcept { return reinterpret_cast<T*>(end_) - n_; }
  const T* data() const noexcept { return reinterpret_cast<const T*>(end_) - n_; }
  T& operator[](std::size_t i) noexcept { return data()[i]; }
  std::span<T> elements() noexcept { return {data(), n_}; }

  /// Takes away the right to write.
  void protect() {
    const auto first = static_cast<std::byte*>(memory_) + page_;
    if (::mprotect(first, static_cast<std::size_t>(end_ - first), PROT_READ) != 0) throw std::bad_alloc();
  }

 private:
  std::size_t n_;
  std::size_t page_;
  std::size_t mapped_ = 0;
  void* memory_ = nullptr;
  std::byte* end_ = nullptr;
};

}  // namespace weft::testing
