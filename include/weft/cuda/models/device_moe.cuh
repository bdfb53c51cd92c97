#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <weft/cuda/ops/rows.cuh>
#include <weft/layers/moe.hpp>

namespace weft::inline v0::cuda {

/// The experts that every token chose, in the order of their numbers: (tokens, MoeParams::experts_per_token) each, in
/// device memory. Where fewer than that count, the others are expert 0 with a weight of 0.
struct ExpertList {
  std::int32_t* experts = nullptr;
  float* weights = nullptr;
};

namespace detail {

/// A warp for each token.
template <Storage T>
__global__ void __launch_bounds__(warp_threads)
    choose_experts_kernel(const T* logits, float* weights, int experts, int count, bool normalised, ExpertList list) {
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
  if (!list.experts) return;
  const std::size_t first = std::size_t{blockIdx.x} * static_cast<std::size_t>(count);
  for (int slot = lane; slot < count; slot += 32) {
    list.experts[first + static_cast<std::size_t>(slot)] = 0;
    list.weights[first + static_cast<std::size_t>(slot)] = 0.f;
  }
  __syncthreads();
  for (int e = lane; e < experts; e += 32) {
    const auto counts = [&](int other) { return weights[row + static_cast<std::size_t>(other)] != 0.f; };
    int slot = 0;
    for (int before = 0; before < e; ++before) slot += counts(before) ? 1 : 0;
    if (!counts(e) || slot >= count) continue;
    list.experts[first + static_cast<std::size_t>(slot)] = e;
    list.weights[first + static_cast<std::size_t>(slot)] = weights[row + static_cast<std::size_t>(e)];
  }
}

/// sums (n) = the sum of weights[s] times row s of x (slots, n), in the order of the slots.
template <Storage T>
__global__ void __launch_bounds__(row_threads)
    add_experts_kernel(const T* x, const float* weights, int slots, float* sums, std::size_t n) {
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    float sum = 0.f;
    for (int s = 0; s < slots; ++s) sum += weights[s] * to_float(x[static_cast<std::size_t>(s) * n + i]);
    sums[i] = sum;
  }
}

}  // namespace detail

/// weights (tokens, experts) = softmax of the logits of a router (tokens, experts), of which the
/// MoeParams::experts_per_token largest of every token stay, of equal ones the first; the others become 0; and the
/// list of those that stay, where one is asked for. Device memory, contiguous. Throws CudaError.
template <Storage T>
void choose_experts(const T* logits, float* weights, std::size_t tokens, std::size_t experts, const MoeParams& params,
                    cudaStream_t stream = {}, const ExpertList& list = {}) {
  detail::launch("choose_experts",
                 {.grid = dim3(static_cast<unsigned>(tokens)), .block = dim3(detail::warp_threads), .stream = stream},
                 detail::choose_experts_kernel<T>, logits, weights, static_cast<int>(experts),
                 static_cast<int>(std::min(params.experts_per_token, experts)), params.normalised, list);
}

/// sums (n) = the sum of weights[s] times row s of x (slots, n), in the order of the slots. Device memory, contiguous.
/// Throws CudaError.
template <Storage T>
void add_experts(const T* x, const float* weights, std::size_t slots, float* sums, std::size_t n,
                 cudaStream_t stream = {}) {
  detail::launch("add_experts", detail::flat_launch(n, stream), detail::add_experts_kernel<T>, x, weights,
                 static_cast<int>(slots), sums, n);
}

}  // namespace weft::inline v0::cuda
