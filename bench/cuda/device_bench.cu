// What weft does on an NVIDIA device, as a share of what the device can do, measured in the same run: the table of
// RESULTS.md, which run.sh prints.
//
//   device_bench [--rehearse] [--seconds N] [FILE]     FILE gets the values, for peers.py; --rehearse takes small
//   sizes;
//                                                      what is not begun after so many seconds is not measured
//
// Without a device it says so and ends with 1, and so it does where a line could not be measured.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>

#include <weft/cuda/core/device.cuh>
#include <weft/cuda/core/device_code.cuh>
#include <weft/cuda/core/stream.cuh>
#include <weft/cuda/ops/matmul.cuh>

#include "measure.hpp"
#include "timing.cuh"

namespace bench {
namespace {

using weft::bfloat16;
using weft::cuda::DeviceTensor;
using weft::cuda::Stream;

/// Reads everything once, `Loads` times 16 bytes of a thread on their way at once.
template <int Loads>
__global__ void read_kernel(const uint4* from, std::size_t n, unsigned* sum) {
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  unsigned own = 0;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += Loads * step) {
    uint4 values[Loads] = {};
#pragma unroll
    for (int j = 0; j < Loads; ++j)
      if (const std::size_t at = i + static_cast<std::size_t>(j) * step; at < n)
        values[j] = weft::cuda::detail::load_streaming(from + at);
#pragma unroll
    for (int j = 0; j < Loads; ++j) own += values[j].x ^ values[j].y ^ values[j].z ^ values[j].w;
  }
  if (own == 0x12345678u) *sum = own;  // or nothing would be read
}

/// The fastest of some ways to read.
double read_bytes_per_second(std::size_t bytes) {
  const Stream stream;
  const auto memory = random_tensor<float, 1>({bytes / sizeof(float)}, stream);
  const weft::cuda::DeviceBuffer sum(256, stream);
  double least = INFINITY;
  const auto try_out = [&](auto kernel, int blocks_per_processor) {
    const auto blocks = static_cast<unsigned>(weft::cuda::multiprocessors() * blocks_per_processor);
    least = std::min(least, seconds(stream, 2, [&](int) {
                       weft::cuda::detail::launch("read", {.grid = dim3(blocks), .block = dim3(256), .stream = stream},
                                                  kernel, reinterpret_cast<const uint4*>(memory.data()), bytes / 16,
                                                  sum.as<unsigned>());
                     }));
  };
  for (const int blocks_per_processor : {2, 4, 8, 16}) {
    try_out(read_kernel<4>, blocks_per_processor);
    try_out(read_kernel<8>, blocks_per_processor);
  }
  return static_cast<double>(bytes) / least;
}

double product_operations_per_second(std::size_t n) {
  const Stream stream;
  weft::cuda::MatmulPlans plans(stream);
  const auto a = random_tensor<bfloat16, 2>({n, n}, stream);
  const auto b = random_tensor<bfloat16, 2>({n, n}, stream);
  DeviceTensor<bfloat16, 2> y({n, n}, stream);
  const double took = seconds(stream, 8, [&](int) { plans.matmul(a, b.view().transpose(0, 1), nullptr, y, stream); });
  return 2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n) / took;
}

}  // namespace

std::vector<Line> roof_lines(const Sizes& sizes, Roofs& roofs) {
  return {{"read-only stream of 4 GiB",
           "TB/s",
           "",
           {},
           [&roofs, bytes = sizes.stream_bytes] {
             roofs.bytes_per_second = read_bytes_per_second(bytes);
             return Found{roofs.bytes_per_second * 1e-12};
           }},
          {"product of 8192 x 8192 x 8192 in bf16, cuBLASLt", "TFLOP/s", "", {}, [&roofs, n = sizes.product] {
             roofs.operations_per_second = product_operations_per_second(n);
             return Found{roofs.operations_per_second * 1e-12};
           }}};
}

}  // namespace bench

int main(int argc, char** argv) try {
  const auto begin = std::chrono::steady_clock::now();
  std::chrono::seconds budget = std::chrono::hours(1);
  bool rehearsal = false;
  std::string file;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--rehearse") {
      rehearsal = true;
    } else if (std::string_view(argv[i]) == "--seconds" && i + 1 < argc) {
      budget = std::chrono::seconds(std::stoi(argv[++i]));
    } else {
      file = argv[i];
    }
  }
  const weft::cuda::DeviceProperties properties = weft::cuda::device_properties(weft::cuda::current_device());
  std::cout << properties.name << ", " << properties.multiprocessors << " multiprocessors\n\n";
  if (rehearsal) std::cout << "A rehearsal with small sizes: these numbers say nothing.\n\n";

  const bench::Sizes sizes = rehearsal ? bench::rehearsal_sizes() : bench::Sizes{};
  bench::Roofs roofs;
  std::vector<bench::Line> lines = bench::roof_lines(sizes, roofs);
  for (auto part : {bench::model_lines, bench::kernel_lines})
    for (bench::Line& line : part(sizes, roofs)) lines.push_back(std::move(line));
  const auto there_is_time = [&] { return std::chrono::steady_clock::now() - begin < budget; };
  const auto values = bench::measure(lines, std::cout, std::cerr, there_is_time);

  if (!file.empty()) {
    std::ofstream to(file);
    for (const auto& [what, value] : values)
      if (std::isfinite(value)) to << what << '\t' << value << '\n';
  }
  return std::all_of(values.begin(), values.end(), [](const auto& v) { return std::isfinite(v.second); }) ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
