#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
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
#include <weft/formats/gguf_value.hpp>
#include <weft/formats/utf8.hpp>
#include <weft/formats/weights_file.hpp>

namespace weft::inline v0 {

namespace detail {

static_assert(std::endian::native == std::endian::little, "GGUF is used in place: little-endian machines only");

inline constexpr std::string_view gguf_magic = "GGUF";
inline constexpr std::size_t gguf_default_alignment = 32;
inline constexpr std::size_t gguf_max_rank = 4;

struct GgufTensorType {
  std::string_view name;  // empty: a number that no file uses any more
  std::size_t block_elements = 1;
  std::size_t block_bytes = 1;
  std::optional<DType> dtype = std::nullopt;  // empty: weft has no such element type
};

/// The element types of tensors by their numbers (ggml.h, enum ggml_type).
inline constexpr auto gguf_tensor_types = std::to_array<GgufTensorType>({
    {"F32", 1, 4, DType::f32},
    {"F16", 1, 2, DType::f16},
    {"Q4_0", 32, 18, DType::q4_0},
    {"Q4_1", 32, 20, DType::q4_1},
    {},
    {},
    {"Q5_0", 32, 22, DType::q5_0},
    {"Q5_1", 32, 24, DType::q5_1},
    {"Q8_0", 32, 34, DType::q8_0},
    {"Q8_1", 32, 36},
    {"Q2_K", 256, 84, DType::q2_k},
    {"Q3_K", 256, 110, DType::q3_k},
    {"Q4_K", 256, 144, DType::q4_k},
    {"Q5_K", 256, 176, DType::q5_k},
    {"Q6_K", 256, 210, DType::q6_k},
    {"Q8_K", 256, 292},
    {"IQ2_XXS", 256, 66},
    {"IQ2_XS", 256, 74},
    {"IQ3_XXS", 256, 98},
    {"IQ1_S", 256, 50},
    {"IQ4_NL", 32, 18, DType::iq4_nl},
    {"IQ3_S", 256, 110},
    {"IQ2_S", 256, 82},
    {"IQ4_XS", 256, 136},
    {"I8", 1, 1, DType::i8},
    {"I16", 1, 2},
    {"I32", 1, 4, DType::i32},
    {"I64", 1, 8, DType::i64},
    {"F64", 1, 8, DType::f64},
    {"IQ1_M", 256, 56},
    {"BF16", 1, 2, DType::bf16},
    {},
    {},
    {},
    {"TQ1_0", 256, 54},
    {"TQ2_0", 256, 66},
    {},
    {},
    {},
    {"MXFP4", 32, 17},
    {"NVFP4", 64, 36},
    {"Q1_0", 128, 18},
    {"Q2_0", 64, 18},
});

inline const GgufTensorType* find_gguf_tensor_type(std::string_view name) noexcept {
  for (const GgufTensorType& type : gguf_tensor_types)
    if (!type.name.empty() && type.name == name) return &type;
  return nullptr;
}

}  // namespace detail

/// Whether a file begins as GGUF files do.
inline bool is_gguf_file(const Source& source) {
  const std::size_t size = std::min(source.size(), detail::gguf_magic.size());
  return size == detail::gguf_magic.size() &&
         std::memcmp(source.bytes(0, size).span.data(), detail::gguf_magic.data(), size) == 0;
}
inline bool is_gguf_file(const std::filesystem::path& path) {
  std::array<char, detail::gguf_magic.size()> magic{};
  std::ifstream file(path, std::ios::binary);
  return file.read(magic.data(), magic.size()) && std::string_view(magic.data(), magic.size()) == detail::gguf_magic;
}

/// A GGUF file of version 2 or 3 (ggml, docs/gguf.md): a header, metadata by key, the descriptions of the tensors, and
/// their elements, each tensor's at a multiple of the file's alignment. A path is mapped; tensors in memory are used in
/// place and keep it alive, of other sources they are read when asked for. Extents are in weft's order: the file's
/// (columns, rows) of a matrix is (rows, columns).
///
/// Everything is checked on opening: FormatError names the file, the key or tensor, the byte, what was found and what
/// was expected. What is allocated is bounded by a small multiple of the file's size, whatever its counts say. Throws
/// UnsupportedError for version 1 and for big-endian files.
class GgufFile final : public WeightsFile {
 public:
  explicit GgufFile(const std::filesystem::path& path) : GgufFile(Source::file(path.string())) {}
  explicit GgufFile(Source source) : WeightsFile(source.name()), source_(std::move(source)) {
    // Nothing says where the header ends: what is not in memory is read in growing parts until it is all there.
    constexpr std::size_t first = std::size_t{1} << 20;
    for (std::size_t size = source_.in_memory() ? source_.size() : std::min(first, source_.size());;) {
      head_ = source_.bytes(0, size);
      try {
        read();
        return;
      } catch (const detail::GgufNeeds& more) {
        size = std::min(source_.size(), std::max(2 * size, more.bytes));
      }
    }
  }
  // Metadata refer to the path.
  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;

