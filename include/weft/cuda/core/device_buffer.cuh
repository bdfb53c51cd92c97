#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <utility>

#include <weft/cuda/core/device.cuh>

namespace weft::inline v0::cuda {

/// Owned memory of the current device that is taken and given back in the order of a stream: kernels put into the
/// stream after the constructor may use it, and those put there before the destructor still do, whatever the current
/// device is then. The stream outlives the buffer; work in other streams waits for it by events. What was moved from
/// owns nothing.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  /// Not initialised. Throws CudaError naming the bytes where there are not so many, or no device.
  explicit DeviceBuffer(std::size_t bytes, cudaStream_t stream = {}) : bytes_(bytes), stream_(stream) {
    if (bytes == 0) return;
    device_ = current_device();
    const cudaError_t status = cudaMallocAsync(&data_, bytes, stream);
    if (status == cudaErrorMemoryAllocation) {
      static_cast<void>(cudaGetLastError());
      require_free_bytes("a buffer", bytes);
      raise<CudaError>("device memory: a buffer takes ", bytes, " bytes, which are not free in one piece");
    }
    check(status, "cudaMallocAsync");
  }
  DeviceBuffer(DeviceBuffer&& other) noexcept { swap(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    DeviceBuffer(std::move(other)).swap(*this);
    return *this;
  }
  ~DeviceBuffer() {
    if (!data_) return;
    const DeviceScope scope(device_, std::nothrow);  // a null stream is that of the current device
    static_cast<void>(cudaFreeAsync(data_, stream_));
  }

  void* data() const noexcept { return data_; }
  template <class T>
  T* as(std::size_t byte_offset = 0) const noexcept {
    return reinterpret_cast<T*>(static_cast<std::byte*>(data_) + byte_offset);
  }
  std::size_t bytes() const noexcept { return bytes_; }
  cudaStream_t stream() const noexcept { return stream_; }
  /// The device that it is of; 0 where it has no bytes.
  int device() const noexcept { return device_; }

  /// Sets every byte to 0, in the buffer's stream.
  void clear() {
    if (bytes_ == 0) return;
    const DeviceScope scope(device_);
    check(cudaMemsetAsync(data_, 0, bytes_, stream_), "cudaMemsetAsync");
  }

 private:
  void swap(DeviceBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(stream_, other.stream_);
    std::swap(device_, other.device_);
  }

  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  cudaStream_t stream_ = nullptr;
  int device_ = 0;
};

}  // namespace weft::inline v0::cuda
