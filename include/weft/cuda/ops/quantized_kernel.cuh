#pragma once

#include <cstddef>
#include <cstdint>

#include <weft/core/token_id.hpp>
#include <weft/cuda/ops/linear_kernel.cuh>
#include <weft/quant/q4_0.hpp>
#include <weft/quant/q4_k.hpp>
#include <weft/quant/q8_0.hpp>

// Weights in block formats as the device keeps and reads them. Codes lie in groups of 64 bytes, 16 for each of the four
// threads that share a row in the fragments of multiply_add(): of every block of 32 elements, thread t has the codes of
// elements 8 t to 8 t + 7. Scales lie apart from them, row after row.
namespace weft::inline v0::cuda::detail {

/// Eight codes of 4 bits in one word: elements 0, 2, 4, 6 in the lower half, 1, 3, 5, 7 in the upper one, so that a
/// shift and a mask leave two neighbours.
__device__ __forceinline__ constexpr int nibble_shift(int element) { return element % 2 * 16 + element / 2 * 4; }

/// Eight codes of 4 bits as elements of T minus `zero` (0 or 8), two to a word.
template <class T, int Zero>
__device__ __forceinline__ void widen_nibbles(std::uint32_t codes, std::uint32_t (&to)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t two = codes >> (4 * i) & 0x000f000fu;
    if constexpr (is_bfloat16<T>) {
      const std::uint32_t shifted = two | 0x43004300u;  // 128 + code
      to[i] = pack_two<T>(__uint_as_float(shifted << 16) - (128.f + Zero),
                          __uint_as_float(shifted & 0xffff0000u) - (128.f + Zero));
    } else {
      const std::uint32_t shifted = two | 0x64006400u;  // 1024 + code
      const __half2 minus = __floats2half2_rn(1024.f + Zero, 1024.f + Zero);
      const __half2 result = __hsub2(__halves2half2(__ushort_as_half(static_cast<unsigned short>(shifted)),
                                                    __ushort_as_half(static_cast<unsigned short>(shifted >> 16))),
                                     minus);
      to[i] = std::uint32_t{__half_as_ushort(__low2half(result))} | std::uint32_t{__half_as_ushort(__high2half(result))}
                                                                        << 16;
    }
  }
}

/// Eight codes of 8 bits, 128 + code each, as elements of T, two to a word.
template <class T>
__device__ __forceinline__ void widen_bytes(std::uint32_t first, std::uint32_t second, std::uint32_t (&to)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t two = (i < 2 ? first : second) >> (i % 2 * 16);
    if constexpr (is_bfloat16<T>) {
      constexpr float zero = 8388608.f + 128.f;  // 2^23, whose lowest bits are a code
      to[i] = pack_two<T>(__uint_as_float(0x4b000000u | (two & 0xffu)) - zero,
                          __uint_as_float(0x4b000000u | (two >> 8 & 0xffu)) - zero);
    } else {
      const __half2 minus = __floats2half2_rn(1152.f, 1152.f);
      const __half2 result =
          __hsub2(__halves2half2(__ushort_as_half(static_cast<unsigned short>(0x6400u | (two & 0xffu))),
                                 __ushort_as_half(static_cast<unsigned short>(0x6400u | (two >> 8 & 0xffu)))),
                  minus);
      to[i] = std::uint32_t{__half_as_ushort(__low2half(result))} | std::uint32_t{__half_as_ushort(__high2half(result))}
                                                                        << 16;
    }
  }
}

__device__ __forceinline__ float half_of_bits(std::uint32_t bits) {
  return __half2float(__ushort_as_half(static_cast<unsigned short>(bits)));
}

/// The word of `values` that belongs to block b.
__device__ __forceinline__ std::uint32_t word(const uint4& values, int b) {
  return b == 0 ? values.x : b == 1 ? values.y : b == 2 ? values.z : values.w;
}

/// A block's elements are scale * (code - zero) - minimum.
struct BlockScale {
  float scale;
  float minimum;
};

struct FormatQ8_0 {
  static constexpr int blocks = 2;  // of 32 elements, in a group
  static constexpr bool has_minimum = false;
  using Scales = std::uint32_t;  // those of a group

