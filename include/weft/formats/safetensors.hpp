#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
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
#include <weft/core/dtype.hpp>
#include <weft/core/error.hpp>
#include <weft/core/shape.hpp>
#include <weft/core/source.hpp>
#include <weft/formats/json.hpp>
#include <weft/formats/json_text.hpp>
#include <weft/formats/output_file.hpp>
#include <weft/formats/utf8.hpp>
#include <weft/formats/weights_file.hpp>

namespace weft::inline v0 {

namespace detail {

static_assert(std::endian::native == std::endian::little, "safetensors are used in place: little-endian machines only");

struct SafetensorsType {
  std::string_view name;
  std::size_t bits;            // of one element
  std::optional<DType> dtype;  // empty: weft has no such element type
};

/// Every element type of the format, in the order in which the format sorts them: by alignment.
inline constexpr std::array<SafetensorsType, 20> safetensors_types{
    {{"BOOL", 8, DType::boolean},    {"F4", 4, std::nullopt},        {"F6_E2M3", 6, std::nullopt},
     {"F6_E3M2", 6, std::nullopt},   {"U8", 8, DType::u8},           {"I8", 8, DType::i8},
     {"F8_E5M2", 8, DType::f8_e5m2}, {"F8_E4M3", 8, DType::f8_e4m3}, {"F8_E8M0", 8, std::nullopt},
     {"I16", 16, std::nullopt},      {"U16", 16, std::nullopt},      {"F16", 16, DType::f16},
     {"BF16", 16, DType::bf16},      {"I32", 32, DType::i32},        {"U32", 32, std::nullopt},
     {"F32", 32, DType::f32},        {"C64", 64, std::nullopt},      {"F64", 64, DType::f64},
     {"I64", 64, DType::i64},        {"U64", 64, std::nullopt}}};

inline const SafetensorsType* find_safetensors_type(std::string_view name) noexcept {
  for (const SafetensorsType& type : safetensors_types)
    if (type.name == name) return &type;
  return nullptr;
}

}  // namespace detail

/// A safetensors file: an 8-byte little-endian header length, a JSON header, and the tensors one after the other. A
/// path is mapped; tensors in memory are used in place and keep it alive, of other sources they are read when asked
/// for.
///
/// Everything the header claims is checked on opening: FormatError names the file, the tensor, the byte, what was found
/// and what was expected. As in the reference implementation the tensors must fill the file without gap or overlap, and
/// further keys of a tensor are ignored.
class SafetensorsFile final : public WeightsFile {
 public:
  using Metadata = std::vector<std::pair<std::string, std::string>>;

  explicit SafetensorsFile(const std::filesystem::path& path) : SafetensorsFile(Source::file(path.string())) {}
  explicit SafetensorsFile(Source source) : WeightsFile(source.name()), source_(std::move(source)) {
    std::vector<WeightsEntry> entries = read_header();
    check_layout(entries);
    set_entries(std::move(entries));
  }

  /// The `__metadata__` of the header in its order.
  const Metadata& metadata() const noexcept { return metadata_; }

  /// One tensor, in place; elements that the file does not align for their type are copied. Throws FormatError where
  /// there is no such tensor or a boolean is neither 0 nor 1, UnsupportedError for an element type or a rank that weft
  /// does not have.
  AnyTensor tensor(std::string_view name) const override {
    const WeightsEntry& entry = expect(name);
    const detail::SafetensorsType& type = *detail::find_safetensors_type(entry.type);
    if (!type.dtype)
      raise<UnsupportedError>(path(), ": tensor ", name, ": element type ", entry.type, " is not supported");
    if (entry.extents.size() > max_rank)
      raise<UnsupportedError>(path(), ": tensor ", name, ": ", entry.extents.size(), " dimensions, at most ", max_rank,
                              " are supported");
    const Source::Bytes bytes = source_.bytes(entry.offset, entry.bytes);
    if (*type.dtype == DType::boolean) detail::check_booleans(path(), entry, bytes.span);
    return detail::tensor_in(bytes, *type.dtype, Shape{std::span<const std::size_t>(entry.extents)}, type.bits / 8);
  }

  void fetch(const WeightsEntry& entry, const std::stop_token& stop) const noexcept override {
    source_.fetch(entry.offset, entry.bytes, stop);
  }
  void release(const AnyTensor& tensor) const noexcept override { source_.release(tensor.bytes()); }

