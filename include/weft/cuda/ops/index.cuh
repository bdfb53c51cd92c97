#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include <weft/cuda/ops/traverse.cuh>

// Selection by index on tensors of device memory, with PyTorch's semantics. Index tensors hold i32 or i64.

namespace weft::inline v0::cuda {

namespace detail {

/// y = x at the index: x moves by x_stride with it, and by the map otherwise.
template <class T, class I>
__global__ void __launch_bounds__(row_threads)
    gather_kernel(ElementMap<3> map, T* y, const T* x, const I* index, std::size_t extent, std::size_t x_stride) {
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t k = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; k < map.count; k += step) {
    std::size_t of[3];
    map.offsets(k, of);
    const auto at = static_cast<std::int64_t>(index[of[2]]);
    if (at >= 0 && static_cast<std::size_t>(at) < extent) {
      y[of[0]] = x[of[1] + static_cast<std::size_t>(at) * x_stride];
    } else if constexpr (Storage<T>) {
      y[of[0]] = from_float<T>(NAN);
    } else {
      y[of[0]] = T{};
    }
  }
}

template <class X, class I, std::size_t Rank, class Y>
void gather(const char* op, const TensorView<X, Rank>& x, std::size_t dim, const TensorView<I, Rank>& index, const Y& y,
            cudaStream_t stream) {
  weft::detail::require_shape(op, "y", y.extents(), index.extents());
  Dims<Rank> still = x.strides();
  still[dim] = 0;
  const TensorView<X, Rank> from(x.data(), index.extents(), still);
  using T = std::remove_const_t<X>;
  launch(op, flat_launch(y.size(), stream), gather_kernel<T, std::remove_const_t<I>>, element_map(y, from, index),
         y.data(), x.data(), index.data(), x.extent(dim), x.stride(dim));
}

}  // namespace detail

/// y[.., i, ..] = x[.., index[.., i, ..], ..] with i and the index in dimension `dim`; y has the shape of the index,
/// whose extents outside `dim` are at most those of x. An index outside x gives NaN, 0 or false. Throws ShapeError
/// where shapes do not fit.
template <DeviceTensorLike X, DeviceTensorLike Index, DeviceTensorLike Y>
void gather(const X& x, int dim, const Index& index, Y&& y, cudaStream_t stream = {}) {
  constexpr std::size_t rank = device_rank_of<X>;
  static_assert(device_rank_of<Index> == rank, "gather: x and index have the same rank");
  const TensorView<const device_value_t<X>, rank> from(device_view(x));
  const TensorView<const device_value_t<Index>, rank> at(device_view(index));
  const std::size_t d = weft::detail::resolve_dim(dim, rank);
  for (std::size_t i = 0; i < rank; ++i)
    if (i != d && at.extent(i) > from.extent(i))
      raise<ShapeError>("gather: the index of shape ", to_string(at.extents()), " is larger than ",
                        to_string(from.extents()), " outside dimension ", d);
  detail::gather("gather", from, d, at, device_view(y), stream);
}

/// y[.., i, ..] = x[.., index[i], ..]: the slices of one dimension that a rank-1 index names, in its order. An index
/// outside x gives NaN, 0 or false. Throws ShapeError where shapes do not fit.
template <DeviceTensorLike X, DeviceTensorLike Index, DeviceTensorLike Y>
void index_select(const X& x, int dim, const Index& index, Y&& y, cudaStream_t stream = {}) {
  constexpr std::size_t rank = device_rank_of<X>;
  static_assert(device_rank_of<Index> == 1, "index_select: the index has rank 1");
  const TensorView<const device_value_t<X>, rank> from(device_view(x));
  const TensorView<const device_value_t<Index>, 1> of(device_view(index));
  const std::size_t d = weft::detail::resolve_dim(dim, rank);
  Dims<rank> extents = from.extents();
  Dims<rank> strides{};
  extents[d] = of.extent(0);
  strides[d] = of.stride(0);
  detail::gather("index_select", from, d, TensorView<const device_value_t<Index>, rank>(of.data(), extents, strides),
                 device_view(y), stream);
}

}  // namespace weft::inline v0::cuda
