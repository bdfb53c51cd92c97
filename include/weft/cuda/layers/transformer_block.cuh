#pragma once

#include <weft/cuda/layers/attention_block.cuh>
#include <weft/cuda/layers/cross_attention.cuh>
#include <weft/cuda/layers/mlp.cuh>
#include <weft/cuda/layers/moe.cuh>
#include <weft/cuda/layers/residual.cuh>
#include <weft/layers/transformer_block.hpp>

namespace weft::inline v0::cuda {

/// DecoderLayerWeights.
template <HalfStorage T>
struct DeviceLayerWeights {
  DeviceNorm attention_norm, attention_post_norm, cross_norm, mlp_norm, mlp_post_norm;
  DeviceAttentionWeights<T> attention, cross;
  DeviceMlpWeights<T> mlp;
  DeviceMoeWeights<T> moe;
};

/// Scratch of a decoder layer for `tokens` tokens.
template <HalfStorage T>
struct DeviceLayerBuffers {
  TensorView<T, 2> normed;  // (tokens, hidden)
  TensorView<T, 2> other;   // (tokens, hidden)
  DeviceAttentionBuffers<T> attention;
  DeviceMlpBuffers<T> mlp;
  DeviceMoeBuffers<T> moe = {};  ///< for experts
};

/// What weft::transformer_block computes, of the tokens of one sequence; x in place. source: what cross-attention sees,
/// where the layer has it. Throws ShapeError, CudaError.
template <HalfStorage T>
void transformer_block(const DeviceLayerWeights<T>& w, const DeviceTokens& tokens, const DeviceCacheLayer<T>& cache,
                       const DeviceCacheLayer<T>& source, const DeviceRopeTable* rope, const DecoderLayerParams& params,
                       const DeviceLayerBuffers<T>& buffers, DeviceResidual<T>& x, const DeviceLayerContext& ctx) {
  using Rows = TensorView<T, 2>;
  const Rows normed = buffers.normed;
  const Rows other = buffers.other;
  const auto attend = [&](Rows in, Rows out) {
    attention_block(w.attention, tokens, cache, rope, params.attention, in, buffers.attention, out, ctx);
  };
  const auto feed = [&](Rows in, Rows out) {
    if (w.moe.experts.empty()) {
      mlp(w.mlp, params.activation, in, buffers.mlp, out, ctx);
    } else {
      moe(w.moe, params.activation, params.moe, in, buffers.moe, buffers.mlp, out, ctx);
    }
  };
  if (!weft::detail::is_parallel(params.form)) {
    x.part(params.form, w.attention_norm, w.attention_post_norm, normed, attend);
    if (w.cross.q)
      x.part(params.form, w.cross_norm, {}, normed, [&](Rows in, Rows out) {
        cross_attention(w.cross, source, params.cross, in, buffers.attention, out, ctx);
      });
    x.part(params.form, w.mlp_norm, w.mlp_post_norm, normed, feed);
    return;
  }
  x.norm_to(w.attention_norm, normed);
  if (params.form == BlockForm::parallel_shared) {
    attend(normed, other);
    x.add(other);
    feed(normed, normed);
    x.add(normed);
  } else {
    norm(x.rows(), w.mlp_norm, other, params.norm, ctx.stream);
    attend(normed, normed);
    x.add(normed);
    feed(other, other);
    x.add(other);
  }
}

}  // namespace weft::inline v0::cuda
