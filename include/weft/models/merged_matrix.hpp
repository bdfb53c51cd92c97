#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/core/tensor_view.hpp>
#include <weft/cpu/context.hpp>
#include <weft/models/adapter.hpp>
#include <weft/models/low_rank_panels.hpp>
#include <weft/quant/quantize.hpp>

namespace weft::inline v0::detail {

/// What the lengths of the rows of W + scale * BA, of a table of its columns, are made of.
inline void measure_magnitude(const AnyTensor& weight, Adapter::Matrix& matrix, cpu::Context ctx) {
  Adapter::Magnitude& m = matrix.magnitude;
  for (std::vector<double>* sums : {&m.weight, &m.product, &m.change}) sums->assign(m.length.size(), 0.0);
  const auto add = [&](std::size_t to, float w, float c) {
    m.weight[to] += static_cast<double>(w) * static_cast<double>(w);
    m.product[to] += static_cast<double>(w) * static_cast<double>(c);
    m.change[to] += static_cast<double>(c) * static_cast<double>(c);
  };
  // The columns of a table are summed up by one thread, from the first row to the last.
  if (matrix.table) ctx.executor = nullptr;
  for_each_low_rank_panel(weight, matrix, ctx,
                          [&](std::size_t begin, TensorView<float, 2> rows, TensorView<float, 2> added) {
                            for (std::size_t r = 0; r < rows.extent(0); ++r)
                              for (std::size_t i = 0; i < rows.extent(1); ++i)
                                add(matrix.table ? i : begin + r, rows(r, i), added(r, i));
                          });
}

/// gain * (weight + scale * BA) in the type and layout of `weight`; gain: of its rows, of a table of its columns, or
/// none.
inline AnyTensor merged_matrix(const AnyTensor& weight, const Adapter::Matrix& change, float scale,
                               const cpu::Context& ctx) {
  const Tensor<float, 1> gain = change.magnitude.length.empty() ? Tensor<float, 1>() : change.magnitude.gain(scale);
  const std::size_t k = weight.extent(1);
  const std::size_t row_bytes = bytes_of(weight.dtype(), k);
  const std::size_t panel_bytes = (row_bytes + 3) / 4 * 4 * panel_rows;
  return AnyTensor::make(
      weight.dtype(), weight.shape(),
      [&](std::span<std::byte> bytes) {
        for_each_low_rank_panel(
            weight, change, ctx, [&](std::size_t begin, TensorView<float, 2> rows, TensorView<float, 2> added) {
              std::vector<std::byte> encoded(panel_rows * row_bytes);
              const bool in_rows = weight.layout() == Layout::rows;
              std::byte* to = in_rows ? bytes.data() + begin * row_bytes : encoded.data();
              for (std::size_t r = 0; r < rows.extent(0); ++r) {
                for (std::size_t i = 0; i < k; ++i) {
                  const float factor = gain.empty() ? 1.f : gain(change.table ? i : begin + r);
                  rows(r, i) = factor * (rows(r, i) + scale * added(r, i));
                }
                quantize_row(weight.dtype(), &rows(r, 0), k, to + r * row_bytes);
              }
              if (!in_rows)
                interleave_panel(*ctx.kernels, weight.dtype(), k, to, rows.extent(0),
                                 reinterpret_cast<std::uint32_t*>(bytes.data() + begin / panel_rows * panel_bytes));
            });
      },
      weight.layout());
}

}  // namespace weft::inline v0::detail