  std::uint32_t version() const noexcept { return version_; }
  /// Of the tensors, in bytes.
  std::size_t alignment() const noexcept { return alignment_; }

  /// The metadata in the order of the file.
  std::span<const GgufValue> metadata() const noexcept { return metadata_; }
  /// The value of a key, or null.
  const GgufValue* find_value(std::string_view key) const noexcept {
    const auto found = std::lower_bound(by_key_.begin(), by_key_.end(), key,
                                        [&](std::size_t i, std::string_view k) { return metadata_[i].key() < k; });
    return found != by_key_.end() && metadata_[*found].key() == key ? &metadata_[*found] : nullptr;
  }
  /// The value of a key. Throws FormatError where there is none.
  const GgufValue& value(std::string_view key) const {
    if (const GgufValue* found = find_value(key)) return *found;
    raise<FormatError>(path(), ": the key \"", key, "\" is missing");
  }
  /// "llama", "qwen2", ...: the prefix of the keys that describe the model.
  std::string_view architecture() const { return value("general.architecture").as_string(); }

  /// One tensor, in place; elements that the file does not align for their type are copied. Throws FormatError where
  /// there is no such tensor, UnsupportedError for an element type that weft does not have.
  AnyTensor tensor(std::string_view name) const override {
    const WeightsEntry& entry = expect(name);
    const detail::GgufTensorType& type = *detail::find_gguf_tensor_type(entry.type);
    if (!type.dtype)
      raise<UnsupportedError>(path(), ": tensor ", name, ": element type ", entry.type, " is not supported");
    return detail::tensor_in(source_.bytes(entry.offset, entry.bytes), *type.dtype,
                             Shape{std::span<const std::size_t>(entry.extents)},
                             type.block_elements > 1 ? 1 : type.block_bytes);
  }

  void fetch(const WeightsEntry& entry, const std::stop_token& stop) const noexcept override {
    source_.fetch(entry.offset, entry.bytes, stop);
  }
  void release(const AnyTensor& tensor) const noexcept override { source_.release(tensor.bytes()); }

 private:
  void read() {
    metadata_.clear();
    by_key_.clear();
    detail::GgufCursor cursor(path(), head_.span, 0, source_.size());
    read_version(cursor);
    const auto tensors = cursor.number<std::uint64_t>("the number of tensors");
    const auto values = cursor.number<std::uint64_t>("the number of metadata values");
    read_metadata(cursor, values);
    std::vector<WeightsEntry> entries = read_tensors(cursor, tensors);
    place_tensors(cursor, entries);
    set_entries(std::move(entries));
  }

  void read_version(detail::GgufCursor& cursor) {
    const auto magic = cursor.take(detail::gguf_magic.size(), "the magic");
    if (std::memcmp(magic.data(), detail::gguf_magic.data(), magic.size()) != 0)
      raise<FormatError>(path(), ": byte 0: expected the characters GGUF");
    version_ = cursor.number<std::uint32_t>("the version");
    if (version_ == 1) raise<UnsupportedError>(path(), ": GGUF version 1 is not supported (2 and 3 are)");
    if (version_ != 0 && (version_ & 0xFFFF) == 0)
      raise<UnsupportedError>(path(), ": big-endian GGUF files are not supported");
    if (version_ != 2 && version_ != 3)
      raise<FormatError>(path(), ": byte 4: found version ", version_, ", expected 2 or 3");
  }

  void read_metadata(detail::GgufCursor& cursor, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::size_t offset = cursor.offset();
      const std::string_view key = cursor.text("a metadata key");
      if (key.empty() || !is_utf8(key))
        raise<FormatError>(path(), ": byte ", offset, ": the metadata key is ", key.empty() ? "empty" : "not UTF-8");
      metadata_.push_back(GgufValue::read(cursor, key));
      by_key_.push_back(static_cast<std::size_t>(i));
    }
    std::stable_sort(by_key_.begin(), by_key_.end(),
                     [&](std::size_t a, std::size_t b) { return metadata_[a].key() < metadata_[b].key(); });
    const auto twice = std::adjacent_find(by_key_.begin(), by_key_.end(), [&](std::size_t a, std::size_t b) {
      return metadata_[a].key() == metadata_[b].key();
    });
    if (twice != by_key_.end()) raise<FormatError>(metadata_[*(twice + 1)].location(), ": duplicate key");
    if (const GgufValue* given = find_value("general.alignment")) {
      alignment_ = given->as_size();
      if (!std::has_single_bit(alignment_) || alignment_ > std::uint32_t(-1))
        raise<FormatError>(given->location(), ": expected a power of two, found ", alignment_);
    }
  }

