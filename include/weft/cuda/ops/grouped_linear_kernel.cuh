#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <weft/cuda/core/device_code.cuh>
#include <weft/cuda/ops/group_rows.cuh>
#include <weft/cuda/ops/quantized_kernel.cuh>

// Products of rows with the weights of their group, on tensor cores: a block takes a tile of rows of one group and 128
// rows of its weights. Which group and how many rows stands in device memory, so that nothing waits for the host; what
// there is to compute decides how many blocks have work. Weights in blocks become elements on their way into shared
// memory. The terms of a sum come in the order of k, 16 at a time, whatever the tile: a row gets the same bits beside
// any others.
namespace weft::inline v0::cuda::detail {

inline constexpr int grouped_threads = 256;
inline constexpr int grouped_columns = 128;          // rows of weights of a block
inline constexpr int grouped_k = 64;                 // elements of k of a step
inline constexpr int grouped_pitch = grouped_k + 8;  // no two of eight rows meet in a bank
inline constexpr int grouped_stages = 3;             // two of them on their way

/// Brings 128 rows of weights and one step of k to shared memory: begin(), then finish(), which may come much later.
template <class T, class Weights>
class WeightTile;

template <class T>
class WeightTile<T, HalfWeights<T>> {
 public:
  __device__ __forceinline__ WeightTile(const HalfWeights<T>& weights, int first, int rows)
      : w_(weights), first_(first), rows_(rows) {}

  __device__ __forceinline__ void begin(int step, T* to) {
    const auto thread = static_cast<int>(threadIdx.x);
    const int at = step * grouped_k + thread % 8 * 8;
    const bool there = at < w_.k;
#pragma unroll
    for (int i = 0; i < grouped_columns * 8 / grouped_threads; ++i) {
      const int row = thread / 8 + i * (grouped_threads / 8);
      const T* from = w_.data + static_cast<std::size_t>(min(first_ + row, rows_ - 1)) * w_.stride;
      copy_async_16(to + row * grouped_pitch + thread % 8 * 8, from + (there ? at : 0), there);
    }
  }
  __device__ __forceinline__ void finish(int, T*) {}

 private:
  HalfWeights<T> w_;
  int first_;
  int rows_;
};

template <class T, class Format>
class WeightTile<T, BlockWeights<T, Format>> {
  static constexpr int parts = grouped_columns * 4 / grouped_threads;  // of 16 elements, of a thread
  static constexpr int steps_of_group = Format::blocks / 2;

 public:
  __device__ __forceinline__ WeightTile(const BlockWeights<T, Format>& weights, int first, int rows)
      : w_(weights), first_(first), rows_(rows) {}

  __device__ __forceinline__ void begin(int step, T*) {
    const auto group = static_cast<std::size_t>(step / steps_of_group);
#pragma unroll
    for (int i = 0; i < parts; ++i) {
      const auto row = static_cast<std::size_t>(min(first_ + row_of(i), rows_ - 1));
      codes_[i] = w_.codes[(row * w_.groups + group) * 4 + threadIdx.x % 4];
      scales_[i] = Format::load_scales(w_.scales, row, group, w_.groups, w_.headers);
    }
  }
  __device__ __forceinline__ void finish(int step, T* to) {
    const auto group = static_cast<std::size_t>(step / steps_of_group);
#pragma unroll
    for (int i = 0; i < parts; ++i)
#pragma unroll
      for (int b = 0; b < 2; ++b) {
        const int block = step % steps_of_group * 2 + b;
        const BlockScale scale = Format::scale(scales_[i], block, group);
        Pack<8> pack;
#pragma unroll
        for (int j = 0; j < 8; ++j) pack.at[j] = scale.scale * Format::code(codes_[i], block, j) - scale.minimum;
        pack.store(to + row_of(i) * grouped_pitch + 32 * b + static_cast<int>(threadIdx.x) % 4 * 8);
      }
  }

