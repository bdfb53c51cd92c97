#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include <weft/cuda/layers/encoder_block.cuh>
#include <weft/layers/bottleneck_block.hpp>

namespace weft::inline v0::cuda {

/// BottleneckWeights.
template <HalfStorage T>
struct DeviceBottleneckWeights {
  DeviceMatrix<T> weight;
  DeviceTensor<T, 1> bias;
  DeviceNorm norm;
};

/// NormedMlpWeights.
template <HalfStorage T>
struct DeviceNormedMlpWeights {
  DeviceMlpWeights<T> mlp;
  DeviceNorm norm;
};

/// BottleneckLayerWeights.
template <HalfStorage T>
struct DeviceBottleneckLayerWeights {
  DeviceBottleneckWeights<T> input, query_key;
  DeviceAttentionWeights<T> attention;
  DeviceNorm attention_norm;
  std::vector<DeviceNormedMlpWeights<T>> feed_forward;
  DeviceNormedMlpWeights<T> last;
  DeviceBottleneckWeights<T> output;
};

/// Scratch of such a layer for `tokens` tokens.
template <HalfStorage T>
struct DeviceBottleneckBuffers {
  TensorView<T, 2> narrow;     // (tokens, bottleneck)
  TensorView<T, 2> query_key;  // (tokens, bottleneck)
  TensorView<T, 2> part;       // (tokens, bottleneck)
  TensorView<T, 2> wide;       // (tokens, hidden)
  DeviceAttentionBuffers<T> attention;
  DeviceMlpBuffers<T> mlp;
};

/// What weft::bottleneck_block computes. x: (tokens, hidden), of device memory, in place. Throws ShapeError, CudaError.
template <HalfStorage T>
void bottleneck_block(const DeviceBottleneckLayerWeights<T>& w, const DeviceSequences& sequences,
                      const EncoderLayerParams& params, float last_eps, const DeviceBottleneckBuffers<T>& buffers,
                      TensorView<T, 2> x, const DeviceLayerContext& ctx) {
  using Rows = TensorView<T, 2>;
  const auto product = [&](const DeviceMatrix<T>& weight, const DeviceTensor<T, 1>& bias, Rows from, Rows to) {
    weight.multiply(ctx.products, from, bias.data(), to, ctx.stream);
  };
  const auto enter = [&](const DeviceBottleneckWeights<T>& from, Rows y) {
    product(from.weight, from.bias, x, y);
    norm(y, from.norm, y, params.norm, ctx.stream);
  };
  /// rows = norm(rows + f(rows))
  const auto add_and_norm = [&](Rows rows, const DeviceNorm& after, float eps, Rows scratch, auto&& f) {
    DeviceResidual<T>(rows, {.eps = eps, .kind = params.norm.kind}, 1.f, ctx.stream)
        .part(BlockForm::residual_norm, after, {}, scratch, f);
  };
  const bool bottleneck = static_cast<bool>(w.input.weight);
  const bool apart = static_cast<bool>(w.query_key.weight);
  const Rows narrow = bottleneck ? buffers.narrow : x;
  const Rows query_key = apart ? buffers.query_key : narrow;
  if (bottleneck) enter(w.input, narrow);
  if (apart) enter(w.query_key, query_key);
  add_and_norm(narrow, w.attention_norm, params.norm.eps, buffers.part, [&](Rows in, Rows out) {
    const DeviceAttentionWeights<T>& a = w.attention;
    const DeviceAttentionBuffers<T>& b = buffers.attention;
    product(a.q, a.q_bias, query_key, b.q);
    product(a.k, a.k_bias, query_key, b.k);
    product(a.v, a.v_bias, apart ? x : in, b.v);
    detail::attend_in_sequences(sequences, params.head_dim, params.scores, b, ctx.stream);
    product(a.o, a.o_bias, b.out, out);
  });
  const auto feed_forward = [&](const DeviceNormedMlpWeights<T>& f, float eps) {
    add_and_norm(narrow, f.norm, eps, buffers.part,
                 [&](Rows in, Rows out) { mlp(f.mlp, params.activation, in, buffers.mlp, out, ctx); });
  };
  for (const DeviceNormedMlpWeights<T>& f : w.feed_forward) feed_forward(f, params.norm.eps);
  feed_forward(w.last, last_eps);
  if (bottleneck)
    add_and_norm(x, w.output.norm, params.norm.eps, buffers.wide,
                 [&](Rows, Rows out) { product(w.output.weight, w.output.bias, narrow, out); });
}

namespace detail {

/// A row of blocks for each sequence.
template <class T>
__global__ void __launch_bounds__(row_threads)
    join_neighbours_kernel(const T* x, T* y, const SequenceRange* sequences, std::size_t width) {
  const SequenceRange s = sequences[blockIdx.y];
  const std::size_t count = static_cast<std::size_t>(s.tokens) * 3 * width;
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  x += static_cast<std::size_t>(s.first_token) * width;
  y += static_cast<std::size_t>(s.first_token) * 3 * width;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    const int from = static_cast<int>(i / (3 * width)) + 1 - static_cast<int>(i / width % 3);
    y[i] = from >= 0 && from < s.tokens ? x[static_cast<std::size_t>(from) * width + i % width] : from_float<T>(0.f);
  }
}

}  // namespace detail

/// y: of every token the rows of the next one, its own and that of the one before in x, zeros where the sequence ends.
/// x: (tokens, width), y: (tokens, 3 * width), contiguous device memory. Throws CudaError.
template <HalfStorage T>
void join_neighbours(TensorView<T, 2> x, const DeviceSequences& sequences, TensorView<T, 2> y, cudaStream_t stream) {
  const std::size_t blocks = (sequences.longest * y.extent(1) + detail::row_threads - 1) / detail::row_threads;
  detail::launch(
      "join_neighbours",
      {.grid = dim3(static_cast<unsigned>(std::min<std::size_t>(blocks, 256)), static_cast<unsigned>(sequences.count)),
       .block = dim3(detail::row_threads),
       .stream = stream},
      detail::join_neighbours_kernel<T>, x.data(), y.data(), sequences.ranges, x.extent(1));
}

}  // namespace weft::inline v0::cuda
