#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <weft/core/any_tensor.hpp>
#include <weft/core/function_ref.hpp>
#include <weft/core/tensor_view.hpp>
#include <weft/cpu/context.hpp>
#include <weft/cpu/linear_kernel.hpp>
#include <weft/cpu/linear_rows.hpp>
#include <weft/cpu/packed_tokens.hpp>
#include <weft/ops/linear_update.hpp>

namespace weft::inline v0 {

/// One of several products of the same tokens: y = x weight^T, then `updates` in their order, then + bias.
struct LinearOutput {
  const AnyTensor& weight;                     // (rows, k), of any type, in rows or in panels
  TensorView<float, 2> y;                      // (tokens, rows)
  const float* bias = nullptr;                 // (rows), or none
  std::span<const LinearUpdate> updates = {};  // of some tokens
};

namespace detail {

/// Panels dealt to threads in runs, as memory is read fastest from beginning to end: each run takes three quarters of
/// what is left for a thread, so that all end together.
class PanelDeal {
 public:
  PanelDeal(std::size_t panels, std::size_t threads) noexcept : panels_(panels), threads_(threads) {
    for (std::size_t begin = 0; begin < panels; begin += run(begin)) ++size_;
  }

  std::size_t size() const noexcept { return size_; }
  std::size_t begin(std::size_t i) const noexcept {
    std::size_t begin = 0;
    for (; i > 0; --i) begin += run(begin);
    return begin;
  }
  std::size_t end(std::size_t i) const noexcept { return begin(i + 1); }

 private:
  std::size_t run(std::size_t begin) const noexcept {
    return std::max<std::size_t>(1, 3 * (panels_ - begin) / (4 * threads_));
  }

