#pragma once

#include <cuda_runtime_api.h>

#include <utility>

#include <weft/cuda/core/error.cuh>

namespace weft::inline v0::cuda {

/// A stream of its own on the current device, which waits for no other. Every function that takes a cudaStream_t takes
/// it, as well as any stream of the caller's.
class Stream {
 public:
  /// Throws CudaError where there is no device.
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags"); }
  Stream(Stream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(stream_, other.stream_);
    return *this;
  }
  ~Stream() {
    if (stream_) static_cast<void>(cudaStreamDestroy(stream_));
  }

  operator cudaStream_t() const noexcept { return stream_; }

  /// Waits until all work in the stream is done. Throws CudaError for a failure of that work, too.
  void synchronize() const { check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }

 private:
  cudaStream_t stream_ = nullptr;
};

}  // namespace weft::inline v0::cuda
