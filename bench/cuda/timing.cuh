#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <weft/cuda/core/device_tensor.cuh>
#include <weft/cuda/core/event.cuh>
#include <weft/cuda/core/graph.cuh>
#include <weft/cuda/ops/rows.cuh>

#include "table.hpp"

namespace bench {

template <class T>
__global__ void random_kernel(T* to, std::size_t n) {
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    auto bits = static_cast<std::uint32_t>(i * 0x9e3779b97f4a7c15u >> 32);
    bits = (bits ^ bits >> 15) * 0x2c1b3c6du;
    bits = (bits ^ bits >> 12) * 0x297a2d39u;
    bits ^= bits >> 15;
    to[i] = weft::cuda::detail::from_float<T>(static_cast<float>(bits) * 0x1p-31f - 1.f);
  }
}

/// Fills a tensor with numbers in [-1, 1): what is timed on zeros can be faster than on data.
template <class T, std::size_t Rank>
void fill_random(weft::cuda::DeviceTensor<T, Rank>& x) {
  weft::cuda::detail::launch("random", weft::cuda::detail::flat_launch(x.size(), x.stream()), random_kernel<T>,
                             x.data(), x.size());
}

/// A tensor of such numbers.
template <class T, std::size_t Rank>
weft::cuda::DeviceTensor<T, Rank> random_tensor(const weft::Dims<Rank>& extents, cudaStream_t stream) {
  weft::cuda::DeviceTensor<T, Rank> x(extents, stream);
  fill_random(x);
  return x;
}

/// Seconds that one call takes: work(0) to work(calls - 1) are recorded, so that the host's launches are no part of it,
/// and the median of nine rounds counts.
template <class Work>
double seconds(cudaStream_t stream, int calls, const Work& work) {
  const auto all = [&] {
    for (int i = 0; i < calls; ++i) work(i);
  };
  all();  // kernels are loaded and plans made before anything is recorded
  const weft::cuda::Graph recorded(stream, all);
  recorded.launch(stream);
  std::vector<double> rounds;
  weft::cuda::Event begin;
  weft::cuda::Event end;
  for (int round = 0; round < 9; ++round) {
    begin.record(stream);
    recorded.launch(stream);
    end.record(stream);
    end.synchronize();
    rounds.push_back(static_cast<double>(end.milliseconds_since(begin)) * 1e-3 / calls);
  }
  return median(rounds);
}

}  // namespace bench
