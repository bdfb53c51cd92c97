#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/dtype.hpp>
#include <weft/core/error.hpp>
#include <weft/core/shape.hpp>
#include <weft/core/source.hpp>
#include <weft/formats/pickle.hpp>
#include <weft/formats/weights_file.hpp>
#include <weft/formats/zip.hpp>

namespace weft::inline v0 {

namespace detail {

struct PytorchType {
  std::string_view name;  // of the storage
  std::size_t bytes;      // of one element
  std::optional<DType> dtype;
};

inline constexpr std::array<PytorchType, 11> pytorch_types{{{"FloatStorage", 4, DType::f32},
                                                            {"HalfStorage", 2, DType::f16},
                                                            {"BFloat16Storage", 2, DType::bf16},
                                                            {"DoubleStorage", 8, DType::f64},
                                                            {"LongStorage", 8, DType::i64},
                                                            {"IntStorage", 4, DType::i32},
                                                            {"ShortStorage", 2, std::nullopt},
                                                            {"CharStorage", 1, DType::i8},
                                                            {"ByteStorage", 1, DType::u8},
                                                            {"BoolStorage", 1, DType::boolean},
                                                            {"ComplexFloatStorage", 8, std::nullopt}}};

inline const PytorchType& pytorch_type(std::string_view name) noexcept {
  return *std::find_if(pytorch_types.begin(), pytorch_types.end(), [&](const auto& type) { return type.name == name; });
}

/// Whether elements lie one after the other in the order of their indices; strides of extents below 2 do not matter.
inline bool is_contiguous(std::span<const std::size_t> extents, std::span<const std::size_t> strides) noexcept {
  std::size_t expected = 1;
  for (std::size_t i = extents.size(); i-- > 0;) {
    if (extents[i] == 0) return true;
    if (extents[i] > 1 && strides[i] != expected) return false;
    expected *= extents[i];
  }
  return true;
}

/// Copies a view of elements of `size` bytes, the last dimension fastest. No extent is 0.
inline void copy_strided(const std::byte* from, std::span<const std::size_t> extents,
                         std::span<const std::size_t> strides, std::size_t size, std::span<std::byte> to) {
  std::array<std::size_t, max_rank> index{};
  std::size_t offset = 0;
  for (std::size_t written = 0; written < to.size(); written += size) {
    std::memcpy(to.data() + written, from + offset * size, size);
    for (std::size_t i = extents.size(); i-- > 0;) {
      offset += strides[i];
      if (++index[i] < extents[i]) break;
      offset -= strides[i] * extents[i];
      index[i] = 0;
    }
  }
}

}  // namespace detail

/// A checkpoint that PyTorch's torch.save wrote (1.6 and later): a ZIP archive with a pickle, data.pkl, and one file
/// for every storage. A path is mapped and memory is used in place, other sources are read as a whole; contiguous
/// tensors are used where they are, others are copied. Nothing in it is run.
///
/// The tensors are those of the dict that was saved, or of the dict that it holds as "state_dict" or "model"; numbers
/// and texts among them are passed over. Opening throws FormatError for whatever is malformed, what ZipArchive and
/// Pickle throw, and UnsupportedError for the format of older versions, for big-endian files and for other objects.
class PytorchFile final : public WeightsFile {
 public:
  explicit PytorchFile(const std::filesystem::path& path) : PytorchFile(Source::file(path.string())) {}
  explicit PytorchFile(Source source) : WeightsFile(source.name()), archive_(open(std::move(source))) {
    const ZipEntry& data = find_pickle();
    check_byte_order();
    const Pickle pickle(archive_.text(data), this->path(), data.offset);
    read_entries(pickle.root());
  }

  AnyTensor tensor(std::string_view name) const override {
    const WeightsEntry& entry = expect(name);
    const detail::PytorchType& type = detail::pytorch_type(entry.type);
    if (!type.dtype)
      raise<UnsupportedError>(path(), ": tensor ", name, ": element type ", entry.type, " is not supported");
    const Shape shape{std::span<const std::size_t>(entry.extents)};
    const auto view = views_.find(name);
    const std::span<const std::byte> bytes =
        archive_.bytes().span.subspan(entry.offset, view == views_.end() ? entry.bytes : view->second.span);
    if (*type.dtype == DType::boolean) detail::check_booleans(path(), entry, bytes);
    if (view == views_.end()) return detail::tensor_in({bytes, archive_.bytes().owner}, *type.dtype, shape, type.bytes);
    return AnyTensor::make(*type.dtype, shape, [&](std::span<std::byte> out) {
      detail::copy_strided(bytes.data(), entry.extents, view->second.strides, type.bytes, out);
    });
  }

  void fetch(const WeightsEntry& entry, const std::stop_token& stop) const noexcept override {
    archive_.fetch(entry.offset, entry.bytes, stop);
  }
  void release(const AnyTensor& tensor) const noexcept override { archive_.release(tensor.bytes()); }

 private:
  static constexpr std::size_t max_key = 64;

  /// How a tensor that is not contiguous lies in its storage.
  struct View {
    std::vector<std::size_t> strides;
    std::size_t span;  // bytes from the first element to the last
  };

