#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/cuda/core/device_buffer.cuh>
#include <weft/cuda/ops/attention.cuh>

// What weft/layers/packed_sequences.hpp has, on a device.
namespace weft::inline v0::cuda {

/// The sequences of a pass, which lie one after the other.
struct DeviceSequences {
  const SequenceRange* ranges;  ///< (count), of device memory; the keys of a sequence are its tokens
  std::size_t count;
  std::size_t longest;  ///< tokens that attend of a sequence, that none has more of
  std::size_t tokens;   ///< of all of them
};

/// q, k, v, out: (tokens, heads * head_dim).
template <HalfStorage T>
void attend_in_sequences(const DeviceSequences& sequences, std::size_t head_dim, const AttentionParams& params,
                         TensorView<T, 2> q, TensorView<T, 2> k, TensorView<T, 2> v, TensorView<T, 2> out,
                         cudaStream_t stream) {
  const auto heads = [&](TensorView<T, 2> rows) {
    return rows.reshape(rows.extent(0), rows.extent(1) / head_dim, head_dim);
  };
  attention(heads(q), heads(k), heads(v), heads(out), sequences.ranges, sequences.count, sequences.longest, params,
            stream);
}

/// Which tokens attend to those of their sequence.
enum class Queries : unsigned char {
  tokens,  ///< those of the sequence
  one,     ///< one for each sequence, in rows of their own, one after the other
};

/// Divides sequences among passes of at most `rows` tokens.
class SequenceBatches {
 public:
  /// Throws CudaError.
  SequenceBatches(std::size_t rows, cudaStream_t stream)
      : rows_(rows), ranges_(bytes_for(rows), stream), stream_(stream) {}

  /// The device memory of these.
  static constexpr std::size_t bytes_for(std::size_t rows) noexcept {
    return std::min(rows, most_sequences) * sizeof(SequenceRange);
  }

  std::size_t rows() const noexcept { return rows_; }

  /// Calls f(number of the first, sequences), whose ranges stay valid in the stream until the next call, for one pass
  /// after the other. lengths: of every sequence, in tokens. Throws ShapeError for a sequence that no pass has room
  /// for, CudaError.
  template <class F>
  void for_each(std::span<const std::size_t> lengths, F&& f, Queries queries = Queries::tokens) {
    for (std::size_t i = 0; i < lengths.size(); ++i)
      if (lengths[i] > rows_)
        raise<ShapeError>("forward: sequence ", i, " has ", lengths[i], " tokens, a pass has ", rows_, " rows");
    for (std::size_t first = 0; first < lengths.size();) {
      const DeviceSequences sequences = place(lengths.subspan(first), queries);
      f(first, sequences);
      first += sequences.count;
    }
  }

 private:
  static constexpr std::size_t most_sequences = 65535;  // blocks in a direction of a grid

  DeviceSequences place(std::span<const std::size_t> lengths, Queries queries) {
    DeviceSequences placed{.ranges = ranges_.as<SequenceRange>(), .count = 0, .longest = 0, .tokens = 0};
    std::vector<SequenceRange> ranges;
    for (const std::size_t length : lengths.first(std::min(lengths.size(), most_sequences))) {
      if (length > rows_ - placed.tokens) break;
      const auto first = static_cast<std::int32_t>(placed.tokens);
      const auto tokens = static_cast<std::int32_t>(length);
      if (queries == Queries::one) {
        const auto own = static_cast<std::int32_t>(ranges.size());
        ranges.push_back({.first_token = own, .tokens = 1, .first_key = first, .keys = tokens, .offset = 0});
      } else {
        ranges.push_back({.first_token = first, .tokens = tokens, .first_key = first, .keys = tokens, .offset = 0});
      }
      placed.longest = queries == Queries::one ? 1 : std::max(placed.longest, length);
      placed.tokens += length;
    }
    placed.count = ranges.size();
    check(cudaMemcpyAsync(ranges_.data(), ranges.data(), ranges.size() * sizeof(SequenceRange), cudaMemcpyHostToDevice,
                          stream_),
          "cudaMemcpyAsync");
    return placed;
  }

  std::size_t rows_;
  DeviceBuffer ranges_;
  cudaStream_t stream_;
};

namespace detail {

/// A row of blocks for each sequence.
template <class T>
__global__ void __launch_bounds__(row_threads)
    join_neighbours_kernel(const T* x, T* y, const SequenceRange* sequences, std::size_t width) {
  const SequenceRange s = sequences[blockIdx.y];
  const std::size_t count = static_cast<std::size_t>(s.tokens) * 3 * width;
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  x += static_cast<std::size_t>(s.first_token) * width;
  y += static_cast<std::size_t>(s.first_token) * 3 * width;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    const int from = static_cast<int>(i / (3 * width)) + 1 - static_cast<int>(i / width % 3);
    y[i] = from >= 0 && from < s.tokens ? x[static_cast<std::size_t>(from) * width + i % width] : from_float<T>(0.f);
  }
}

}  // namespace detail

/// y: of every token the rows of the next one, its own and that of the one before in x, zeros where the sequence ends.
/// x: (tokens, width), y: (tokens, 3 * width), contiguous device memory. Throws CudaError.
template <HalfStorage T>
void join_neighbours(TensorView<T, 2> x, const DeviceSequences& sequences, TensorView<T, 2> y, cudaStream_t stream) {
  const std::size_t blocks = (sequences.longest * y.extent(1) + detail::row_threads - 1) / detail::row_threads;
  detail::launch(
      "join_neighbours",
      {.grid = dim3(static_cast<unsigned>(std::min<std::size_t>(blocks, 256)), static_cast<unsigned>(sequences.count)),
       .block = dim3(detail::row_threads),
       .stream = stream},
      detail::join_neighbours_kernel<T>, x.data(), y.data(), sequences.ranges, x.extent(1));
}

}  // namespace weft::inline v0::cuda
