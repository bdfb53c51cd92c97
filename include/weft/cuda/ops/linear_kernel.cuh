#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

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
  static constexpr int blocks = 2;    // of 32 elements, in one step
  static constexpr int resident = 4;  // blocks of threads on a multiprocessor that registers allow, for eight tokens

  const T* data;
  std::size_t stride;
  int k;

  __device__ __forceinline__ const HalfWeights& of(unsigned) const { return *this; }
  /// Whether rows can be loaded 16 bytes at a time.
  bool in_vectors() const noexcept { return k % 8 == 0 && stride % 8 == 0 && is_aligned(data); }
  /// Those from a row on.
  __device__ __forceinline__ HalfWeights from_row(std::size_t row) const { return {data + row * stride, stride, k}; }
  /// A lane's part of the product of a row with x, which need not be aligned, as the weights need not be here.
  __device__ __forceinline__ float dot(std::size_t row, const T* x, int) const {
    const T* own = data + row * stride;
    float sum = 0.f;
    for (int i = static_cast<int>(threadIdx.x); i < k; i += 32) sum = fmaf(to_float(own[i]), to_float(x[i]), sum);
    return sum;
  }

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

/// Of weights of one format and shape on the device, those that numbers on the device choose, one for each blockIdx.y.
template <class Weights>
struct ChosenWeights {
  static constexpr int blocks = Weights::blocks;
  static constexpr int resident = Weights::resident;

  const Weights* all;
  const std::int32_t* chosen;

  __device__ __forceinline__ Weights of(unsigned slot) const { return all[chosen[slot]]; }
};

/// One of the products of the same tokens that a launch computes: y (tokens, rows) = x (tokens, k) weights^T + bias.
template <class T, class Y, class Weights>
struct LinearPart {
  Weights weights;
  const T* bias;  // or null
  Y* y;
  std::size_t y_stride;
  int rows;
  int first_block;  // set by launch_linear()
};

/// Up to three of them, and how far x and y of one blockIdx.y lie behind those of the one before.
template <class T, class Y, class Weights>
struct LinearParts {
  static constexpr int most = 3;

  LinearPart<T, Y, Weights> at[most];
  std::size_t x_step = 0;
  std::size_t y_step = 0;
};

/// See the top of the file. N: tiles of eight tokens.
template <class T, class Y, class Weights, int N>
__global__ void __launch_bounds__(32 * linear_warps, N == 1 ? Weights::resident : 2)
    linear_kernel(const T* x, std::size_t x_stride, int tokens,
                  const __grid_constant__ LinearParts<T, Y, Weights> parts_of_rows, int k) {
  constexpr int blocks = Weights::blocks;
  constexpr int columns = 8 * N;
  const auto block = static_cast<int>(blockIdx.x);
  int which = 0;
#pragma unroll
  for (int i = 1; i < LinearParts<T, Y, Weights>::most; ++i) which += block >= parts_of_rows.at[i].first_block ? 1 : 0;
  const LinearPart<T, Y, Weights>& part = parts_of_rows.at[which];
  const auto weights = part.weights.of(blockIdx.y);
  x += blockIdx.y * parts_of_rows.x_step;
  const int rows = part.rows;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int g = lane / 4;
  const int t = lane % 4;
  const int first = (block - part.first_block) * linear_rows;
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
    float sum = part.bias ? to_float(part.bias[row]) : 0.f;
#pragma unroll
    for (int w = 0; w < linear_warps; ++w) sum += parts[w][i % linear_rows][token];
    part.y[blockIdx.y * parts_of_rows.y_step + static_cast<std::size_t>(token) * part.y_stride +
           static_cast<std::size_t>(row)] = from_float<Y>(sum);
  }
}

/// The same for rows that cannot be loaded 16 bytes at a time: a warp for each row.
template <class T, class Y, class Weights>
__global__ void __launch_bounds__(row_threads)
    linear_elements_kernel(const T* x, std::size_t x_stride, int tokens, Weights weights, const T* bias, Y* y,
                           std::size_t y_stride, int rows, int k) {
  const auto row = static_cast<int>(blockIdx.x * blockDim.y + threadIdx.y);
  if (row >= rows) return;
  for (int token = 0; token < tokens; ++token) {
    const float sum =
        group_sum(weights.dot(static_cast<std::size_t>(row), x + static_cast<std::size_t>(token) * x_stride, k));
    if (threadIdx.x == 0)
      y[static_cast<std::size_t>(token) * y_stride + static_cast<std::size_t>(row)] =
          from_float<Y>(sum + (bias ? to_float(bias[row]) : 0.f));
  }
}
template <class T, class Y, class Weights>
void launch_linear_elements(const T* x, std::size_t x_stride, std::size_t tokens, const Weights& weights, const T* bias,
                            Y* y, std::size_t y_stride, std::size_t rows, std::size_t k, cudaStream_t stream) {
  if (tokens == 0) return;
  launch("linear", {.grid = dim3(static_cast<unsigned>((rows + 7) / 8)), .block = dim3(32, 8), .stream = stream},
         linear_elements_kernel<T, Y, Weights>, x, x_stride, static_cast<int>(tokens), weights, bias, y, y_stride,
         static_cast<int>(rows), static_cast<int>(k));
}

/// Parts without rows come last.
template <class T, class Y, class Weights>
void launch_linear(const T* x, std::size_t x_stride, std::size_t tokens, LinearParts<T, Y, Weights> parts,
                   std::size_t k, std::size_t slots, cudaStream_t stream) {
  if (tokens == 0) return;
  int blocks = 0;
  for (LinearPart<T, Y, Weights>& part : parts.at) {
    part.first_block = part.rows != 0 ? blocks : std::numeric_limits<int>::max();
    blocks += (part.rows + linear_rows - 1) / linear_rows;
  }
  const Launch at{.grid = dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(slots)),
                  .block = dim3(32 * linear_warps),
                  .stream = stream};
  auto kernel = linear_kernel<T, Y, Weights, 1>;
  if constexpr (requires(Weights w) { w.chosen; }) {
    if (tokens != 1) raise<ShapeError>("linear: ", tokens, " tokens, where each one has weights of its own");
  } else if (tokens > 8) {
    kernel = linear_kernel<T, Y, Weights, 2>;
  }
  launch("linear", at, kernel, x, x_stride, static_cast<int>(tokens), parts, static_cast<int>(k));
}
template <class T, class Y, class Weights>
void launch_linear(const T* x, std::size_t x_stride, std::size_t tokens, const Weights& weights, const T* bias, Y* y,
                   std::size_t y_stride, std::size_t rows, std::size_t k, cudaStream_t stream) {
  LinearParts<T, Y, Weights> parts{};
  parts.at[0] = {weights, bias, y, y_stride, static_cast<int>(rows), 0};
  launch_linear(x, x_stride, tokens, parts, k, 1, stream);
}

}  // namespace weft::inline v0::cuda::detail
