#pragma once

#include <cstddef>
#include <cstdint>

#include <weft/cuda/ops/rows.cuh>

// The product of up to 16 tokens with weights that are read once, for half precision and for block formats. A block
// works on 16 rows, its warps on different parts of k; tensor cores multiply, so that the time is that of reading.
//
// Sums over k may take their terms in any order as long as weights and tokens agree. So the fragments of
// multiply_add() are filled with what one load of 16 bytes brings: of every block of 32 elements, the thread that holds
// the fragment's columns q and q + 8 gets the elements 8 t to 8 t + 7, t = q / 2, four of them for each of two
// products.
namespace weft::inline v0::cuda::detail {

inline constexpr int linear_warps = 8;
inline constexpr int linear_rows = 16;
inline constexpr int most_linear_tokens = 16;

/// sums += 16 rows of a block of 32 weights, given as the eight elements of each of the thread's two rows, times the
/// tokens' elements.
template <class T>
__device__ __forceinline__ void multiply_block(float (&sums)[4], const std::uint32_t (&low)[4],
                                               const std::uint32_t (&high)[4], const uint4& tokens) {
  const std::uint32_t first[4] = {low[0], high[0], low[1], high[1]};
  multiply_add<T>(sums, first, tokens.x, tokens.y);
  const std::uint32_t second[4] = {low[2], high[2], low[3], high[3]};
  multiply_add<T>(sums, second, tokens.z, tokens.w);
}

/// Weights of type T, (rows, k), rows `stride` apart; k is a multiple of 8 and all rows lie at multiples of 16 bytes.
template <class T>
struct HalfWeights {
  static constexpr int blocks = 2;  // of 32 elements, in one step

  const T* data;
  std::size_t stride;
  int k;

  struct Chunk {
    uint4 low[blocks];
    uint4 high[blocks];
  };

  __device__ __forceinline__ Chunk load(int low_row, int high_row, int step, int t) const {
    Chunk chunk;
#pragma unroll
    for (int b = 0; b < blocks; ++b) {
      const int at = (step * blocks + b) * 32 + 8 * t;
      chunk.low[b] = chunk.high[b] = uint4{0, 0, 0, 0};
      if (at >= k) continue;
      chunk.low[b] = load_streaming(data + static_cast<std::size_t>(low_row) * stride + at);
      chunk.high[b] = load_streaming(data + static_cast<std::size_t>(high_row) * stride + at);
    }
    return chunk;
  }
  template <int N>
  __device__ __forceinline__ void multiply(float (&sums)[N][4], const Chunk& chunk, const uint4 (&x)[N][blocks]) const {
#pragma unroll
    for (int b = 0; b < blocks; ++b) {
      const std::uint32_t low[4] = {chunk.low[b].x, chunk.low[b].y, chunk.low[b].z, chunk.low[b].w};
      const std::uint32_t high[4] = {chunk.high[b].x, chunk.high[b].y, chunk.high[b].z, chunk.high[b].w};
#pragma unroll
      for (int n = 0; n < N; ++n) multiply_block<T>(sums[n], low, high, x[n][b]);
    }
  }
};

/// y (tokens, rows) = x (tokens, k) weights^T + bias; see the top of the file. N: tiles of eight tokens.
template <class T, class Y, class Weights, int N>
__global__ void __launch_bounds__(32 * linear_warps)
    linear_kernel(const T* x, std::size_t x_stride, int tokens, Weights weights, const T* bias, Y* y,
                  std::size_t y_stride, int rows, int k) {
  constexpr int blocks = Weights::blocks;
  constexpr int columns = 8 * N;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int g = lane / 4;
  const int t = lane % 4;
  const int first = static_cast<int>(blockIdx.x) * linear_rows;
  const int low_row = min(first + g, rows - 1);
  const int high_row = min(first + g + 8, rows - 1);
  const int steps = (k + 32 * blocks - 1) / (32 * blocks);
  float sums[N][4] = {};
  if (warp < steps) {
    auto chunk = weights.load(low_row, high_row, warp, t);
    for (int step = warp; step < steps; step += linear_warps) {
      auto next = chunk;
      if (step + linear_warps < steps) next = weights.load(low_row, high_row, step + linear_warps, t);
      uint4 own[N][blocks];
#pragma unroll
      for (int n = 0; n < N; ++n)
#pragma unroll
        for (int b = 0; b < blocks; ++b) {
          const int token = n * 8 + g;
          const int at = (step * blocks + b) * 32 + 8 * t;
          own[n][b] = uint4{0, 0, 0, 0};
          if (token < tokens && at < k)
            own[n][b] = *reinterpret_cast<const uint4*>(x + static_cast<std::size_t>(token) * x_stride + at);
        }
      weights.template multiply<N>(sums, chunk, own);
      chunk = next;
    }
  }
  // The parts of k, in the order of the warps.
  __shared__ float parts[linear_warps][linear_rows][columns + 1];
#pragma unroll
  for (int n = 0; n < N; ++n)
#pragma unroll
    for (int j = 0; j < 4; ++j) parts[warp][g + j / 2 * 8][n * 8 + 2 * t + j % 2] = sums[n][j];
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < linear_rows * columns; i += 32 * linear_warps) {
    const int row = first + i % linear_rows;
    const int token = i / linear_rows;
    if (row >= rows || token >= tokens) continue;
    float sum = bias ? to_float(bias[row]) : 0.f;
#pragma unroll
    for (int w = 0; w < linear_warps; ++w) sum += parts[w][i % linear_rows][token];
    y[static_cast<std::size_t>(token) * y_stride + static_cast<std::size_t>(row)] = from_float<Y>(sum);
  }
}

/// The same for rows that cannot be loaded 16 bytes at a time: a warp for each row.
template <class T, class Y>
__global__ void __launch_bounds__(row_threads)
    linear_elements_kernel(const T* x, std::size_t x_stride, int tokens, const T* weight, std::size_t stride,
                           const T* bias, Y* y, std::size_t y_stride, int rows, int k) {
  const auto row = static_cast<int>(blockIdx.x * blockDim.y + threadIdx.y);
  if (row >= rows) return;
  const T* own = weight + static_cast<std::size_t>(row) * stride;
  for (int token = 0; token < tokens; ++token) {
    const T* from = x + static_cast<std::size_t>(token) * x_stride;
    float sum = 0.f;
    for (int i = static_cast<int>(threadIdx.x); i < k; i += 32) sum = fmaf(to_float(own[i]), to_float(from[i]), sum);
    sum = group_sum(sum);
    if (threadIdx.x == 0)
      y[static_cast<std::size_t>(token) * y_stride + static_cast<std::size_t>(row)] =
          from_float<Y>(sum + (bias ? to_float(bias[row]) : 0.f));
  }
}

template <class T, class Y, class Weights>
void launch_linear(const T* x, std::size_t x_stride, std::size_t tokens, const Weights& weights, const T* bias, Y* y,
                   std::size_t y_stride, std::size_t rows, std::size_t k, cudaStream_t stream) {
  if (tokens == 0) return;
  const Launch at{.grid = dim3(static_cast<unsigned>((rows + linear_rows - 1) / linear_rows)),
                  .block = dim3(32 * linear_warps),
                  .stream = stream};
  const auto kernel = tokens <= 8 ? linear_kernel<T, Y, Weights, 1> : linear_kernel<T, Y, Weights, 2>;
  launch("linear", at, kernel, x, x_stride, static_cast<int>(tokens), weights, bias, y, y_stride,
         static_cast<int>(rows), static_cast<int>(k));
}

}  // namespace weft::inline v0::cuda::detail
