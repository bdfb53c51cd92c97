#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include <weft/core/any_tensor.hpp>
#include <weft/core/token_id.hpp>
#include <weft/cuda/core/device_buffer.cuh>
#include <weft/cuda/ops/matmul.cuh>
#include <weft/cuda/ops/quantized_kernel.cuh>

namespace weft::inline v0::cuda {

/// A matrix of weights in a block format, (rows, k), in device memory: q8_0, q4_0 or q4_k. The same bits as in the
/// checkpoint, put into an order in which a product of few tokens reads 16 bytes at a time.
class QuantizedMatrix {
 public:
  QuantizedMatrix() = default;
  /// What was moved from is empty.
  QuantizedMatrix(QuantizedMatrix&& other) noexcept
      : dtype_(other.dtype_),
        rows_(std::exchange(other.rows_, 0)),
        k_(std::exchange(other.k_, 0)),
        groups_(std::exchange(other.groups_, 0)),
        codes_(std::move(other.codes_)),
        scales_(std::move(other.scales_)) {}
  QuantizedMatrix& operator=(QuantizedMatrix&& other) noexcept {
    QuantizedMatrix taken(std::move(other));
    std::swap(dtype_, taken.dtype_);
    std::swap(rows_, taken.rows_);
    std::swap(k_, taken.k_);
    std::swap(groups_, taken.groups_);
    std::swap(codes_, taken.codes_);
    std::swap(scales_, taken.scales_);
    return *this;
  }

  /// From the blocks of a checkpoint, row after row, in host memory; waits until they are up. Throws UnsupportedError
  /// for other formats, ShapeError where rows do not fill whole blocks or `bytes` is another number, CudaError.
  QuantizedMatrix(DType dtype, std::span<const std::byte> bytes, std::size_t rows, std::size_t k,
                  cudaStream_t stream = {})
      : dtype_(dtype), rows_(rows), k_(k) {
    if (dtype != DType::q8_0 && dtype != DType::q4_0 && dtype != DType::q4_k)
      raise<UnsupportedError>("QuantizedMatrix: the device multiplies q8_0, q4_0 and q4_k, not ", name(dtype));
    weft::detail::require_extent("QuantizedMatrix", "the number of bytes", bytes.size(),
                                 weft::detail::checked_product(rows, bytes_of(dtype, k)));
    groups_ = groups_of(dtype, k);
    codes_ = DeviceBuffer(rows * groups_ * 64, stream);
    scales_ = DeviceBuffer(scale_bytes(dtype, rows, k), stream);
    if (bytes.empty()) return;
    const DeviceBuffer raw(bytes.size(), stream);
    check(cudaMemcpyAsync(raw.data(), bytes.data(), bytes.size(), cudaMemcpyHostToDevice, stream), "cudaMemcpyAsync");
    visit_format([&](auto format) {
      detail::launch("reorder", detail::flat_launch(rows * groups_ * 4, stream),
                     detail::reorder_kernel<decltype(format)>, raw.template as<const std::uint8_t>(),
                     codes_.as<uint4>(), scales_.as<std::uint8_t>(), rows, groups_, k);
    });
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  }
  /// From a matrix of weights in rows.
  explicit QuantizedMatrix(const AnyTensor& weight, cudaStream_t stream = {})
      : QuantizedMatrix(weight.dtype(), bytes_of_rows(weight), weight.extent(0), weight.extent(1), stream) {}

  /// The device memory of such a matrix.
  static std::size_t bytes_for(DType dtype, std::size_t rows, std::size_t k) {
    const std::size_t groups = groups_of(dtype, k);
    return rows * groups * 64 + scale_bytes(dtype, rows, k);
  }

  DType dtype() const noexcept { return dtype_; }
  std::size_t rows() const noexcept { return rows_; }
  std::size_t k() const noexcept { return k_; }
  std::size_t bytes() const noexcept { return codes_.bytes() + scales_.bytes(); }

  /// What the kernel of linear_few() reads; W is the detail::BlockWeights of this format.
  template <class W>
  W weights_as() const noexcept {
    return {codes_.as<const uint4>(), scales_.as<const std::uint8_t>(), groups_, k_ / 256};
  }
  /// Calls f with it.
  template <HalfStorage T, class F>
  void with_weights(F&& f) const {
    visit_format([&](auto format) { f(weights_as<detail::BlockWeights<T, decltype(format)>>()); });
  }

