#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/cpu/context.hpp>
#include <weft/ops/linear.hpp>
#include <weft/quant/quantize.hpp>

namespace weft::inline v0 {

/// A matrix in another element type or layout, a copy; the tensor itself where nothing changes. weight: (rows, k), of
/// any type and layout. Values are kept exactly where convert_row does so, otherwise they go through float and are
/// rounded as the target's encode() says. Throws ShapeError where
/// rows do not fill the blocks of `dtype`, UnsupportedError for types that are no weights, std::bad_alloc.
inline AnyTensor convert_weight(const AnyTensor& weight, DType dtype, Layout layout, const cpu::Context& ctx = {}) {
  if (weight.dtype() == dtype && weight.layout() == layout) return weight;
  if (weight.dtype() == dtype && layout == Layout::panels) return to_panels(weight, ctx);
  const std::size_t rows = weight.extent(0);
  const std::size_t k = weight.extent(1);
  const std::size_t row_bytes = bytes_of(dtype, k);
  const std::size_t panels = (rows + panel_rows - 1) / panel_rows;
  const std::size_t panel_bytes = (row_bytes + 3) / 4 * 4 * panel_rows;
  struct Buffers {
    std::vector<float> row;
    std::vector<std::byte> rows;
    cpu::Workspace workspace;
  };
  std::vector<Buffers> buffers(ctx.concurrency());
  return AnyTensor::make(
      dtype, weight.shape(),
      [&](std::span<std::byte> bytes) {
        detail::parallel_for(ctx, panels, [&](std::size_t panel, std::size_t slot) {
          Buffers& own = buffers[slot];
          own.row.resize(k);
          own.rows.resize(panel_rows * row_bytes);
          const std::size_t begin = panel * panel_rows;
          const std::size_t count = std::min(panel_rows, rows - begin);
          std::byte* to = layout == Layout::rows ? bytes.data() + begin * row_bytes : own.rows.data();
          const cpu::Context serial{.kernels = ctx.kernels, .workspace = &own.workspace};
          for (std::size_t r = 0; r < count; ++r) {
            if (weight.layout() == Layout::rows) {
              const std::byte* from = weight.bytes().data() + (begin + r) * bytes_of(weight.dtype(), k);
              convert_row(weight.dtype(), from, k, dtype, to + r * row_bytes, own.row.data());
            } else {
              weight_row(weight, begin + r, own.row.data(), serial);
              quantize_row(dtype, own.row.data(), k, to + r * row_bytes);
            }
          }
          if (layout == Layout::panels)
            detail::interleave_panel(*ctx.kernels, dtype, k, to, count,
                                     reinterpret_cast<std::uint32_t*>(bytes.data() + panel * panel_bytes));
        });
      },
      layout);
}

}  // namespace weft::inline v0