  /// Of the scales of a row.
  __device__ __host__ static constexpr std::size_t scale_bytes(std::size_t groups, std::size_t) {
    return groups * blocks * 2;
  }
  __device__ static Scales load_scales(const std::uint8_t* scales, std::size_t row, std::size_t group,
                                       std::size_t groups, std::size_t) {
    return reinterpret_cast<const std::uint32_t*>(scales)[row * groups + group];
  }
  __device__ static BlockScale scale(const Scales& scales, int b, std::size_t) {
    return {half_of_bits(scales >> (16 * b)), 0.f};
  }
  template <class T>
  __device__ static void widen(const uint4& codes, int b, std::uint32_t (&to)[4]) {
    widen_bytes<T>(b == 0 ? codes.x : codes.z, b == 0 ? codes.y : codes.w, to);
  }
  __device__ static float code(const uint4& codes, int b, int element) {
    const std::uint32_t four = word(codes, 2 * b + element / 4);
    return static_cast<float>(static_cast<int>(four >> (element % 4 * 8) & 0xffu) - 128);
  }
  /// The 16 bytes of thread t from the checkpoint's blocks.
  __device__ static uint4 reorder(const std::uint8_t* row, std::size_t group, int t, std::size_t k) {
    std::uint32_t words[4] = {0x80808080u, 0x80808080u, 0x80808080u, 0x80808080u};
    for (int b = 0; b < blocks; ++b) {
      const std::size_t block = group * blocks + b;
      if (block >= k / 32) break;
      const auto& from = reinterpret_cast<const BlockQ8_0*>(row)[block];
      words[2 * b] = words[2 * b + 1] = 0;
      for (int j = 0; j < 8; ++j)
        words[2 * b + j / 4] |= static_cast<std::uint32_t>(from.codes[8 * t + j] + 128) << (j % 4 * 8);
    }
    return {words[0], words[1], words[2], words[3]};
  }
  __device__ static void reorder_scales(const std::uint8_t* row, std::uint8_t* scales, std::size_t at,
                                        std::size_t groups, std::size_t group, int t, std::size_t k) {
    if (t >= blocks) return;
    const std::size_t block = group * blocks + t;
    reinterpret_cast<std::uint16_t*>(scales)[(at * groups + group) * blocks + t] =
        block < k / 32 ? reinterpret_cast<const BlockQ8_0*>(row)[block].scale.bits : 0;
  }
  static constexpr std::size_t block_bytes = sizeof(BlockQ8_0);
  static constexpr std::size_t block_elements = 32;
};

struct FormatQ4_0 {
  static constexpr int blocks = 4;
  static constexpr bool has_minimum = false;
  using Scales = uint2;

  /// Of the scales of a row.
  __device__ __host__ static constexpr std::size_t scale_bytes(std::size_t groups, std::size_t) {
    return groups * blocks * 2;
  }
  __device__ static Scales load_scales(const std::uint8_t* scales, std::size_t row, std::size_t group,
                                       std::size_t groups, std::size_t) {
    return reinterpret_cast<const uint2*>(scales)[row * groups + group];
  }
  __device__ static BlockScale scale(const Scales& scales, int b, std::size_t) {
    return {half_of_bits((b < 2 ? scales.x : scales.y) >> (b % 2 * 16)), 0.f};
  }
  template <class T>
  __device__ static void widen(const uint4& codes, int b, std::uint32_t (&to)[4]) {
    widen_nibbles<T, 8>(word(codes, b), to);
  }
  __device__ static float code(const uint4& codes, int b, int element) {
    return static_cast<float>(static_cast<int>(word(codes, b) >> nibble_shift(element) & 15u) - 8);
  }
  __device__ static uint4 reorder(const std::uint8_t* row, std::size_t group, int t, std::size_t k) {
    std::uint32_t words[4] = {0x88888888u, 0x88888888u, 0x88888888u, 0x88888888u};
    for (int b = 0; b < blocks; ++b) {
      const std::size_t block = group * blocks + b;
      if (block >= k / 32) break;
      const auto& from = reinterpret_cast<const BlockQ4_0*>(row)[block];
      words[b] = 0;
      for (int j = 0; j < 8; ++j) {
        const int element = 8 * t + j;
        const std::uint32_t code = element < 16 ? from.nibbles[element] & 15u : from.nibbles[element - 16] >> 4;
        words[b] |= code << nibble_shift(j);
      }
    }
    return {words[0], words[1], words[2], words[3]};
  }
  __device__ static void reorder_scales(const std::uint8_t* row, std::uint8_t* scales, std::size_t at,
                                        std::size_t groups, std::size_t group, int t, std::size_t k) {
    const std::size_t block = group * blocks + t;
    reinterpret_cast<std::uint16_t*>(scales)[(at * groups + group) * blocks + t] =
        block < k / 32 ? reinterpret_cast<const BlockQ4_0*>(row)[block].scale.bits : 0;
  }
  static constexpr std::size_t block_bytes = sizeof(BlockQ4_0);
  static constexpr std::size_t block_elements = 32;
};

