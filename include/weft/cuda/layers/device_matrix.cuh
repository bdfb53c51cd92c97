#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/token_id.hpp>
#include <weft/cpu/context.hpp>
#include <weft/cuda/core/device_tensor.cuh>
#include <weft/cuda/ops/elementwise.cuh>
#include <weft/cuda/ops/embedding.cuh>
#include <weft/cuda/ops/matmul.cuh>
#include <weft/cuda/ops/quantized.cuh>
#include <weft/ops/linear.hpp>

namespace weft::inline v0::cuda {

namespace detail {

/// Whether the device keeps and multiplies blocks of this format as they are.
constexpr bool keeps_blocks(DType dtype) noexcept {
  return dtype == DType::q8_0 || dtype == DType::q4_0 || dtype == DType::q4_k;
}

/// Calls f(std::type_identity<W>): linear_kernel() reads weights of this format through W.
template <HalfStorage T, class F>
void with_linear_weights(DType format, F&& f) {
  switch (format) {
    case DType::q8_0: return f(std::type_identity<BlockWeights<T, FormatQ8_0>>{});
    case DType::q4_0: return f(std::type_identity<BlockWeights<T, FormatQ4_0>>{});
    case DType::q4_k: return f(std::type_identity<BlockWeights<T, FormatQ4_K>>{});
    default: return f(std::type_identity<HalfWeights<T>>{});
  }
}

/// Rows of a weight of any type and layout as elements of T, in the order in which they are asked for.
template <HalfStorage T>
void rows_as(const AnyTensor& weight, std::size_t begin, std::size_t end, T* to, const cpu::Context& ctx) {
  const std::size_t k = weight.extent(1);
  weft::detail::parallel_for(ctx, end - begin, [&](std::size_t i, std::size_t) {
    std::vector<float> row(k);
    weight_row(weight, begin + i, row.data(), {.kernels = ctx.kernels});
    std::transform(row.begin(), row.end(), to + i * k, [](float value) { return static_cast<T>(value); });
  });
}

}  // namespace detail

/// What products on the device share: plans of cuBLASLt and the place where blocks become elements.
struct DeviceProducts {
  MatmulPlans plans;
  DeviceBuffer elements;  ///< of the largest matrix in blocks
};

/// What the layers of a pass compute with: its products, and the stream that all of it is put into.
struct DeviceLayerContext {
  DeviceProducts& products;
  cudaStream_t stream;
  void* decode_workspace = nullptr;  ///< attention_decode_workspace_bytes() for the cache

  operator cudaStream_t() const noexcept { return stream; }
};

/// A matrix of weights in device memory, (rows, k): elements of T, or blocks of q8_0, q4_0 and q4_k as the checkpoint
/// has them. Matrices of other types become elements of T.
template <HalfStorage T>
class DeviceMatrix {
 public:
  DeviceMatrix() = default;

  /// Copies a weight in the stream, elements of floating point and those formats straight from where they lie; an empty
  /// one is none. Throws CudaError.
  DeviceMatrix(const AnyTensor& weight, const cpu::Context& ctx, cudaStream_t stream) {
    if (!weight) return;
    if (in_blocks(weight)) {
      blocks_ = QuantizedMatrix(weight, stream);
      return;
    }
    elements_ = DeviceTensor<T, 2>({weight.extent(0), weight.extent(1)}, stream);
    if (is_converted(weight)) {
      convert(weight, stream);
    } else if (weight.layout() == Layout::rows && weight.dtype() == dtype_of<T>) {
      check(cudaMemcpyAsync(elements_.data(), weight.bytes().data(), weight.bytes().size(), cudaMemcpyHostToDevice,
                            stream),
            "cudaMemcpyAsync");
    } else {
      convert_on_host(weight, ctx, stream);
    }
  }

  /// The device memory that a weight takes.
  static std::size_t bytes_for(const AnyTensor& weight) {
    if (!weight) return 0;
    if (in_blocks(weight)) return QuantizedMatrix::bytes_for(weight.dtype(), weight.extent(0), weight.extent(1));
    return weight.size() * sizeof(T);
  }
  /// What it takes besides while it is copied: blocks or elements as the checkpoint has them.
  static std::size_t staging_bytes_for(const AnyTensor& weight) {
    if (weight && in_blocks(weight)) return weight.bytes().size();
    if (!weight || !is_converted(weight)) return 0;
    return rows_converted_at_once(weight) * bytes_of(weight.dtype(), weight.extent(1));
  }
  /// Elements of DeviceProducts::elements that products with a weight need.
  static std::size_t elements_for(const AnyTensor& weight) {
    return weight && in_blocks(weight) ? weight.extent(0) * weight.extent(1) : 0;
  }

