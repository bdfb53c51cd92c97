#pragma once

#include <cstddef>

#include <weft/cuda/layers/attention_block.cuh>
#include <weft/cuda/layers/device_sequences.cuh>
#include <weft/cuda/layers/mlp.cuh>
#include <weft/cuda/layers/residual.cuh>
#include <weft/layers/encoder_block.hpp>

namespace weft::inline v0::cuda {

/// EncoderLayerWeights.
template <HalfStorage T>
struct DeviceEncoderLayerWeights {
  DeviceAttentionWeights<T> attention;
  DeviceNorm attention_norm;
  DeviceMlpWeights<T> mlp;
  DeviceNorm mlp_norm;
};

/// Scratch of an encoder layer for `tokens` tokens.
template <HalfStorage T>
struct DeviceEncoderLayerBuffers {
  TensorView<T, 2> normed;  // (tokens, hidden)
  DeviceAttentionBuffers<T> attention;
  DeviceMlpBuffers<T> mlp;
};

namespace detail {

/// Attention of the tokens of every sequence to those of the same sequence, from q, k and v of the buffers to out.
template <HalfStorage T>
void attend_in_sequences(const DeviceSequences& sequences, std::size_t head_dim, const AttentionParams& params,
                         const DeviceAttentionBuffers<T>& buffers, cudaStream_t stream) {
  const auto heads = [&](TensorView<T, 2> rows) {
    return rows.reshape(rows.extent(0), rows.extent(1) / head_dim, head_dim);
  };
  attention(heads(buffers.q), heads(buffers.k), heads(buffers.v), heads(buffers.out), sequences.ranges, sequences.count,
            sequences.longest, params, stream);
}

}  // namespace detail

/// What weft::self_attention computes. x, y: (tokens, hidden), of device memory; y may be x. Throws ShapeError,
/// CudaError.
template <HalfStorage T>
void self_attention(const DeviceAttentionWeights<T>& w, const DeviceSequences& sequences, std::size_t head_dim,
                    const AttentionParams& params, TensorView<T, 2> x, const DeviceAttentionBuffers<T>& buffers,
                    TensorView<T, 2> y, const DeviceLayerContext& ctx) {
  detail::project(w, x, buffers, ctx);
  detail::attend_in_sequences(sequences, head_dim, params, buffers, ctx.stream);
  w.o.multiply(ctx.products, buffers.out, w.o_bias.data(), y, ctx.stream);
}

/// What weft::encoder_block computes; x in place. Throws ShapeError, CudaError.
template <HalfStorage T>
void encoder_block(const DeviceEncoderLayerWeights<T>& w, const DeviceSequences& sequences,
                   const EncoderLayerParams& params, const DeviceEncoderLayerBuffers<T>& buffers, DeviceResidual<T>& x,
                   const DeviceLayerContext& ctx) {
  using Rows = TensorView<T, 2>;
  const BlockForm form = params.form == EncoderForm::pre_norm ? BlockForm::pre_norm : BlockForm::residual_norm;
  x.part(form, w.attention_norm, {}, buffers.normed, [&](Rows in, Rows out) {
    self_attention(w.attention, sequences, params.head_dim, params.scores, in, buffers.attention, out, ctx);
  });
  x.part(form, w.mlp_norm, {}, buffers.normed,
         [&](Rows in, Rows out) { mlp(w.mlp, params.activation, in, buffers.mlp, out, ctx); });
}

}  // namespace weft::inline v0::cuda
