#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <tuple>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/cpu/context.hpp>
#include <weft/ops/linear.hpp>

namespace weft::inline v0 {

namespace detail {

/// y (m, n) = a (m, k) b (k, n) for one matrix each. The product reads both operands along k, so whichever does not lie
/// that way in memory is copied first; b^T, as weights are stored, is read in place.
template <class A, class B>
void matmul_matrix(TensorView<const A, 2> a, TensorView<const B, 2> b, TensorView<float, 2> y,
                   const cpu::Context& ctx) {
  const auto widened = [](const auto& v) {
    auto result = Tensor<float, 2>::uninitialised(v.extents());
    for_each_index(v.extents(), [&](const Dims<2>& index) { result.view()(index) = static_cast<float>(v(index)); });
    return result;
  };
  Tensor<float, 2> a_copy;
  TensorView<const float, 2> rows;
  if constexpr (std::is_same_v<A, float>) {
    rows = a;
    if (a.extent(1) > 1 && a.stride(1) != 1) rows = (a_copy = a.contiguous()).view();
  } else {
    rows = (a_copy = widened(a)).view();
  }
  const TensorView<const B, 2> columns = b.transpose(0, 1);  // (n, k)
  Tensor<B, 2> b_copy;
  const B* weight = columns.data();
  if (!columns.is_contiguous()) weight = (b_copy = columns.contiguous()).data();
  const std::span<const B> elements(weight, columns.size());
  const AnyTensor any(dtype_of<B>, columns.shape(), std::as_bytes(elements), nullptr);
  if (y.stride(1) == 1 || y.extent(1) <= 1) {
    linear(rows, any, y, ctx);
  } else {
    auto result = Tensor<float, 2>::uninitialised(y.extents());
    linear(rows, any, result, ctx);
    for_each_index(y.extents(), [&](const Dims<2>& index) { y(index) = result.view()(index); });
  }
}

/// The shape of a b: leading dimensions broadcast against each other, those of extent 1 to the other's.
template <class A, std::size_t RankA, class EA, class B, std::size_t RankB, class EB>
auto matmul_extents(const TensorView<A, RankA, EA>& a, const TensorView<B, RankB, EB>& b) {
  constexpr std::size_t rank = RankA > RankB ? RankA : RankB;
  Dims<rank> extents{};
  for (std::size_t d = 0; d + 2 < rank; ++d) {
    const std::size_t ea = d + RankA < rank ? 1 : a.extent(d + RankA - rank);
    const std::size_t eb = d + RankB < rank ? 1 : b.extent(d + RankB - rank);
    extents[d] = ea == 1 ? eb : ea;
  }
  extents[rank - 2] = a.extent(RankA - 2);
  extents[rank - 1] = b.extent(RankB - 1);
  return extents;
}

}  // namespace detail

/// y = a b, PyTorch's matmul: a (..., m, k), b (..., k, n), y (..., m, n); leading dimensions broadcast. Transposes are
/// views: matmul(x, w.transpose(-1, -2), y) reads row-major weights in place. Elements float, half or bfloat16 (a and b
/// may differ), y float; sums in float. y must not overlap a or b. Throws ShapeError where shapes do not fit.
template <TensorLike A, TensorLike B, TensorLike Y>
void matmul(const A& a, const B& b, Y&& y, const cpu::Context& ctx = {}) {
  constexpr std::size_t ra = rank_of<A>;
  constexpr std::size_t rb = rank_of<B>;
  constexpr std::size_t ry = rank_of<Y>;
  static_assert(ra >= 2 && rb >= 2, "matmul: operands have at least two dimensions; unsqueeze vectors");
  static_assert(ry == (ra > rb ? ra : rb), "matmul: y has the larger rank of a and b");
  static_assert(detail::same_extent<A, ra - 1, B, rb - 2>, "matmul: columns of a and rows of b differ");
  static_assert(detail::same_extent<A, ra - 2, Y, ry - 2> && detail::same_extent<B, rb - 1, Y, ry - 1>,
                "matmul: y has another shape than a b");
  static_assert(std::is_same_v<value_t<Y>, float>, "matmul: y is float");
  const auto va = view(a);
  const auto vb = view(b);
  const auto vy = view(y);
  detail::require_extent("matmul", "the number of rows of b", vb.extent(rb - 2), va.extent(ra - 1));
  detail::require_shape("matmul", "y", vy.extents(), detail::matmul_extents(va, vb));
  Dims<ry> a_shape = vy.extents();
  Dims<ry> b_shape = vy.extents();
  a_shape[ry - 2] = va.extent(ra - 2);
  a_shape[ry - 1] = va.extent(ra - 1);
  b_shape[ry - 2] = vb.extent(rb - 2);
  b_shape[ry - 1] = vb.extent(rb - 1);
  const auto wide_a = va.template broadcast_to<ry>(a_shape);
  const auto wide_b = vb.template broadcast_to<ry>(b_shape);
  Dims<ry> batch = vy.extents();
  batch[ry - 2] = batch[ry - 1] = 1;
  if (vy.empty()) return;
  detail::for_each_index(batch, [&](const Dims<ry>& index) {
    const auto matrix = [&]<class V>(const V& v) {
      auto* data = v.data();
      for (std::size_t d = 0; d + 2 < ry; ++d) data += index[d] * v.stride(d);
      return TensorView<std::remove_pointer_t<decltype(data)>, 2>(data, {v.extent(ry - 2), v.extent(ry - 1)},
                                                                  {v.stride(ry - 2), v.stride(ry - 1)});
    };
    detail::matmul_matrix<value_t<A>, value_t<B>>(matrix(wide_a), matrix(wide_b), matrix(vy), ctx);
  });
}

/// a b as a new tensor.
template <TensorLike A, TensorLike B>
auto matmul(const A& a, const B& b, const cpu::Context& ctx = {}) {
  const auto extents = detail::matmul_extents(view(a), view(b));
  auto y = Tensor<float, std::tuple_size_v<decltype(extents)>>::uninitialised(extents);
  matmul(a, b, y, ctx);
  return y;
}

}  // namespace weft::inline v0