  std::size_t panels_;
  std::size_t threads_;
  std::size_t size_ = 0;
};

inline std::size_t panels_of(const AnyTensor& weight) noexcept {
  return (weight.extent(0) + panel_rows - 1) / panel_rows;
}

inline void check_linear(TensorView<const float, 2> x, const LinearOutput& output) {
  if (output.weight.rank() != 2)
    raise<ShapeError>("linear: the weight has shape ", to_string(output.weight.shape()), ", expected (rows, k)");
  require_extent("linear: columns of x", "k", x.extent(1), output.weight.extent(1));
  require_shape("linear", "y", output.y.extents(), Dims<2>{x.extent(0), output.weight.extent(0)});
  if ((x.extent(1) > 1 && x.stride(1) != 1) || (output.y.extent(1) > 1 && output.y.stride(1) != 1))
    raise<ShapeError>(
        "linear: the elements of a row of x and of y must lie "
        "one after the other");
}

}  // namespace detail

/// What follows a product: called with the rows [begin, end) of y that are done, on the thread that did them.
using LinearEpilogue = FunctionRef<void(std::size_t begin, std::size_t end)>;

/// y = x weight^T + bias for each output: PyTorch's linear, several at once for the products that share x (queries,
/// keys and values; gate and up), which packs x once and divides all their rows among the threads. An epilogue is
/// called for the same rows of all outputs, which then have equally many.
///
/// x: (tokens, k), rows contiguous. weight: (rows, k). y: (tokens, rows), must not overlap x. Sums are float. With
/// Compute::native, tokens are rounded to bfloat16 for bfloat16 weights where the processor multiplies them, and to
/// blocks of 32 int8 with a power-of-two scale for block formats; a token with NaN, infinity or an element beyond 2^66
/// then gives NaN. With Compute::f32 weights are widened exactly. The result does not depend on the layout of the
/// weights, on the number of threads, nor on how tokens are divided among calls. Throws ShapeError, UnsupportedError
/// for other weight types.
inline void linear(TensorView<const float, 2> x, std::span<const LinearOutput> outputs, const cpu::Context& ctx = {},
                   std::optional<LinearEpilogue> epilogue = std::nullopt) {
  const std::size_t tokens = x.extent(0);
  const std::size_t k = x.extent(1);
  std::size_t panels = 0, work = 0, slot_bytes = 0, update_bytes = 0;
  // At most one set of packed tokens for each form.
  const std::array<const cpu::TokenForm*, 3> forms{&ctx.kernels->f32, &ctx.kernels->bf16, &ctx.kernels->i8.tokens};
  std::array<std::size_t, 3> form_bytes{};
  for (const LinearOutput& output : outputs) {
    detail::check_linear(x, output);
    const detail::LinearKernel kernel = detail::linear_kernel(ctx, output.weight.dtype());
    for (std::size_t i = 0; i < forms.size(); ++i)
      if (forms[i] == kernel.form) form_bytes[i] = detail::PackedTokens::bytes(*kernel.form, tokens, k);
    slot_bytes =
        std::max(slot_bytes, detail::LinearScratch(kernel, detail::LinearPlan(kernel, tokens), tokens).bytes());
    const std::size_t of_output = detail::panels_of(output.weight);
    if (epilogue)
      detail::require_extent("linear: rows", "every output", output.weight.extent(0), outputs[0].weight.extent(0));
    panels = epilogue ? of_output : panels + of_output;
    work += output.weight.extent(0) * k * tokens;
    for (const LinearUpdate& update : output.updates) {
      detail::PackedUpdates::check(update, tokens, output.weight.extent(0));
      slot_bytes = std::max(slot_bytes, detail::PackedUpdates::slot_bytes(ctx, update));
    }
    update_bytes += detail::PackedUpdates::bytes(ctx, output.updates);
  }
  if (tokens == 0 || panels == 0) return;
  if (k == 0) form_bytes = {};
  const detail::Scratch scratch(
      ctx, form_bytes[0] + form_bytes[1] + form_bytes[2] + update_bytes + ctx.concurrency() * slot_bytes);
  std::array<std::optional<detail::PackedTokens>, 3> packed;
  std::size_t offset = 0;
  for (std::size_t i = 0; i < forms.size(); ++i) {
    if (form_bytes[i]) packed[i].emplace(ctx, *forms[i], x, scratch.as<std::byte>(offset));
    offset += form_bytes[i];
  }
  std::byte* packed_updates = scratch.as<std::byte>(offset);
  for (const LinearOutput& output : outputs) {
    detail::PackedUpdates::pack(ctx, output.updates, scratch.as<std::byte>(offset));
    offset += detail::PackedUpdates::bytes(ctx, output.updates);
  }

  const auto rows = [&](const LinearOutput& output, std::size_t first, std::size_t last, std::byte* memory) {
    const detail::LinearKernel kernel = detail::linear_kernel(ctx, output.weight.dtype());
    const std::size_t begin = first * panel_rows;
    const std::size_t end = std::min(output.weight.extent(0), last * panel_rows);
    float* y = output.y.data() + begin;
    const std::size_t y_stride = output.y.stride(0);
    if (k == 0) {
      for (std::size_t t = 0; t < tokens; ++t) std::fill_n(y + t * y_stride, end - begin, 0.f);
    } else {
      const auto& x_packed =
          *std::find_if(packed.begin(), packed.end(), [&](const auto& p) { return p && p->form() == kernel.form; });
      detail::LinearRows(ctx, kernel, output.weight, begin, end, tokens, memory).run(*x_packed, y, y_stride);
      x_packed->poison(y, y_stride, end - begin);
    }
    if (!output.updates.empty()) {
      std::byte* packed_update = packed_updates;
      for (const LinearOutput* other = outputs.data(); other != &output; ++other)
        packed_update += detail::PackedUpdates::bytes(ctx, other->updates);
      detail::PackedUpdates::run(ctx, output.updates, begin, end, y, y_stride, packed_update, memory);
    }
    if (output.bias)
      for (std::size_t t = 0; t < tokens; ++t) ctx.kernels->add(output.bias + begin, end - begin, y + t * y_stride);
  };
  const auto all_rows = [&](const LinearOutput& output, std::size_t first, std::size_t last, std::byte* memory) {
    const std::size_t group = detail::LinearRows::panels_at_once(ctx, output.weight, tokens);
    for (std::size_t count = 0; first < last; first += count) {
      count = std::min(group, last - first);
      rows(output, first, first + count, memory);
    }
  };
  const detail::PanelDeal deal(panels, ctx.concurrency());
  const auto run = [&](std::size_t task, std::size_t slot) {
    std::byte* memory = scratch.as<std::byte>(offset + slot * slot_bytes);
    const std::size_t begin = deal.begin(task), end = deal.end(task);
    if (epilogue) {
      // Every output is read for a while, as memory is fastest where it goes on; what many tokens give stays in the
      // cache.
      const std::size_t of_epilogue = detail::LinearPlan::few(tokens) ? end - begin : 8;
      for (std::size_t first = begin; first < end; first += of_epilogue) {
        const std::size_t last = std::min(end, first + of_epilogue);
        for (const LinearOutput& output : outputs) all_rows(output, first, last, memory);
        (*epilogue)(first * panel_rows, std::min(outputs[0].weight.extent(0), last * panel_rows));
      }
      return;
    }
    std::size_t before = 0;
    for (const LinearOutput& output : outputs) {
      const std::size_t after = before + detail::panels_of(output.weight);
      if (begin < after && before < end)
        all_rows(output, std::max(begin, before) - before, std::min(end, after) - before, memory);
      before = after;
    }
  };
  constexpr std::size_t small = 32768;  // multiply-adds below which a second thread does not pay
  if (work < small) {
    for (std::size_t task = 0; task < deal.size(); ++task) run(task, 0);
  } else {
    detail::parallel_for(ctx, deal.size(), run);
  }
}

/// y = x weight^T + bias for one weight.
inline void linear(TensorView<const float, 2> x, const AnyTensor& weight, TensorView<float, 2> y,
                   const cpu::Context& ctx = {}, const float* bias = nullptr) {
  const LinearOutput output{weight, y, bias};
  linear(x, std::span<const LinearOutput>(&output, 1), ctx);
}

/// The same for weights of the caller's own, a Tensor or TensorView (rows, k) of float, half or bfloat16, read where
/// they lie, one element after the other. For several products, block formats and panels see as_any_tensor(),
/// AnyTensor and to_panels().
template <TensorLike W>
void linear(TensorView<const float, 2> x, const W& weight, TensorView<float, 2> y, const cpu::Context& ctx = {},
            const float* bias = nullptr) {
  static_assert(detail::is_float_matrix<W>, "linear: weights are (rows, k) of float, half or bfloat16");
  linear(x, as_any_tensor(weight), y, ctx, bias);
}

namespace detail {

/// Rows [begin, end) of a weight of any type and layout, which lie in one panel, widened to float; to: (end - begin,
/// k).
inline void weight_rows(const AnyTensor& weight, std::size_t begin, std::size_t end, float* to,
                        const cpu::Context& ctx) {
  const std::size_t k = weight.extent(1);
  cpu::Context exact = ctx;
  exact.compute = Compute::f32;
  const LinearKernel kernel = linear_kernel(exact, weight.dtype());
  const LinearPlan plan(kernel, 1);
  const std::size_t rows_bytes = kernel.bytes(plan.chunk);
  const Scratch scratch(ctx, rows_bytes + LinearScratch(kernel, plan, 1).bytes());
  auto* widened = scratch.as<float>();
  const bool panels = weight.layout() == Layout::panels;
  const std::size_t first = panels ? begin / panel_rows * panel_rows : begin;
  LinearRows rows(exact, kernel, weight, first, panels ? std::min(first + panel_rows, weight.extent(0)) : end, 1,
                  scratch.as<std::byte>(rows_bytes));
  for (std::size_t at = 0; at < k; at += plan.chunk) {
    const std::size_t count = std::min(plan.chunk, k - at);
    rows.expand(first, at, count, scratch.as<std::byte>());
    for (std::size_t row = begin; row < end; ++row)
      for (std::size_t i = 0; i < count; ++i) to[(row - begin) * k + at + i] = widened[i * panel_rows + (row - first)];
  }
}

}  // namespace detail

/// Row `row` of a weight of any type and layout, widened to float; to: (k).
inline void weight_row(const AnyTensor& weight, std::size_t row, float* to, const cpu::Context& ctx = {}) {
  if (row >= weight.extent(0)) raise<ShapeError>("row ", row, " of a weight of ", weight.extent(0), " rows");
  detail::weight_rows(weight, row, row + 1, to, ctx);
}

namespace detail {

/// Up to panel_rows rows of weights, one after the other, as a panel.
inline void interleave_panel(const cpu::Kernels& kernels, DType dtype, std::size_t k, const std::byte* from,
                             std::size_t rows, std::uint32_t* panel) noexcept {
  const std::size_t row_bytes = bytes_of(dtype, k);
  kernels.interleave(from, row_bytes, rows, row_bytes, row_bytes, panel);
  pair_blocks(kernels, dtype, k, panel);
}

}  // namespace detail

/// The weight in Layout::panels, a copy. Throws ShapeError for another than a matrix, std::bad_alloc.
inline AnyTensor to_panels(const AnyTensor& weight, const cpu::Context& ctx = {}) {
  if (weight.layout() == Layout::panels) return weight;
  return AnyTensor::make(
      weight.dtype(), weight.shape(),
      [&](std::span<std::byte> bytes) {
        const std::size_t rows = weight.extent(0);
        const std::size_t row_bytes = bytes_of(weight.dtype(), weight.extent(1));
        const std::size_t panel_bytes = (row_bytes + 3) / 4 * 4 * panel_rows;
        detail::parallel_for(ctx, detail::panels_of(weight), [&](std::size_t panel, std::size_t) {
          const std::size_t begin = panel * panel_rows;
          detail::interleave_panel(*ctx.kernels, weight.dtype(), weight.extent(1),
                                   weight.bytes().data() + begin * row_bytes, std::min(panel_rows, rows - begin),
                                   reinterpret_cast<std::uint32_t*>(bytes.data() + panel * panel_bytes));
        });
      },
      Layout::panels);
}

}  // namespace weft::inline v0
