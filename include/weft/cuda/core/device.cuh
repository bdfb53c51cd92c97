#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <new>
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

/// Bytes of device memory that a DeviceBuffer can take now, on the current device: what is free, and what was given
/// back but is still kept for buffers to come. Throws CudaError where there is none.
inline std::size_t free_bytes() {
  std::size_t free = 0;
  std::size_t total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  cudaMemPool_t pool = nullptr;
  check(cudaDeviceGetMemPool(&pool, current_device()), "cudaDeviceGetMemPool");
  const auto bytes = [&](cudaMemPoolAttr attribute) {
    std::uint64_t value = 0;
    check(cudaMemPoolGetAttribute(pool, attribute, &value), "cudaMemPoolGetAttribute");
    return static_cast<std::size_t>(value);
  };
  const std::size_t used = bytes(cudaMemPoolAttrUsedMemCurrent);
  const std::size_t reserved = bytes(cudaMemPoolAttrReservedMemCurrent);
  return free + (reserved > used ? reserved - used : 0);
}

/// Throws CudaError that says how much is missing unless so many bytes of device memory are free.
inline void require_free_bytes(const char* what, std::size_t bytes) {
  const std::size_t free = free_bytes();
  if (bytes > free)
    raise<CudaError>("device memory: ", what, " takes ", bytes, " bytes, ", free, " are free, ", bytes - free,
                     " are missing");
}

/// Makes a device the calling thread's, and the one before it again at the end of its scope.
class DeviceScope {
 public:
  /// Throws CudaError where there is no such device.
  explicit DeviceScope(int device) : device_(device), before_(current_device()) {
    if (device != before_) check(cudaSetDevice(device), "cudaSetDevice");
  }
  /// The same for destructors: where there is no such device, nothing changes.
  DeviceScope(int device, std::nothrow_t) noexcept : device_(device), before_(device) {
    if (cudaGetDevice(&before_) != cudaSuccess || (device != before_ && cudaSetDevice(device) != cudaSuccess)) {
      static_cast<void>(cudaGetLastError());
      before_ = device;
    }
  }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;
  ~DeviceScope() {
    if (device_ != before_) static_cast<void>(cudaSetDevice(before_));
  }

 private:
  int device_;
  int before_;
};

}  // namespace weft::inline v0::cuda
