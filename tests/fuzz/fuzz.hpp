#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include <weft/core/error.hpp>
#include <weft/core/source.hpp>

// What the fuzz targets have in common. A target may throw weft::Error and nothing else; a crash, a sanitizer's report,
// another exception, a hang and memory past the limits of run.sh are what fuzzing looks for.
namespace weft_fuzz {

/// A file without a disk behind it.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content) : descriptor_(::memfd_create("weft", MFD_CLOEXEC)) {
    if (descriptor_ < 0) throw std::runtime_error("no memory file");
    while (!content.empty()) {
      const ssize_t written = ::write(descriptor_, content.data(), content.size());
      if (written <= 0) throw std::runtime_error("a memory file that cannot be written");
      content.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// The input as a file, where it is: the sanitizers see every byte that is read beyond it.
inline weft::Source source_of(const std::uint8_t* data, std::size_t size) {
  return weft::Source::memory("input", {reinterpret_cast<const std::byte*>(data), size});
}

/// Reads every byte, so that the sanitizers see where they are.
inline void touch(std::span<const std::byte> bytes) {
  unsigned sum = 0;
  for (const std::byte byte : bytes) sum += std::to_integer<unsigned>(byte);
  const volatile unsigned used = sum;
  static_cast<void>(used);
}

template <class Action>
int run(Action&& action) {
  try {
    action();
  } catch (const weft::Error&) {
  }
  return 0;
}

/// Takes every tensor of a file.
template <class Weights>
void read_weights(const Weights& weights) {
  for (const auto& entry : weights.entries()) run([&] { touch(weights.tensor(entry.name).bytes()); });
}

}  // namespace weft_fuzz
