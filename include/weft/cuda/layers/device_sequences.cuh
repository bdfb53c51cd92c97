#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/cuda/core/device_buffer.cuh>
#include <weft/cuda/ops/attention.cuh>

namespace weft::inline v0::cuda {

/// The sequences of a pass, which lie one after the other.
struct DeviceSequences {
  const SequenceRange* ranges;  ///< (count), of device memory; the keys of a sequence are its tokens
  std::size_t count;
  std::size_t longest;  ///< tokens that none has more of
  std::size_t tokens;   ///< of all of them
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
  void for_each(std::span<const std::size_t> lengths, F&& f) {
    for (std::size_t i = 0; i < lengths.size(); ++i)
      if (lengths[i] > rows_)
        raise<ShapeError>("forward: sequence ", i, " has ", lengths[i], " tokens, a pass has ", rows_, " rows");
    for (std::size_t first = 0; first < lengths.size();) {
      const DeviceSequences sequences = place(lengths.subspan(first));
      f(first, sequences);
      first += sequences.count;
    }
  }

 private:
  static constexpr std::size_t most_sequences = 65535;  // blocks in a direction of a grid

  DeviceSequences place(std::span<const std::size_t> lengths) {
    DeviceSequences placed{.ranges = ranges_.as<SequenceRange>(), .count = 0, .longest = 0, .tokens = 0};
    std::vector<SequenceRange> ranges;
    for (const std::size_t length : lengths.first(std::min(lengths.size(), most_sequences))) {
      if (length > rows_ - placed.tokens) break;
      const auto first = static_cast<std::int32_t>(placed.tokens);
      const auto tokens = static_cast<std::int32_t>(length);
      ranges.push_back({.first_token = first, .tokens = tokens, .first_key = first, .keys = tokens, .offset = 0});
      placed.longest = std::max(placed.longest, length);
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

}  // namespace weft::inline v0::cuda
