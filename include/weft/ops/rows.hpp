#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include <weft/core/tensor.hpp>
#include <weft/cpu/context.hpp>

// What the ops that work on one row (the last dimension) at a time share.
namespace weft::inline v0::detail {

/// The elements of a contiguous float vector of `n` elements, checked.
template <TensorLike V>
const float* float_row(const char* op, const char* what, const V& vector, std::size_t n) {
  static_assert(rank_of<V> == 1 && std::is_same_v<value_t<V>, float>, "expected a float vector");
  const auto v = view(vector);
  if (v.extent(0) != n) raise<ShapeError>(op, ": ", what, " has ", v.extent(0), " elements, expected ", n);
  if (!v.is_contiguous()) raise<ShapeError>(op, ": the elements of ", what, " must lie one after the other");
  return v.data();
}

/// Calls f(x row, elements, y row) for every row, in parallel where that pays.
template <class X, class Y, std::size_t Rank, class EX, class EY, class F>
void for_each_row(const char* op, TensorView<X, Rank, EX> x, TensorView<Y, Rank, EY> y, const cpu::Context& ctx,
                  F&& f) {
  static_assert(std::is_same_v<std::remove_const_t<X>, float> && std::is_same_v<Y, float>, "expected float elements");
  require_shape(op, "y", y.extents(), x.extents());
  const std::size_t n = x.extent(Rank - 1);
  if (n > 1 && (x.stride(Rank - 1) != 1 || y.stride(Rank - 1) != 1))
    raise<ShapeError>(op, ": the elements of the last dimension must lie one after the other");
  if (x.empty()) return;
  const std::size_t rows = x.size() / n;
  const auto row = [&](std::size_t index, std::size_t) {
    const float* from = x.data();
    float* to = y.data();
    for (std::size_t d = Rank - 1; d-- > 0;) {
      const std::size_t i = index % x.extent(d);
      index /= x.extent(d);
      from += i * x.stride(d);
      to += i * y.stride(d);
    }
    f(from, n, to);
  };
  constexpr std::size_t parallel_elements = 16384;
  if (x.size() < parallel_elements) {
    for (std::size_t index = 0; index < rows; ++index) row(index, 0);
    return;
  }
  const std::size_t group = std::max<std::size_t>(1, parallel_elements / 4 / n);
  parallel_for(ctx, (rows + group - 1) / group, [&](std::size_t item, std::size_t slot) {
    const std::size_t end = std::min(rows, (item + 1) * group);
    for (std::size_t index = item * group; index < end; ++index) row(index, slot);
  });
}

/// Makes room for rows of `width`; what was there may be lost.
inline void reserve_rows(Tensor<float, 2>& tensor, std::size_t rows, std::size_t width) {
  if (tensor.empty() || tensor.extent(0) < rows || tensor.extent(1) != width)
    tensor = Tensor<float, 2>::uninitialised({rows, width});
}

/// x *= factor.
inline void scale_rows(TensorView<float, 2> x, float factor, const cpu::Context& ctx) {
  for_each_row("scale", x, x, ctx, [&](const float* from, std::size_t n, float* to) {
    for (std::size_t i = 0; i < n; ++i) to[i] = from[i] * factor;
  });
}

}  // namespace weft::inline v0::detail
