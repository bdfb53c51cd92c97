#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>

#include <weft/core/any_tensor.hpp>
#include <weft/core/function_ref.hpp>
#include <weft/core/tensor_view.hpp>
#include <weft/cpu/context.hpp>

namespace weft::inline v0 {

/// One of several products of the same tokens: y = x weight^T + bias.
struct LinearOutput {
  const AnyTensor& weight;      // (rows, k), of any type, in rows or in panels
  TensorView<float, 2> y;       // (tokens, rows)
  const float* bias = nullptr;  // (rows), or none
};

namespace detail {

/// The kernels for one weight type and way of computing.
struct LinearKernel {
  const cpu::TokenForm* form;
  void (*tile)(const cpu::TileArgs&) noexcept;
  // Null: interleaved rows are what the tile reads.
  void (*expand)(const cpu::PanelChunk&, void*) noexcept = nullptr;
  // For few tokens, instead of expand and tile.
  void (*direct)(const cpu::TileArgs&) noexcept = nullptr;
  // After expand, to float.
  void (*widen)(const std::byte*, std::size_t, float*) noexcept = nullptr;
  std::size_t elements = 1;  // of k in a block of an expanded panel
  std::size_t block_bytes = panel_rows * sizeof(float);
  std::size_t codes_bytes = 0;  // where `widen` follows: the block that it reads
  std::size_t direct_tokens = 8;

  std::size_t bytes(std::size_t k) const noexcept { return (k + elements - 1) / elements * block_bytes; }
};

inline LinearKernel linear_kernel(const cpu::Context& ctx, DType weight) {
  const cpu::Kernels& kernels = *ctx.kernels;
  const bool native = ctx.compute == Compute::native;
  switch (weight) {
    case DType::f32: return {&kernels.f32, kernels.tile_f32};
    case DType::f16: return {&kernels.f32, kernels.tile_f32, kernels.f16.expand, kernels.f16.direct};
    case DType::bf16:
      if (native && kernels.bf16.most != 0) return {.form = &kernels.bf16, .tile = kernels.tile_bf16, .elements = 2};
      return {&kernels.f32, kernels.tile_f32, kernels.bf16_as_f32.expand, kernels.bf16_as_f32.direct};
    default: break;
  }
  if (!is_block_format(weight))
    raise<UnsupportedError>("linear: weights of type ", name(weight), " (f32, f16, bf16 and block formats are)");
  const cpu::I8Weights& weights =
      kernels.i8.weights[static_cast<std::size_t>(weight) - static_cast<std::size_t>(DType::q8_0)];
  const cpu::I8Panels& panels = *weights.panels;
  if (native) {
    return {.form = &kernels.i8.tokens,
            .tile = panels.tile,
            .expand = weights.expand,
            .direct = weights.direct,
            .elements = kernels.i8.tokens.elements,
            .block_bytes = panels.block_bytes,
            .direct_tokens = kernels.i8.direct_tokens};
  }
  return {.form = &kernels.f32,
          .tile = kernels.tile_f32,
          .expand = weights.expand,
          .widen = panels.widen,
          .codes_bytes = panels.block_bytes};
}

/// The tokens of a product in one form, packed tile by tile.
class PackedTokens {
 public:
  static std::size_t row_bytes(const cpu::TokenForm& form, std::size_t k) noexcept {
    return (k + form.elements - 1) / form.elements * form.bytes;
  }
  static std::size_t bytes(const cpu::TokenForm& form, std::size_t tokens, std::size_t k) noexcept {
    return (tokens * (row_bytes(form, k) + sizeof(bool)) + alignment - 1) / alignment * alignment;
  }

  PackedTokens(const cpu::Context& ctx, const cpu::TokenForm& form, TensorView<const float, 2> x, std::byte* memory)
      : form_(&form),
        data_(memory),
        row_bytes_(row_bytes(form, x.extent(1))),
        overflow_(reinterpret_cast<bool*>(memory + x.extent(0) * row_bytes_), x.extent(0)) {
    const std::size_t tokens = x.extent(0);
    const std::size_t k = x.extent(1);
    std::fill(overflow_.begin(), overflow_.end(), false);
    const auto pack = [&](std::size_t tile, std::size_t) {
      const std::size_t end = std::min(tokens, (tile + 1) * form.most);
      for (std::size_t token = tile * form.most, count = 0; token < end; token += count) {
        count = cpu::tile_tokens(tokens - token, form.most);
        form.pack(x.data() + token * x.stride(0), x.stride(0), count, k, memory + token * row_bytes_,
                  overflow_.data() + token);
      }
    };
    const std::size_t tiles = (tokens + form.most - 1) / form.most;
    if (tokens * k < 65536) {
      for (std::size_t tile = 0; tile < tiles; ++tile) pack(tile, 0);
    } else {
      parallel_for(ctx, tiles, pack);
    }
    any_overflow_ = std::find(overflow_.begin(), overflow_.end(), true) != overflow_.end();
  }

