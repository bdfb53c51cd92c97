#pragma once

#include <cuda_runtime_api.h>

#include <weft/core/error.hpp>

namespace weft::inline v0::cuda {

/// Throws CudaError where `status` is a failure, naming the call, the file and line it stands in, and what CUDA says of
/// it; where there is no device or no driver, that is what it says first.
inline void check(cudaError_t status, const char* call, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // or the next call would report this failure as its own
  const bool none = status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver ||
                    status == cudaErrorStubLibrary || status == cudaErrorSystemDriverMismatch;
  raise<CudaError>(none ? "there is no CUDA device to be had: " : "", call, " failed: ", cudaGetErrorString(status),
                   " (", cudaGetErrorName(status), ") at ", file, ":", line);
}

}  // namespace weft::inline v0::cuda
