#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/half.hpp>
#include <weft/formats/quantized/stored_tensors.hpp>

namespace weft::inline v0 {

/// The weight matrix of a linear layer, (rows, columns) = (outputs, inputs), that a checkpoint stores as small integers
/// and scales. Making one checks types and shapes; no element is read before read().
class QuantizedMatrix {
 public:
  virtual ~QuantizedMatrix() = default;

  const Shape& shape() const noexcept { return shape_; }
  /// f32, f16 or bf16: the type to which the package that defines the format rounds the weights.
  DType dtype() const noexcept { return dtype_; }
  /// The weights that the package that defines the format gives back, bit for bit.
  virtual AnyTensor read() const = 0;

 protected:
  QuantizedMatrix(std::size_t rows, std::size_t columns, DType dtype) : shape_{rows, columns}, dtype_(dtype) {
    static_cast<void>(bytes_of(dtype_, shape_));  // does not overflow
  }
  QuantizedMatrix(const QuantizedMatrix&) = default;
  QuantizedMatrix& operator=(const QuantizedMatrix&) = default;

  std::size_t rows() const noexcept { return shape_[0]; }
  std::size_t columns() const noexcept { return shape_[1]; }

  /// The matrix whose rows read_row(row, std::span<float>) writes, in exact arithmetic or rounded once.
  template <class ReadRow>
  AnyTensor of_rows(ReadRow&& read_row) const {
    std::vector<float> row(columns());
    return AnyTensor::make(dtype_, shape_, [&](std::span<std::byte> bytes) {
      visit_among<float, half, bfloat16>(dtype_, "quantised weights", [&]<class T>(std::type_identity<T>) {
        T* to = reinterpret_cast<T*>(bytes.data());
        for (std::size_t r = 0; r < rows(); ++r, to += columns()) {
          read_row(r, std::span<float>(row));
          std::transform(row.begin(), row.end(), to, [](float value) { return T(value); });
        }
      });
    });
  }

 private:
  Shape shape_;
  DType dtype_;
};

/// One way of storing quantised matrices, as the quantization_config of a checkpoint describes it.
struct QuantizedFormat {
  std::vector<std::string_view> marks;         ///< how names of tensors end that only quantised layers have
  std::vector<std::string_view> parts;         ///< the other tensors of such layers
  std::vector<std::string_view> ignored = {};  ///< tensors of any layer about the quantisation of activations
  std::function<std::unique_ptr<const QuantizedMatrix>(const StoredLayer&)> open;
};

namespace detail {

/// The element types of scales.
inline constexpr std::initializer_list<DType> scale_types{DType::f16, DType::bf16, DType::f32};

/// The elements as floats, exactly.
inline std::vector<float> to_floats(const AnyTensor& tensor) {
  std::vector<float> floats(tensor.size());
  visit_among<float, half, bfloat16>(tensor.dtype(), "scales", [&]<class T>(std::type_identity<T>) {
    const std::span<const T> elements = tensor.elements<T>();
    std::copy(elements.begin(), elements.end(), floats.begin());
  });
  return floats;
}

/// The number of blocks of `size` elements that hold `count` of them.
constexpr std::size_t blocks_of(std::size_t count, std::size_t size) noexcept {
  return count / size + (count % size != 0);
}

/// Which inputs share a scale: `size` after `size` of them or, where they were quantised in the order of their
/// activations, as a tensor (columns) i32 says that has the group of every input. A tensor of -1 alone says nothing.
class InputGroups {
 public:
  InputGroups() = default;
  /// part: the name of the tensor, which may be missing. Throws FormatError for another type or shape.
  InputGroups(const StoredLayer& layer, std::string_view part, std::size_t columns, std::size_t size,
              std::size_t groups)
      : columns_(columns), size_(size), groups_(groups) {
    if (!layer.contains(part)) return;
    index_ = layer.tensor(part, {DType::i32}, {columns});
    name_ = layer.where(part);
  }

  /// Whether the inputs of a group lie one after the other.
  bool in_order() const {
    if (!index_) return true;
    const std::span<const std::int32_t> index = index_.elements<std::int32_t>();
    return std::all_of(index.begin(), index.end(), [](std::int32_t group) { return group == -1; });
  }

  /// The group of every input. Throws FormatError where an input is in no group.
  std::vector<std::size_t> read() const {
    std::vector<std::size_t> group_of(columns_);
    const bool given = !in_order();
    for (std::size_t c = 0; c < columns_; ++c) {
      const std::int32_t group = given ? index_.elements<std::int32_t>()[c] : 0;
      group_of[c] = given ? static_cast<std::size_t>(group) : c / size_;
      if (group < 0 || group_of[c] >= groups_)
        raise<FormatError>(name_, ": input ", c, " is in group ", group, ", there are ", groups_);
    }
    return group_of;
  }

 private:
  std::size_t columns_ = 0;
  std::size_t size_ = 1;
  std::size_t groups_ = 0;
  AnyTensor index_;
  std::string name_;
};

}  // namespace detail
}  // namespace weft::inline v0