  const cpu::TokenForm* form() const noexcept { return form_; }
  const std::byte* data() const noexcept { return data_; }
  std::size_t row_bytes() const noexcept { return row_bytes_; }

  /// What a token that its form does not reach gives is no number.
  void poison(float* y, std::size_t y_stride, std::size_t rows) const noexcept {
    if (!any_overflow_) return;
    for (std::size_t t = 0; t < overflow_.size(); ++t)
      if (overflow_[t]) std::fill_n(y + t * y_stride, rows, std::numeric_limits<float>::quiet_NaN());
  }

 private:
  const cpu::TokenForm* form_;
  const std::byte* data_;
  std::size_t row_bytes_;
  std::span<bool> overflow_;
  bool any_overflow_ = false;
};

/// How a product is cut up. Few tokens: one panel at a time, in parts that stay in the first-level cache from their
/// expansion to their use. Many: several panels at once that stay in a second-level cache of half a megabyte or more
/// while all tokens pass, in parts of k so long that a tile of tokens stays in the first.
struct LinearPlan {
  std::size_t panels;  // of one task
  std::size_t chunk;   // elements of k that are multiplied at once, but for weights that are used as they lie

  static constexpr std::size_t panels_for(std::size_t tokens) noexcept { return tokens < 16 ? 1 : 4; }

  LinearPlan(const LinearKernel& kernel, std::size_t tokens) noexcept : panels(panels_for(tokens)) {
    const std::size_t panel_bytes = tokens < 16 ? 16384 : 32768;
    const std::size_t fitting = panel_bytes / kernel.block_bytes * kernel.elements;
    chunk = std::max(cpu::panel_chunk, fitting / cpu::panel_chunk * cpu::panel_chunk);
  }
};

/// Scratch memory of one thread: sums of the panels of a task, parts of them expanded, the interleaved bytes they are
/// made of, and codes that are still to be widened.
struct LinearScratch {
  std::size_t sums;
  std::size_t expanded;
  std::size_t codes;
  // Of panel_chunk elements. No format that is expanded has more than two bytes an element, and none precedes a row by
  // more than a unit or two.
  static constexpr std::size_t interleaved = (cpu::panel_chunk / 2 + 2) * 4 * panel_rows;

  LinearScratch(const LinearKernel& kernel, const LinearPlan& plan, std::size_t tokens) noexcept
      : sums(tokens * plan.panels * panel_rows * sizeof(float)),
        expanded(plan.panels * kernel.bytes(plan.chunk)),
        codes(cpu::panel_chunk / 32 * kernel.codes_bytes) {}
  std::size_t bytes() const noexcept { return sums + expanded + interleaved + codes; }
};

/// Finishes panels, or parts of panels, of `k` elements of the formats whose blocks are no multiple of four bytes.
inline void pair_blocks(const cpu::Kernels& kernels, DType dtype, std::size_t k, std::uint32_t* panel) noexcept {
  const DTypeInfo& info = dtype_table[static_cast<std::size_t>(dtype)];
  if (info.block_bytes % 4 == 0 || !is_block_format(dtype) || info.row_bytes) return;
  kernels.pair_blocks(panel, k / info.block_elements, info.block_bytes / 4, dtype == DType::q6_k);
}

/// Rows [begin, end) of one product, begin being a multiple of panel_rows.
class LinearRows {
 public:
  LinearRows(const cpu::Context& ctx, const LinearKernel& kernel, const AnyTensor& weight, std::size_t begin,
             std::size_t end, std::size_t tokens, std::byte* scratch) noexcept
      : kernels_(ctx.kernels),
        kernel_(kernel),
        plan_(kernel, tokens),
        weight_(weight),
        header_bytes_(dtype_table[static_cast<std::size_t>(weight.dtype())].row_bytes),
        row_bytes_(bytes_of(weight.dtype(), weight.extent(1))),
        begin_(begin),
        end_(end),
        tokens_(tokens) {
    const LinearScratch sizes(kernel, plan_, tokens);
    sums_ = reinterpret_cast<float*>(scratch);
    expanded_ = scratch + sizes.sums;
    interleaved_ = reinterpret_cast<std::uint32_t*>(expanded_ + sizes.expanded);
    codes_ = expanded_ + sizes.expanded + LinearScratch::interleaved;
  }

