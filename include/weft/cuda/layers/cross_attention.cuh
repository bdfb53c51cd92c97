#pragma once

#include <array>

#include <weft/cuda/layers/attention_block.cuh>
#include <weft/layers/cross_attention.hpp>

namespace weft::inline v0::cuda {

/// What weft::cross_keys_and_values computes, of one source: x (tokens, hidden), of device memory, fills `source`.
/// Throws ShapeError, CudaError.
template <HalfStorage T>
void cross_keys_and_values(const DeviceAttentionWeights<T>& w, TensorView<T, 2> x, const DeviceCacheLayer<T>& source,
                           const DeviceLayerContext& ctx) {
  const auto rows = [](const TensorView<T, 3>& heads) { return heads.reshape(heads.extent(0), dynamic); };
  multiply_all(ctx.products, x,
               std::array{DeviceProduct<T>{w.k, w.k_bias.data(), rows(source.k)},
                          DeviceProduct<T>{w.v, w.v_bias.data(), rows(source.v)}},
               ctx.stream);
}

/// What weft::cross_attention computes, of the tokens of one sequence. x, y: (tokens, hidden), of device memory; y may
/// be x. q and out of the buffers are used. Throws ShapeError, CudaError.
template <HalfStorage T>
void cross_attention(const DeviceAttentionWeights<T>& w, const DeviceCacheLayer<T>& source, AttentionParams params,
                     TensorView<T, 2> x, const DeviceAttentionBuffers<T>& buffers, TensorView<T, 2> y,
                     const DeviceLayerContext& ctx) {
  params.causal = false;
  w.q.multiply(ctx.products, x, w.q_bias.data(), buffers.q, ctx.stream);
  const auto heads = [&](TensorView<T, 2> rows) { return rows.reshape(rows.extent(0), dynamic, source.k.extent(2)); };
  attention(heads(buffers.q), source.k, source.v, heads(buffers.out), params, ctx.stream);
  w.o.multiply(ctx.products, buffers.out, w.o_bias.data(), y, ctx.stream);
}

}  // namespace weft::inline v0::cuda
