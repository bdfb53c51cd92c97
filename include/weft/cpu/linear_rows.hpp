#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include <weft/core/any_tensor.hpp>
#include <weft/cpu/linear_kernel.hpp>
#include <weft/cpu/packed_tokens.hpp>

namespace weft::inline v0::detail {

/// How a product is cut up. Few tokens: one panel at a time, in parts that stay in the first-level cache from their
/// expansion to their use. Many: several panels at once that stay in a second-level cache of half a megabyte or more
/// while all tokens pass, in parts of k so long that a tile of tokens stays in the first.
struct LinearPlan {
  std::size_t panels;  // of one task
  std::size_t chunk;   // elements of k that are multiplied at once, but for weights that are used as they lie

  static constexpr bool few(std::size_t tokens) noexcept { return tokens < 16; }
  static constexpr std::size_t panels_for(std::size_t tokens) noexcept { return few(tokens) ? 1 : 4; }

  LinearPlan(const LinearKernel& kernel, std::size_t tokens) noexcept : panels(panels_for(tokens)) {
    // A part of a tile of tokens stays in the first-level cache, parts of the panels in the second.
    const std::size_t of_tile = 24576 / (kernel.form->most * kernel.form->bytes) * kernel.form->elements;
    const std::size_t of_panel = (few(tokens) ? 16384 : 81920) / kernel.block_bytes * kernel.elements;
    chunk = std::max(cpu::panel_chunk, std::min(of_tile, of_panel) / cpu::panel_chunk * cpu::panel_chunk);
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

  /// How many panels one call of run() may take: all there are where few tokens meet weights as they lie, so that these
  /// are read without a pause.
  static std::size_t panels_at_once(const cpu::Context& ctx, const AnyTensor& weight, std::size_t tokens) {
    const LinearKernel kernel = linear_kernel(ctx, weight.dtype());
    return weight.layout() == Layout::panels && tokens <= kernel.direct_tokens && (kernel.direct || !kernel.expand)
               ? std::numeric_limits<std::size_t>::max()
               : LinearPlan::panels_for(tokens);
  }

  /// y = x weight^T, or what is added to y where `onto`.
  void run(const PackedTokens& x, float* y, std::size_t y_stride, bool onto = false) noexcept {
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
                         .from = at != 0 ? sums_
                                 : onto  ? y
                                         : nullptr,
                         .from_stride = at != 0 ? sums_stride : y_stride,
                         .y = last ? y : sums_,
                         .y_stride = last ? y_stride : sums_stride,
                         .streamed = kernels_->streams_weights};
      if (direct) {
        const bool in_panels = weight_.layout() == Layout::panels;
        if (in_panels) ask_for(packed(begin_));
        cpu::PanelChunk part{};
        for (std::size_t row = begin_; row < end_; row += panel_rows) {
          if (!in_panels || row == begin_) part = chunk_of(row, at, count);
          args.header = reinterpret_cast<const std::byte*>(part.header);
          args.panels = reinterpret_cast<const std::byte*>(part.data);
          args.rows = std::min(panel_rows, end_ - row);
          kernel_.direct(args);
          if (args.from) args.from += panel_rows;
          args.y += panel_rows;
          part.header += panel_units();
          part.data += panel_units();
        }
        continue;
      }
      if (as_it_lies) {
        args.panels = reinterpret_cast<const std::byte*>(packed(begin_) + unit_of(at) * panel_rows);
        args.panel_bytes = panel_units() * 4;
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
    return reinterpret_cast<const std::uint32_t*>(weight_.bytes().data()) + row / panel_rows * panel_units();
  }
  /// From one interleaved panel to the next.
  std::size_t panel_units() const noexcept { return (row_bytes_ + 3) / 4 * panel_rows; }
  /// The bytes before those that the kernel asks for as it goes.
  static void ask_for(const std::uint32_t* p) noexcept {
    for (std::size_t i = 0; i < cpu::prefetch_distance; i += 64)
      __builtin_prefetch(reinterpret_cast<const std::byte*>(p) + i);
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
    if (weight_.layout() == Layout::panels)
      return {packed(row), packed(row) + unit_of(at) * panel_rows, count, kernels_->streams_weights};
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

}  // namespace weft::inline v0::detail
