// Two kernels of weft in a program of one's own, on its memory and in its stream: a norm and a softmax, of rows that
// the program's own kernel made. Needs weft::cuda alone; without a device it says so.
#include <cuda_runtime.h>

#include <iostream>
#include <vector>

#include <weft/cuda/core/device_buffer.cuh>
#include <weft/cuda/core/stream.cuh>
#include <weft/cuda/ops/rms_norm.cuh>
#include <weft/cuda/ops/softmax.cuh>

namespace {

constexpr std::size_t rows = 3;
constexpr std::size_t hidden = 256;

__global__ void make_rows(weft::half* x) {
  x[blockIdx.x * blockDim.x + threadIdx.x].bits = static_cast<unsigned short>(0x3c00u + 8u * threadIdx.x);
}

}  // namespace

int main() try {
  const weft::cuda::Stream stream;
  const weft::cuda::DeviceBuffer memory((2 * rows * hidden + hidden) * sizeof(weft::half), stream);
  auto* x = memory.as<weft::half>();
  weft::half* y = x + rows * hidden;
  weft::half* gain = y + rows * hidden;
  make_rows<<<rows, hidden, 0, stream>>>(x);
  make_rows<<<1, hidden, 0, stream>>>(gain);

  weft::cuda::rms_norm(x, gain, y, rows, hidden, {.eps = 1e-5f}, stream);
  weft::cuda::softmax(y, y, rows, hidden, stream);

  std::vector<weft::half> found(rows * hidden);
  weft::cuda::check(cudaMemcpyAsync(found.data(), y, found.size() * sizeof found[0], cudaMemcpyDeviceToHost, stream),
                    "cudaMemcpyAsync");
  stream.synchronize();
  for (std::size_t t = 0; t < rows; ++t) {
    float sum = 0.f;
    for (std::size_t i = 0; i < hidden; ++i) sum += found[t * hidden + i];
    std::cout << "row " << t << ": the softmax adds up to " << sum << '\n';
  }
} catch (const weft::CudaError& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
