#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <type_traits>

#include <weft/cuda/layers/backend.cuh>
#include <weft/cuda/ops/activation.cuh>
#include <weft/layers/products.hpp>

// What weft/layers/products.hpp has, on a device.
namespace weft::inline v0::cuda {

/// One of several products of the same tokens.
template <HalfStorage T>
struct DeviceProduct {
  const DeviceMatrix<T>& weight;
  TensorView<T, 2> y;
  const T* bias;  ///< or null
};

/// What DeviceMatrix::multiply() does for two or three matrices; for few tokens with one launch, where they have one
/// format.
template <HalfStorage T, std::size_t N>
void linear(std::type_identity_t<TensorView<const T, 2>> x, const std::array<DeviceProduct<T>, N>& all,
            const DeviceLayerContext& ctx) {
  const DeviceMatrix<T>& first = all[0].weight;
  const bool vectors = first.k() % 8 == 0 && x.stride(0) % 8 == 0 && detail::is_aligned(x.data());
  const bool together = vectors && x.extent(0) <= detail::most_linear_tokens &&
                        std::all_of(all.begin(), all.end(), [&](const DeviceProduct<T>& p) {
                          return p.weight.format() == first.format() && p.weight.k() == first.k();
                        });
  if (!together) {
    for (const DeviceProduct<T>& p : all) linear(x, p.weight, p.y, ctx, p.bias);
    return;
  }
  weft::detail::require_extent("linear: columns of x", "k", x.extent(1), first.k());
  detail::with_linear_weights<T>(first.format(), [&]<class W>(std::type_identity<W>) {
    detail::LinearParts<T, T, W> parts{};
    static_assert(N <= detail::LinearParts<T, T, W>::most);
    for (std::size_t i = 0; i < N; ++i) {
      const DeviceProduct<T>& p = all[i];
      weft::detail::require_shape("linear", "y", p.y.extents(), Dims<2>{x.extent(0), p.weight.rows()});
      parts.at[i] = {p.weight.template weights_as<W>(), p.bias, p.y.data(), p.y.stride(0),
                     static_cast<int>(p.weight.rows()), 0};
    }
    detail::launch_linear(x.data(), x.stride(0), x.extent(0), parts, first.k(), 1, ctx.stream);
  });
}

template <HalfStorage T, Storage Y>
void linear(std::type_identity_t<TensorView<const T, 2>> x, const DeviceMatrix<T>& weight, TensorView<Y, 2> y,
            const DeviceLayerContext& ctx, std::type_identity_t<const T*> bias = nullptr) {
  weight.multiply(ctx.products, x, bias, y, ctx.stream);
}
template <HalfStorage T>
void linear_onto(std::type_identity_t<TensorView<const T, 2>> x, const DeviceMatrix<T>& weight,
                 std::type_identity_t<const T*> bias, TensorView<T, 2> y, const DeviceLayerContext& ctx,
                 AddsToNothing) {
  linear(x, weight, y, ctx, bias);
}

/// y of the product and of the gate: contiguous.
template <HalfStorage T>
void activated_linear(Activation kind, std::type_identity_t<TensorView<const T, 2>> x, const DeviceProduct<T>& product,
                      const DeviceLayerContext& ctx) {
  linear(x, product.weight, product.y, ctx, product.bias);
  activation(kind, product.y.data(), product.y.data(), product.y.size(), ctx.stream);
}
template <HalfStorage T>
void gated_linear(Activation kind, std::type_identity_t<TensorView<const T, 2>> x, const DeviceProduct<T>& gate,
                  const DeviceProduct<T>& up, const DeviceLayerContext& ctx) {
  linear(x, std::array{gate, up}, ctx);
  gated_activation(kind, gate.y.data(), up.y.data(), up.y.data(), up.y.size(), ctx.stream);
}

}  // namespace weft::inline v0::cuda
