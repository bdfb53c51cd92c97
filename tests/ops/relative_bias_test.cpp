#include <weft/ops/relative_bias.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <vector>

#include <weft/core/tensor.hpp>

namespace {

using namespace weft;

/// The first distance of every bucket, as relative_position_bucket of transformers 5.23 has them (models/t5 and
/// models/mpnet).
void expect_buckets(const std::vector<std::size_t>& first, std::ptrdiff_t sign, std::size_t before,
                    const RelativeBuckets& params) {
  std::size_t bucket = 0;
  for (std::size_t away = sign > 0 ? 1 : 0; away < 500; ++away) {
    while (bucket + 1 < first.size() && away >= first[bucket + 1]) ++bucket;
    EXPECT_EQ(relative_bucket(sign * static_cast<std::ptrdiff_t>(away), params), before + bucket)
        << sign << " " << away;
  }
}

TEST(RelativeBias, BucketsAreTheReferences) {
  const std::vector<std::size_t> sixteen{0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91};
  expect_buckets(sixteen, -1, 0, {});
  expect_buckets(sixteen, 1, 16, {});
  const RelativeBuckets one_way{.bidirectional = false};
  expect_buckets({0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                  16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113},
                 -1, 0, one_way);
  for (const std::ptrdiff_t after : {1, 5, 1000}) EXPECT_EQ(relative_bucket(after, one_way), 0u);
  expect_buckets({0, 1, 2, 3}, -1, 0, {.buckets = 8, .max_distance = 4});
}

TEST(RelativeBias, SpreadsATableOverDistances) {
  const RelativeBuckets params{.buckets = 8, .max_distance = 16};
  Tensor<float, 2> table({8, 3});
  std::iota(table.data(), table.data() + table.size(), 0.f);
  const std::vector<float> bias = relative_bias(table, params);
  ASSERT_EQ(bias.size(), 3u * 33u);
  for (std::size_t head = 0; head < 3; ++head)
    for (std::ptrdiff_t distance = -16; distance <= 16; ++distance)
      EXPECT_EQ(bias[head * 33 + static_cast<std::size_t>(distance + 16)],
                table(relative_bucket(distance, params), head));
  EXPECT_THROW(relative_bias(table), ShapeError);
}

TEST(RelativeBias, TakesATableOfAnyType) {
  const RelativeBuckets params{.buckets = 8, .max_distance = 16};
  Tensor<float, 2> table({8, 3});
  std::iota(table.data(), table.data() + table.size(), 0.f);
  const AnyTensor stored = AnyTensor::make(DType::bf16, {8, 3}, [&](std::span<std::byte> bytes) {
    std::transform(table.data(), table.data() + table.size(), reinterpret_cast<bfloat16*>(bytes.data()),
                   [](float x) { return bfloat16(x); });
  });
  EXPECT_EQ(relative_bias(stored, params), relative_bias(table, params));
}

}  // namespace
