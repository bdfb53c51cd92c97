#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

#include <weft/cuda/core/error.cuh>

namespace weft::inline v0::cuda::detail {

/// Where a kernel runs.
struct Launch {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes = 0;  // of dynamic shared memory
  cudaStream_t stream = {};
  bool cooperative = false;  // all blocks at once, so that they can wait for each other
};

/// Puts a kernel into the stream; nothing for an empty grid. Throws CudaError, which calls the kernel `name`.
template <class... Parameters, class... Arguments>
void launch(const char* name, const Launch& at, void (*kernel)(Parameters...), Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "a kernel takes all of its arguments");
  if (at.grid.x == 0 || at.grid.y == 0 || at.grid.z == 0) return;
  constexpr std::size_t always_allowed = 48 * 1024;
  if (at.shared_bytes > always_allowed)
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(at.shared_bytes)),
          name);
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = at.grid;
  config.blockDim = at.block;
  config.dynamicSmemBytes = at.shared_bytes;
  config.stream = at.stream;
  config.attrs = &attribute;
  config.numAttrs = at.cooperative ? 1 : 0;
  check(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), name);
}

}  // namespace weft::inline v0::cuda::detail
