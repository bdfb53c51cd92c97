#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "emulator.hpp"

// The calls of the CUDA runtime that weft makes, for two emulated devices. Work put into a stream is done at once, or,
// while the stream records a graph, whenever the graph is launched. As on real devices, kernels go into streams of the
// current device and take memory of that device alone, and what is freed stays with the pool of memory until something
// is waited for.

using dim3 = emulation::Dim3;

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorStubLibrary = 34,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorLaunchFailure = 719,
  cudaErrorSystemDriverMismatch = 803,
  cudaErrorInvalidResourceHandle = 400,
  cudaErrorStreamCaptureUnsupported = 900,
};

namespace emulation {

using Work = std::function<cudaError_t()>;
struct Graph {
  std::vector<Work> work;
};
inline constexpr int devices = 2;
inline int current_device = 0;
struct Stream {
  int device = current_device;
  Graph* recording = nullptr;
};
using Time = std::chrono::steady_clock::time_point;

inline constexpr int multiprocessors = 2;
inline constexpr int resident_blocks = 2;  // of a multiprocessor
inline constexpr std::size_t most_shared_bytes = 227 * 1024;
inline constexpr std::size_t memory_bytes = std::size_t{8} << 30;

inline std::string last_failure;
inline std::map<const void*, std::size_t> allowed_shared_bytes;  // of kernels that may have more than 48 KiB

inline cudaError_t submit(Stream* stream, Work work) {
  if (!stream || !stream->recording) return work();
  stream->recording->work.push_back(std::move(work));
  return cudaSuccess;
}

}  // namespace emulation

using cudaStream_t = emulation::Stream*;
using cudaGraph_t = emulation::Graph*;
using cudaGraphExec_t = emulation::Graph*;
using cudaEvent_t = emulation::Time*;

inline const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorLaunchFailure ? emulation::last_failure.c_str() : "the emulated device refuses";
}
inline const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaErrorLaunchFailure ? "cudaErrorLaunchFailure" : "emulation";
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }

// Devices.

enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount = 16 };
struct cudaDeviceProp {
  char name[256];
  int major;
  int minor;
  int multiProcessorCount;
  std::size_t sharedMemPerBlockOptin;
  std::size_t totalGlobalMem;
};
inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = emulation::devices;
  return cudaSuccess;
}
inline cudaError_t cudaGetDevice(int* device) {
  *device = emulation::current_device;
  return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= emulation::devices) return cudaErrorInvalidDevice;
  emulation::current_device = device;
  return cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* found, int device) {
  if (device < 0 || device >= emulation::devices) return cudaErrorInvalidDevice;
  *found = {"emulation on the CPU", 9, 0, emulation::multiprocessors, emulation::most_shared_bytes,
            emulation::memory_bytes};
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = emulation::multiprocessors;
  return cudaSuccess;
}

// Memory. A sanitizer of the host sees where each piece ends.

namespace emulation {

struct Piece {
  std::size_t bytes;
  int device;
};
inline std::map<const std::byte*, Piece> memory;  // every piece, by where it begins
// Of all devices together.
inline std::size_t used_bytes = 0;
inline std::size_t most_used_bytes = 0;  // at any time
inline std::size_t reserved_bytes = 0;   // by the pool: used, or freed since something was waited for

inline cudaError_t waited() {
  reserved_bytes = used_bytes;
  return cudaSuccess;
}
/// Whether a kernel on the current device may take this.
template <class T>
bool is_at_hand(const T& argument) {
  if constexpr (std::is_pointer_v<T>) {
    const auto* address = reinterpret_cast<const std::byte*>(argument);
    auto piece = memory.upper_bound(address);
    if (piece == memory.begin()) return true;
    --piece;
    return address >= piece->first + piece->second.bytes || piece->second.device == current_device;
  } else {
    return true;
  }
}

}  // namespace emulation

struct emulated_pool;
using cudaMemPool_t = emulated_pool*;
enum cudaMemPoolAttr { cudaMemPoolAttrReservedMemCurrent = 5, cudaMemPoolAttrUsedMemCurrent = 7 };
inline cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;
  return cudaSuccess;
}
inline cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr attribute, void* value) {
  const std::uint64_t bytes =
      attribute == cudaMemPoolAttrUsedMemCurrent ? emulation::used_bytes : emulation::reserved_bytes;
  std::memcpy(value, &bytes, sizeof bytes);
  return cudaSuccess;
}

enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
inline cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = emulation::memory_bytes;
  *free = *total - emulation::reserved_bytes;
  return cudaSuccess;
}
inline cudaError_t cudaMallocAsync(void** data, std::size_t bytes, cudaStream_t stream) {
  if (stream && stream->recording) return cudaErrorStreamCaptureUnsupported;
  if (bytes > emulation::memory_bytes - emulation::used_bytes || posix_memalign(data, 256, bytes) != 0)
    return cudaErrorMemoryAllocation;
  std::memset(*data, 0xff, bytes);
  emulation::memory[static_cast<const std::byte*>(*data)] = {bytes,
                                                             stream ? stream->device : emulation::current_device};
  emulation::used_bytes += bytes;
  emulation::reserved_bytes = std::max(emulation::reserved_bytes, emulation::used_bytes);
  emulation::most_used_bytes = std::max(emulation::most_used_bytes, emulation::used_bytes);
  return cudaSuccess;
}
inline cudaError_t cudaFreeAsync(void* data, cudaStream_t stream) {
  const auto piece = emulation::memory.find(static_cast<const std::byte*>(data));
  if (piece == emulation::memory.end()) return cudaErrorInvalidValue;
  if (piece->second.device != (stream ? stream->device : emulation::current_device)) return cudaErrorInvalidValue;
  emulation::used_bytes -= piece->second.bytes;
  emulation::memory.erase(piece);
  std::free(data);
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  return emulation::submit(stream, [=] {
    std::memcpy(to, from, bytes);
    return cudaSuccess;
  });
}
inline cudaError_t cudaMemsetAsync(void* data, int value, std::size_t bytes, cudaStream_t stream) {
  return emulation::submit(stream, [=] {
    std::memset(data, value, bytes);
    return cudaSuccess;
  });
}

// Streams, events, graphs.

enum { cudaStreamNonBlocking = 1 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new emulation::Stream;
  return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return stream && stream->recording ? cudaErrorStreamCaptureUnsupported : emulation::waited();
}
inline cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
inline cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (!stream || stream->recording) return cudaErrorStreamCaptureUnsupported;
  stream->recording = new emulation::Graph;
  return cudaSuccess;
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = std::exchange(stream->recording, nullptr);
  return *graph ? cudaSuccess : cudaErrorInvalidValue;
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new emulation::Graph(*graph);
  return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  for (const emulation::Work& work : executable->work)
    if (const cudaError_t status = emulation::submit(stream, work); status != cudaSuccess) return status;
  return cudaSuccess;
}
inline cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new emulation::Time;
  return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  *event = std::chrono::steady_clock::now();
  return cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return emulation::waited(); }
inline cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(*end - *begin).count();
  return cudaSuccess;
}

// Kernels.

enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaLaunchAttributeID { cudaLaunchAttributeCooperative = 2 };
struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  struct {
    int cooperative;
  } val;
};
struct cudaLaunchConfig_t {
  dim3 gridDim;
  dim3 blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  cudaLaunchAttribute* attrs = nullptr;
  unsigned numAttrs = 0;
};
inline cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int bytes) {
  if (bytes < 0 || static_cast<std::size_t>(bytes) > emulation::most_shared_bytes) return cudaErrorInvalidValue;
  emulation::allowed_shared_bytes[kernel] = static_cast<std::size_t>(bytes);
  return cudaSuccess;
}
template <class Kernel>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Kernel, int, std::size_t) {
  *blocks = emulation::resident_blocks;
  return cudaSuccess;
}
template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... arguments) {
  const dim3 grid = config->gridDim;
  const dim3 block = config->blockDim;
  const std::size_t bytes = config->dynamicSmemBytes;
  const auto allowed = emulation::allowed_shared_bytes.find(reinterpret_cast<const void*>(kernel));
  const std::size_t most = allowed == emulation::allowed_shared_bytes.end() ? 48 * 1024 : allowed->second;
  const bool cooperative = config->numAttrs != 0 && config->attrs->val.cooperative != 0;
  const bool at_once = grid.count() <= std::size_t{emulation::resident_blocks * emulation::multiprocessors};
  if (grid.count() == 0 || block.count() == 0 || block.count() > 1024 || grid.y > 65535 || grid.z > 65535 ||
      bytes > most || (cooperative && !at_once))
    return cudaErrorInvalidValue;
  if (config->stream && config->stream->device != emulation::current_device) return cudaErrorInvalidResourceHandle;
  std::tuple<P...> values(std::forward<A>(arguments)...);
  if (!std::apply([](const auto&... all) { return (emulation::is_at_hand(all) && ...); }, values))
    return cudaErrorInvalidValue;
  return emulation::submit(config->stream, [=] {
    emulation::last_failure = emulation::run_grid([&] { std::apply(kernel, values); }, grid, block, bytes, cooperative);
    return emulation::last_failure.empty() ? cudaSuccess : cudaErrorLaunchFailure;
  });
}
