#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
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

}  // namespace detail
}  // namespace weft::inline v0
