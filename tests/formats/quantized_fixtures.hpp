#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <weft/formats/checkpoint.hpp>
#include <weft/formats/safetensors.hpp>

#include "temporary_directory.hpp"

// The models of tests/fixtures/quantized (tests/reference/README.md), and copies of them that a test may break.
namespace weft_tests {

inline std::filesystem::path quantized_fixture(std::string_view name) {
  return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "quantized" / name;
}

/// The names of all fixtures, sorted.
inline std::vector<std::string> quantized_fixture_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(quantized_fixture("")))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// The 64-bit FNV-1a hash, as sixteen hexadecimal digits.
inline std::string fnv1a(std::span<const std::byte> bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::byte byte : bytes) hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
  std::string digits(16, '0');
  for (std::size_t i = 16; i-- > 0; hash >>= 4) digits[i] = "0123456789abcdef"[hash & 15];
  return digits;
}

/// A tensor of these elements.
template <class T>
weft::AnyTensor tensor_of(const weft::Shape& shape, const std::vector<T>& elements) {
  return weft::AnyTensor::make(weft::dtype_of<T>, shape, [&](std::span<std::byte> to) {
    const auto* from = reinterpret_cast<const std::byte*>(elements.data());
    std::copy(from, from + to.size(), to.begin());
  });
}

/// A tensor of zeros.
inline weft::AnyTensor zeros_of(weft::DType dtype, const weft::Shape& shape) {
  return weft::AnyTensor::make(dtype, shape,
                               [](std::span<std::byte> to) { std::fill(to.begin(), to.end(), std::byte{0}); });
}

/// A copy of a fixture whose files a test may change.
class QuantizedCopy {
 public:
  using Tensors = std::vector<std::pair<std::string, weft::AnyTensor>>;

  explicit QuantizedCopy(std::string_view name) {
    for (const char* file : {"config.json", "model.safetensors"})
      std::filesystem::copy_file(quantized_fixture(name) / file, path() / file);
  }

  const std::filesystem::path& path() const noexcept { return directory_.path(); }
  std::string file(std::string_view name) const { return (path() / name).string(); }
  void write(std::string_view name, std::string_view content) const { directory_.write(name, content); }
  weft::Checkpoint open() const { return weft::Checkpoint::open(path()); }
  /// Opens the checkpoint and makes all its tensors.
  void read() const {
    const weft::Checkpoint checkpoint = open();
    for (const std::string& name : checkpoint.tensor_names()) static_cast<void>(checkpoint.tensor(name));
  }

  /// Calls edit(nlohmann::json&) on config.json.
  template <class Edit>
  const QuantizedCopy& edit_config(Edit&& edit) const {
    nlohmann::json json = nlohmann::json::parse(read_file(path() / "config.json"));
    edit(json);
    write("config.json", json.dump(1));
    return *this;
  }
  /// Sets a key of the quantization_config.
  const QuantizedCopy& set(const char* key, const nlohmann::json& value) const {
    return edit_config([&](nlohmann::json& config) { config["quantization_config"][key] = value; });
  }

  /// Calls edit(Tensors&) on the tensors of model.safetensors.
  template <class Edit>
  const QuantizedCopy& edit_tensors(Edit&& edit) const {
    Tensors tensors;
    const weft::SafetensorsFile file(path() / "model.safetensors");
    for (const weft::WeightsEntry& entry : file.entries()) tensors.emplace_back(entry.name, file.tensor(entry.name));
    edit(tensors);
    // The tensors lie in the file that is replaced: the new one is another.
    weft::write_safetensors(path() / "new.safetensors", tensors);
    std::filesystem::rename(path() / "new.safetensors", path() / "model.safetensors");
    return *this;
  }
  /// Puts a tensor in the place of that of its name, or beside the others.
  const QuantizedCopy& put(const std::string& name, const weft::AnyTensor& tensor) const {
    return edit_tensors([&](Tensors& tensors) {
      std::erase_if(tensors, [&](const auto& entry) { return entry.first == name; });
      tensors.emplace_back(name, tensor);
    });
  }
  const QuantizedCopy& remove(const std::string& name) const {
    return edit_tensors(
        [&](Tensors& tensors) { std::erase_if(tensors, [&](const auto& entry) { return entry.first == name; }); });
  }

 private:
  TemporaryDirectory directory_;
};

}  // namespace weft_tests
