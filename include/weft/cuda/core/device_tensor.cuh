#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <type_traits>
#include <utility>

#include <weft/core/tensor.hpp>
#include <weft/cuda/core/device_buffer.cuh>

namespace weft::inline v0::cuda {

/// A tensor that owns device memory: contiguous, last dimension fastest, taken and given back in the order of a stream.
/// What was moved from is empty.
/// Its views are TensorViews whose elements only kernels and copies may touch; to the ops of the CPU it is no tensor
/// (TensorLike), so that handing it to them does not compile.
///
///   DeviceTensor<bfloat16, 2> x({tokens, hidden}, stream);
///   DeviceTensor<float, 1> gain(host_gain, stream);
template <Element T, std::size_t Rank>
class DeviceTensor {
  static_assert(!std::is_const_v<T>, "a DeviceTensor owns mutable elements");

 public:
  using value_type = T;
  using View = TensorView<T, Rank>;
  using ConstView = TensorView<const T, Rank>;
  static constexpr std::size_t rank = Rank;

  DeviceTensor() = default;

  /// Elements that hold no value yet. Throws ShapeError where the product of the extents overflows, CudaError without
  /// memory or device.
  explicit DeviceTensor(const Dims<Rank>& extents, cudaStream_t stream = {})
      : buffer_(weft::detail::checked_product(Shape(std::span<const std::size_t>(extents)).elements(), sizeof(T)),
                stream),
        view_(buffer_.as<T>(), extents) {}

  DeviceTensor(DeviceTensor&& other) noexcept
      : buffer_(std::move(other.buffer_)), view_(std::exchange(other.view_, {})) {}
  DeviceTensor& operator=(DeviceTensor&& other) noexcept {
    buffer_ = std::move(other.buffer_);
    view_ = std::exchange(other.view_, {});
    return *this;
  }

  /// A copy of host elements, made in the stream; `host` may go once the stream has come there, at once where its
  /// memory is pageable.
  explicit DeviceTensor(TensorView<const T, Rank> host, cudaStream_t stream = {})
      : DeviceTensor(host.extents(), stream) {
    upload(host);
  }

  View view() noexcept { return view_; }
  ConstView view() const noexcept { return ConstView(view_); }
  operator TensorView<T, Rank>() noexcept { return view(); }
  operator TensorView<const T, Rank>() const noexcept { return view(); }

  T* data() noexcept { return view_.data(); }
  const T* data() const noexcept { return view_.data(); }
  const Dims<Rank>& extents() const noexcept { return view_.extents(); }
  std::size_t extent(std::size_t dim) const noexcept { return view_.extent(dim); }
  std::size_t size() const noexcept { return buffer_.bytes() / sizeof(T); }
  std::size_t bytes() const noexcept { return buffer_.bytes(); }
  cudaStream_t stream() const noexcept { return buffer_.stream(); }
  int device() const noexcept { return buffer_.device(); }

  /// Sets every element to 0, in the tensor's stream.
  void clear() { buffer_.clear(); }

  /// Copies host elements, in the tensor's stream. Throws ShapeError where the shapes differ.
  void upload(TensorView<const T, Rank> host) {
    weft::detail::require_shape("upload", "the host tensor", host.extents(), extents());
    if (bytes() == 0) return;
    const DeviceScope scope(device());
    if (!host.is_contiguous()) {
      const auto copy = host.contiguous();
      upload(copy.view());
      return check(cudaStreamSynchronize(stream()), "cudaStreamSynchronize");
    }
    check(cudaMemcpyAsync(data(), host.data(), bytes(), cudaMemcpyHostToDevice, stream()), "cudaMemcpyAsync");
  }

  /// The elements as a host tensor; waits for the stream.
  Tensor<T, Rank> download() const {
    auto host = Tensor<T, Rank>::uninitialised(extents());
    if (bytes() == 0) return host;
    const DeviceScope scope(device());
    check(cudaMemcpyAsync(host.data(), data(), bytes(), cudaMemcpyDeviceToHost, stream()), "cudaMemcpyAsync");
    check(cudaStreamSynchronize(stream()), "cudaStreamSynchronize");
    return host;
  }

 private:
  DeviceBuffer buffer_;
  View view_;
};

/// device_view(x): the view of a DeviceTensor, or a TensorView of device memory itself; what every op of the device
/// takes its arguments through.
template <class T, std::size_t Rank, class E>
TensorView<T, Rank, E> device_view(const TensorView<T, Rank, E>& view) noexcept {
  return view;
}
template <class T, std::size_t Rank>
TensorView<T, Rank> device_view(DeviceTensor<T, Rank>& tensor) noexcept {
  return tensor.view();
}
template <class T, std::size_t Rank>
TensorView<const T, Rank> device_view(const DeviceTensor<T, Rank>& tensor) noexcept {
  return tensor.view();
}

/// A DeviceTensor or a TensorView of device memory.
template <class X>
concept DeviceTensorLike = requires(X&& x) {
  {device_view(x).data()};
};

template <DeviceTensorLike X>
using device_view_t = std::remove_cvref_t<decltype(device_view(std::declval<X&>()))>;
/// The element type without const.
template <DeviceTensorLike X>
using device_value_t = typename device_view_t<X>::value_type;
template <DeviceTensorLike X>
inline constexpr std::size_t device_rank_of = device_view_t<X>::rank;

}  // namespace weft::inline v0::cuda
