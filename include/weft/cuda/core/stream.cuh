#pragma once

#include <cuda_runtime_api.h>

#include <utility>

#include <weft/cuda/core/device.cuh>

namespace weft::inline v0::cuda {

/// A stream of its own on the current device, which waits for no other. Every function that takes a cudaStream_t takes
/// it, as well as any stream of the caller's.
class Stream {
 public:
  /// Throws CudaError where there is no device.
  Stream() {
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    device_ = current_device();
  }
  Stream(Stream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)), device_(other.device_) {}
  Stream& operator=(Stream&& other) noexcept {
    Stream taken(std::move(other));
    std::swap(stream_, taken.stream_);
    std::swap(device_, taken.device_);
    return *this;
  }
  ~Stream() {
    if (stream_) static_cast<void>(cudaStreamDestroy(stream_));
  }

  operator cudaStream_t() const noexcept { return stream_; }
  /// The device that its work runs on, which is the current one where kernels are put into it.
  int device() const noexcept { return device_; }

  /// Waits until all work in the stream is done. Throws CudaError for a failure of that work, too.
  void synchronize() const { check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }

 private:
  cudaStream_t stream_ = nullptr;
  int device_ = 0;
};

}  // namespace weft::inline v0::cuda