  explicit operator bool() const noexcept { return rows() != 0; }
  std::size_t rows() const noexcept { return blocks_.rows() != 0 ? blocks_.rows() : elements_.extent(0); }
  std::size_t k() const noexcept { return blocks_.rows() != 0 ? blocks_.k() : elements_.extent(1); }
  std::size_t extent(std::size_t dim) const noexcept { return dim == 0 ? rows() : k(); }

  /// The format of its blocks, or the type of its elements.
  DType format() const noexcept { return blocks_.rows() != 0 ? blocks_.dtype() : dtype_of<T>; }
  /// What linear_kernel() reads; W is with_linear_weights()' for this format.
  template <class W>
  W weights_as() const noexcept {
    if constexpr (std::same_as<W, detail::HalfWeights<T>>) {
      return {elements_.data(), k(), static_cast<int>(k())};
    } else {
      return blocks_.template weights_as<W>();
    }
  }

  /// y (tokens, rows) = x (tokens, k) weight^T + bias (rows), or no bias; y must not overlap x. Sums in float. Throws
  /// ShapeError, CudaError.
  template <Storage Y>
  void multiply(DeviceProducts& products, TensorView<const T, 2> x, std::type_identity_t<const T*> bias,
                TensorView<Y, 2> y, cudaStream_t stream) const {
    if (blocks_.rows() == 0) return linear(products.plans, x, elements_, bias, y, stream);
    linear(products.plans, x, blocks_, bias, y, products.elements.template as<T>(), stream);
  }

  /// y (count, k) = the rows that ids (count) name, on the device.
  void look_up(const TokenId* ids, std::size_t count, T* y, cudaStream_t stream) const {
    if (blocks_.rows() != 0) return blocks_.dequantize(ids, count, y, stream);
    embedding(ids, elements_.data(), y, count, rows(), k(), stream);
  }

 private:
  /// Whether the device makes elements of T of what it has.
  static bool is_converted(const AnyTensor& weight) noexcept {
    const DType dtype = weight.dtype();
    return weight.layout() == Layout::rows && dtype != dtype_of<T> &&
           (dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16);
  }
  static std::size_t rows_converted_at_once(const AnyTensor& weight) noexcept {
    constexpr std::size_t most = std::size_t{1} << 23;  // elements
    return std::clamp<std::size_t>(most / std::max<std::size_t>(weight.extent(1), 1), 1,
                                   std::max<std::size_t>(weight.extent(0), 1));
  }
  void convert(const AnyTensor& weight, cudaStream_t stream) {
    const std::size_t k = weight.extent(1);
    const std::size_t rows_at_once = rows_converted_at_once(weight);
    const std::size_t row_bytes = bytes_of(weight.dtype(), k);
    const DeviceBuffer staging(rows_at_once * row_bytes, stream);
    for (std::size_t begin = 0; begin < weight.extent(0); begin += rows_at_once) {
      const std::size_t rows = std::min(rows_at_once, weight.extent(0) - begin);
      const auto convert_from = [&]<class S>(std::type_identity<S>) {
        copy(TensorView<const S, 2>(staging.as<S>(), {rows, k}), elements_.view().narrow(0, begin, rows), stream);
      };
      check(cudaMemcpyAsync(staging.data(), weight.bytes().data() + begin * row_bytes, rows * row_bytes,
                            cudaMemcpyHostToDevice, stream),
            "cudaMemcpyAsync");
      if (weight.dtype() == DType::f32) convert_from(std::type_identity<float>());
      if (weight.dtype() == DType::f16) convert_from(std::type_identity<half>());
      if (weight.dtype() == DType::bf16) convert_from(std::type_identity<bfloat16>());
    }
  }
  void convert_on_host(const AnyTensor& weight, const cpu::Context& ctx, cudaStream_t stream) {
    const std::size_t k = weight.extent(1);
    const std::size_t rows_at_once = rows_converted_at_once(weight);
    std::vector<T> host(rows_at_once * k);
    for (std::size_t begin = 0; begin < weight.extent(0); begin += rows_at_once) {
      const std::size_t end = std::min(weight.extent(0), begin + rows_at_once);
      detail::rows_as(weight, begin, end, host.data(), ctx);
      check(cudaMemcpyAsync(elements_.data() + begin * k, host.data(), (end - begin) * k * sizeof(T),
                            cudaMemcpyHostToDevice, stream),
            "cudaMemcpyAsync");
      check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    }
  }

  static bool in_blocks(const AnyTensor& weight) noexcept {
    return weight.layout() == Layout::rows && detail::keeps_blocks(weight.dtype());
  }

  DeviceTensor<T, 2> elements_;
  QuantizedMatrix blocks_;
};

}  // namespace weft::inline v0::cuda