/// Scales and minima stay as they are in the checkpoint, 16 bytes for 256 elements, which are two groups.
struct FormatQ4_K {
  static constexpr int blocks = 4;
  static constexpr bool has_minimum = true;
  using Scales = uint4;

  /// Of the scales of a row.
  __device__ __host__ static constexpr std::size_t scale_bytes(std::size_t, std::size_t headers) {
    return headers * 16;
  }
  __device__ static Scales load_scales(const std::uint8_t* scales, std::size_t row, std::size_t group, std::size_t,
                                       std::size_t headers) {
    return reinterpret_cast<const uint4*>(scales)[row * headers + group / 2];
  }
  __device__ static BlockScale scale(const Scales& header, int b, std::size_t group) {
    const int part = static_cast<int>(group % 2) * 4 + b;
    const auto byte = [&](int i) { return word(header, 1 + i / 4) >> (i % 4 * 8) & 0xffu; };
    const std::uint32_t scale = part < 4 ? byte(part) & 63u : (byte(part + 4) & 15u) | byte(part - 4) >> 6 << 4;
    const std::uint32_t minimum = part < 4 ? byte(part + 4) & 63u : byte(part + 4) >> 4 | byte(part) >> 6 << 4;
    return {half_of_bits(header.x) * static_cast<float>(scale),
            half_of_bits(header.x >> 16) * static_cast<float>(minimum)};
  }
  template <class T>
  __device__ static void widen(const uint4& codes, int b, std::uint32_t (&to)[4]) {
    widen_nibbles<T, 0>(word(codes, b), to);
  }
  __device__ static float code(const uint4& codes, int b, int element) {
    return static_cast<float>(word(codes, b) >> nibble_shift(element) & 15u);
  }
  __device__ static uint4 reorder(const std::uint8_t* row, std::size_t group, int t, std::size_t) {
    const auto& from = reinterpret_cast<const BlockQ4_K*>(row)[group / 2];
    std::uint32_t words[4] = {};
    for (int b = 0; b < blocks; ++b) {
      const int part = static_cast<int>(group % 2) * 4 + b;
      for (int j = 0; j < 8; ++j) {
        const std::uint32_t both = from.nibbles[part / 2 * 32 + 8 * t + j];
        words[b] |= (both >> (part % 2 * 4) & 15u) << nibble_shift(j);
      }
    }
    return {words[0], words[1], words[2], words[3]};
  }
  __device__ static void reorder_scales(const std::uint8_t* row, std::uint8_t* scales, std::size_t at, std::size_t,
                                        std::size_t group, int t, std::size_t k) {
    if (t != 0 || group % 2 != 0) return;
    const auto* from =
        reinterpret_cast<const std::uint8_t*>(&reinterpret_cast<const BlockQ4_K*>(row)[group / 2].scales);
    for (int i = 0; i < 16; ++i) scales[(at * (k / 256) + group / 2) * 16 + static_cast<std::size_t>(i)] = from[i];
  }
  static constexpr std::size_t block_bytes = sizeof(BlockQ4_K);
  static constexpr std::size_t block_elements = 256;
};

template <class Format>
__global__ void __launch_bounds__(row_threads)
    reorder_kernel(const std::uint8_t* from, uint4* codes, std::uint8_t* scales, std::size_t rows, std::size_t groups,
                   std::size_t k) {
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < rows * groups * 4; i += step) {
    const std::size_t row = i / 4 / groups;
    const std::size_t group = i / 4 % groups;
    const int t = static_cast<int>(i % 4);
    const std::uint8_t* source = from + row * (k / Format::block_elements) * Format::block_bytes;
    codes[i] = Format::reorder(source, group, t, k);
    Format::reorder_scales(source, scales, row, groups, group, t, k);
  }
}

template <class Format, class Y>
__global__ void __launch_bounds__(row_threads)
    dequantize_kernel(const uint4* codes, const std::uint8_t* scales, const TokenId* ids, std::size_t count,
                      std::size_t rows, std::size_t groups, std::size_t k, Y* y, bool aligned) {
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count * groups * 4; i += step) {
    const std::size_t place = i / 4 / groups;
    const std::size_t group = i / 4 % groups;
    const auto t = static_cast<int>(i % 4);
    const std::size_t row = ids ? static_cast<std::size_t>(ids[place]) : place;  // negative ids are beyond all rows
    const bool there = row < rows;
    const std::size_t source = there ? row : 0;
    const uint4 own = codes[(source * groups + group) * 4 + static_cast<std::size_t>(t)];
    const auto loaded = Format::load_scales(scales, source, group, groups, k / 256);
    for (int b = 0; b < Format::blocks; ++b) {
      const std::size_t at =
          (group * Format::blocks + static_cast<std::size_t>(b)) * 32 + static_cast<std::size_t>(8 * t);
      if (at >= k) break;
      const BlockScale block = Format::scale(loaded, b, group);
      Pack<8> pack;
#pragma unroll
      for (int j = 0; j < 8; ++j) pack.at[j] = there ? block.scale * Format::code(own, b, j) - block.minimum : NAN;
      Y* to = y + place * k + at;
      if (aligned) {
        pack.store(to);
      } else {
#pragma unroll
        for (int j = 0; j < 8; ++j) to[j] = from_float<Y>(pack.at[j]);
      }
    }
  }
}

