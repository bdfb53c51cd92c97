#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/cpu/context.hpp>
#include <weft/models/adapter.hpp>
#include <weft/models/weight_loader.hpp>
#include <weft/ops/linear.hpp>
#include <weft/ops/quantize.hpp>

namespace weft::inline v0::detail {

/// Calls f(first row, rows of `weight`, rows of the product of the two matrices of `change`) with the rows of every
/// panel, in float, both (rows, k) and free to be overwritten; from several threads.
template <class F>
void for_each_low_rank_panel(const AnyTensor& weight, const Adapter::Matrix& change, const cpu::Context& ctx, F&& f) {
  const auto floats = [&](const AnyTensor& matrix) { return convert_weight(matrix, DType::f32, Layout::rows, ctx); };
  const AnyTensor left = floats(change.table ? change.a : change.b);                                    // (rows, rank)
  const AnyTensor right = to_panels(change.table ? change.b : transposed_copy(floats(change.a)), ctx);  // (k, rank)
  const std::size_t k = weight.extent(1);
  struct Buffers {
    std::vector<float> weight, change;
    cpu::Workspace workspace;
  };
  std::vector<Buffers> buffers(ctx.concurrency());
  parallel_for(ctx, panels_of(weight), [&](std::size_t panel, std::size_t slot) {
    Buffers& own = buffers[slot];
    own.weight.resize(panel_rows * k);
    own.change.resize(panel_rows * k);
    const cpu::Context serial{.kernels = ctx.kernels, .workspace = &own.workspace};
    const std::size_t begin = panel * panel_rows;
    const std::size_t rows = std::min(panel_rows, weight.extent(0) - begin);
    const TensorView<float, 2> of_weight(own.weight.data(), {rows, k});
    const TensorView<float, 2> of_change(own.change.data(), {rows, k});
    weight_rows(weight, begin, begin + rows, of_weight.data(), serial);
    linear(left.view<float, 2>().narrow(0, begin, rows), right, of_change, serial);
    f(begin, of_weight, of_change);
  });
}

}  // namespace weft::inline v0::detail
