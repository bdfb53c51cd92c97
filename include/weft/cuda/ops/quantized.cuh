#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include <weft/core/any_tensor.hpp>
#include <weft/core/token_id.hpp>
#include <weft/cuda/core/device_buffer.cuh>
#include <weft/cuda/ops/quantized_kernel.cuh>

namespace weft::inline v0::cuda {

/// A matrix of weights in a block format, (rows, k), in device memory: q8_0, q4_0 or q4_k. The same bits as in the
/// checkpoint, put into an order in which a product of few tokens reads 16 bytes at a time.
class QuantizedMatrix {
 public:
  QuantizedMatrix() = default;

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

  /// y = x weight^T + bias for 1 to 16 tokens: the weights are read once. x: (tokens, k), rows x_stride apart and at
  /// multiples of 16 bytes. bias: (rows), or null. y: (tokens, rows), rows y_stride apart. Products of the codes are
  /// exact, sums float. Throws ShapeError, CudaError.
  template <HalfStorage T, Storage Y>
  void linear_few(const T* x, std::size_t x_stride, std::size_t tokens, std::type_identity_t<const T*> bias, Y* y,
                  std::size_t y_stride, cudaStream_t stream = {}) const {
    if (tokens > detail::most_linear_tokens)
      raise<ShapeError>("linear_few: ", tokens, " tokens, at most ", detail::most_linear_tokens, " are few");
    if (x_stride % 8 != 0 || !detail::is_aligned(x))
      raise<ShapeError>("linear_few: the rows of x must lie at multiples of 16 bytes for weights in blocks");
    visit_format([&](auto format) {
      const auto weights = weights_as<detail::BlockWeights<T, decltype(format)>>();
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
                     scales_.as<const std::uint8_t>(), ids, count, rows_, groups_, k_, y);
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
  static std::size_t scale_bytes(DType dtype, std::size_t rows, std::size_t k) noexcept {
    return dtype == DType::q4_k ? rows * (k / 256) * 16 : rows * groups_of(dtype, k) * blocks(dtype) * 2;
  }

  template <class F>
  void visit_format(F&& f) const {
    if (dtype_ == DType::q8_0) return f(detail::FormatQ8_0{});
    if (dtype_ == DType::q4_0) return f(detail::FormatQ4_0{});
    f(detail::FormatQ4_K{});
  }

  DType dtype_ = DType::q8_0;
  std::size_t rows_ = 0;
  std::size_t k_ = 0;
  std::size_t groups_ = 0;  // of codes: 16 bytes for each of four threads
  DeviceBuffer codes_;
  DeviceBuffer scales_;
};

}  // namespace weft::inline v0::cuda
