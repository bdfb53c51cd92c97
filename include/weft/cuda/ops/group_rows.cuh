#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <weft/cuda/ops/rows.cuh>

namespace weft::inline v0::cuda {

/// Numbers of rows, sorted by the group that a row belongs to, in device memory: what group_rows() fills.
struct RowGroups {
  std::int32_t* order = nullptr;       ///< (rows) the rows of group 0, then those of group 1, and so on
  std::int32_t* first = nullptr;       ///< (groups + 1) where the rows of a group begin
  std::int32_t* first_tile = nullptr;  ///< (groups + 1) the same counted in tiles, of which a group fills whole ones

  RowGroups() = default;
  /// In memory of elements_for().
  RowGroups(std::int32_t* memory, std::size_t rows, std::size_t groups) noexcept
      : order(memory), first(memory + rows), first_tile(first + groups + 1) {}

  static constexpr std::size_t elements_for(std::size_t rows, std::size_t groups) noexcept {
    return rows + 2 * (groups + 1);
  }
};

namespace detail {

/// Calls f(std::integral_constant<int, rows of a tile>{}): small tiles waste less where groups are small.
template <class F>
void with_row_tile(std::size_t rows, std::size_t groups, F&& f) {
  if (rows > 64 * groups) return f(std::integral_constant<int, 128>{});
  f(std::integral_constant<int, 64>{});
}

/// One block. Which of the rows of a group comes first is left to chance: every row is computed alike.
template <int TileRows>
__global__ void __launch_bounds__(1024)
    group_rows_kernel(const std::int32_t* group, const float* weights, int rows, int groups, RowGroups to) {
  auto* counts = dynamic_shared<std::int32_t>();  // (groups), then where the next row of a group goes
  const auto thread = static_cast<int>(threadIdx.x);
  const auto step = static_cast<int>(blockDim.x);
  const auto tiles_of = [](int count) { return (count + TileRows - 1) / TileRows; };
  for (int g = thread; g < groups; g += step) counts[g] = 0;
  __syncthreads();
  for (int i = thread; i < rows; i += step)
    if (weights[i] != 0.f) atomicAdd(counts + group[i], 1);
  __syncthreads();
  if (thread < 32) {
    const int strip = (groups + 31) / 32;
    const int begin = min(thread * strip, groups);
    const int end = min(begin + strip, groups);
    int row = 0;
    int tile = 0;
    for (int g = begin; g < end; ++g) row += counts[g], tile += tiles_of(counts[g]);
    const int own_rows = row;
    const int own_tiles = tile;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
      const int rows_before = __shfl_up_sync(whole_warp, row, static_cast<unsigned>(distance));
      const int tiles_before = __shfl_up_sync(whole_warp, tile, static_cast<unsigned>(distance));
      if (thread >= distance) row += rows_before, tile += tiles_before;
    }
    row -= own_rows;
    tile -= own_tiles;
    for (int g = begin; g < end; ++g) {
      const int count = counts[g];
      counts[g] = to.first[g] = row;
      to.first_tile[g] = tile;
      row += count;
      tile += tiles_of(count);
    }
    if (thread == 31) to.first[groups] = row, to.first_tile[groups] = tile;
  }
  __syncthreads();
  for (int i = thread; i < rows; i += step)
    if (weights[i] != 0.f) to.order[atomicAdd(counts + group[i], 1)] = i;
}

}  // namespace detail

/// Sorts the numbers of rows by group, by counting. group: (rows), in [0, groups). weights: (rows); a row of weight 0
/// belongs to no group. Device memory. Throws CudaError.
inline void group_rows(const std::int32_t* group, const float* weights, std::size_t rows, std::size_t groups,
                       const RowGroups& to, cudaStream_t stream = {}) {
  detail::with_row_tile(rows, groups, [&](auto tile) {
    detail::launch(
        "group_rows",
        {.grid = dim3(1), .block = dim3(1024), .shared_bytes = groups * sizeof(std::int32_t), .stream = stream},
        detail::group_rows_kernel<decltype(tile)::value>, group, weights, static_cast<int>(rows),
        static_cast<int>(groups), to);
  });
}

}  // namespace weft::inline v0::cuda