 private:
  __device__ __forceinline__ static int row_of(int part) {
    return static_cast<int>(threadIdx.x) / 4 + part * (grouped_threads / 4);
  }

  BlockWeights<T, Format> w_;
  int first_;
  int rows_;
  uint4 codes_[parts];
  typename Format::Scales scales_[parts];
};

/// Rows of a product: y[order[i]] = weights x[order[i] / share], for `count` of them.
template <class T>
struct GroupedRows {
  const T* x;
  std::size_t x_stride;
  int share;
  const std::int32_t* order;
  int count;
};

/// A tile of M rows and the columns of y from `first` on. Eight warps, two by four, have M / 2 rows and 32 columns
/// each.
template <class T, class Weights, int M>
class GroupedBlock {
  static constexpr int fragments = M / 32;  // of 16 rows, of a warp
  static constexpr int stage_elements = (M + grouped_columns) * grouped_pitch;

 public:
  static constexpr std::size_t shared_bytes = std::size_t{grouped_stages} * stage_elements * sizeof(T);

  __device__ __forceinline__ GroupedBlock(const GroupedRows<T>& rows, const Weights& weights, int first, int columns,
                                          int k)
      : rows_(rows),
        weights_(weights, first, columns),
        first_(first),
        columns_(columns),
        k_(k),
        lane_(static_cast<int>(threadIdx.x) % 32),
        first_row_(static_cast<int>(threadIdx.x) / 128 * (M / 2)),
        first_column_(static_cast<int>(threadIdx.x) / 32 % 4 * 32),
        busy_((rows.count - first_row_ + 15) / 16) {
#pragma unroll
    for (int i = 0; i < M / 32; ++i) {
      const int row = static_cast<int>(threadIdx.x) / 8 + 32 * i;
      from_[i] = rows.x;
      if (row < rows.count) from_[i] += static_cast<std::size_t>(rows.order[row] / rows.share) * rows.x_stride;
    }
  }

  __device__ __forceinline__ void run(T* y) {
    const int steps = (k_ + grouped_k - 1) / grouped_k;
#pragma unroll
    for (int step = 0; step < grouped_stages - 1; ++step) {
      if (step < steps) begin(step), finish(step);
      copy_async_commit();
    }
    for (int step = 0; step < steps; ++step) {
      copy_async_wait<grouped_stages - 2>();
      __syncthreads();
      const int next = step + grouped_stages - 1;
      if (next < steps) begin(next);
      copy_async_commit();
      multiply(stage(step));
      if (next < steps) finish(next);
    }
    copy_async_wait<0>();
    store(y);
  }

 private:
  __device__ __forceinline__ static T* stage(int step) {
    return dynamic_shared<T>() + step % grouped_stages * stage_elements;
  }
  __device__ __forceinline__ static T* weights_of(T* stage) { return stage + M * grouped_pitch; }

  __device__ __forceinline__ void begin(int step) {
    const auto thread = static_cast<int>(threadIdx.x);
    const int at = step * grouped_k + thread % 8 * 8;
#pragma unroll
    for (int i = 0; i < M / 32; ++i) {
      const int row = thread / 8 + 32 * i;
      const bool there = row < rows_.count && at < k_;
      copy_async_16(stage(step) + row * grouped_pitch + thread % 8 * 8, from_[i] + (there ? at : 0), there);
    }
    weights_.begin(step, weights_of(stage(step)));
  }
  __device__ __forceinline__ void finish(int step) { weights_.finish(step, weights_of(stage(step))); }

  /// The address that a thread gives load_matrices for the 16 x 16 elements at (row, column) of a tile: in the order
  /// (0, 0), (8, 0), (0, 8), (8, 8) of 8 x 8.
  __device__ __forceinline__ const T* matrix(const T* tile, int row, int column) const {
    return tile + (row + lane_ % 16) * grouped_pitch + column + lane_ / 16 * 8;
  }

