#pragma once

#include <cstddef>

#include <weft/cuda/ops/elementwise.cuh>

namespace weft::inline v0::cuda {

/// y = the parts, at least one, one after the other along dimension `dim`. Throws ShapeError where shapes do not fit.
///
///   cat(0, y, stream, past, present);
template <DeviceTensorLike Y, DeviceTensorLike... Parts>
void cat(int dim, Y&& y, cudaStream_t stream, const Parts&... parts) {
  static_assert(sizeof...(Parts) > 0, "cat: there is nothing to join");
  const auto to = device_view(y);
  constexpr std::size_t rank = decltype(to)::rank;
  const std::size_t d = weft::detail::resolve_dim(dim, rank);
  Dims<rank> extents = to.extents();
  extents[d] = (std::size_t{0} + ... + device_view(parts).extent(d));
  weft::detail::require_shape("cat", "y", to.extents(), extents);
  std::size_t start = 0;
  const auto append = [&](const auto& part) {
    const auto place = to.narrow(static_cast<int>(d), start, part.extent(d));
    weft::detail::require_shape("cat", "a part", part.extents(), place.extents());
    copy(part, place, stream);
    start += part.extent(d);
  };
  (append(device_view(parts)), ...);
}

}  // namespace weft::inline v0::cuda
