#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/dtype.hpp>
#include <weft/core/error.hpp>
#include <weft/core/shape.hpp>
#include <weft/formats/gguf.hpp>
#include <weft/formats/gguf_value.hpp>
#include <weft/formats/output_file.hpp>
#include <weft/formats/utf8.hpp>
#include <weft/formats/weights_file.hpp>

namespace weft::inline v0 {

namespace detail {

/// Numbers and text as GGUF files hold them.
inline void append_gguf(std::string& out, std::string_view text) {
  const std::uint64_t length = text.size();
  out.append(reinterpret_cast<const char*>(&length), sizeof length).append(text);
}
template <class T>
requires std::is_arithmetic_v<T>
void append_gguf(std::string& out, T value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); }

inline std::uint32_t gguf_number_of(GgufType type) noexcept { return static_cast<std::uint32_t>(type); }

/// The number that GGUF gives an element type. Throws UnsupportedError where it has none.
inline std::uint32_t gguf_tensor_type_of(DType dtype) {
  for (std::size_t i = 0; i < gguf_tensor_types.size(); ++i)
    if (gguf_tensor_types[i].dtype == dtype) return static_cast<std::uint32_t>(i);
  raise<UnsupportedError>("GGUF files have no element type ", name(dtype));
}

}  // namespace detail

/// Writes a GGUF file of version 3: metadata by key, then tensors, which may be made one at a time while the file is
/// written, so that no more than one of them is in memory.
class GgufWriter {
 public:
  /// Throws ConfigError for an alignment that is no power of two.
  explicit GgufWriter(std::size_t align = detail::gguf_default_alignment) : alignment_(align) {
    if (!std::has_single_bit(align) || align > std::uint32_t(-1))
      raise<ConfigError>("the alignment of a GGUF file is ", align, ", expected a power of two");
    if (align != detail::gguf_default_alignment) set("general.alignment", static_cast<std::uint32_t>(align));
  }

  /// Metadata in the order of the first calls; a key that is there already gets the value. Numbers are written in the
  /// type they are passed in, arrays from vectors of numbers, booleans or strings.
  void set(std::string_view key, std::string_view text) {
    std::string& out = begin_value(key, GgufType::string);
    detail::append_gguf(out, text);
  }
  template <class T>
  requires std::is_arithmetic_v<T>
  void set(std::string_view key, T number) {
    std::string& out = begin_value(key, detail::gguf_type_of<T>());
    detail::append_gguf(out, number);
  }
  template <class T>
  void set(std::string_view key, const std::vector<T>& elements) {
    constexpr bool text = std::same_as<T, std::string>;
    std::string& out = begin_value(key, GgufType::array);
    if constexpr (text) {
      begin_array(out, GgufType::string, elements.size());
      for (const std::string& element : elements) detail::append_gguf(out, std::string_view(element));
    } else {
      begin_array(out, detail::gguf_type_of<T>(), elements.size());
      for (const T element : elements) detail::append_gguf(out, element);
    }
  }
  /// A value as another file has it.
  void set(const GgufValue& value) {
    std::string& out = begin_value(value.key(), value.type());
    const std::string_view bytes(reinterpret_cast<const char*>(value.bytes().data()), value.bytes().size());
    if (value.type() == GgufType::string) return detail::append_gguf(out, bytes);
    if (value.is_array()) begin_array(out, value.element_type(), value.size());
    out += bytes;
  }

  /// A tensor of up to 4 dimensions that is there already; it is kept until the file is written.
  void add_tensor(std::string name, AnyTensor tensor) {
    const DType dtype = tensor.dtype();
    const Shape shape = tensor.shape();
    add_tensor(std::move(name), dtype, shape, [kept = std::move(tensor)] { return kept; });
  }
  /// A tensor that `make` returns when its turn to be written comes. Throws UnsupportedError for types that GGUF does
  /// not have and for more than 4 dimensions, FormatError for a name that was added before or is not UTF-8, ShapeError
  /// where rows do not fill the blocks of the type.
  void add_tensor(std::string name, DType dtype, const Shape& shape, std::function<AnyTensor()> make) {
    static_cast<void>(detail::gguf_tensor_type_of(dtype));
    if (!is_utf8(name)) raise<FormatError>("the tensor name ", name, " is not UTF-8");
    if (shape.rank() > detail::gguf_max_rank)
      raise<UnsupportedError>("tensor ", name, ": GGUF tensors have at most ", detail::gguf_max_rank,
                              " dimensions, found ", shape.rank());
    if (std::any_of(tensors_.begin(), tensors_.end(), [&](const Tensor& other) { return other.name == name; }))
      raise<FormatError>("two tensors are named ", name);
    const std::size_t bytes = bytes_of(dtype, shape);
    tensors_.push_back({std::move(name), dtype, shape, data_bytes_, bytes, std::move(make)});
    data_bytes_ += aligned(bytes);
  }