/// Weights in blocks as linear_kernel() reads them: the products of codes are exact, and each block's sum is scaled.
template <class T, class Format>
struct BlockWeights {
  static constexpr int blocks = Format::blocks;
  static constexpr int resident = Format::has_minimum ? 2 : Format::blocks == 2 ? 4 : 3;

  const uint4* codes;
  const std::uint8_t* scales;
  std::size_t groups;
  std::size_t headers;

  __device__ __forceinline__ const BlockWeights& of(unsigned) const { return *this; }
  bool in_vectors() const noexcept { return true; }
  /// Those from a row on.
  __device__ __forceinline__ BlockWeights from_row(std::size_t row) const {
    return {codes + row * groups * 4, scales + row * Format::scale_bytes(groups, headers), groups, headers};
  }
  /// A lane's part of the product of a row with x, which need not be aligned.
  __device__ __forceinline__ float dot(std::size_t row, const T* x, int k) const {
    float sum = 0.f;
    for (std::size_t part = threadIdx.x; part < groups * 4; part += 32) {
      const std::size_t group = part / 4;
      const uint4 own = codes[row * groups * 4 + part];
      const auto loaded = Format::load_scales(scales, row, group, groups, headers);
      for (int b = 0; b < blocks; ++b) {
        const int at = (static_cast<int>(group) * blocks + b) * 32 + 8 * static_cast<int>(part % 4);
        if (at >= k) break;
        const BlockScale block = Format::scale(loaded, b, group);
        for (int j = 0; j < 8; ++j)
          sum = fmaf(block.scale * Format::code(own, b, j) - block.minimum, to_float(x[at + j]), sum);
      }
    }
    return sum;
  }

  struct Chunk {
    uint4 low;
    uint4 high;
    typename Format::Scales low_scales;
    typename Format::Scales high_scales;
    int group;
  };

  __device__ __forceinline__ Chunk load(int low_row, int high_row, int step, int t) const {
    const auto low = static_cast<std::size_t>(low_row);
    const auto high = static_cast<std::size_t>(high_row);
    const auto group = static_cast<std::size_t>(step);
    return {load_streaming(codes + (low * groups + group) * 4 + t),
            load_streaming(codes + (high * groups + group) * 4 + t),
            Format::load_scales(scales, low, group, groups, headers),
            Format::load_scales(scales, high, group, groups, headers), step};
  }
  template <int N>
  __device__ __forceinline__ void multiply(float (&sums)[N][4], const Chunk& chunk, const uint4 (&x)[N][blocks]) const {
#pragma unroll
    for (int b = 0; b < blocks; ++b) {
      std::uint32_t low[4];
      std::uint32_t high[4];
      Format::template widen<T>(chunk.low, b, low);
      Format::template widen<T>(chunk.high, b, high);
      const auto group = static_cast<std::size_t>(chunk.group);
      const BlockScale low_scale = Format::scale(chunk.low_scales, b, group);
      const BlockScale high_scale = Format::scale(chunk.high_scales, b, group);
#pragma unroll
      for (int n = 0; n < N; ++n) {
        float products[4] = {};
        multiply_block<T>(products, low, high, x[n][b]);
        if constexpr (Format::has_minimum) {
          constexpr std::uint32_t ones = is_bfloat16<T> ? 0x3f803f80u : 0x3c003c00u;
          const std::uint32_t all[4] = {ones, ones, ones, ones};
          float totals[4] = {};  // of the tokens' elements
          multiply_block<T>(totals, all, all, x[n][b]);
#pragma unroll
          for (int j = 0; j < 4; ++j) sums[n][j] -= (j < 2 ? low_scale : high_scale).minimum * totals[j];
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) sums[n][j] += (j < 2 ? low_scale : high_scale).scale * products[j];
      }
    }
  }
};

}  // namespace weft::inline v0::cuda::detail
