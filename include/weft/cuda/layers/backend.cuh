#pragma once

#include <cstdint>

#include <weft/cuda/layers/device_matrix.cuh>
#include <weft/cuda/ops/rope.cuh>
#include <weft/layers/backend.hpp>

namespace weft::inline v0::cuda {

template <HalfStorage T>
struct DeviceProduct;
template <HalfStorage T>
class DeviceResidual;
template <HalfStorage T>
struct DeviceSequence;
struct DeviceSequences;
template <HalfStorage T>
struct DeviceMoeWeights;
template <HalfStorage T>
struct DeviceMoeBuffers;

/// What a product adds itself to: nothing, as DeviceResidual leaves that to the norm that follows.
struct AddsToNothing {};

/// Layers on a device, as weft/layers/ has them: rows of T in device memory, of one sequence where there are caches.
/// Taps see none of it. What is launched for one token does not depend on its position. The spans of AttentionParams
/// are of device memory. Everything throws ShapeError, CudaError.
template <HalfStorage T>
struct Backend {
  using Element = T;
  using Matrix = DeviceMatrix<T>;
  using Bias = DeviceTensor<T, 1>;
  using Vector = DeviceTensor<float, 1>;  ///< gains with 1 where the checkpoint has none
  using Product = DeviceProduct<T>;
  using Context = DeviceLayerContext;
  using Residual = DeviceResidual<T>;
  using Onto = AddsToNothing;
  using CachedSequences = DeviceSequence<T>;
  using PackedSequences = DeviceSequences;
  using Rope = DeviceRopeTable;
  using Positions = TensorView<const std::int32_t, 1>;
  using MoeWeights = DeviceMoeWeights<T>;
  using MoeBuffers = DeviceMoeBuffers<T>;
};

}  // namespace weft::inline v0::cuda
