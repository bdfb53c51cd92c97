#pragma once

#include <weft/sampling/logits_processor.hpp>
#include <weft/sampling/weights.hpp>

namespace weft::inline v0 {

/// The token with the largest value, the lowest id among equals; `values` (vocab) are logits or probabilities. Throws
/// NumericError naming the index of a NaN or +infinity, or where all are -infinity, and ShapeError where there are
/// none.
inline TokenId sample_greedy(const FloatRow& values) {
  const std::span<const float> row = values.values();
  if (row.empty()) raise<ShapeError>("sample_greedy: there are no values, expected at least one");
  return static_cast<TokenId>(detail::checked_largest(cpu::best_sampling_kernels(), row, "value").index);
}

}  // namespace weft::inline v0