 private:
  static constexpr std::size_t max_header_bytes = 100'000'000;  // of the reference implementation

  std::vector<WeightsEntry> read_header() {
    std::uint64_t length = 0;
    if (source_.size() < sizeof length)
      raise<FormatError>(path(), ": truncated: ", source_.size(),
                         " bytes, expected at least the 8 of the header length");
    std::memcpy(&length, source_.bytes(0, sizeof length).span.data(), sizeof length);
    if (length > source_.size() - sizeof length)
      raise<FormatError>(path(), ": byte 0: the header length says ", length, " bytes, the file has ",
                         source_.size() - sizeof length, " after it");
    if (length > max_header_bytes)
      raise<FormatError>(path(), ": byte 0: the header length says ", length, " bytes, at most ", max_header_bytes,
                         " are allowed");
    const Source::Bytes bytes = source_.bytes(sizeof length, static_cast<std::size_t>(length));
    const std::string_view header(reinterpret_cast<const char*>(bytes.span.data()), bytes.span.size());
    if (header.empty() || header.front() != '{')
      raise<FormatError>(path(), ": byte 8: the header does not start with '{'");
    data_begin_ = sizeof length + header.size();

    const Json json =
        parse_json(header, path(), {.max_depth = 4, .max_values = header.size() / 4 + 1, .origin = sizeof length});
    std::vector<WeightsEntry> entries;
    entries.reserve(json.size());
    for (const Json& member : json) {
      if (member.key() == "__metadata__") {
        for (const Json& text : member.as_object()) metadata_.emplace_back(text.key(), text.as_string());
      } else {
        entries.push_back(read_entry(member));
      }
    }
    return entries;
  }

  WeightsEntry read_entry(const Json& json) const {
    WeightsEntry entry;
    entry.name = json.key();
    entry.type = json.at("dtype").as_string();
    const detail::SafetensorsType* type = detail::find_safetensors_type(entry.type);
    if (!type) raise<FormatError>(json.at("dtype").location(), ": unknown element type \"", entry.type, "\"");

    std::size_t bits = type->bits;
    for (const Json& extent : json.at("shape").as_array()) {
      entry.extents.push_back(extent.as_size());
      if (__builtin_mul_overflow(bits, entry.extents.back(), &bits))
        raise<FormatError>(json.at("shape").location(), ": the number of elements overflows");
    }
    const Json& offsets = json.at("data_offsets").as_array();
    if (offsets.size() != 2) raise<FormatError>(offsets.location(), ": expected 2 offsets, found ", offsets.size());
    const std::size_t begin = offsets.at(0).as_size();
    const std::size_t end = offsets.at(1).as_size();
    const std::size_t available = source_.size() - data_begin_;
    if (begin > end || end > available)
      raise<FormatError>(offsets.location(), ": bytes ", begin, " to ", end, " are outside the ", available,
                         " bytes of tensor data");
    if (bits % 8 != 0 || bits / 8 != end - begin)
      raise<FormatError>(json.location(), ": shape ", to_string(std::span<const std::size_t>(entry.extents)), " of ",
                         entry.type, " takes ", bits / 8, " bytes, the offsets span ", end - begin);
    entry.offset = data_begin_ + begin;
    entry.bytes = end - begin;
    entry.dtype = type->dtype;
    return entry;
  }

  void check_layout(std::span<const WeightsEntry> entries) const {
    std::vector<const WeightsEntry*> order;
    order.reserve(entries.size());
    for (const WeightsEntry& entry : entries) order.push_back(&entry);
    std::sort(order.begin(), order.end(), [](const WeightsEntry* a, const WeightsEntry* b) {
      return a->offset != b->offset ? a->offset < b->offset : a->bytes < b->bytes;
    });
    std::size_t reached = data_begin_;
    for (const WeightsEntry* entry : order) {
      if (entry->offset != reached)
        raise<FormatError>(path(), ": tensor ", entry->name, ": byte ", entry->offset,
                           entry->offset < reached ? ": overlaps the tensor that ends at byte "
                                                   : ": leaves a gap after the tensor that ends at byte ",
                           reached);
      reached += entry->bytes;
    }
    if (reached != source_.size())
      raise<FormatError>(path(), ": the tensors end at byte ", reached, ", the file at byte ", source_.size());
  }