  /// The bytes of the elements of all tensors, with what aligns them.
  std::size_t tensor_bytes() const noexcept { return data_bytes_; }

  /// The bytes in front of the elements: the whole file where there are no tensors.
  std::string header() const {
    std::string out(detail::gguf_magic);
    detail::append_gguf(out, std::uint32_t{3});
    detail::append_gguf(out, std::uint64_t{tensors_.size()});
    detail::append_gguf(out, std::uint64_t{values_.size()});
    for (const Value& value : values_) {
      detail::append_gguf(out, std::string_view(value.key));
      out += value.bytes;
    }
    for (const Tensor& tensor : tensors_) {
      detail::append_gguf(out, std::string_view(tensor.name));
      detail::append_gguf(out, static_cast<std::uint32_t>(tensor.shape.rank()));
      for (std::size_t i = tensor.shape.rank(); i > 0; --i)
        detail::append_gguf(out, std::uint64_t{tensor.shape[i - 1]});
      detail::append_gguf(out, detail::gguf_tensor_type_of(tensor.dtype));
      detail::append_gguf(out, std::uint64_t{tensor.offset});
    }
    out.append(aligned(out.size()) - out.size(), '\0');
    return out;
  }

  /// Writes the file. It has its name only when it is complete, so that the tensors may come from a file of that name.
  /// `progress` is called after every tensor; what it throws ends writing. Throws FormatError where the file cannot be
  /// written, ShapeError where a tensor that is made has another type or shape than was announced, and what makes it
  /// throws.
  void write(const std::filesystem::path& path, const std::function<void(const WriteProgress&)>& progress = {}) const {
    detail::OutputFile file(path);
    const std::string head = header();
    file.write(head.data(), head.size());
    const std::string zeros(alignment_, '\0');
    for (const Tensor& tensor : tensors_) {
      const AnyTensor made = tensor.make();
      detail::as_announced(made, tensor.name, tensor.dtype, tensor.shape);
      file.write(made.bytes().data(), tensor.bytes);
      file.write(zeros.data(), aligned(tensor.bytes) - tensor.bytes);
      if (progress) progress({tensor.offset + aligned(tensor.bytes), data_bytes_, tensor.name});
    }
    file.finish();
  }

 private:
  struct Value {
    std::string key;
    std::string bytes;  // with the type
  };
  struct Tensor {
    std::string name;
    DType dtype;
    Shape shape;
    std::size_t offset;
    std::size_t bytes;
    std::function<AnyTensor()> make;
  };

  std::size_t aligned(std::size_t bytes) const noexcept { return (bytes + alignment_ - 1) / alignment_ * alignment_; }

  std::string& begin_value(std::string_view key, GgufType type) {
    if (key.empty() || !is_utf8(key)) raise<FormatError>("the metadata key \"", key, "\" is empty or not UTF-8");
    auto found = std::find_if(values_.begin(), values_.end(), [&](const Value& value) { return value.key == key; });
    if (found == values_.end()) found = values_.insert(values_.end(), {std::string(key), {}});
    found->bytes.clear();
    detail::append_gguf(found->bytes, detail::gguf_number_of(type));
    return found->bytes;
  }
  static void begin_array(std::string& out, GgufType type, std::size_t size) {
    detail::append_gguf(out, detail::gguf_number_of(type));
    detail::append_gguf(out, std::uint64_t{size});
  }

  std::size_t alignment_;
  std::vector<Value> values_;
  std::vector<Tensor> tensors_;
  std::size_t data_bytes_ = 0;
};

}  // namespace weft::inline v0