  /// Older versions begin their files with the pickle of a number.
  static ZipArchive open(Source source) {
    constexpr std::string_view before_1_6("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14);
    const Source::Bytes begin = source.bytes(0, std::min(source.size(), before_1_6.size()));
    if (std::string_view(reinterpret_cast<const char*>(begin.span.data()), begin.span.size()) == before_1_6)
      raise<UnsupportedError>(source.name(),
                              ": byte 0: saved by PyTorch before 1.6 (or with _use_new_zipfile_serialization=False); "
                              "expected a ZIP archive as later versions save");
    return ZipArchive(std::move(source));
  }

  const ZipEntry& find_pickle() {
    const ZipEntry* found = nullptr;
    for (const ZipEntry& entry : archive_.entries()) {
      const std::size_t slash = entry.name.find('/');
      if (slash == entry.name.npos || entry.name.substr(slash) != "/data.pkl") continue;
      if (found) raise<FormatError>(path(), ": there are both ", found->name, " and ", entry.name);
      found = &entry;
      folder_ = entry.name.substr(0, slash + 1);
    }
    if (!found) raise<FormatError>(path(), ": not a PyTorch checkpoint: the archive has no data.pkl");
    return *found;
  }

  void check_byte_order() const {
    const ZipEntry* entry = archive_.find(folder_ + "byteorder");
    if (!entry) return;  // as saved before 2.1
    if (archive_.text(*entry) == "big")
      raise<UnsupportedError>(path(), ": byte ", entry->offset, ": big-endian checkpoints are not supported");
    if (archive_.text(*entry) != "little")
      raise<FormatError>(path(), ": byte ", entry->offset, ": the byte order is neither little nor big");
  }

  static PickleValue find_tensors(const PickleValue& root) {
    for (const char* key : {"state_dict", "model"})
      if (const auto inner = root.as_dict().find(key); inner && inner->is_dict()) return *inner;
    return root;
  }

  void read_entries(const PickleValue& root) {
    const PickleValue tensors = find_tensors(root);
    check_keys(tensors);
    std::vector<WeightsEntry> entries;
    for (auto item = tensors.begin(); item != tensors.end(); ++item) {
      const PickleValue key = *item;
      const PickleValue value = *++item;
      if (value.is_tensor()) {
        entries.push_back(read_entry(key.as_string(), value));
      } else if (value.is_dict() || value.is_list() || value.is_tuple()) {
        raise<UnsupportedError>(value.location(), ": ", key.as_string(), ": expected a tensor, found ",
                                name(value.type()));
      }
    }
    set_entries(std::move(entries));
  }

  /// Keys are text, and no two are the same. What is the same object is found before any text is compared.
  void check_keys(const PickleValue& tensors) const {
    std::vector<std::uint32_t> ids;
    std::vector<std::string_view> names;
    for (auto item = tensors.begin(); item != tensors.end(); ++ ++item) {
      names.push_back((*item).as_string());
      ids.push_back((*item).id());
    }
    std::sort(ids.begin(), ids.end());
    const auto object = std::adjacent_find(ids.begin(), ids.end());
    if (object == ids.end()) std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (object != ids.end() || twice != names.end())
      raise<FormatError>(tensors.location(), ": two tensors have the same name");
  }

  WeightsEntry read_entry(std::string_view name, const PickleValue& value) {
    PickleTensor tensor = value.as_tensor();
    const PickleStorage& storage = tensor.storage;
    const detail::PytorchType& type = detail::pytorch_type(storage.type);
    const auto where = [&] { return detail::concat(value.location(), ": tensor ", name); };
    if (storage.key.size() > max_key)
      raise<FormatError>(where(), ": the key of its storage has ", storage.key.size(), " bytes, at most ", max_key,
                         " are allowed");
    const ZipEntry* data = archive_.find(detail::concat(folder_, "data/", storage.key));
    if (!data) raise<FormatError>(where(), ": the archive has no ", folder_, "data/", storage.key);
    if (data->bytes % type.bytes != 0 || data->bytes / type.bytes != storage.elements)
      raise<FormatError>(where(), ": a ", storage.type, " of ", storage.elements, " elements takes ", type.bytes,
                         " bytes for each, ", data->name, " has ", data->bytes, " bytes");

    // The elements from the first to past the last, and how many there are.
    std::size_t reach = 1;
    std::size_t bytes = type.bytes;
    bool overflow = false;
    for (std::size_t i = 0; i < tensor.extents.size(); ++i) {
      std::size_t step = 0;
      overflow |= __builtin_mul_overflow(bytes, tensor.extents[i], &bytes);
      overflow |= tensor.extents[i] != 0 && (__builtin_mul_overflow(tensor.extents[i] - 1, tensor.strides[i], &step) ||
                                             __builtin_add_overflow(reach, step, &reach));
    }
    const std::string shape = to_string(std::span<const std::size_t>(tensor.extents));
    if (overflow) raise<FormatError>(where(), ": the number of elements of shape ", shape, " overflows");
    if (bytes == 0) reach = 0;
    if (tensor.offset > storage.elements || reach > storage.elements - tensor.offset)
      raise<FormatError>(where(), ": shape ", shape, " with strides ",
                         to_string(std::span<const std::size_t>(tensor.strides)), " takes ", reach, " elements from ",
                         tensor.offset, " on, its storage has ", storage.elements);
    if (bytes > archive_.bytes().span.size())
      raise<FormatError>(where(), ": shape ", shape, " repeats its elements to ", bytes, " bytes, the file has ",
                         archive_.bytes().span.size());
    if (!detail::is_contiguous(tensor.extents, tensor.strides))
      views_.emplace(name, View{.strides = std::move(tensor.strides), .span = reach * type.bytes});
    return {.name = std::string(name),
            .type = std::string(storage.type),
            .extents = std::move(tensor.extents),
            .offset = data->offset + tensor.offset * type.bytes,
            .bytes = bytes,
            .dtype = type.dtype};
  }

  ZipArchive archive_;
  std::string folder_;  // that everything in the archive is in, with a slash
  std::map<std::string, View, std::less<>> views_;
};

}  // namespace weft::inline v0
