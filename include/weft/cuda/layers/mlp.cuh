#pragma once

#include <array>
#include <cstddef>

#include <weft/cuda/layers/device_matrix.cuh>
#include <weft/cuda/ops/activation.cuh>

namespace weft::inline v0::cuda {

/// MlpWeights.
template <HalfStorage T>
struct DeviceMlpWeights {
  DeviceMatrix<T> gate, up, down;
  DeviceTensor<T, 1> gate_bias, up_bias, down_bias;
};

/// Scratch of feed-forward layers: as many elements as the widest has for all tokens.
template <HalfStorage T>
struct DeviceMlpBuffers {
  T* gate = nullptr;  // of layers with a gate
  T* up = nullptr;
};

/// What weft::mlp computes. x, y: (tokens, hidden), of device memory; y may be x. Throws ShapeError, CudaError.
template <HalfStorage T>
void mlp(const DeviceMlpWeights<T>& w, Activation kind, TensorView<T, 2> x, const DeviceMlpBuffers<T>& buffers,
         TensorView<T, 2> y, const DeviceLayerContext& ctx) {
  const std::size_t tokens = x.extent(0);
  const TensorView<T, 2> up(buffers.up, {tokens, w.up.rows()});
  if (w.gate) {
    const TensorView<T, 2> gate(buffers.gate, {tokens, w.gate.rows()});
    multiply_all(
        ctx.products, x,
        std::array{DeviceProduct<T>{w.gate, w.gate_bias.data(), gate}, DeviceProduct<T>{w.up, w.up_bias.data(), up}},
        ctx.stream);
    gated_activation(kind, gate.data(), up.data(), up.data(), up.size(), ctx.stream);
  } else {
    w.up.multiply(ctx.products, x, w.up_bias.data(), up, ctx.stream);
    activation(kind, up.data(), up.data(), up.size(), ctx.stream);
  }
  w.down.multiply(ctx.products, up, w.down_bias.data(), y, ctx.stream);
}

}  // namespace weft::inline v0::cuda