  void run(const PackedTokens& x, float* y, std::size_t y_stride) noexcept {
    const std::size_t k = weight_.extent(1);
    const bool few = tokens_ <= kernel_.direct_tokens;
    const bool direct = few && kernel_.direct;
    const bool as_it_lies = weight_.layout() == Layout::panels && (direct || !kernel_.expand);
    const std::size_t chunk = as_it_lies && few ? k : direct ? cpu::panel_chunk : plan_.chunk;
    const std::size_t sums_stride = plan_.panels * panel_rows;
    for (std::size_t at = 0; at < k; at += chunk) {
      const std::size_t count = std::min(chunk, k - at);
      const bool last = at + chunk >= k;
      cpu::TileArgs args{.header = nullptr,
                         .panels = expanded_,
                         .panel_bytes = kernel_.bytes(count),
                         .rows = end_ - begin_,
                         .x = x.data(),
                         .x_bytes = x.row_bytes(),
                         .x_offset = at / x.form()->elements * x.form()->bytes,
                         .tokens = tokens_,
                         .k = count,
                         .from = at == 0 ? nullptr : sums_,
                         .from_stride = sums_stride,
                         .y = last ? y : sums_,
                         .y_stride = last ? y_stride : sums_stride};
      if (direct) {
        for (std::size_t row = begin_; row < end_; row += panel_rows) {
          const cpu::PanelChunk part = chunk_of(row, at, count);
          args.header = reinterpret_cast<const std::byte*>(part.header);
          args.panels = reinterpret_cast<const std::byte*>(part.data);
          args.rows = std::min(panel_rows, end_ - row);
          kernel_.direct(args);
          if (args.from) args.from += panel_rows;
          args.y += panel_rows;
        }
        continue;
      }
      if (as_it_lies) {
        args.panels = reinterpret_cast<const std::byte*>(packed(begin_) + unit_of(at) * panel_rows);
        args.panel_bytes = (row_bytes_ + 3) / 4 * 4 * panel_rows;
      } else {
        for (std::size_t row = begin_; row < end_; row += panel_rows)
          expand(row, at, count, expanded_ + (row - begin_) / panel_rows * args.panel_bytes);
      }
      kernel_.tile(args);
    }
  }

  /// Elements [at, at + count) of k of the panel that begins with `row`, as the tile reads them.
  void expand(std::size_t row, std::size_t at, std::size_t count, std::byte* to) noexcept {
    if (!kernel_.expand) {
      if (weight_.layout() == Layout::panels) {
        std::memcpy(to, packed(row) + unit_of(at) * panel_rows, kernel_.bytes(count));
      } else {
        interleave(row, header_bytes_ + bytes_before(at), bytes_before(count), to);
      }
      return;
    }
    for (std::size_t done = 0; done < count; done += cpu::panel_chunk) {
      const cpu::PanelChunk chunk = chunk_of(row, at + done, std::min(cpu::panel_chunk, count - done));
      std::byte* out = to + kernel_.bytes(done);
      if (kernel_.widen) {
        kernel_.expand(chunk, codes_);
        kernel_.widen(codes_, chunk.k, reinterpret_cast<float*>(out));
      } else {
        kernel_.expand(chunk, out);
      }
    }
  }

 private:
  /// Four-byte units of a row before element `at`, a multiple of panel_chunk.
  std::size_t unit_of(std::size_t at) const noexcept { return (header_bytes_ + bytes_before(at)) / 4; }
  std::size_t bytes_before(std::size_t at) const noexcept {
    const DTypeInfo& info = dtype_table[static_cast<std::size_t>(weight_.dtype())];
    return at / info.block_elements * info.block_bytes;
  }
  const std::uint32_t* packed(std::size_t row) const noexcept {
    return reinterpret_cast<const std::uint32_t*>(weight_.bytes().data()) +
           row / panel_rows * ((row_bytes_ + 3) / 4 * panel_rows);
  }
  void interleave(std::size_t row, std::size_t byte, std::size_t bytes, void* to) const noexcept {
    // What comes next: the bytes behind these, or the next panel's first.
    const std::size_t ahead = byte + bytes < row_bytes_ ? bytes : panel_rows * row_bytes_ - byte;
    kernels_->interleave(weight_.bytes().data() + row * row_bytes_ + byte, row_bytes_, std::min(panel_rows, end_ - row),
                         bytes, ahead, static_cast<std::uint32_t*>(to));
  }

