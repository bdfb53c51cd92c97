#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>

#include <weft/cuda/core/error.cuh>

namespace weft::inline v0::cuda {

/// How many devices there are; 0 also where there is no driver.
inline int device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return 0;
  }
  return count;
}

/// The device of the calling thread's calls. Throws CudaError where there is none.
inline int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  return device;
}

/// What kernels and plans of memory ask of a device.
struct DeviceProperties {
  std::string name;
  int compute_capability;  ///< 90 for 9.0
  int multiprocessors;
  std::size_t shared_bytes;  ///< of one block, at most
  std::size_t total_bytes;
};

/// Throws CudaError where there is no such device.
inline DeviceProperties device_properties(int device) {
  cudaDeviceProp found{};
  check(cudaGetDeviceProperties(&found, device), "cudaGetDeviceProperties");
  return {.name = found.name,
          .compute_capability = 10 * found.major + found.minor,
          .multiprocessors = found.multiProcessorCount,
          .shared_bytes = found.sharedMemPerBlockOptin,
          .total_bytes = found.totalGlobalMem};
}

/// The multiprocessors of the current device. Throws CudaError where there is none.
inline int multiprocessors() {
  int count = 0;
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, current_device()), "cudaDeviceGetAttribute");
  return count;
}

/// Bytes of device memory that are free now, on the current device. Throws CudaError where there is none.
inline std::size_t free_bytes() {
  std::size_t free = 0;
  std::size_t total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free;
}

/// Makes a device the calling thread's, and the one before it again at the end of its scope.
class DeviceScope {
 public:
  /// Throws CudaError where there is no such device.
  explicit DeviceScope(int device) : before_(current_device()) { check(cudaSetDevice(device), "cudaSetDevice"); }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;
  ~DeviceScope() { static_cast<void>(cudaSetDevice(before_)); }

 private:
  int before_;
};

}  // namespace weft::inline v0::cuda