  __device__ __forceinline__ void multiply(T* from) {
    if (busy_ <= 0) return;
#pragma unroll
    for (int k = 0; k < grouped_k; k += 16) {
      std::uint32_t a[fragments][4];
#pragma unroll
      for (int i = 0; i < fragments; ++i)
        if (i < busy_) load_matrices(a[i], matrix(from, first_row_ + i * 16, k));
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        std::uint32_t b[4];
        load_matrices(b, matrix(weights_of(from), first_column_ + j * 16, k));
#pragma unroll
        for (int i = 0; i < fragments; ++i) {
          if (i >= busy_) continue;
          multiply_add<T>(sums_[i][2 * j], a[i], b[0], b[2]);
          multiply_add<T>(sums_[i][2 * j + 1], a[i], b[1], b[3]);
        }
      }
    }
  }

  __device__ __forceinline__ void store(T* y) {
    const bool pairs = columns_ % 2 == 0 && reinterpret_cast<std::uintptr_t>(y) % 4 == 0;
#pragma unroll
    for (int i = 0; i < fragments; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = first_row_ + i * 16 + lane_ / 4 + 8 * half;
        if (row >= rows_.count) continue;
        T* to = y + static_cast<std::size_t>(rows_.order[row]) * static_cast<std::size_t>(columns_);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const int column = first_ + first_column_ + j * 8 + lane_ % 4 * 2;
          const float low = sums_[i][j][2 * half];
          const float high = sums_[i][j][2 * half + 1];
          if (pairs && column < columns_) {
            *reinterpret_cast<std::uint32_t*>(to + column) = pack_two<T>(low, high);
          } else if (column < columns_) {
            to[column] = from_float<T>(low);
            if (column + 1 < columns_) to[column + 1] = from_float<T>(high);
          }
        }
      }
  }

  GroupedRows<T> rows_;
  WeightTile<T, Weights> weights_;
  int first_;
  int columns_;
  int k_;
  int lane_;
  int first_row_;
  int first_column_;
  int busy_;  // fragments of the warp that have rows
  const T* from_[M / 32];
  float sums_[fragments][4][4] = {};
};

/// Where the weights of groups lie: listed on the device, with rows at multiples of 16 bytes where k is one of 8 ...
template <class W>
struct ListedWeights {
  using Weights = W;
  const W* all;  // (groups)

  bool in_vectors() const noexcept { return true; }
  __device__ __forceinline__ W of(int group) const { return all[group]; }
};
/// ... or one after the other, so many rows each.
template <class W>
struct StackedWeights {
  using Weights = W;
  W first;
  std::size_t rows;

  bool in_vectors() const noexcept { return first.in_vectors(); }
  __device__ __forceinline__ W of(int group) const { return first.from_row(static_cast<std::size_t>(group) * rows); }
};

/// The weights of all groups, and where the product goes.
template <class T, class Weights>
struct GroupedPart {
  Weights weights;
  T* y;  // (rows, columns)
};
template <class T, class Weights, std::size_t N>
struct GroupedParts {
  GroupedPart<T, Weights> at[N];
};

/// A column of blocks for every tile of rows that there may be, so that blocks that share weights follow each other.
template <class T, class Weights, int M, std::size_t N>
__global__ void __launch_bounds__(grouped_threads, M == 64 ? 2 : 1)
    grouped_linear_kernel(const T* x, std::size_t x_stride, int share, RowGroups rows, int groups,
                          const __grid_constant__ GroupedParts<T, Weights, N> parts, int columns, int k) {
  const auto tile = static_cast<int>(blockIdx.x);
  if (tile >= rows.first_tile[groups]) return;
  __shared__ int group_of_tile;
  for (int g = static_cast<int>(threadIdx.x); g < groups; g += grouped_threads)
    if (rows.first_tile[g] <= tile && tile < rows.first_tile[g + 1]) group_of_tile = g;
  __syncthreads();
  const int group = group_of_tile;
  const int begin = rows.first[group] + (tile - rows.first_tile[group]) * M;
  const int count = min(M, rows.first[group + 1] - begin);
  const int blocks = (columns + grouped_columns - 1) / grouped_columns;
  const auto block = static_cast<int>(blockIdx.y);
  const GroupedPart<T, Weights>& part = parts.at[block / blocks];
  GroupedBlock<T, typename Weights::Weights, M> own({x, x_stride, share, rows.order + begin, count},
                                                    part.weights.of(group), block % blocks * grouped_columns, columns,
                                                    k);
  own.run(part.y);
}

