#pragma once

#include <cstddef>
#include <span>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor_view.hpp>
#include <weft/cpu/context.hpp>

namespace weft::inline v0 {

/// One of several products of the same tokens: y = x weight^T + bias.
struct LinearOutput {
  const AnyTensor& weight;      // (rows, k): f32, f16 or bf16
  TensorView<float, 2> y;       // (tokens, rows)
  const float* bias = nullptr;  // (rows), or none
};

namespace detail {

/// The kernels for one weight type and way of computing.
struct LinearKernel {
  void (*run)(const cpu::LinearArgs&) noexcept = nullptr;
  bool bf16_tokens = false;
};

inline LinearKernel linear_kernel(const cpu::Context& ctx, DType weight) {
  const cpu::Kernels& kernels = *ctx.kernels;
  switch (weight) {
    case DType::f32: return {kernels.linear_f32};
    case DType::f16: return {kernels.linear_f16};
    case DType::bf16:
      if (ctx.compute == Compute::native && kernels.linear_bf16_dot) return {kernels.linear_bf16_dot, true};
      return {kernels.linear_bf16};
    default: raise<UnsupportedError>("linear: weights of type ", name(weight), " (f32, f16 and bf16 are supported)");
  }
}

/// Packs x (tokens, k) into tiles, all tokens in parallel.
inline void pack_tokens(const cpu::Context& ctx, TensorView<const float, 2> x, bool bf16, void* packed) {
  const std::size_t tokens = x.extent(0);
  const std::size_t k = x.extent(1);
  const std::size_t padded = (k + cpu::linear_granule - 1) / cpu::linear_granule * cpu::linear_granule;
  const std::size_t most = ctx.kernels->linear_tokens;
  // Whole tiles first, so that every task begins at a tile.
  const std::size_t tiles = (tokens + most - 1) / most;
  const auto pack = [&](std::size_t tile, std::size_t) {
    const std::size_t end = (tile + 1) * most < tokens ? (tile + 1) * most : tokens;
    for (std::size_t token = tile * most, count = 0; token < end; token += count) {
      count = cpu::linear_tile_tokens(tokens - token, most);
      const float* from = x.data() + token * x.stride(0);
      if (bf16) {
        ctx.kernels->pack_tokens_bf16(from, x.stride(0), count, k, static_cast<bfloat16*>(packed) + token * padded);
      } else {
        ctx.kernels->pack_tokens(from, x.stride(0), count, k, static_cast<float*>(packed) + token * padded);
      }
    }
  };
  if (tokens * k < 16384) {
    for (std::size_t tile = 0; tile < tiles; ++tile) pack(tile, 0);
  } else {
    parallel_for(ctx, tiles, pack);
  }
}

inline void check_linear(TensorView<const float, 2> x, const LinearOutput& output) {
  if (output.weight.rank() != 2)
    raise<ShapeError>("linear: the weight has shape ", to_string(output.weight.shape()), ", expected (rows, k)");
  require_extent("linear: columns of x", "k", x.extent(1), output.weight.extent(1));
  require_shape("linear", "y", output.y.extents(), Dims<2>{x.extent(0), output.weight.extent(0)});
  if ((x.extent(1) > 1 && x.stride(1) != 1) || (output.y.extent(1) > 1 && output.y.stride(1) != 1))
    raise<ShapeError>("linear: the elements of a row of x and of y must lie one after the other");
}

/// Weight rows of one task: as many as stay in a second-level cache of half a megabyte or more while all tokens pass.
/// Rows longer than a block of k lie far apart, in fewer sets of the cache.
inline std::size_t linear_block_rows(std::size_t k) noexcept { return k > cpu::linear_block ? 64 : 128; }

}  // namespace detail

/// y = x weight^T + bias for each output: PyTorch's linear, several at once for the products that share x (queries,
/// keys and values; gate and up), which packs x once and divides all their rows among the threads.
///
/// x: (tokens, k), rows contiguous. weight: (rows, k), read in place. y: (tokens, rows), must not overlap x. Sums are
/// float; with Compute::native and bfloat16 weights x is rounded to bfloat16. The result does not depend on the number
/// of threads nor on how tokens are divided among calls. Throws ShapeError, UnsupportedError for other weight types.
inline void linear(TensorView<const float, 2> x, std::span<const LinearOutput> outputs, const cpu::Context& ctx = {}) {
  const std::size_t block_rows = detail::linear_block_rows(x.extent(1));
  constexpr std::size_t small = 32768;  // multiply-adds below which a second thread does not pay
  bool any_bf16 = false;
  bool any_f32 = false;
  std::size_t tasks = 0;
  std::size_t work = 0;
  for (const LinearOutput& output : outputs) {
    detail::check_linear(x, output);
    (detail::linear_kernel(ctx, output.weight.dtype()).bf16_tokens ? any_bf16 : any_f32) = true;
    tasks += (output.weight.extent(0) + block_rows - 1) / block_rows;
    work += output.weight.extent(0) * x.extent(1) * x.extent(0);
  }
  const std::size_t tokens = x.extent(0);
  const std::size_t k = x.extent(1);
  if (tokens == 0 || tasks == 0) return;
  const std::size_t padded = (k + cpu::linear_granule - 1) / cpu::linear_granule * cpu::linear_granule;
  const std::size_t f32_bytes = any_f32 ? tokens * padded * sizeof(float) : 0;
  const detail::Scratch scratch(ctx, f32_bytes + tokens * padded * sizeof(bfloat16));
  if (any_f32) detail::pack_tokens(ctx, x, false, scratch.as<float>());
  if (any_bf16) detail::pack_tokens(ctx, x, true, scratch.as<bfloat16>(f32_bytes));

  const auto run = [&](std::size_t task, std::size_t) {
    std::size_t index = 0;
    const LinearOutput* output = outputs.data();
    for (std::size_t blocks; index + (blocks = (output->weight.extent(0) + block_rows - 1) / block_rows) <= task;
         ++output)
      index += blocks;
    const detail::LinearKernel kernel = detail::linear_kernel(ctx, output->weight.dtype());
    const std::size_t begin = (task - index) * block_rows;
    const std::size_t rows = output->weight.extent(0);
    const std::size_t end = begin + block_rows < rows ? begin + block_rows : rows;
    float* y = output->y.data();
    const std::size_t y_stride = output->y.stride(0);
    if (k == 0) {
      for (std::size_t t = 0; t < tokens; ++t)
        for (std::size_t r = begin; r < end; ++r) y[t * y_stride + r] = 0.f;
    }
    kernel.run({.weight = output->weight.bytes().data(),
                .weight_stride = k,
                .x = scratch.as<std::byte>(kernel.bf16_tokens ? f32_bytes : 0),
                .tokens = tokens,
                .k = k,
                .y = y,
                .y_stride = y_stride,
                .row_begin = begin,
                .row_end = end});
    if (output->bias)
      for (std::size_t t = 0; t < tokens; ++t)
        ctx.kernels->add(output->bias + begin, end - begin, y + t * y_stride + begin);
  };
  if (work < small) {
    for (std::size_t task = 0; task < tasks; ++task) run(task, 0);
  } else {
    detail::parallel_for(ctx, tasks, run);
  }
}

/// y = x weight^T + bias for one weight.
inline void linear(TensorView<const float, 2> x, const AnyTensor& weight, TensorView<float, 2> y,
                   const cpu::Context& ctx = {}, const float* bias = nullptr) {
  const LinearOutput output{weight, y, bias};
  linear(x, std::span<const LinearOutput>(&output, 1), ctx);
}

}  // namespace weft::inline v0
