#pragma once

#include <cstddef>

#include <weft/core/token_id.hpp>
#include <weft/cuda/ops/rows.cuh>

namespace weft::inline v0::cuda {

namespace detail {

template <Storage W, Storage T, int N>
__global__ void __launch_bounds__(row_threads)
    embedding_kernel(const TokenId* ids, const W* table, T* y, std::size_t tokens, std::size_t vocab,
                     std::size_t hidden, std::size_t y_stride) {
  const std::size_t packs = hidden / N;
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t k = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; k < tokens * packs; k += step) {
    const std::size_t token = k / packs;
    const std::size_t i = k % packs * N;
    const TokenId id = ids[token];
    Pack<N> pack;
    if (id >= 0 && static_cast<std::size_t>(id) < vocab) {
      pack.load(table + static_cast<std::size_t>(id) * hidden + i);
    } else {
#pragma unroll
      for (int j = 0; j < N; ++j) pack.at[j] = NAN;
    }
    pack.store(y + token * y_stride + i);
  }
}

template <Storage W, Storage T>
void embedding(const TokenId* ids, const W* table, T* y, std::size_t tokens, std::size_t vocab, std::size_t hidden,
               std::size_t y_stride, cudaStream_t stream) {
  constexpr auto width = static_cast<std::size_t>(vector_width<T>);
  const bool vectors = hidden % width == 0 && y_stride % width == 0 && is_aligned(table) && is_aligned(y);
  with_row_width<T>(vectors, [&](auto n) {
    launch("embedding", flat_launch(tokens * (hidden / n()), stream), embedding_kernel<W, T, decltype(n)::value>, ids,
           table, y, tokens, vocab, hidden, y_stride);
  });
}

}  // namespace detail

/// y[t] = table[ids[t]].
///
/// ids: (tokens). table: (vocab, hidden). y: (tokens, hidden). All contiguous device memory. An id outside [0, vocab)
/// makes its row NaN. Throws CudaError.
template <Storage W, Storage T>
void embedding(const TokenId* ids, const W* table, T* y, std::size_t tokens, std::size_t vocab, std::size_t hidden,
               cudaStream_t stream = {}) {
  detail::embedding(ids, table, y, tokens, vocab, hidden, hidden, stream);
}

/// The same on tensors; the rows of y may lie apart. Throws ShapeError where shapes differ.
template <DeviceTensorLike W, DeviceTensorLike Y>
void embedding(TensorView<const TokenId, 1> ids, const W& table, Y&& y, cudaStream_t stream = {}) {
  const auto rows = device_view(table);
  const auto to = device_view(y);
  static_assert(decltype(rows)::rank == 2 && decltype(to)::rank == 2, "embedding: table and y are matrices");
  weft::detail::require_shape("embedding", "y", to.extents(), Dims<2>{ids.extent(0), rows.extent(1)});
  if (!rows.is_contiguous() || !ids.is_contiguous() || (to.extent(1) > 1 && to.stride(1) != 1))
    raise<ShapeError>("embedding: ids, the table and the elements of a row of y must lie one after the other");
  detail::embedding(ids.data(), rows.data(), to.data(), ids.extent(0), rows.extent(0), rows.extent(1), to.stride(0),
                    stream);
}

}  // namespace weft::inline v0::cuda
