#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <weft/cuda/layers/device_experts.cuh>
#include <weft/cuda/layers/products.cuh>
#include <weft/cuda/ops/elementwise.cuh>
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

template <Storage T, int W>
__global__ void __launch_bounds__(row_threads) add_experts_kernel(const T* x, const float* weights, std::size_t slots,
                                                                  float* sums, std::size_t tokens, std::size_t n) {
  const std::size_t packs = n / W;
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t k = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; k < tokens * packs; k += step) {
    const std::size_t token = k / packs;
    const std::size_t i = k % packs * W;
    Pack<W> sum{};
    for (std::size_t slot = token * slots; slot < (token + 1) * slots; ++slot) {
      if (weights[slot] == 0.f) continue;
      Pack<W> row;
      row.load(x + slot * n + i);
#pragma unroll
      for (int j = 0; j < W; ++j) sum.at[j] += weights[slot] * row.at[j];
    }
    sum.store(sums + token * n + i);
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

/// sums (tokens, n): of every token the sum of weights[s] times row s of x (tokens * slots, n) over its slots, in their
/// order; rows of weight 0 are not read. Device memory, contiguous. Throws CudaError.
template <Storage T>
void add_experts(const T* x, const float* weights, std::size_t slots, float* sums, std::size_t tokens, std::size_t n,
                 cudaStream_t stream = {}) {
  constexpr auto width = static_cast<std::size_t>(detail::vector_width<T>);
  detail::with_row_width<T>(n % width == 0 && detail::is_aligned(x) && detail::is_aligned(sums), [&](auto w) {
    detail::launch("add_experts", detail::flat_launch(tokens * (n / w()), stream),
                   detail::add_experts_kernel<T, decltype(w)::value>, x, weights, slots, sums, tokens, n);
  });
}

/// MoeWeights.
template <HalfStorage T>
struct DeviceMoeWeights : MoeWeightsOn<Backend<T>> {
  DeviceExpertMatrix<T> gates, ups, downs;  // all or none: the experts' matrices, which have no biases then
};

/// Scratch of a mixture of experts for `tokens` tokens; slots: tokens * MoeParams::experts_per_token.
template <HalfStorage T>
struct DeviceMoeBuffers {
  TensorView<float, 2> router;       // (tokens, experts)
  TensorView<float, 2> chosen;       // (tokens, experts)
  TensorView<float, 2> shared_gate;  // (tokens, 1)
  TensorView<float, 2> sum;          // (tokens, hidden)
  TensorView<T, 2> out;              // (slots, hidden), at last the result
  ExpertList listed;                 ///< (slots)
  std::int32_t* groups = nullptr;    ///< RowGroups::elements_for() the slots and experts
};

namespace detail {

/// sum (tokens, hidden) = what the experts that each token of x chose add up to. gates, ups: room for (slots,
/// intermediate).
template <HalfStorage T>
void add_listed_experts(const DeviceMoeWeights<T>& w, Activation kind, const MoeParams& params, TensorView<T, 2> x,
                        const DeviceMoeBuffers<T>& buffers, TensorView<T, 2> gates, TensorView<T, 2> ups,
                        cudaStream_t stream) {
  const std::size_t tokens = x.extent(0);
  const std::size_t experts = w.experts.size();
  const std::size_t of_token = std::min(params.experts_per_token, experts);
  const std::size_t slots = tokens * of_token;
  const TensorView<T, 2> gate = weft::detail::scratch_rows(gates, slots, w.ups.rows());
  const TensorView<T, 2> up = weft::detail::scratch_rows(ups, slots, w.ups.rows());
  const ExpertList& list = buffers.listed;
  const RowGroups groups(buffers.groups, slots, experts);
  const bool grouped = tokens > 1 || !w.gates.in_vectors() || !w.downs.in_vectors();
  if (grouped) group_rows(list.experts, list.weights, slots, experts, groups, stream);
  const auto multiply = [&]<std::size_t N>(TensorView<T, 2> from,
                                           const std::array<const DeviceExpertMatrix<T>*, N>& matrices,
                                           const std::array<T*, N>& y) {
    if (grouped) return multiply_grouped<T, N>(from, matrices, groups, slots, experts, y, stream);
    multiply_chosen<T, N>(from, matrices, list.experts, slots, y, stream);
  };
  if (w.gates.format() == w.ups.format()) {
    multiply(x, std::array{&w.gates, &w.ups}, std::array{gate.data(), up.data()});
  } else {
    multiply(x, std::array{&w.gates}, std::array{gate.data()});
    multiply(x, std::array{&w.ups}, std::array{up.data()});
  }
  gated_activation(kind, gate.data(), up.data(), up.data(), up.size(), stream);
  multiply(up, std::array{&w.downs}, std::array{buffers.out.data()});
  add_experts(buffers.out.data(), list.weights, of_token, buffers.sum.data(), tokens, buffers.sum.extent(1), stream);
}

}  // namespace detail

/// What weft::moe computes, by the experts alone that a token chose, where the same matrices of all experts are of one
/// shape and format and have no biases; otherwise every expert computes all tokens, of which those that did
/// not choose it count for nothing. The host learns nothing of what was chosen, so that a Graph can hold it. gate, up:
/// also room for (slots, intermediate) of the experts.
template <HalfStorage T>
TensorView<T, 2> moe(const DeviceMoeWeights<T>& w, Activation kind, const MoeParams& params, TensorView<T, 2> x,
                     const DeviceMoeBuffers<T>& buffers, TensorView<T, 2> gate, TensorView<T, 2> up,
                     const DeviceLayerContext& ctx, AddsToNothing) {
  const std::size_t tokens = x.extent(0);
  const TensorView<float, 2> sum = buffers.sum;
  const TensorView<T, 2> out = buffers.out.narrow(0, 0, tokens);
  linear(x, w.router, buffers.router, ctx);
  const bool listed = static_cast<bool>(w.gates);
  choose_experts(buffers.router.data(), buffers.chosen.data(), tokens, w.experts.size(), params, ctx.stream,
                 listed ? buffers.listed : ExpertList{});
  const auto add_expert = [&](const MlpWeightsOn<Backend<T>>& expert, TensorView<float, 2> weight) {
    const auto scratch = [&](TensorView<T, 2> rows) {
      return weft::detail::scratch_rows(rows, tokens, expert.up.rows());
    };
    mlp(expert, kind, x, scratch(gate), scratch(up), out, ctx);
    detail::transform("experts", detail::AddWeighted{}, sum, ctx.stream, sum, out, weight);
  };
  if (listed) {
    detail::add_listed_experts(w, kind, params, x, buffers, gate, up, ctx.stream);
  } else {
    fill(sum, 0.f, ctx.stream);
    for (std::size_t e = 0; e < w.experts.size(); ++e) add_expert(w.experts[e], buffers.chosen.narrow(1, e, 1));
  }
  if (w.shared.up) {
    const TensorView<float, 2> factor = buffers.shared_gate;
    if (w.shared_gate) {
      linear(x, w.shared_gate, factor, ctx);
      detail::transform("gate", detail::SigmoidElement{}, factor, ctx.stream, factor);
    } else {
      fill(factor, 1.f, ctx.stream);
    }
    add_expert(w.shared, factor);
  }
  copy(sum, out, ctx.stream);
  return out;
}

}  // namespace weft::inline v0::cuda
