#pragma once

#include <algorithm>
#include <cstddef>

#include <weft/core/tensor.hpp>
#include <weft/cpu/context.hpp>
#include <weft/ops/rows.hpp>

namespace weft::inline v0 {

namespace detail {

template <TensorLike X, TensorLike Y, class F>
void along_dim(const char* op, const X& x, Y&& y, int dim, const cpu::Context& ctx, F&& row) {
  constexpr std::size_t rank = rank_of<X>;
  const std::size_t d = resolve_dim(dim, rank);
  const auto from = view(x).transpose(static_cast<int>(d), -1);
  const auto to = view(y).transpose(static_cast<int>(d), -1);
  if (from.extent(rank - 1) <= 1 || (from.stride(rank - 1) == 1 && to.stride(rank - 1) == 1)) {
    for_each_row(op, from, to, ctx, row);
    return;
  }
  const auto copy = from.contiguous();
  auto result = Tensor<float, rank>::uninitialised(from.extents());
  for_each_row(op, copy.view(), result.view(), ctx, row);
  require_shape(op, "y", to.extents(), from.extents());
  for_each_index(to.extents(), [&](const Dims<rank>& index) { to(index) = result.view()(index); });
}

}  // namespace detail

/// y = e^x / sum of e^x along one dimension, computed from x - max x. A row that holds NaN or +infinity becomes NaN; a
/// row of nothing but -infinity too, as in PyTorch.
///
/// x, y: float, any rank and strides, may be the same tensor. Throws ShapeError where shapes differ.
template <TensorLike X, TensorLike Y>
void softmax(const X& x, Y&& y, int dim = -1, const cpu::Context& ctx = {}) {
  static_assert(detail::same_shape<X, Y>, "softmax: x and y have different shapes");
  detail::along_dim("softmax", x, y, dim, ctx,
                    [&](const float* from, std::size_t n, float* to) { ctx.kernels->softmax(from, n, 1.f, to); });
}

/// softmax as a new tensor.
template <TensorLike X>
auto softmax(const X& x, int dim = -1) {
  auto y = Tensor<float, rank_of<X>>::uninitialised(view(x).extents());
  softmax(x, y, dim);
  return y;
}

/// y = x - log of the sum of e^x along one dimension, computed as (x - max x) - log of the sum of e^(x - max x), so
/// that large elements lose nothing; see softmax.
template <TensorLike X, TensorLike Y>
void log_softmax(const X& x, Y&& y, int dim = -1, const cpu::Context& ctx = {}) {
  static_assert(detail::same_shape<X, Y>, "log_softmax: x and y have different shapes");
  detail::along_dim("log_softmax", x, y, dim, ctx, [&](const float* from, std::size_t n, float* to) {
    const float top = *std::max_element(from, from + n);
    for (std::size_t i = 0; i < n; ++i) to[i] = from[i] - top;
    const float log_sum = ctx.kernels->log_sum_exp(to, n);
    for (std::size_t i = 0; i < n; ++i) to[i] -= log_sum;
  });
}

/// log_softmax as a new tensor.
template <TensorLike X>
auto log_softmax(const X& x, int dim = -1) {
  auto y = Tensor<float, rank_of<X>>::uninitialised(view(x).extents());
  log_softmax(x, y, dim);
  return y;
}

}  // namespace weft::inline v0
