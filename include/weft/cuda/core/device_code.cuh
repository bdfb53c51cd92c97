#pragma once

#include <cstdint>

#include <weft/cuda/core/storage.cuh>

// What only a device can do: every instruction that C++ has no word for stands here and nowhere else, so that an
// emulation of this header (tests/cuda/emulation) runs all kernels without a device.
namespace weft::inline v0::cuda::detail {

/// Dynamic shared memory of the block.
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ uint4 weft_dynamic_shared[];
  return reinterpret_cast<T*>(weft_dynamic_shared);
}

/// Copies 16 bytes from global to shared memory in the background; zeros where !valid, and then `from` is not read.
__device__ __forceinline__ void copy_async_16(void* to_shared, const void* from, bool valid) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(to_shared));
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(from), "r"(bytes) : "memory");
}
/// Ends a group of copies.
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
/// Waits until at most `Pending` of the latest groups are on their way.
template <int Pending>
__device__ __forceinline__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(Pending) : "memory");
}

/// Four 8 x 8 matrices of two-byte elements from shared memory: thread t gives the address of row t % 8 of matrix
/// t / 8, and gets of each matrix the elements 2 (t % 4) and 2 (t % 4) + 1 of row t / 4.
__device__ __forceinline__ void load_matrices(std::uint32_t (&to)[4], const void* row) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address)
               : "memory");
}
/// The same, transposed: elements of rows 2 (t % 4) and 2 (t % 4) + 1 in column t / 4.
__device__ __forceinline__ void load_matrices_transposed(std::uint32_t (&to)[4], const void* row) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address)
               : "memory");
}

/// c (16, 8) += a (16, 16) b (16, 8) on tensor cores, in the fragments of PTX's mma.m16n8k16. With g = t / 4 and
/// q = 2 (t % 4), thread t holds, as pairs of neighbours: a[0] = A(g, q), a[1] = A(g + 8, q), a[2] = A(g, q + 8),
/// a[3] = A(g + 8, q + 8); b[0] = B(q.., g), b[1] = B(q + 8.., g); c[0], c[1] = C(g, q..), c[2], c[3] = C(g + 8, q..).
template <HalfStorage T>
__device__ __forceinline__ void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                             std::uint32_t b1) {
  if constexpr (is_bfloat16<T>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}

/// 16 bytes of weights, which are read once: past the first cache.
__device__ __forceinline__ uint4 load_streaming(const void* from) {
  uint4 value;
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(from));
  return value;
}

/// Waits a moment inside a loop that waits for other blocks.
__device__ __forceinline__ void pause() { __nanosleep(32); }

}  // namespace weft::inline v0::cuda::detail
