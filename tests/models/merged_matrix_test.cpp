#include <weft/models/merged_matrix.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <weft/core/thread_pool.hpp>

#include "../layers/random_weights.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

constexpr std::size_t rows = 70, k = 64, rank = 3;  // more rows than a panel
constexpr float scale = 0.75f;

/// a change of low rank, of a matrix or of a table of embeddings.
Adapter::Matrix random_change(bool table, bool with_magnitude) {
  Numbers numbers(2);
  Adapter::Matrix change{.slot = nullptr, .index = {}, .table = table};
  change.a = table ? numbers.matrix(DType::f32, rows, rank) : numbers.matrix(DType::f32, rank, k);
  change.b = table ? numbers.matrix(DType::f32, k, rank) : numbers.matrix(DType::f32, rows, rank);
  if (with_magnitude) {
    change.magnitude.length = numbers.vector(table ? k : rows);
    for (float& length : change.magnitude.length.elements()) length += 2.f;
  }
  return change;
}

Rows floats_of(const AnyTensor& matrix) {
  Rows result(matrix.extent(0), std::vector<double>(matrix.extent(1)));
  std::vector<float> row(matrix.extent(1));
  for (std::size_t r = 0; r < matrix.extent(0); ++r) {
    weight_row(matrix, r, row.data());
    std::copy(row.begin(), row.end(), result[r].begin());
  }
  return result;
}

/// gain * (weight + scale * BA) in double.
Rows naive(const AnyTensor& weight, const Adapter::Matrix& change) {
  Rows merged = floats_of(weight);
  const auto a = change.a.view<float, 2>(), b = change.b.view<float, 2>();
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t i = 0; i < k; ++i)
      for (std::size_t j = 0; j < rank; ++j)
        merged[r][i] += static_cast<double>(scale) * (change.table ? static_cast<double>(a(r, j)) * b(i, j)
                                                                   : static_cast<double>(b(r, j)) * a(j, i));
  const Tensor<float, 1>& length = change.magnitude.length;
  for (std::size_t n = 0; n < length.size(); ++n) {
    double squares = 0.0;
    for (std::size_t i = 0; i < (change.table ? rows : k); ++i)
      squares += std::pow(change.table ? merged[i][n] : merged[n][i], 2);
    for (std::size_t i = 0; i < (change.table ? rows : k); ++i)
      (change.table ? merged[i][n] : merged[n][i]) *= static_cast<double>(length(n)) / std::sqrt(squares);
  }
  return merged;
}

bool same_bytes(const AnyTensor& a, const AnyTensor& b) {
  return a.dtype() == b.dtype() && a.layout() == b.layout() && std::ranges::equal(a.bytes(), b.bytes());
}

TEST(MergedMatrix, IsTheSumInTheTypeAndLayoutOfTheWeight) {
  ThreadPool pool(2);
  const AnyTensor floats = Numbers(1).matrix(DType::f32, rows, k);
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::q8_0})
    for (const bool table : {false, true})
      for (const bool with_magnitude : {false, true}) {
        const AnyTensor weight = convert_weight(floats, dtype, Layout::rows);
        Adapter::Matrix change = random_change(table, with_magnitude);
        if (with_magnitude) detail::measure_magnitude(weight, change, {});
        const AnyTensor merged = detail::merged_matrix(weight, change, scale, {});
        EXPECT_EQ(merged.dtype(), dtype);
        EXPECT_EQ(merged.shape(), weight.shape());
        // Elements are below 4 in magnitude.
        const double tolerance = dtype == DType::f32 ? 1e-5 : dtype == DType::f16 ? 2e-3 : 2e-2;
        const Rows expected = naive(weight, change), found = floats_of(merged);
        double most = 0.0, moved = 0.0;
        const Rows before = floats_of(weight);
        for (std::size_t r = 0; r < rows; ++r)
          for (std::size_t i = 0; i < k; ++i) {
            most = std::max(most, std::fabs(found[r][i] - expected[r][i]));
            moved = std::max(moved, std::fabs(found[r][i] - before[r][i]));
          }
        EXPECT_LT(most, tolerance) << name(dtype) << " " << table << " " << with_magnitude;
        EXPECT_GT(moved, 0.5) << "the change is one";
        // Panels and threads make no difference.
        const AnyTensor panels = to_panels(weight);
        const cpu::Context threaded{.executor = &pool};
        EXPECT_TRUE(same_bytes(detail::merged_matrix(panels, change, scale, threaded), to_panels(merged)));
        Adapter::Matrix again = change;
        if (with_magnitude) detail::measure_magnitude(panels, again, threaded);
        EXPECT_EQ(again.magnitude.weight, change.magnitude.weight);
        EXPECT_EQ(again.magnitude.product, change.magnitude.product);
        EXPECT_EQ(again.magnitude.change, change.magnitude.change);
      }
}

TEST(MergedMatrix, ScaleZeroLeavesTheWeightAsItIs) {
  for (const DType dtype : {DType::f32, DType::q8_0}) {
    const AnyTensor weight = convert_weight(Numbers(1).matrix(DType::f32, rows, k), dtype, Layout::rows);
    EXPECT_TRUE(same_bytes(detail::merged_matrix(weight, random_change(false, false), 0.f, {}), weight)) << name(dtype);
  }
}

}  // namespace
