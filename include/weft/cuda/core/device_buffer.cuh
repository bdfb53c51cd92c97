#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <utility>

#include <weft/cuda/core/error.cuh>

namespace weft::inline v0::cuda {

/// Owned device memory that is taken and given back in the order of a stream: kernels put into the stream after the
/// constructor may use it, and those put there before the destructor still do. The stream outlives the buffer; work in
/// other streams waits for it by events.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  /// Not initialised. Throws CudaError naming the bytes where there are not so many, or no device.
  explicit DeviceBuffer(std::size_t bytes, cudaStream_t stream = {}) : bytes_(bytes), stream_(stream) {
    if (bytes == 0) return;
    const cudaError_t status = cudaMallocAsync(&data_, bytes, stream);
    if (status == cudaErrorMemoryAllocation) {
      static_cast<void>(cudaGetLastError());
      std::size_t free = 0;
      std::size_t total = 0;
      check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
      raise<CudaError>("device memory: ", bytes, " bytes asked for, ", free, " of ", total, " are free");
    }
    check(status, "cudaMallocAsync");
  }
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)), stream_(other.stream_) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(stream_, other.stream_);
    return *this;
  }
  ~DeviceBuffer() {
    if (data_) static_cast<void>(cudaFreeAsync(data_, stream_));
  }

  void* data() const noexcept { return data_; }
  template <class T>
  T* as(std::size_t byte_offset = 0) const noexcept {
    return reinterpret_cast<T*>(static_cast<std::byte*>(data_) + byte_offset);
  }
  std::size_t bytes() const noexcept { return bytes_; }
  cudaStream_t stream() const noexcept { return stream_; }

  /// Sets every byte to 0, in the buffer's stream.
  void clear() {
    if (bytes_ != 0) check(cudaMemsetAsync(data_, 0, bytes_, stream_), "cudaMemsetAsync");
  }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  cudaStream_t stream_ = nullptr;
};

}  // namespace weft::inline v0::cuda
