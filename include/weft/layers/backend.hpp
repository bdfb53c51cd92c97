#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/layers/adapted_rows.hpp>
#include <weft/ops/linear.hpp>
#include <weft/ops/rope.hpp>

// What a layer computes is written once, as a template over a backend: cpu::Backend here, cuda::Backend where
// <weft/cuda/layers/backend.cuh> is included. A backend is these types, and overloads for them of the functions that
// layers call without a namespace, which do what is said of those of the CPU:
//
//   linear, linear_onto, activated_linear, gated_linear                     layers/products.hpp
//   norm                                                                    layers/norm.hpp
//   clip_rows, heads_of, apply_rope, store_in_caches, attend_to_caches,
//   attend_to_sources                                                       layers/cached_sequences.hpp
//   attend_in_sequences                                                     layers/packed_sequences.hpp
//   moe                                                                     layers/moe.hpp
namespace weft::inline v0 {

struct CachedSequence;
struct PackedSequence;
struct MoeBuffers;
template <class Backend>
struct MoeWeightsOn;

namespace cpu {

class Residual;

struct Backend {
  using Element = float;  ///< of rows
  using Matrix = AnyTensor;
  using Bias = Tensor<float, 1>;    ///< of a product
  using Vector = Tensor<float, 1>;  ///< of a norm
  using Product = LinearOutput;
  using Context = LayerContext;
  using Residual = cpu::Residual;
  using Onto = std::optional<TensorView<float, 2>>;  ///< what a product adds itself to, if anything
  using CachedSequences = std::span<const CachedSequence>;
  using PackedSequences = std::span<const PackedSequence>;
  using Rope = RopeTable;
  using Positions = std::span<const std::int32_t>;
  using MoeWeights = MoeWeightsOn<Backend>;
  using MoeBuffers = weft::MoeBuffers;
};

}  // namespace cpu

/// Rows of a backend, (tokens, width).
template <class Backend>
using RowsOn = TensorView<typename Backend::Element, 2>;
/// Those that are read alone.
template <class Backend>
using InputOn = TensorView<const typename Backend::Element, 2>;

}  // namespace weft::inline v0