/// The same for rows that cannot be loaded 16 bytes at a time: a warp for each element of y.
template <class T, class Weights, std::size_t N>
__global__ void __launch_bounds__(grouped_threads)
    grouped_elements_kernel(const T* x, std::size_t x_stride, int share, RowGroups rows, int groups,
                            const __grid_constant__ GroupedParts<T, Weights, N> parts, int columns, int k) {
  const auto place = static_cast<int>(blockIdx.x);
  if (place >= rows.first[groups]) return;
  int group = 0;
  while (rows.first[group + 1] <= place) ++group;
  const auto at = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  if (at >= static_cast<int>(N) * columns) return;
  const GroupedPart<T, Weights>& part = parts.at[at / columns];
  const auto column = static_cast<std::size_t>(at % columns);
  const auto row = static_cast<std::size_t>(rows.order[place]);
  const T* from = x + row / static_cast<std::size_t>(share) * x_stride;
  const float sum = group_sum(part.weights.of(group).dot(column, from, k));
  if (threadIdx.x == 0) part.y[row * static_cast<std::size_t>(columns) + column] = from_float<T>(sum);
}

/// For each of N matrices of one shape (columns, k) per group: y[r] = W x[r / share], r a row of group g and W the
/// matrix of g. x: rows x_stride apart. groups: of group_rows() for so many rows and groups. Rows that belong to no
/// group stay what they are.
template <class T, class Weights, std::size_t N>
void launch_grouped_linear(const T* x, std::size_t x_stride, std::size_t share, const RowGroups& groups,
                           std::size_t rows, std::size_t group_count, const GroupedParts<T, Weights, N>& parts,
                           std::size_t columns, std::size_t k, cudaStream_t stream) {
  bool vectors = k % 8 == 0 && x_stride % 8 == 0 && is_aligned(x);
  for (const GroupedPart<T, Weights>& part : parts.at) vectors = vectors && part.weights.in_vectors();
  if (!vectors)
    return launch("grouped_linear",
                  {.grid = dim3(static_cast<unsigned>(rows), static_cast<unsigned>((N * columns + 7) / 8)),
                   .block = dim3(32, 8),
                   .stream = stream},
                  grouped_elements_kernel<T, Weights, N>, x, x_stride, static_cast<int>(share), groups,
                  static_cast<int>(group_count), parts, static_cast<int>(columns), static_cast<int>(k));
  with_row_tile(rows, group_count, [&](auto tile) {
    constexpr int m = decltype(tile)::value;
    const std::size_t most_tiles = rows / m + (group_count < rows ? group_count : rows);
    const std::size_t blocks = N * ((columns + grouped_columns - 1) / grouped_columns);
    launch("grouped_linear",
           {.grid = dim3(static_cast<unsigned>(most_tiles), static_cast<unsigned>(blocks)),
            .block = dim3(grouped_threads),
            .shared_bytes = GroupedBlock<T, typename Weights::Weights, m>::shared_bytes,
            .stream = stream},
           grouped_linear_kernel<T, Weights, m, N>, x, x_stride, static_cast<int>(share), groups,
           static_cast<int>(group_count), parts, static_cast<int>(columns), static_cast<int>(k));
  });
}

}  // namespace weft::inline v0::cuda::detail
