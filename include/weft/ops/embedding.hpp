#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor_view.hpp>
#include <weft/core/token_id.hpp>
#include <weft/cpu/context.hpp>
#include <weft/ops/linear.hpp>

namespace weft::inline v0 {

/// y[t] = table[ids[t]], widened to float.
///
/// ids: (tokens). table: (vocab, hidden): f32, f16, bf16 or a block format, in rows or in panels. y: (tokens, hidden).
/// Throws ShapeError for an id outside [0, vocab) and for shapes that do not fit, UnsupportedError for other types.
inline void embedding(std::span<const TokenId> ids, const AnyTensor& table, TensorView<float, 2> y,
                      const cpu::Context& ctx = {}) {
  if (table.rank() != 2)
    raise<ShapeError>("embedding: the table has shape ", to_string(table.shape()), ", expected (vocab, hidden)");
  detail::require_shape("embedding", "y", y.extents(), Dims<2>{ids.size(), table.extent(1)});
  for (std::size_t t = 0; t < ids.size(); ++t)
    if (ids[t] < 0 || static_cast<std::size_t>(ids[t]) >= table.extent(0))
      raise<ShapeError>("embedding: token id ", ids[t], " at position ", t, " is outside [0, ", table.extent(0), ")");
  if (y.extent(1) > 1 && y.stride(1) != 1)
    raise<ShapeError>("embedding: the elements of a row of y must lie one after the other");
  const std::size_t hidden = table.extent(1);
  if (table.layout() == Layout::panels || is_block_format(table.dtype())) {
    for (std::size_t t = 0; t < ids.size(); ++t)
      weight_row(table, static_cast<std::size_t>(ids[t]), y.data() + t * y.stride(0), ctx);
    return;
  }
  const auto row = [&](auto elements, std::size_t t) {
    return elements.data() + static_cast<std::size_t>(ids[t]) * hidden;
  };
  visit_among<float, half, bfloat16>(table.dtype(), "embedding", [&]<class T>(std::type_identity<T>) {
    const std::span<const T> elements = table.elements<T>();
    for (std::size_t t = 0; t < ids.size(); ++t) {
      float* to = y.data() + t * y.stride(0);
      if constexpr (std::is_same_v<T, half>) {
        ctx.kernels->from_f16(row(elements, t), hidden, to);
      } else if constexpr (std::is_same_v<T, bfloat16>) {
        ctx.kernels->from_bf16(row(elements, t), hidden, to);
      } else {
        std::copy_n(row(elements, t), hidden, to);
      }
    }
  });
}

/// The same for a table of the caller's own, a Tensor or TensorView (vocab, hidden) of float, half or bfloat16, read
/// where it lies, one element after the other.
template <TensorLike W>
void embedding(std::span<const TokenId> ids, const W& table, TensorView<float, 2> y, const cpu::Context& ctx = {}) {
  static_assert(detail::is_float_matrix<W>, "embedding: the table is (vocab, hidden) of float, half or bfloat16");
  embedding(ids, as_any_tensor(table), y, ctx);
}

}  // namespace weft::inline v0