  /// y = x weight^T + bias for 1 to 16 tokens: the weights are read once where the rows of x lie at multiples of 16
  /// bytes. x: (tokens, k), rows x_stride apart. bias: (rows), or null. y: (tokens, rows), rows y_stride apart.
  /// Products of the codes are exact, sums float. Throws ShapeError, CudaError.
  template <HalfStorage T, Storage Y>
  void linear_few(const T* x, std::size_t x_stride, std::size_t tokens, std::type_identity_t<const T*> bias, Y* y,
                  std::size_t y_stride, cudaStream_t stream = {}) const {
    if (tokens > detail::most_linear_tokens)
      raise<ShapeError>("linear_few: ", tokens, " tokens, at most ", detail::most_linear_tokens, " are few");
    with_weights<T>([&](const auto& weights) {
      if (x_stride % 8 != 0 || !detail::is_aligned(x))
        return detail::launch_linear_elements(x, x_stride, tokens, weights, bias, y, y_stride, rows_, k_, stream);
      detail::launch_linear(x, x_stride, tokens, weights, bias, y, y_stride, rows_, k_, stream);
    });
  }

  /// y (count, k) = the rows that ids (count) name, or the first ones where ids is null, as elements of y's type: for
  /// products of many tokens and for embeddings. An id outside the rows makes its row NaN. ids and y are contiguous
  /// device memory. Throws CudaError.
  template <Storage Y>
  void dequantize(const TokenId* ids, std::size_t count, Y* y, cudaStream_t stream = {}) const {
    visit_format([&](auto format) {
      detail::launch("dequantize", detail::flat_launch(count * groups_ * 4, stream),
                     detail::dequantize_kernel<decltype(format), Y>, codes_.as<const uint4>(),
                     scales_.as<const std::uint8_t>(), ids, count, rows_, groups_, k_, y, detail::is_aligned(y));
    });
  }

 private:
  static std::span<const std::byte> bytes_of_rows(const AnyTensor& weight) {
    if (weight.rank() != 2 || weight.layout() != Layout::rows)
      raise<ShapeError>("QuantizedMatrix: expected a matrix in rows, found shape ", to_string(weight.shape()));
    return weight.bytes();
  }
  static std::size_t blocks(DType dtype) noexcept { return dtype == DType::q8_0 ? 2 : 4; }
  static std::size_t groups_of(DType dtype, std::size_t k) noexcept {
    return (k + 32 * blocks(dtype) - 1) / (32 * blocks(dtype));
  }
  static std::size_t scale_bytes(DType dtype, std::size_t rows, std::size_t k) {
    std::size_t of_row = 0;
    visit_format(dtype, [&](auto format) { of_row = decltype(format)::scale_bytes(groups_of(dtype, k), k / 256); });
    return rows * of_row;
  }

  template <class F>
  static void visit_format(DType dtype, F&& f) {
    if (dtype == DType::q8_0) return f(detail::FormatQ8_0{});
    if (dtype == DType::q4_0) return f(detail::FormatQ4_0{});
    f(detail::FormatQ4_K{});
  }
  template <class F>
  void visit_format(F&& f) const {
    visit_format(dtype_, std::forward<F>(f));
  }

  DType dtype_ = DType::q8_0;
  std::size_t rows_ = 0;
  std::size_t k_ = 0;
  std::size_t groups_ = 0;  // of codes: 16 bytes for each of four threads
  DeviceBuffer codes_;
  DeviceBuffer scales_;
};

/// QuantizedMatrix::linear_few() on tensors. Throws ShapeError where shapes do not fit.
template <DeviceTensorLike X, DeviceTensorLike Y>
void linear_few(const X& x, const QuantizedMatrix& weight, const device_value_t<X>* bias, Y&& y,
                cudaStream_t stream = {}) {
  const auto from = device_view(x);
  const auto to = device_view(y);
  static_assert(decltype(from)::rank == 2 && decltype(to)::rank == 2, "linear_few: x and y are matrices");
  weft::detail::require_extent("linear_few: columns of x", "k", from.extent(1), weight.k());
  weft::detail::require_shape("linear_few", "y", to.extents(), Dims<2>{from.extent(0), weight.rows()});
  detail::require_contiguous_rows("linear_few", from, to);
  weight.linear_few(from.data(), from.stride(0), from.extent(0), bias, to.data(), to.stride(0), stream);
}

/// y = x weight^T + bias: linear_few() for up to 16 tokens; for more the weights become elements first, in `elements`,
/// (weight.rows() * weight.k()) of device memory, which linear() multiplies. Throws as both do.
template <DeviceTensorLike X, DeviceTensorLike Y>
void linear(MatmulPlans& plans, const X& x, const QuantizedMatrix& weight, const device_value_t<X>* bias, Y&& y,
            device_value_t<X>* elements, cudaStream_t stream = {}) {
  if (device_view(x).extent(0) <= detail::most_linear_tokens) return linear_few(x, weight, bias, y, stream);
  weight.dequantize(nullptr, weight.rows(), elements, stream);
  linear(plans, x, TensorView<const device_value_t<X>, 2>(elements, {weight.rows(), weight.k()}), bias, y, stream);
}

}  // namespace weft::inline v0::cuda