  Source source_;
  Metadata metadata_;
  std::size_t data_begin_ = 0;
};

namespace detail {

inline std::size_t safetensors_rank(DType dtype) {
  for (std::size_t i = 0; i < safetensors_types.size(); ++i)
    if (safetensors_types[i].dtype == dtype) return i;
  raise<UnsupportedError>("safetensors have no element type ", name(dtype));
}

/// The JSON header of a file with these tensors in this order.
inline std::string safetensors_header(const std::filesystem::path& path, std::span<const TensorToWrite* const> order,
                                      const SafetensorsFile::Metadata& metadata) {
  JsonObjectText header;
  if (!metadata.empty()) {
    JsonObjectText members;
    for (const auto& [key, value] : metadata) {
      std::string text;
      append_json_string(text, value);
      members.add(key, text);
    }
    header.add("__metadata__", members.finish());
  }
  std::vector<std::string_view> names;
  std::size_t offset = 0;
  for (const TensorToWrite* tensor : order) {
    if (!is_utf8(tensor->name)) raise<FormatError>(path.string(), ": the tensor name ", tensor->name, " is not UTF-8");
    if (tensor->name == "__metadata__") raise<FormatError>(path.string(), ": the tensor name __metadata__ is reserved");
    names.push_back(tensor->name);
    std::string text =
        concat("{\"dtype\":\"", safetensors_types[safetensors_rank(tensor->dtype)].name, "\",\"shape\":[");
    for (std::size_t i = 0; i < tensor->shape.rank(); ++i) text += concat(i ? "," : "", tensor->shape[i]);
    const std::size_t end = offset + bytes_of(tensor->dtype, tensor->shape);
    header.add(tensor->name, text + concat("],\"data_offsets\":[", offset, ",", end, "]}"));
    offset = end;
  }
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
    raise<FormatError>(path.string(), ": two tensors are named ", *twice);
  std::string text = header.finish();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace detail

/// Writes tensors as the reference implementation does: the widest element types first, then by name, the data
/// starting at a multiple of 8 bytes. The file has its name only when it is complete, so that the tensors may come from
/// a file of that name. Every tensor is made when its turn comes, so that no more than one of them is in memory.
/// `progress` is called after every tensor; what it throws ends writing. Throws FormatError for a name that is given
/// twice, not UTF-8 or reserved, and where the file cannot be written, ShapeError where a tensor that is made has
/// another type or shape than was announced.
inline void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                              const SafetensorsFile::Metadata& metadata = {},
                              const std::function<void(const WriteProgress&)>& progress = {}) {
  std::vector<const TensorToWrite*> order;
  std::size_t total = 0;
  for (const TensorToWrite& tensor : tensors) {
    order.push_back(&tensor);
    total += bytes_of(tensor.dtype, tensor.shape);
  }
  std::sort(order.begin(), order.end(), [](const TensorToWrite* a, const TensorToWrite* b) {
    const std::size_t x = detail::safetensors_rank(a->dtype);
    const std::size_t y = detail::safetensors_rank(b->dtype);
    return x != y ? x > y : a->name < b->name;
  });
  const std::string header = detail::safetensors_header(path, order, metadata);
  const std::uint64_t length = header.size();
  detail::OutputFile file(path);
  file.write(&length, sizeof length);
  file.write(header.data(), header.size());
  std::size_t done = 0;
  for (const TensorToWrite* tensor : order) {
    const AnyTensor made = tensor->read();
    detail::as_announced(made, tensor->name, tensor->dtype, tensor->shape);
    file.write(made.bytes().data(), made.bytes().size());
    done += made.bytes().size();
    if (progress) progress({done, total, tensor->name});
  }
  file.finish();
}

/// The same for tensors that are there already.
inline void write_safetensors(const std::filesystem::path& path,
                              std::span<const std::pair<std::string, AnyTensor>> tensors,
                              const SafetensorsFile::Metadata& metadata = {}) {
  std::vector<TensorToWrite> written;
  for (const auto& [name, tensor] : tensors)
    written.push_back({name, tensor.dtype(), tensor.shape(), [&kept = tensor] { return kept; }});
  write_safetensors(path, written, metadata);
}

}  // namespace weft::inline v0
