#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor_view.hpp>
#include <weft/cpu/context.hpp>
#include <weft/ops/linear.hpp>

namespace weft::inline v0 {

/// Distances that share a bucket: half of the buckets for single distances, the others for ranges that grow
/// logarithmically up to max_distance and hold what is farther away.
struct RelativeBuckets {
  std::size_t buckets = 32;
  std::size_t max_distance = 128;
  bool bidirectional = true;  ///< half of the buckets are for keys after the query; false: those count as distance 0

  bool operator==(const RelativeBuckets&) const = default;
};

/// The bucket of a distance, key - query (Raffel et al. 2020, arXiv:1910.10683, section 2.1, as in transformers,
/// models/t5/modeling_t5.py, _relative_position_bucket, and models/mpnet/modeling_mpnet.py, relative_position_bucket).
/// There are at least 4 buckets, and max_distance exceeds the number of single distances.
inline std::size_t relative_bucket(std::ptrdiff_t distance, const RelativeBuckets& params = {}) noexcept {
  const std::size_t buckets = params.bidirectional ? params.buckets / 2 : params.buckets;
  const std::size_t first = params.bidirectional && distance > 0 ? buckets : 0;
  const auto away = static_cast<std::size_t>(distance > 0 ? (params.bidirectional ? distance : 0) : -distance);
  const std::size_t single = buckets / 2;
  if (away < single) return first + away;
  const auto ratio = [&](std::size_t of) { return static_cast<float>(of) / static_cast<float>(single); };
  const float share = std::log(ratio(away)) / std::log(ratio(params.max_distance));
  const auto range = static_cast<std::size_t>(share * static_cast<float>(buckets - single));
  return first + std::min(buckets - 1, single + range);
}

/// AttentionParams::relative_bias, (heads, 2 * max_distance + 1), of a learned table (buckets, heads). Throws
/// ShapeError for another number of buckets.
inline std::vector<float> relative_bias(TensorView<const float, 2> table, const RelativeBuckets& params = {}) {
  detail::require_extent("relative_bias", "the number of buckets", table.extent(0), params.buckets);
  const auto radius = static_cast<std::ptrdiff_t>(params.max_distance);
  std::vector<float> bias;
  bias.reserve(table.extent(1) * (2 * params.max_distance + 1));
  for (std::size_t head = 0; head < table.extent(1); ++head)
    for (std::ptrdiff_t distance = -radius; distance <= radius; ++distance)
      bias.push_back(table(relative_bucket(distance, params), head));
  return bias;
}

/// The same of a table as it is loaded, of any type.
inline std::vector<float> relative_bias(const AnyTensor& table, const RelativeBuckets& params,
                                        const cpu::Context& ctx = {}) {
  std::vector<float> values(table.size());
  for (std::size_t bucket = 0; bucket < table.extent(0); ++bucket)
    weight_row(table, bucket, values.data() + bucket * table.extent(1), ctx);
  return relative_bias(TensorView<const float, 2>(values.data(), {table.extent(0), table.extent(1)}), params);
}

}  // namespace weft::inline v0