  /// Elements [at, at + count) of k of the panel that begins with `row`, interleaved; where they are not yet, count is
  /// at most panel_chunk.
  cpu::PanelChunk chunk_of(std::size_t row, std::size_t at, std::size_t count) const noexcept {
    if (weight_.layout() == Layout::panels) return {packed(row), packed(row) + unit_of(at) * panel_rows, count};
    std::uint32_t* data = interleaved_ + header_bytes_ / 4 * panel_rows;
    if (header_bytes_) interleave(row, 0, header_bytes_, interleaved_);
    interleave(row, header_bytes_ + bytes_before(at), bytes_before(count), data);
    pair_blocks(*kernels_, weight_.dtype(), count, data);
    return {interleaved_, data, count};
  }

  const cpu::Kernels* kernels_;
  const LinearKernel& kernel_;
  LinearPlan plan_;
  const AnyTensor& weight_;
  std::size_t header_bytes_;
  std::size_t row_bytes_;
  std::size_t begin_;
  std::size_t end_;
  std::size_t tokens_;
  float* sums_;
  std::byte* expanded_;
  std::uint32_t* interleaved_;
  std::byte* codes_;
};

/// Panels dealt to threads in runs, as memory is read fastest from beginning to end: each run takes half of what is
/// left for a thread, so that all end together.
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
    return std::max<std::size_t>(1, (panels_ - begin) / (2 * threads_));
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
  std::size_t panels = 0, work = 0, slot_bytes = 0;
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
  }
  if (tokens == 0 || panels == 0) return;
  if (k == 0) form_bytes = {};
  const detail::Scratch scratch(ctx, form_bytes[0] + form_bytes[1] + form_bytes[2] + ctx.concurrency() * slot_bytes);
  std::array<std::optional<detail::PackedTokens>, 3> packed;
  std::size_t offset = 0;
  for (std::size_t i = 0; i < forms.size(); ++i) {
    if (form_bytes[i]) packed[i].emplace(ctx, *forms[i], x, scratch.as<std::byte>(offset));
    offset += form_bytes[i];
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
    if (output.bias)
      for (std::size_t t = 0; t < tokens; ++t) ctx.kernels->add(output.bias + begin, end - begin, y + t * y_stride);
  };
  const detail::PanelDeal deal(panels, ctx.concurrency());
  const std::size_t group = detail::LinearPlan::panels_for(tokens);
  const auto run_group = [&](std::size_t begin, std::size_t end, std::byte* memory) {
    if (epilogue) {
      for (const LinearOutput& output : outputs) rows(output, begin, end, memory);
      (*epilogue)(begin * panel_rows, std::min(outputs[0].weight.extent(0), end * panel_rows));
      return;
    }
    std::size_t before = 0;
    for (const LinearOutput& output : outputs) {
      const std::size_t after = before + detail::panels_of(output.weight);
      if (begin < std::min(end, after)) {
        rows(output, begin - before, std::min(end, after) - before, memory);
        begin = std::min(end, after);
      }
      before = after;
    }
  };
  const auto run = [&](std::size_t task, std::size_t slot) {
    std::byte* memory = scratch.as<std::byte>(offset + slot * slot_bytes);
    const std::size_t end = deal.end(task);
    for (std::size_t begin = deal.begin(task); begin < end; begin += group)
      run_group(begin, std::min(end, begin + group), memory);
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

/// Row `row` of a weight of any type and layout, widened to float; to: (k).
inline void weight_row(const AnyTensor& weight, std::size_t row, float* to, const cpu::Context& ctx = {}) {
  const std::size_t k = weight.extent(1);
  if (row >= weight.extent(0)) raise<ShapeError>("row ", row, " of a weight of ", weight.extent(0), " rows");
  cpu::Context exact = ctx;
  exact.compute = Compute::f32;
  const detail::LinearKernel kernel = detail::linear_kernel(exact, weight.dtype());
  const detail::LinearPlan plan(kernel, 1);
  const std::size_t rows_bytes = kernel.bytes(plan.chunk);
  const detail::Scratch scratch(ctx, rows_bytes + detail::LinearScratch(kernel, plan, 1).bytes());
  auto* widened = scratch.as<float>();
  const std::size_t first = weight.layout() == Layout::panels ? row / panel_rows * panel_rows : row;
  const std::size_t end = weight.layout() == Layout::panels ? std::min(first + panel_rows, weight.extent(0)) : row + 1;
  detail::LinearRows rows(exact, kernel, weight, first, end, 1, scratch.as<std::byte>(rows_bytes));
  for (std::size_t at = 0; at < k; at += plan.chunk) {
    const std::size_t count = std::min(plan.chunk, k - at);
    rows.expand(first, at, count, scratch.as<std::byte>());
    for (std::size_t i = 0; i < count; ++i) to[at + i] = widened[i * panel_rows + (row - first)];
  }
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