  std::vector<WeightsEntry> read_tensors(detail::GgufCursor& cursor, std::uint64_t count) const {
    std::vector<WeightsEntry> entries;
    for (std::uint64_t i = 0; i < count; ++i) entries.push_back(read_tensor(cursor));
    return entries;
  }

  /// The entry's offset is the one that the file states, from the beginning of its data.
  WeightsEntry read_tensor(detail::GgufCursor& cursor) const {
    WeightsEntry entry;
    const std::size_t begin = cursor.offset();
    entry.name = cursor.text("a tensor name");
    if (!is_utf8(entry.name)) raise<FormatError>(path(), ": byte ", begin, ": the tensor name is not UTF-8");
    const auto fail = [&](const auto&... parts) {
      raise<FormatError>(path(), ": tensor ", entry.name, " (byte ", begin, "): ", parts...);
    };
    const auto rank = cursor.number<std::uint32_t>("the number of dimensions");
    if (rank > detail::gguf_max_rank) fail("found ", rank, " dimensions, expected at most ", detail::gguf_max_rank);
    for (std::uint32_t i = 0; i < rank; ++i)
      entry.extents.push_back(static_cast<std::size_t>(cursor.number<std::uint64_t>("an extent")));
    const auto number = cursor.number<std::uint32_t>("an element type");
    if (number >= detail::gguf_tensor_types.size() || detail::gguf_tensor_types[number].name.empty())
      fail("found the element type ", number, ", which is none");
    const detail::GgufTensorType& type = detail::gguf_tensor_types[number];
    entry.type = type.name;
    entry.dtype = type.dtype;
    const std::size_t columns = rank == 0 ? 1 : entry.extents[0];
    if (columns % type.block_elements != 0)
      fail("rows of ", columns, " elements do not fill the blocks of ", type.block_elements, " of ", type.name);
    entry.bytes = type.block_bytes;
    for (std::uint32_t i = 0; i < rank; ++i)
      if (__builtin_mul_overflow(entry.bytes, i == 0 ? columns / type.block_elements : entry.extents[i], &entry.bytes))
        fail("the number of bytes overflows");
    std::reverse(entry.extents.begin(), entry.extents.end());
    entry.offset = static_cast<std::size_t>(cursor.number<std::uint64_t>("a tensor offset"));
    if (entry.offset % alignment_ != 0)
      fail("the offset ", entry.offset, " is not a multiple of the alignment ", alignment_);
    return entry;
  }

  /// Turns offsets in the data into offsets in the file and checks that the tensors lie inside it and apart.
  void place_tensors(const detail::GgufCursor& cursor, std::vector<WeightsEntry>& entries) const {
    if (entries.empty()) return;
    const std::size_t size = source_.size();
    // Neither term is large: the cursor is inside the file, the alignment below 2^32.
    const std::size_t data_begin = (cursor.offset() + alignment_ - 1) / alignment_ * alignment_;
    const std::size_t available = data_begin <= size ? size - data_begin : 0;
    std::vector<const WeightsEntry*> order;
    order.reserve(entries.size());
    for (WeightsEntry& entry : entries) {
      if (entry.offset > available || entry.bytes > available - entry.offset)
        raise<FormatError>(path(), ": tensor ", entry.name, ": ", entry.bytes, " bytes at offset ", entry.offset,
                           " are outside the ", available, " bytes of tensor data");
      entry.offset += data_begin;
      order.push_back(&entry);
    }
    std::sort(order.begin(), order.end(), [](const WeightsEntry* a, const WeightsEntry* b) {
      return a->offset != b->offset ? a->offset < b->offset : a->bytes < b->bytes;
    });
    for (std::size_t i = 1; i < order.size(); ++i)
      if (order[i]->offset < order[i - 1]->offset + order[i - 1]->bytes)
        raise<FormatError>(path(), ": tensor ", order[i]->name, ": byte ", order[i]->offset, ": overlaps the tensor ",
                           order[i - 1]->name, " that ends at byte ", order[i - 1]->offset + order[i - 1]->bytes);
    std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
    for (std::size_t i = 1; i < order.size(); ++i)
      if (order[i]->name == order[i - 1]->name) raise<FormatError>(path(), ": two tensors are named ", order[i]->name);
  }

  Source source_;
  Source::Bytes head_;  // metadata are in it
  std::uint32_t version_ = 0;
  std::size_t alignment_ = detail::gguf_default_alignment;
  std::vector<GgufValue> metadata_;
  std::vector<std::size_t> by_key_;  // positions in metadata_, by their keys
};

}  // namespace weft::inline v0
