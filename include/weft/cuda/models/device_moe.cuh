#pragma once

#include <cstddef>

#include <weft/cuda/core/launch.cuh>
#include <weft/cuda/core/storage.cuh>
#include <weft/layers/moe.hpp>

namespace weft::inline v0::cuda {

namespace detail {

/// A warp for each token.
template <Storage T>
__global__ void __launch_bounds__(warp_threads)
    choose_experts_kernel(const T* logits, float* weights, int experts, int count, bool normalised) {
  const std::size_t row = std::size_t{blockIdx.x} * static_cast<std::size_t>(experts);
  const auto own = [&](int e) { return to_float(logits[row + static_cast<std::size_t>(e)]); };
  const auto lane = static_cast<int>(threadIdx.x);
  float largest = -INFINITY;
  for (int e = lane; e < experts; e += 32) largest = own(e) > largest ? own(e) : largest;
  largest = group_max(largest);
  const auto is_chosen = [&](int e) {
    int before = 0;
    for (int other = 0; other < experts; ++other)
      before += own(other) > own(e) || (own(other) == own(e) && other < e) ? 1 : 0;
    return before < count;
  };
  float sum = 0.f;
  for (int e = lane; e < experts; e += 32)
    if (!normalised || is_chosen(e)) sum += expf(own(e) - largest);
  sum = group_sum(sum);
  for (int e = lane; e < experts; e += 32)
    weights[row + static_cast<std::size_t>(e)] = is_chosen(e) ? expf(own(e) - largest) / sum : 0.f;
}

}  // namespace detail

/// weights (tokens, experts) = softmax of the logits of a router (tokens, experts), of which the
/// MoeParams::experts_per_token largest of every token stay, of equal ones the first; the others become 0. Device
/// memory, contiguous. Throws CudaError.
template <Storage T>
void choose_experts(const T* logits, float* weights, std::size_t tokens, std::size_t experts, const MoeParams& params,
                    cudaStream_t stream = {}) {
  detail::launch("choose_experts",
                 {.grid = dim3(static_cast<unsigned>(tokens)), .block = dim3(detail::warp_threads), .stream = stream},
                 detail::choose_experts_kernel<T>, logits, weights, static_cast<int>(experts),
                 static_cast<int>(params.experts_per_token), params.normalised);
}

}  // namespace weft::inline v0::cuda
