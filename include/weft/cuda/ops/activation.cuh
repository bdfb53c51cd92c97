#pragma once

#include <cstddef>

#include <weft/cuda/ops/rows.cuh>
#include <weft/ops/params.hpp>

namespace weft::inline v0::cuda {

namespace detail {

template <Activation Kind>
__device__ __forceinline__ float activate(float x) {
  if constexpr (Kind == Activation::silu) {
    return x / (1.f + expf(-x));
  } else if constexpr (Kind == Activation::gelu) {
    return 0.5f * x * erfcf(x * -0.70710678118654752f);
  } else if constexpr (Kind == Activation::gelu_tanh) {
    return x / (1.f + expf(-1.59576912160573072f * (x + 0.044715f * x * x * x)));  // (1 + tanh u) / 2
  } else if constexpr (Kind == Activation::quick_gelu) {
    return x / (1.f + expf(-1.702f * x));
  } else {
    static_assert(Kind == Activation::relu, "an activation without code for the device");
    return x < 0.f ? 0.f : x;
  }
}

/// Calls f(std::integral_constant<Activation, kind>{}); throws UnsupportedError for one the device does not have.
template <class F>
void with_activation(Activation kind, F&& f) {
  switch (kind) {
    case Activation::silu: return f(std::integral_constant<Activation, Activation::silu>{});
    case Activation::gelu: return f(std::integral_constant<Activation, Activation::gelu>{});
    case Activation::gelu_tanh: return f(std::integral_constant<Activation, Activation::gelu_tanh>{});
    case Activation::quick_gelu: return f(std::integral_constant<Activation, Activation::quick_gelu>{});
    case Activation::relu: return f(std::integral_constant<Activation, Activation::relu>{});
    default: raise<UnsupportedError>("activation number ", static_cast<int>(kind), " has no kernel for the device");
  }
}

template <Storage T, int W, Activation Kind, bool Gated>
__global__ void __launch_bounds__(row_threads) activation_kernel(const T* x, const T* up, T* y, RowMap<3> map) {
  const std::size_t packs = (static_cast<std::size_t>(map.elements) + W - 1) / W;
  const std::size_t count = map.rows * packs;
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t k = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; k < count; k += step) {
    const std::size_t row = k / packs;
    const std::size_t i = k % packs * W;
    Pack<W> pack;
    pack.load(x + map.offset(0, row) + i * map.inner[0]);
    Pack<W> factors;
    if constexpr (Gated) factors.load(up + map.offset(2, row) + i * map.inner[2]);
#pragma unroll
    for (int j = 0; j < W; ++j) pack.at[j] = activate<Kind>(pack.at[j]) * (Gated ? factors.at[j] : 1.f);
    pack.store(y + map.offset(1, row) + i * map.inner[1]);
  }
}

template <bool Gated, Storage T>
void activation(Activation kind, const T* x, const T* up, T* y, const RowMap<3>& map, cudaStream_t stream) {
  with_activation(kind, [&](auto chosen) {
    with_row_width<T>(has_vector_rows(map, vector_width<T>, {x, y, Gated ? up : x}), [&](auto width) {
      const std::size_t packs = map.rows * ((static_cast<std::size_t>(map.elements) + width() - 1) / width());
      launch("activation", flat_launch(packs, stream),
             activation_kernel<T, decltype(width)::value, decltype(chosen)::value, Gated>, x, up, y, map);
    });
  });
}

}  // namespace detail

/// y = f(x) element by element, computed in float; the functions are stated at Activation.
///
/// x, y: contiguous device memory, may be the same. Throws CudaError.
template <Storage T>
void activation(Activation kind, const T* x, T* y, std::size_t elements, cudaStream_t stream = {}) {
  detail::activation<false>(kind, x, static_cast<const T*>(nullptr), y, detail::flat_rows<3>(elements), stream);
}
/// y = f(gate) * up, the gated form. y may be gate or up.
template <Storage T>
void gated_activation(Activation kind, const T* gate, const T* up, T* y, std::size_t elements,
                      cudaStream_t stream = {}) {
  detail::activation<true>(kind, gate, up, y, detail::flat_rows<3>(elements), stream);
}

/// The same on tensors of any rank and strides, as the two halves of one product. Throws ShapeError where shapes
/// differ.
template <DeviceTensorLike X, DeviceTensorLike Y>
void activation(Activation kind, const X& x, Y&& y, cudaStream_t stream = {}) {
  const auto from = device_view(x);
  const auto to = device_view(y);
  detail::activation<false>(kind, from.data(), static_cast<const device_value_t<X>*>(nullptr), to.data(),
                            detail::row_map("activation", from, to, from), stream);
}
template <DeviceTensorLike G, DeviceTensorLike U, DeviceTensorLike Y>
void gated_activation(Activation kind, const G& gate, const U& up, Y&& y, cudaStream_t stream = {}) {
  const auto gates = device_view(gate);
  const auto ups = device_view(up);
  const auto to = device_view(y);
  detail::activation<true>(kind, gates.data(), ups.data(), to.data(),
                           detail::row_map("gated_activation", gates, to, ups), stream);
}

}  // namespace weft::inline v0::cuda
