#pragma once

#include <cstddef>

#include <weft/core/dtype.hpp>
#include <weft/core/error.hpp>
#include <weft/core/layout.hpp>
#include <weft/cpu/context.hpp>

namespace weft::inline v0::detail {

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
  const std::size_t format = static_cast<std::size_t>(weight) - static_cast<std::size_t>(DType::q8_0);
  if (!is_block_format(weight) || format >= kernels.i8.weights.size())
    raise<UnsupportedError>("linear: weights of type ", name(weight),
                            " are not supported (f32, f16, bf16 and the block formats that are their own kernel_dtype "
                            "are)");
  const cpu::I8Weights& weights = kernels.i8.weights[format];
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

}  // namespace weft::inline v0::detail
