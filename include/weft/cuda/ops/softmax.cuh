#pragma once

#include <cstddef>

#include <weft/cuda/ops/rows.cuh>

namespace weft::inline v0::cuda {

namespace detail {

template <Storage T, int W, bool Log>
__global__ void __launch_bounds__(row_threads) softmax_kernel(const T* x, T* y, RowMap<2> map) {
  const int n = map.elements;
  for_each_row(map.rows, [&](std::size_t row) {
    const T* from = x + map.offset(0, row);
    T* to = y + map.offset(1, row);
    RowPart<W> part;
    float largest = -INFINITY;
    part.load(from, map.inner[0], n, [&](Pack<W>& pack, int) {
#pragma unroll
      for (int j = 0; j < W; ++j) largest = pack.at[j] > largest || pack.at[j] != pack.at[j] ? pack.at[j] : largest;
    });
    largest = row_max(largest);
    float sum = 0.f;
    part.again(from, map.inner[0], n, [&](Pack<W>& pack, int) {
#pragma unroll
      for (int j = 0; j < W; ++j) sum += expf(pack.at[j] - largest);
    });
    sum = row_sum(sum);
    const float log_sum = Log ? logf(sum) : 0.f;
    const float scale = 1.f / sum;
    part.again(from, map.inner[0], n, [&](Pack<W>& pack, int i) {
      Pack<W> result;
#pragma unroll
      for (int j = 0; j < W; ++j) {
        const float shifted = pack.at[j] - largest;
        result.at[j] = Log ? shifted - log_sum : expf(shifted) * scale;
      }
      store_pack(result, to, map.inner[1], i);
    });
  });
}

template <bool Log, Storage T>
void softmax(const T* x, T* y, const RowMap<2>& map, cudaStream_t stream) {
  with_row_width<T>(has_vector_rows(map, vector_width<T>, {x, y}), [&](auto width) {
    launch("softmax", row_launch(map.rows, map.elements, width(), stream),
           softmax_kernel<T, decltype(width)::value, Log>, x, y, map);
  });
}

}  // namespace detail

/// y = e^x / sum of e^x along each row, computed from x - max x; see weft::softmax, also for NaN and infinity. Sums in
/// float.
///
/// x, y: (rows, elements), contiguous device memory, may be the same. Throws CudaError.
template <Storage T>
void softmax(const T* x, T* y, std::size_t rows, std::size_t elements, cudaStream_t stream = {}) {
  detail::softmax<false>(x, y, detail::contiguous_rows<2>(rows, elements), stream);
}
/// y = (x - max x) - log of the sum of e^(x - max x) along each row.
template <Storage T>
void log_softmax(const T* x, T* y, std::size_t rows, std::size_t elements, cudaStream_t stream = {}) {
  detail::softmax<true>(x, y, detail::contiguous_rows<2>(rows, elements), stream);
}

/// The same along one dimension of tensors of any rank and strides. Throws ShapeError where shapes differ.
template <DeviceTensorLike X, DeviceTensorLike Y>
void softmax(const X& x, Y&& y, int dim = -1, cudaStream_t stream = {}) {
  const auto from = device_view(x).transpose(dim, -1);
  const auto to = device_view(y).transpose(dim, -1);
  detail::softmax<false>(from.data(), to.data(), detail::row_map("softmax", from, to), stream);
}
template <DeviceTensorLike X, DeviceTensorLike Y>
void log_softmax(const X& x, Y&& y, int dim = -1, cudaStream_t stream = {}) {
  const auto from = device_view(x).transpose(dim, -1);
  const auto to = device_view(y).transpose(dim, -1);
  detail::softmax<true>(from.data(), to.data(), detail::row_map("log_softmax", from, to), stream);
}

}  // namespace weft::inline v0::cuda
