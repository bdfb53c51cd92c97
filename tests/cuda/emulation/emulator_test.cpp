#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include <weft/core/tensor.hpp>
#include <weft/cuda/core/device_code.cuh>
#include <weft/cuda/core/device_tensor.cuh>
#include <weft/cuda/core/launch.cuh>

// What the emulation finds wrong in kernels that are.
namespace weft {
namespace {

using cuda::detail::launch;

__global__ void half_of_the_block_waits() {
  if (threadIdx.x < 32) __syncthreads();
}
__global__ void one_thread_has_left() {
  if (threadIdx.x == 5) return;
  __syncthreads();
}
__global__ void threads_wait_at_two_places(float* x) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    x[threadIdx.x] = __shfl_xor_sync(cuda::detail::whole_warp, 1.f, 1);
  }
}
__global__ void half_of_a_warp_shuffles(float* x) {
  if (threadIdx.x < 16) x[threadIdx.x] = __shfl_xor_sync(cuda::detail::whole_warp, 1.f, 1);
}
__global__ void copies_are_not_waited_for(float* x, const float* from) {
  float* shared = cuda::detail::dynamic_shared<float>();
  cuda::detail::copy_async_16(shared + 4 * threadIdx.x, from + 4 * threadIdx.x, true);
  cuda::detail::copy_async_commit();
  x[threadIdx.x] = shared[4 * threadIdx.x];
  cuda::detail::copy_async_wait<0>();
  x[32 + threadIdx.x] = shared[4 * threadIdx.x];
}
__global__ void copies_go_beyond_shared_memory(const float* from) {
  cuda::detail::copy_async_16(cuda::detail::dynamic_shared<float>() + 4 * threadIdx.x + 4, from, true);
}
__global__ void a_barrier_is_missing(float* x) {
  float* shared = cuda::detail::dynamic_shared<float>();
  shared[threadIdx.x] = 1.f;
  x[threadIdx.x] = shared[(threadIdx.x + 1) % blockDim.x];
}
__global__ void blocks_meet(unsigned* arrived, unsigned* seen) {
  if (threadIdx.x == 0) {
    atomicAdd(arrived, 1u);
    while (*static_cast<volatile unsigned*>(arrived) < gridDim.x) cuda::detail::pause();
  }
  __syncthreads();
  if (threadIdx.x == 7) seen[blockIdx.x] = *arrived;
}

/// What the failure of a launch says; "" where there is none.
template <class... P, class... A>
std::string failure(dim3 grid, unsigned threads, std::size_t shared_bytes, bool cooperative, void (*kernel)(P...),
                    A... arguments) {
  try {
    launch("kernel", {.grid = grid, .block = dim3(threads), .shared_bytes = shared_bytes, .cooperative = cooperative},
           kernel, arguments...);
    return "";
  } catch (const CudaError& error) {
    return error.what();
  }
}

TEST(Emulator, ReportsBarriersThatNotAllThreadsReach) {
  cuda::DeviceTensor<float, 1> x({64});
  EXPECT_NE(failure(1, 64, 0, false, half_of_the_block_waits).find("__syncthreads"), std::string::npos);
  EXPECT_NE(failure(1, 64, 0, false, one_thread_has_left), "");
  EXPECT_NE(failure(1, 64, 0, false, threads_wait_at_two_places, x.data()), "");
  EXPECT_NE(failure(1, 32, 0, false, half_of_a_warp_shuffles, x.data()), "");
  EXPECT_NE(failure(1, 16, 0, false, half_of_a_warp_shuffles, x.data()).find("without all 32 threads"),
            std::string::npos);
}

TEST(Emulator, CopiesArriveWhenTheyAreWaitedFor) {
  Tensor<float, 1> host({128});
  for (std::size_t i = 0; i < 128; ++i) host(i) = static_cast<float>(i);
  const cuda::DeviceTensor<float, 1> from(host);
  cuda::DeviceTensor<float, 1> x({64});
  EXPECT_EQ(failure(1, 32, 512, false, copies_are_not_waited_for, x.data(), from.data()), "");
  const auto found = x.download();
  for (std::size_t i = 0; i < 32; ++i) {
    EXPECT_TRUE(std::isnan(found(i)));
    EXPECT_EQ(found(32 + i), static_cast<float>(4 * i));
  }
  EXPECT_NE(failure(1, 32, 512, false, copies_go_beyond_shared_memory, from.data()).find("outside the block's"),
            std::string::npos);
}

TEST(Emulator, SharedMemoryIsNoNumberBeforeItIsWritten) {
  cuda::DeviceTensor<float, 1> x({64});
  EXPECT_EQ(failure(1, 64, 256, false, a_barrier_is_missing, x.data()), "");
  const auto found = x.download();
  EXPECT_TRUE(std::isnan(found(0)) || std::isnan(found(63))) << "in either order of the threads";
}

TEST(Emulator, BlocksOfACooperativeLaunchRunTogether) {
  cuda::DeviceTensor<std::int32_t, 1> arrived({1});
  cuda::DeviceTensor<std::int32_t, 1> seen({4});
  arrived.clear();
  EXPECT_EQ(failure(4, 64, 0, true, blocks_meet, reinterpret_cast<unsigned*>(arrived.data()),
                    reinterpret_cast<unsigned*>(seen.data())),
            "");
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(seen.download()(i), 4);
  EXPECT_NE(failure(400, 64, 0, true, blocks_meet, reinterpret_cast<unsigned*>(arrived.data()),
                    reinterpret_cast<unsigned*>(seen.data())),
            "")
      << "too many to run at once";
}

TEST(Emulator, MoreSharedMemoryThanThereIsIsRefused) {
  cuda::DeviceTensor<float, 1> x({64});
  EXPECT_EQ(failure(1, 64, 60 * 1024, false, a_barrier_is_missing, x.data()), "");
  EXPECT_NE(failure(1, 64, 300 * 1024, false, a_barrier_is_missing, x.data()), "");
}

}  // namespace
}  // namespace weft
