#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include <weft/cpu/context.hpp>
#include <weft/ops/rope_table.hpp>

namespace weft::inline v0 {

/// Rotary position embedding, Su et al. 2021 (arXiv:2104.09864), equation 34: every pair (a, b) of a head at position p
/// becomes (a cos - b sin, b cos + a sin) of the angle p * frequency.
///
/// x: (tokens, heads, head_dim), float, rotated in place; head_dim contiguous. positions: (tokens), inside the table.
/// Throws ShapeError where shapes differ or a position lies outside the table.
inline void apply_rope(TensorView<float, 3> x, std::span<const std::int32_t> positions, const RopeTable& table,
                       const cpu::Context& ctx = {}) {
  detail::require_extent("apply_rope", "the number of positions", positions.size(), x.extent(0));
  detail::require_extent("apply_rope", "head_dim", x.extent(2), table.head_dim());
  if (x.extent(2) > 1 && x.stride(2) != 1) raise<ShapeError>("apply_rope: the elements of a head must be contiguous");
  for (const std::int32_t position : positions)
    if (position < 0 || static_cast<std::size_t>(position) >= table.positions())
      raise<ShapeError>("apply_rope: position ", position, " is outside the table's ", table.positions());
  const std::size_t heads = x.extent(1);
  const auto token = [&](std::size_t t, std::size_t) {
    const auto p = static_cast<std::size_t>(positions[t]);
    const float* cos = table.cos().data() + p * table.pairs();
    const float* sin = table.sin().data() + p * table.pairs();
    for (std::size_t h = 0; h < heads; ++h)
      ctx.kernels->rope(x.data() + t * x.stride(0) + h * x.stride(1), cos, sin, table.pairs(), table.pairing());
  };
  if (x.size() < 16384) {
    for (std::size_t t = 0; t < positions.size(); ++t) token(t, 0);
  } else {
    detail::parallel_for(ctx, positions.size(), token);
  }
}

/// The same with a table made for this call alone: for a few tokens, or to try a rule. Throws as RopeTable does, too.
inline void apply_rope(TensorView<float, 3> x, std::span<const std::int32_t> positions, const RopeParams& params,
                       const cpu::Context& ctx = {}) {
  std::size_t count = 0;
  for (const std::int32_t position : positions) {
    if (position < 0) raise<ShapeError>("apply_rope: position ", position, " is negative");
    count = std::max(count, static_cast<std::size_t>(position) + 1);
  }
  apply_rope(x, positions, RopeTable(x.extent(2), count, params), ctx);
}

}  // namespace weft::inline v0
