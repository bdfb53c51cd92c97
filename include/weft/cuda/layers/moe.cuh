#pragma once

#include <cstddef>
#include <vector>

#include <weft/cuda/core/launch.cuh>
#include <weft/cuda/core/storage.cuh>
#include <weft/cuda/layers/mlp.cuh>
#include <weft/cuda/ops/elementwise.cuh>
#include <weft/layers/moe.hpp>

namespace weft::inline v0::cuda {

namespace detail {

/// What an expert adds to a sum.
struct AddWeighted {
  template <Storage T>
  __device__ __forceinline__ float operator()(float sum, T x, float weight) const {
    return sum + weight * to_float(x);
  }
};
struct SigmoidElement {
  __device__ __forceinline__ float operator()(float x) const { return 1.f / (1.f + expf(-x)); }
};

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

/// MoeWeights.
template <HalfStorage T>
struct DeviceMoeWeights {
  DeviceMatrix<T> router;
  std::vector<DeviceMlpWeights<T>> experts;
  DeviceMlpWeights<T> shared;
  DeviceMatrix<T> shared_gate;
};

/// Scratch of a mixture of experts for `tokens` tokens.
template <HalfStorage T>
struct DeviceMoeBuffers {
  TensorView<float, 2> router;       // (tokens, experts)
  TensorView<float, 2> chosen;       // (tokens, experts)
  TensorView<float, 2> shared_gate;  // (tokens, 1)
  TensorView<float, 2> sum;          // (tokens, hidden)
  TensorView<T, 2> out;              // (tokens, hidden)
};

/// What weft::moe computes. x, y: (tokens, hidden), of device memory; y may be x. Every expert computes all tokens, of
/// which those that did not choose it count for nothing: what is launched does not depend on their choice. Throws
/// ShapeError, CudaError.
template <HalfStorage T>
void moe(const DeviceMoeWeights<T>& w, Activation kind, const MoeParams& params, TensorView<T, 2> x,
         const DeviceMoeBuffers<T>& buffers, const DeviceMlpBuffers<T>& mlp_buffers, TensorView<T, 2> y,
         const DeviceLayerContext& ctx) {
  const std::size_t experts = w.experts.size();
  const TensorView<float, 2> sum = buffers.sum;
  w.router.multiply(ctx.products, x, nullptr, buffers.router, ctx.stream);
  choose_experts(buffers.router.data(), buffers.chosen.data(), x.extent(0), experts, params, ctx.stream);
  fill(sum, 0.f, ctx.stream);
  const auto add_expert = [&](const DeviceMlpWeights<T>& expert, TensorView<float, 2> weight) {
    mlp(expert, kind, x, mlp_buffers, buffers.out, ctx);
    detail::transform("experts", detail::AddWeighted{}, sum, ctx.stream, sum, buffers.out, weight);
  };
  for (std::size_t e = 0; e < experts; ++e) add_expert(w.experts[e], buffers.chosen.narrow(1, e, 1));
  if (w.shared.up) {
    const TensorView<float, 2> gate = buffers.shared_gate;
    if (w.shared_gate) {
      w.shared_gate.multiply(ctx.products, x, nullptr, gate, ctx.stream);
      detail::transform("gate", detail::SigmoidElement{}, gate, ctx.stream, gate);
    } else {
      fill(gate, 1.f, ctx.stream);
    }
    add_expert(w.shared, gate);
  }
  copy(sum, y, ctx.stream);
}

}  // namespace weft::inline v0::cuda
