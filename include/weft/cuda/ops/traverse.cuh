#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include <weft/cuda/ops/rows.cuh>

// What the kernels that work element by element on tensors of any shape share.
namespace weft::inline v0::cuda::detail {

/// Where the elements of N tensors of one shape lie. Dimensions that lie in all of them as one are taken as one.
template <std::size_t N>
struct ElementMap {
  std::size_t count = 0;
  unsigned dims = 0;  // outermost first
  std::size_t extents[max_rank];
  std::size_t strides[N][max_rank];

  __device__ __forceinline__ void offsets(std::size_t element, std::size_t (&of)[N]) const {
#pragma unroll
    for (std::size_t i = 0; i < N; ++i) of[i] = 0;
    for (unsigned d = dims; d-- > 0;) {
      const std::size_t at = d == 0 ? element : element % extents[d];
#pragma unroll
      for (std::size_t i = 0; i < N; ++i) of[i] += at * strides[i][d];
      element /= extents[d];
    }
  }
};

template <class First, class... Rest>
ElementMap<1 + sizeof...(Rest)> element_map(const First& first, const Rest&... rest) {
  constexpr std::size_t n = 1 + sizeof...(Rest);
  const std::array<Dims<First::rank>, n> strides{first.strides(), rest.strides()...};
  ElementMap<n> map;
  map.count = first.size();
  for (std::size_t d = 0; d < First::rank; ++d) {
    const std::size_t extent = first.extent(d);
    if (extent == 1) continue;
    bool as_one = map.dims > 0;
    for (std::size_t i = 0; as_one && i < n; ++i) as_one = map.strides[i][map.dims - 1] == strides[i][d] * extent;
    if (!as_one) map.extents[map.dims++] = 1;
    map.extents[map.dims - 1] *= extent;
    for (std::size_t i = 0; i < n; ++i) map.strides[i][map.dims - 1] = strides[i][d];
  }
  if (map.dims == 0) {
    map.dims = 1;
    map.extents[0] = 1;
    for (std::size_t i = 0; i < n; ++i) map.strides[i][0] = 0;
  }
  return map;
}

/// W elements that lie one after the other, or one for all (stride 0).
template <int W, class T>
__device__ __forceinline__ Raw<T, W> load_raw(const T* from, std::size_t stride) {
  if (stride != 0) return *reinterpret_cast<const Raw<T, W>*>(from);
  Raw<T, W> result;
#pragma unroll
  for (int j = 0; j < W; ++j) result.at[j] = *from;
  return result;
}

template <class F, class Y, class... X, std::size_t... I>
__device__ __forceinline__ void apply_at(F f, Y* y, const std::size_t (&of)[1 + sizeof...(X)],
                                         std::index_sequence<I...>, const X*... x) {
  y[of[0]] = f(x[of[1 + I]]...);
}

/// y = f(x...) element by element.
template <class F, class Y, class... X>
__global__ void __launch_bounds__(row_threads)
    transform_kernel(F f, ElementMap<1 + sizeof...(X)> map, Y* y, const X*... x) {
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t k = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; k < map.count; k += step) {
    std::size_t of[1 + sizeof...(X)];
    map.offsets(k, of);
    apply_at(f, y, of, std::make_index_sequence<sizeof...(X)>{}, x...);
  }
}

template <int W, class F, class Y, class... X>
__device__ __forceinline__ void apply_packs(F f, Y* y, const Raw<X, W>&... x) {
  Raw<Y, W> result;
#pragma unroll
  for (int j = 0; j < W; ++j) result.at[j] = f(x.at[j]...);
  *reinterpret_cast<Raw<Y, W>*>(y) = result;
}

template <int W, class F, class Y, class... X, std::size_t... I>
__device__ __forceinline__ void apply_packs_at(F f, const ElementMap<1 + sizeof...(X)>& map, std::size_t k, Y* y,
                                               std::index_sequence<I...>, const X*... x) {
  apply_packs<W, F, Y, X...>(f, y + k, load_raw<W>(x + k * map.strides[1 + I][0], map.strides[1 + I][0])...);
}

/// The same for tensors whose elements lie one after the other (stride 1) or are one for all (stride 0).
template <int W, class F, class Y, class... X>
__global__ void __launch_bounds__(row_threads)
    transform_packs_kernel(F f, ElementMap<1 + sizeof...(X)> map, Y* y, const X*... x) {
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x * W;
  for (std::size_t k = (std::size_t{blockIdx.x} * blockDim.x + threadIdx.x) * W; k < map.count; k += step)
    apply_packs_at<W>(f, map, k, y, std::make_index_sequence<sizeof...(X)>{}, x...);
}

/// y = f(x...), the x broadcast to the shape of y. Throws ShapeError where they do not.
template <class F, class Y, std::size_t Rank, class E, class... X>
void transform(const char* op, F f, TensorView<Y, Rank, E> y, cudaStream_t stream, const X&... x) {
  const ElementMap<1 + sizeof...(X)> map = element_map(y, x.template broadcast_to<Rank>(y.extents())...);
  constexpr std::size_t largest = std::max({sizeof(Y), sizeof(typename X::value_type)...});
  constexpr int width = static_cast<int>(16 / largest);
  bool packs =
      map.dims == 1 && map.strides[0][0] == 1 && map.count % width == 0 && is_aligned(y.data(), sizeof(Y) * width);
  [[maybe_unused]] const auto fits = [&](std::size_t stride, const auto* data) {
    return stride == 0 || (stride == 1 && is_aligned(data, sizeof(*data) * width));
  };
  std::size_t i = 0;
  ((packs = fits(map.strides[++i][0], x.data()) && packs), ...);
  if (packs) {
    launch(op, flat_launch(map.count / width, stream), transform_packs_kernel<width, F, Y, typename X::value_type...>,
           f, map, y.data(), x.data()...);
  } else {
    launch(op, flat_launch(map.count, stream), transform_kernel<F, Y, typename X::value_type...>, f, map, y.data(),
           x.data()...);
  }
}

}  // namespace weft::inline v0::cuda::detail
