#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>

namespace weft_tests {

/// Numbers as GGUF files hold them, little-endian.
template <class T>
std::string raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}
inline std::string u32(std::uint32_t value) { return raw(value); }
inline std::string u64(std::uint64_t value) { return raw(value); }
inline std::string text(std::string_view characters) { return u64(characters.size()).append(characters); }

/// A hand-made GGUF file of which any part can be wrong.
struct GgufBytes {
  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::uint64_t tensor_count = 0;
  std::uint64_t value_count = 0;
  std::string head{};  // metadata and tensors

  GgufBytes& value(std::string_view key, std::uint32_t type, std::string_view bytes) {
    head += text(key) + u32(type);
    head += bytes;
    ++value_count;
    return *this;
  }
  /// Extents in the order of the file.
  GgufBytes& tensor(std::string_view name, std::initializer_list<std::uint64_t> extents, std::uint32_t type,
                    std::uint64_t offset) {
    head += text(name) + u32(static_cast<std::uint32_t>(extents.size()));
    for (const std::uint64_t extent : extents) head += u64(extent);
    head += u32(type) + u64(offset);
    ++tensor_count;
    return *this;
  }
  std::string with(std::string_view data = {}, std::size_t alignment = 32) const {
    std::string bytes = magic + u32(version) + u64(tensor_count) + u64(value_count) + head;
    if (!data.empty()) bytes.append((alignment - bytes.size() % alignment) % alignment, '\0');
    return bytes.append(data);
  }
};

}  // namespace weft_tests
