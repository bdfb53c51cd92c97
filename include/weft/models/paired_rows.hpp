#pragma once

#include <cstddef>
#include <cstring>
#include <span>

#include <weft/core/any_tensor.hpp>
#include <weft/cpu/kernels.hpp>

namespace weft::inline v0::detail {

/// The rows of every head in the order in which they rotate as `pairing` says, from the order of the other pairing.
inline AnyTensor paired_rows(const AnyTensor& tensor, std::size_t head_dim, RopePairing pairing) {
  const std::size_t row = tensor.extent(0) == 0 ? 0 : tensor.bytes().size() / tensor.extent(0);
  return AnyTensor::make(tensor.dtype(), tensor.shape(), [&](std::span<std::byte> to) {
    for (std::size_t r = 0; r < tensor.extent(0); ++r) {
      const std::size_t in_head = r % head_dim;
      const std::size_t neighbour = in_head % 2 * (head_dim / 2) + in_head / 2;  // where halves have it
      const std::size_t other = r - in_head + neighbour;
      const bool interleaved = pairing == RopePairing::interleaved;
      std::memcpy(to.data() + (interleaved ? r : other) * row, tensor.bytes().data() + (interleaved ? other : r) * row,
                  row);
    }
  });
}

}  // namespace weft::inline v0::detail
