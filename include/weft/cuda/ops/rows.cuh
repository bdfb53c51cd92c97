#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include <weft/core/tensor_view.hpp>
#include <weft/cuda/core/device_code.cuh>
#include <weft/cuda/core/device_tensor.cuh>
#include <weft/cuda/core/launch.cuh>

// What the kernels that work on one row (the last dimension) at a time share.
namespace weft::inline v0::cuda::detail {

/// Where the rows of N tensors of one shape begin.
template <std::size_t N>
struct RowMap {
  std::size_t rows = 0;
  int elements = 0;   // of a row
  unsigned dims = 0;  // that number the rows, outermost first
  std::size_t extents[max_rank];
  std::size_t strides[N][max_rank];
  std::size_t inner[N];  // from one element of a row to the next

  __device__ __forceinline__ std::size_t offset(std::size_t tensor, std::size_t row) const {
    if (dims == 1) return row * strides[tensor][0];
    std::size_t result = 0;
    for (unsigned d = dims; d-- > 0;) {
      result += row % extents[d] * strides[tensor][d];
      row /= extents[d];
    }
    return result;
  }
};

/// Rows that lie one after the other, in each of N tensors.
template <std::size_t N>
RowMap<N> contiguous_rows(std::size_t rows, std::size_t elements) {
  if (elements > std::size_t{1} << 30)  // so that an int holds what lies a block's threads beyond
    raise<UnsupportedError>("a row has ", elements, " elements, at most 2^30 are possible");
  RowMap<N> map;
  map.rows = elements == 0 ? 0 : rows;
  map.elements = static_cast<int>(elements);
  map.dims = 1;
  map.extents[0] = rows;
  for (std::size_t i = 0; i < N; ++i) {
    map.strides[i][0] = elements;
    map.inner[i] = 1;
  }
  return map;
}

/// Contiguous elements of N tensors as rows of a whole vector each, or as one row where that does not come out even.
template <std::size_t N>
RowMap<N> flat_rows(std::size_t elements) {
  constexpr std::size_t row = 1024;
  return elements % row == 0 ? contiguous_rows<N>(elements / row, row) : contiguous_rows<N>(1, elements);
}

/// The rows of views of one shape, checked; dimensions that lie in all of them as one are taken as one.
template <class First, class... Rest>
RowMap<1 + sizeof...(Rest)> row_map(const char* op, const First& first, const Rest&... rest) {
  constexpr std::size_t n = 1 + sizeof...(Rest);
  constexpr std::size_t rank = First::rank;
  (weft::detail::require_shape(op, "a tensor", rest.extents(), first.extents()), ...);
  const std::array<Dims<rank>, n> strides{first.strides(), rest.strides()...};
  RowMap<n> map = contiguous_rows<n>(first.empty() ? 0 : first.size() / first.extent(rank - 1), first.extent(rank - 1));
  map.dims = 0;
  for (std::size_t d = 0; d + 1 < rank; ++d) {
    const std::size_t extent = first.extent(d);
    if (extent == 1) continue;
    const auto continues = [&](std::size_t i) { return map.strides[i][map.dims - 1] == strides[i][d] * extent; };
    bool as_one = map.dims > 0;
    for (std::size_t i = 0; as_one && i < n; ++i) as_one = continues(i);
    if (!as_one) map.extents[map.dims++] = 1;
    map.extents[map.dims - 1] *= extent;
    for (std::size_t i = 0; i < n; ++i) map.strides[i][map.dims - 1] = strides[i][d];
  }
  if (map.dims == 0) {
    map.dims = 1;
    map.extents[0] = 1;
    for (std::size_t i = 0; i < n; ++i) map.strides[i][0] = 0;
  }
  for (std::size_t i = 0; i < n; ++i) map.inner[i] = first.extent(rank - 1) == 1 ? 1 : strides[i][rank - 1];
  return map;
}

/// The elements of a vector that goes with the last dimension of x, checked.
template <class V, class X>
auto* row_vector(const char* op, const char* what, const V& vector, const X& x) {
  const auto v = device_view(vector);
  static_assert(decltype(v)::rank == 1, "expected a vector");
  weft::detail::require_extent(op, what, v.extent(0), x.extent(X::rank - 1));
  if (!v.is_contiguous()) raise<ShapeError>(op, ": the elements of ", what, " must lie one after the other");
  return v.data();
}

/// Throws ShapeError where the elements of a row of a matrix lie apart.
template <class... V>
void require_contiguous_rows(const char* op, const V&... matrices) {
  const auto contiguous = [](const auto& v) { return v.extent(1) <= 1 || v.stride(1) == 1; };
  if (!(contiguous(matrices) && ...)) raise<ShapeError>(op, ": the elements of a row must lie one after the other");
}

inline bool is_aligned(const void* pointer, std::size_t bytes = 16) noexcept {
  return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
}

/// Whether the rows of all tensors can be loaded `width` elements at a time.
template <std::size_t N>
bool has_vector_rows(const RowMap<N>& map, int width, const std::array<const void*, N>& data) {
  if (map.elements % width != 0) return false;
  for (std::size_t i = 0; i < N; ++i) {
    if (map.inner[i] != 1 || !is_aligned(data[i])) return false;
    for (unsigned d = 0; d < map.dims; ++d)
      if (map.strides[i][d] % static_cast<std::size_t>(width) != 0) return false;
  }
  return true;
}

/// Calls f(std::integral_constant<int, W>{}) with the elements per load that rows of T allow: all of a vector or one.
template <class T, class F>
void with_row_width(bool vectors, F&& f) {
  if (vectors) {
    f(std::integral_constant<int, vector_width<T>>{});
  } else {
    f(std::integral_constant<int, 1>{});
  }
}

/// The threads of a block that works on rows, at most.
inline constexpr int row_threads = 512;

/// A warp for each of four rows where rows are short, otherwise a block for each.
inline Launch row_launch(std::size_t rows, int elements, int width, cudaStream_t stream) {
  const int packs = (elements + width - 1) / width;
  constexpr std::size_t most_blocks = std::size_t{1} << 20;
  if (packs <= 64)
    return {.grid = dim3(static_cast<unsigned>(std::min(most_blocks, (rows + 3) / 4))),
            .block = dim3(warp_threads, 4),
            .stream = stream};
  const int threads = std::min(row_threads, (packs + 63) / 64 * 32);
  return {.grid = dim3(static_cast<unsigned>(std::min(most_blocks, rows))),
          .block = dim3(static_cast<unsigned>(threads)),
          .stream = stream};
}

/// A thread for each of `threads` pieces of work, or for some of them one after the other.
inline Launch flat_launch(std::size_t threads, cudaStream_t stream) {
  constexpr std::size_t of_block = 256;
  constexpr std::size_t most_blocks = std::size_t{1} << 20;
  return {.grid = dim3(static_cast<unsigned>(std::min(most_blocks, (threads + of_block - 1) / of_block))),
          .block = dim3(static_cast<unsigned>(of_block)),
          .stream = stream};
}

/// Calls f(row) for the rows of the calling thread; all threads that share a row call it together.
template <class F>
__device__ __forceinline__ void for_each_row(std::size_t rows, F&& f) {
  const std::size_t step = std::size_t{gridDim.x} * blockDim.y;
  for (std::size_t row = std::size_t{blockIdx.x} * blockDim.y + threadIdx.y; row < rows; row += step) f(row);
}

/// What combine(group) makes of the values of all threads that share a row.
template <class Combine>
__device__ __forceinline__ float combine_row(float x, float neutral, Combine&& combine) {
  x = combine(x);
  if (blockDim.x == warp_threads) return x;
  __shared__ float of_warps[warp_threads];
  const unsigned lane = threadIdx.x % warp_threads;
  __syncthreads();  // the values of the call before have been read
  if (lane == 0) of_warps[threadIdx.x / warp_threads] = x;
  __syncthreads();
  return combine(lane < blockDim.x / warp_threads ? of_warps[lane] : neutral);
}
__device__ __forceinline__ float row_sum(float x) {
  return combine_row(x, 0.f, [](float value) { return group_sum(value); });
}
__device__ __forceinline__ float row_max(float x) {
  return combine_row(x, -INFINITY, [](float value) { return group_max(value); });
}

/// The elements of a row that a thread works on, W at a time: the first ones stay in registers from one pass to the
/// next, what a very long row has beyond them is read again.
template <int W>
class RowPart {
 public:
  /// f(pack, i) for the packs of the row, read from memory; i is the first element of a pack.
  template <class T, class F>
  __device__ __forceinline__ void load(const T* row, std::size_t inner, int n, F&& f) {
#pragma unroll
    for (int k = 0; k < kept; ++k)
      if (at(k) < n) {
        packs_[k].load(row + static_cast<std::size_t>(at(k)) * inner);
        f(packs_[k], at(k));
      }
    rest(row, inner, n, f);
  }
  /// f(pack, i) again.
  template <class T, class F>
  __device__ __forceinline__ void again(const T* row, std::size_t inner, int n, F&& f) {
#pragma unroll
    for (int k = 0; k < kept; ++k)
      if (at(k) < n) f(packs_[k], at(k));
    rest(row, inner, n, f);
  }

 private:
  static constexpr int kept = W > 1 ? 4 : 16;

  __device__ __forceinline__ static int at(int k) {
    return (k * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)) * W;
  }
  template <class T, class F>
  __device__ __forceinline__ void rest(const T* row, std::size_t inner, int n, F&& f) {
    for (int k = kept; at(k) < n; ++k) {
      Pack<W> pack;
      pack.load(row + static_cast<std::size_t>(at(k)) * inner);
      f(pack, at(k));
    }
  }

  Pack<W> packs_[kept];
};

/// Stores a pack at element i of a row.
template <int W, class T>
__device__ __forceinline__ void store_pack(const Pack<W>& pack, T* row, std::size_t inner, int i) {
  pack.store(row + static_cast<std::size_t>(i) * inner);
}

}  // namespace weft::inline v0::cuda::detail
