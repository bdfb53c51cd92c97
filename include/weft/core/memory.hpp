#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include <weft/core/error.hpp>

namespace weft::inline v0 {

/// Alignment of everything weft allocates, in bytes: a cache line and the widest vector register.
inline constexpr std::size_t alignment = 64;

namespace detail {

struct AlignedDelete {
  void operator()(void* memory) const noexcept { ::operator delete (memory, std::align_val_t{alignment}); }
};

/// Asks the kernel for 2 MiB pages behind the whole ones inside [data, data + bytes); a wish, so failure is no error.
inline void advise_huge_pages(void* data, std::size_t bytes) noexcept {
  constexpr std::size_t huge = std::size_t{2} << 20;
  const std::size_t address = reinterpret_cast<std::size_t>(data);
  const std::size_t begin = (address + huge - 1) / huge * huge;
  const std::size_t end = (address + bytes) / huge * huge;
  if (end > begin) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

}  // namespace detail

/// Owned bytes, 64-byte aligned, not initialised.
using AlignedBytes = std::unique_ptr<std::byte[], detail::AlignedDelete>;

/// Throws std::bad_alloc.
inline AlignedBytes allocate_aligned(std::size_t bytes) {
  auto* memory = static_cast<std::byte*>(::operator new (bytes ? bytes : 1, std::align_val_t{alignment}));
  detail::advise_huge_pages(memory, bytes);
  return AlignedBytes(memory);
}

/// A whole file mapped read-only. Bytes are read when they are touched; where another program has shortened the file,
/// the system answers the touch of bytes that are gone by SIGBUS, which ends the program. whole() tells beforehand.
class MappedFile {
 public:
  MappedFile() = default;

  /// Throws FormatError naming the file where it cannot be opened, is no regular file, is empty, or a pointer of Git
  /// LFS.
  explicit MappedFile(const std::string& path) {
    Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (file.number < 0) fail(path, "cannot be opened");
    struct stat status {};
    if (::fstat(file.number, &status) != 0) fail(path, "cannot be examined");
    if (!S_ISREG(status.st_mode)) raise<FormatError>(path, ": not a regular file");
    if (status.st_size == 0) raise<FormatError>(path, ": the file is empty");
    refuse_pointer(file.number, path);
    size_ = static_cast<std::size_t>(status.st_size);
    void* memory = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.number, 0);
    if (memory == MAP_FAILED) fail(path, "cannot be mapped");
    data_ = static_cast<const std::byte*>(memory);
    std::swap(file_.number, file.number);
  }

  MappedFile(MappedFile&& other) noexcept
      : file_(std::exchange(other.file_.number, -1)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(file_.number, other.file_.number);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~MappedFile() {
    if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
  }

  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  /// Whether the file still has all bytes that it had when it was opened.
  bool whole() const noexcept {
    struct stat status {};
    return !data_ || (::fstat(file_.number, &status) == 0 && static_cast<std::size_t>(status.st_size) >= size_);
  }

  /// Reads a part of the file that is wanted soon into the system's memory, until it is stopped. By read(2): Linux then
  /// takes large pages, which are mapped in a tenth of the time; with MADV_WILLNEED it takes small ones.
  void fetch(std::size_t offset, std::size_t bytes, const std::stop_token& stop) const noexcept {
    if (offset >= size_) return;
    const std::size_t end = offset + std::min(bytes, size_ - offset);
    // What follows a part that was missing is read as well: the system recognises files that are read in their order.
    if (offset < read_to_ && resident(offset, end)) return;
    read_to_ = end;
    constexpr std::size_t piece = std::size_t{1} << 20;
    const std::unique_ptr<char[]> scratch(new (std::nothrow) char[piece]);
    for (std::size_t begin = offset; scratch && begin < end && !stop.stop_requested(); begin += piece)
      if (::pread(file_.number, scratch.get(), std::min(piece, end - begin), static_cast<off_t>(begin)) <= 0) return;
  }

  /// Lets go of the whole pages inside `part` of the file, which is not wanted soon; touching them reads them again.
  /// Bytes that lie elsewhere are left alone.
  void release(std::span<const std::byte> part) const noexcept {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::less_equal<const std::byte*> before;
    if (!before(data_, part.data()) || !before(part.data() + part.size(), data_ + size_)) return;
    const auto offset = static_cast<std::size_t>(part.data() - data_);
    const std::size_t begin = (offset + page - 1) / page * page;
    const std::size_t end = (offset + part.size()) / page * page;
    if (end > begin) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
  }

 private:
  struct Descriptor {
    int number = -1;

    Descriptor() = default;
    explicit Descriptor(int opened) noexcept : number(opened) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
      if (number >= 0) ::close(number);
    }
  };

  /// What git leaves in the place of a file that it did not fetch.
  static void refuse_pointer(int file, const std::string& path) {
    constexpr std::string_view beginning = "version https://git-lfs.github.com/spec/";
    char text[beginning.size()];
    if (::pread(file, text, sizeof text, 0) == ssize_t{sizeof text} && std::string_view(text, sizeof text) == beginning)
      raise<FormatError>(path, ": a pointer of Git LFS in the place of the file, which \"git lfs pull\" fetches");
  }
  /// Whether the system has a part of the file in memory.
  bool resident(std::size_t offset, std::size_t end) const noexcept {
    std::array<unsigned char, 256> states;
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    for (std::size_t begin = offset / page * page; begin < end; begin += states.size() * page) {
      const std::size_t pages = std::min(states.size(), (end - begin + page - 1) / page);
      if (::mincore(const_cast<std::byte*>(data_) + begin, pages * page, states.data()) != 0) return false;
      if (!std::all_of(states.begin(), states.begin() + static_cast<std::ptrdiff_t>(pages),
                       [](unsigned char state) { return state & 1; }))
        return false;
    }
    return true;
  }
  [[noreturn]] static void fail(const std::string& path, const char* what) {
    const int code = errno;
    char text[128] = "";
    raise<FormatError>(path, ": ", what, ": ", describe(::strerror_r(code, text, sizeof text), text));
  }
  // strerror_r returns the text (GNU) or a status (POSIX).
  static const char* describe(const char* result, const char*) noexcept { return result; }
  static const char* describe(int, const char* text) noexcept { return text; }

  Descriptor file_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  // Where the last part ends that was missing and read; before there is one, behind every part.
  mutable std::atomic<std::size_t> read_to_ = std::numeric_limits<std::size_t>::max();
};

}  // namespace weft::inline v0
