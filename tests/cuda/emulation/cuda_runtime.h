#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "cuda_runtime_api.h"

// The device's dialect of C++ as weft's kernels use it, but for the instructions of weft/cuda/core/device_code.cuh.

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static
#define __grid_constant__

struct uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

inline void __syncthreads() {
  emulation::Machine& machine = emulation::Machine::get();
  emulation::Meeting& barrier = machine.thread().block->barrier;
  if (barrier.members != blockDim.count()) machine.fail("__syncthreads after a thread of the block has ended");
  machine.meet(barrier, "__syncthreads");
}
inline void __threadfence() {}

template <class T>
T __shfl_xor_sync(unsigned, T value, int distance) {
  const unsigned lane = emulation::Machine::get().thread().lane;
  return emulation::exchange(value, "__shfl_xor_sync")[lane ^ static_cast<unsigned>(distance)];
}
template <class T>
T __shfl_up_sync(unsigned, T value, unsigned distance) {
  const unsigned lane = emulation::Machine::get().thread().lane;
  const auto values = emulation::exchange(value, "__shfl_up_sync");
  return lane >= distance ? values[lane - distance] : value;
}

template <class T>
T atomicAdd(T* to, T value) {
  const T before = *to;
  *to = before + value;
  return before;
}
template <class T>
T atomicMax(T* to, T value) {
  const T before = *to;
  *to = before < value ? value : before;
  return before;
}

inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a < b ? b : a; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }

inline float rsqrtf(float x) { return 1.f / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
