#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/core/source.hpp>

namespace weft::inline v0 {

/// One tensor as a file of weights describes it.
struct WeightsEntry {
  std::string name;
  std::string type;                       ///< as the format spells it: "BF16", "FloatStorage", ...
  std::vector<std::size_t> extents = {};  ///< of any rank
  std::size_t offset = 0;                 ///< of the first byte, from the start of the file
  std::size_t bytes = 0;                  ///< that the elements take in memory
  std::optional<DType> dtype = {};        ///< weft's; empty: it has no such element type
};

/// A tensor as a file that is written names and describes it; it is made when its turn to be written comes.
struct TensorToWrite {
  std::string name;
  DType dtype;
  Shape shape;
  std::function<AnyTensor()> read;
};

/// How far writing has come.
struct WriteProgress {
  std::size_t bytes_done;
  std::size_t bytes_total;
  std::string_view tensor;  ///< the one just written
};

namespace detail {

/// What was made for a file. Throws ShapeError where it is not what was announced.
inline const AnyTensor& as_announced(const AnyTensor& made, std::string_view name, DType dtype, const Shape& shape) {
  if (made.dtype() != dtype || made.shape() != shape || made.layout() != Layout::rows)
    raise<ShapeError>("tensor ", name, " was made as ", weft::name(made.dtype()), " of shape ", to_string(made.shape()),
                      ", announced were rows of ", weft::name(dtype), " of shape ", to_string(shape));
  return made;
}

/// "-00002-of-00005": what the name of the file `number` (from 1) of `count` has before its extension.
inline std::string shard_number(std::size_t number, std::size_t count) {
  const auto five_digits = [](std::size_t value) {
    const std::string digits = std::to_string(value);
    return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
  };
  return concat('-', five_digits(number), "-of-", five_digits(count));
}

/// A tensor in place; elements that memory does not align for their type, `align` bytes, are copied.
inline AnyTensor tensor_in(const Source::Bytes& bytes, DType dtype, const Shape& shape, std::size_t align) {
  if (reinterpret_cast<std::size_t>(bytes.span.data()) % align == 0)
    return AnyTensor(dtype, shape, bytes.span, bytes.owner);
  return AnyTensor::make(
      dtype, shape, [&](std::span<std::byte> out) { std::memcpy(out.data(), bytes.span.data(), bytes.span.size()); });
}

/// Throws FormatError where one of the bytes from entry.offset on is neither 0 nor 1.
inline void check_booleans(std::string_view path, const WeightsEntry& entry, std::span<const std::byte> bytes) {
  const auto wrong = std::find_if(bytes.begin(), bytes.end(), [](std::byte b) { return b > std::byte{1}; });
  if (wrong != bytes.end())
    raise<FormatError>(path, ": tensor ", entry.name, ": byte ",
                       entry.offset + static_cast<std::size_t>(wrong - bytes.begin()), ": found ",
                       std::to_integer<int>(*wrong), ", expected a boolean, 0 or 1");
}

}  // namespace detail

/// Tensors by name, as one file of whatever format holds them. All methods are const and may be called from several
/// threads.
class WeightsFile {
 public:
  virtual ~WeightsFile() = default;

  /// One tensor, in place where the file allows it; it keeps what it lies in alive. Throws FormatError where there is
  /// none of that name or it is malformed, UnsupportedError for an element type or a rank that weft does not have.
  virtual AnyTensor tensor(std::string_view name) const = 0;
  /// Reads a tensor of this file that is wanted soon into the system's memory, where it lies in a mapped file, until it
  /// is stopped.
  virtual void fetch(const WeightsEntry&, const std::stop_token&) const noexcept {}
  /// Lets go of the memory of a tensor of this file that is not wanted soon; touching it reads it again.
  virtual void release(const AnyTensor& tensor) const noexcept = 0;

  const std::string& path() const noexcept { return path_; }
  /// The tensors in the order of their names.
  std::span<const WeightsEntry> entries() const noexcept { return entries_; }
  /// The entry of that name, or null.
  const WeightsEntry* find(std::string_view name) const noexcept {
    const auto found = std::lower_bound(entries_.begin(), entries_.end(), name,
                                        [](const WeightsEntry& entry, std::string_view n) { return entry.name < n; });
    return found != entries_.end() && found->name == name ? &*found : nullptr;
  }
  bool contains(std::string_view name) const noexcept { return find(name) != nullptr; }

 protected:
  explicit WeightsFile(const std::filesystem::path& path) : path_(path.string()) {}
  WeightsFile(const WeightsFile&) = default;
  WeightsFile& operator=(const WeightsFile&) = default;

  /// Takes the entries in any order; no two of one name.
  void set_entries(std::vector<WeightsEntry> entries) {
    entries_ = std::move(entries);
    std::sort(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  }
  /// The entry of that name. Throws FormatError where there is none.
  const WeightsEntry& expect(std::string_view name) const {
    if (const WeightsEntry* found = find(name)) return *found;
    raise<FormatError>(path_, ": there is no tensor ", name);
  }

 private:
  std::string path_;
  std::vector<WeightsEntry> entries_;
};

}  // namespace weft::inline v0
