#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <vector>

namespace weft::inline v0 {

/// The slopes of ALiBi, AttentionParams::alibi_slopes, for any number of heads (Press et al. 2021, arXiv:2108.12409;
/// section 3 and the authors' rule for numbers that are no power of two, as in transformers,
/// models/bloom/modeling_bloom.py, build_alibi_tensor, and models/mpt/modeling_mpt.py, build_mpt_alibi_tensor):
///   2^(-max_bias i / n), i = 1 .. n, for the largest power of two n <= heads, then
///   2^(-max_bias i / (2 n)), i = 1, 3, 5, ...
inline std::vector<float> alibi_slopes(std::size_t heads, float max_bias = 8.f) {
  std::vector<float> slopes;
  const std::size_t whole = std::bit_floor(heads);
  const auto slope = [&](std::size_t i, std::size_t of) {
    return std::exp2(-max_bias * static_cast<float>(i) / static_cast<float>(of));
  };
  for (std::size_t i = 1; i <= whole; ++i) slopes.push_back(slope(i, whole));
  for (std::size_t i = 1; slopes.size() < heads; i += 2) slopes.push_back(slope(i, 2 * whole));
  return slopes;
}

}  // namespace weft::inline v0
