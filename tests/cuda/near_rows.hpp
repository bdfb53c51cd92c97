#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace weft::testing {

/// Every row is within a share of its largest element of what the CPU computed in float.
inline void expect_rows_near(std::span<const float> found, std::span<const float> expected, std::size_t width,
                             double share) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t begin = 0; begin < found.size(); begin += width) {
    double largest = 0.0;
    double apart = 0.0;
    for (std::size_t i = begin; i < begin + width; ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
      const double difference = std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
      apart = difference <= apart ? apart : difference;  // NaN stays
    }
    EXPECT_LE(apart, share * largest) << "row " << begin / width;
  }
}

}  // namespace weft::testing
