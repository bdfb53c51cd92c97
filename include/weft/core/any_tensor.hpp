#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include <weft/core/layout.hpp>
#include <weft/core/memory.hpp>
#include <weft/core/tensor_view.hpp>

namespace weft::inline v0 {

/// The bytes of a tensor: every row (the last dimension) takes whole blocks.
/// Throws ShapeError where it does not fill them or the number of bytes
/// overflows.
inline std::size_t bytes_of(DType dtype, const Shape& shape) {
  if (!is_block_format(dtype)) return bytes_of(dtype, shape.elements());
  const std::size_t columns = shape.rank() == 0 ? 1 : shape[shape.rank() - 1];
  const std::size_t row = bytes_of(dtype, columns);
  return columns == 0 ? 0 : detail::checked_product(shape.elements() / columns, row);
}

/// The bytes of a matrix in Layout::panels. Throws ShapeError where there are
/// no rows of whole blocks.
inline std::size_t panel_bytes_of(DType dtype, const Shape& shape) {
  if (shape.rank() != 2) raise<ShapeError>("panels are made of matrices, found the shape ", to_string(shape));
  const std::size_t panels = (shape[0] + panel_rows - 1) / panel_rows;
  const std::size_t units = (bytes_of(dtype, shape[1]) + 3) / 4;
  return detail::checked_product(panels, detail::checked_product(units, 4 * panel_rows));
}

/// A contiguous read-only tensor whose element type and shape are known at run
/// time: what a checkpoint holds. It shares ownership of its bytes (a mapped
/// file, an allocation) with its copies; copying copies no element.
class AnyTensor {
 public:
  AnyTensor() = default;

  /// Bytes somebody keeps alive through `owner` (null: the caller promises to).
  /// Throws ShapeError where the number of bytes is not that of the shape and
  /// type.
  AnyTensor(DType dtype, const Shape& shape, std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
            Layout layout = Layout::rows)
      : dtype_(dtype), layout_(layout), shape_(shape), bytes_(bytes), owner_(std::move(owner)) {
    const std::size_t expected = layout == Layout::rows ? bytes_of(dtype, shape) : panel_bytes_of(dtype, shape);
    if (bytes.size() != expected)
      raise<ShapeError>("a tensor of shape ", to_string(shape), " and type ", name(dtype), " has ", expected,
                        " bytes, found ", bytes.size());
  }

  /// A new tensor whose bytes `fill` writes through a std::span<std::byte>.
  template <class Fill>
  static AnyTensor make(DType dtype, const Shape& shape, Fill&& fill, Layout layout = Layout::rows) {
    const std::size_t bytes = layout == Layout::rows ? bytes_of(dtype, shape) : panel_bytes_of(dtype, shape);
    std::shared_ptr<std::byte[]> memory = allocate_aligned(bytes);
    std::forward<Fill>(fill)(std::span<std::byte>(memory.get(), bytes));
    return AnyTensor(dtype, shape, {memory.get(), bytes}, memory, layout);
  }

  DType dtype() const noexcept { return dtype_; }
  Layout layout() const noexcept { return layout_; }
  const Shape& shape() const noexcept { return shape_; }
  std::size_t rank() const noexcept { return shape_.rank(); }
  std::size_t extent(std::size_t dim) const noexcept { return shape_[dim]; }
  std::size_t size() const { return bytes_.empty() ? 0 : shape_.elements(); }
  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  explicit operator bool() const noexcept { return bytes_.data() != nullptr; }

  /// Rows [begin, end) along the first dimension; no element is copied. Throws ShapeError outside, for a scalar and for
  /// Layout::panels.
  AnyTensor rows(std::size_t begin, std::size_t end) const {
    if (rank() == 0 || layout_ != Layout::rows || begin > end || end > extent(0))
      raise<ShapeError>("there are no rows ", begin, " to ", end, " in a tensor of shape ", to_string(shape_));
    Shape part{end - begin};
    for (std::size_t d = 1; d < rank(); ++d) part.push_back(extent(d));
    const std::size_t row_bytes = extent(0) == 0 ? 0 : bytes_.size() / extent(0);
    return AnyTensor(dtype_, part, bytes_.subspan(begin * row_bytes, (end - begin) * row_bytes), owner_);
  }

  /// The same elements in another shape. Throws ShapeError where it has another number of them, and for Layout::panels.
  AnyTensor reshaped(const Shape& shape) const {
    if (layout_ != Layout::rows) raise<ShapeError>("the tensor's rows are interleaved in panels");
    return AnyTensor(dtype_, shape, bytes_, owner_);
  }

  /// The elements as T. Throws ShapeError where the element type is another or
  /// the bytes are not aligned for T.
  template <Element T>
  std::span<const T> elements() const {
    if (dtype_of<T> != dtype_)
      raise<ShapeError>("the tensor holds ", name(dtype_), " elements, ", name(dtype_of<T>), " were asked for");
    if (layout_ != Layout::rows) raise<ShapeError>("the tensor's rows are interleaved in panels");
    if (reinterpret_cast<std::size_t>(bytes_.data()) % alignof(T) != 0)
      raise<ShapeError>("the tensor's ", name(dtype_), " elements are not aligned in memory");
    return {reinterpret_cast<const T*>(bytes_.data()), bytes_.size() / sizeof(T)};
  }

  /// The tensor as a view. Throws ShapeError where element type or rank are
  /// others.
  template <Element T, std::size_t Rank>
  TensorView<const T, Rank> view() const {
    if (shape_.rank() != Rank)
      raise<ShapeError>("the tensor has shape ", to_string(shape_), ", rank ", Rank, " was asked for");
    Dims<Rank> extents{};
    for (std::size_t i = 0; i < Rank; ++i) extents[i] = shape_[i];
    return {elements<T>().data(), extents};
  }

 private:
  DType dtype_ = DType::f32;
  Layout layout_ = Layout::rows;
  Shape shape_;
  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
};

/// The elements of a Tensor or TensorView as an AnyTensor that borrows them: no copy, and they must live as long.
/// Throws ShapeError unless they lie one after the other.
template <TensorLike X>
AnyTensor as_any_tensor(const X& tensor) {
  const auto v = view(tensor);
  if (!v.is_contiguous())
    raise<ShapeError>("as_any_tensor: the elements of shape ", to_string(v.extents()),
                      " do not lie one after the other");
  return AnyTensor(dtype_of<value_t<X>>, v.shape(), std::as_bytes(std::span(v.data(), v.size())), nullptr);
}

namespace detail {

/// What an op takes as weights beside AnyTensor.
template <class X>
inline constexpr bool is_float_matrix = rank_of<X> == 2 &&
                                        (std::is_same_v<value_t<X>, float> || std::is_same_v<value_t<X>, half> ||
                                         std::is_same_v<value_t<X>, bfloat16>);

}  // namespace detail

/// Calls f with the elements as std::span<const T>, whatever T they are.
template <class F>
decltype(auto) visit(const AnyTensor& tensor, F&& f) {
  return visit(tensor.dtype(), [&]<class T>(std::type_identity<T>) -> decltype(auto) {
    return std::forward<F>(f)(tensor.template elements<T>());
  });
}

}  // namespace weft::inline v0
