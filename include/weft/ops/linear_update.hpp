#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor_view.hpp>
#include <weft/cpu/context.hpp>
#include <weft/cpu/linear_kernel.hpp>
#include <weft/cpu/linear_rows.hpp>
#include <weft/cpu/packed_tokens.hpp>

namespace weft::inline v0 {

/// A change of the product of some tokens: y = gain * (y + x weight^T) + bias, each where it is given. Sums are float
/// and weights are widened exactly, whatever Context::compute says.
struct LinearUpdate {
  std::size_t begin = 0;  // the first token
  std::size_t tokens = 0;
  TensorView<const float, 2> x = {};  // (tokens, rank), rows contiguous
  const AnyTensor* weight = nullptr;  // (rows, rank)
  const float* gain = nullptr;        // (rows)
  const float* bias = nullptr;        // (rows)
};

namespace detail {

/// The updates of one product: their tokens are packed once, then every thread updates the rows of y that it has done.
class PackedUpdates {
 public:
  static void check(const LinearUpdate& update, std::size_t tokens, std::size_t rows) {
    if (update.begin > tokens || update.tokens > tokens - update.begin)
      raise<ShapeError>("linear: an update of ", update.tokens, " tokens from ", update.begin, " on, there are ",
                        tokens);
    if (!update.weight) return;
    require_extent("linear: tokens of an update", "x", update.x.extent(0), update.tokens);
    if (update.weight->rank() != 2 || update.weight->extent(0) != rows ||
        update.weight->extent(1) != update.x.extent(1))
      raise<ShapeError>("linear: the weight of an update has shape ", to_string(update.weight->shape()), ", expected (",
                        rows, ", ", update.x.extent(1), ")");
    if (update.x.extent(1) > 1 && update.x.stride(1) != 1)
      raise<ShapeError>("linear: the elements of a row of x of an update must lie one after the other");
  }

  /// Shared memory that the updates of one output take.
  static std::size_t bytes(const cpu::Context& ctx, std::span<const LinearUpdate> updates) {
    std::size_t total = 0;
    for (const LinearUpdate& update : updates) total += bytes_of_one(ctx, update);
    return total;
  }
  /// Memory of each thread.
  static std::size_t slot_bytes(const cpu::Context& ctx, const LinearUpdate& update) {
    if (!update.weight) return 0;
    const LinearKernel kernel = linear_kernel(exact(ctx), update.weight->dtype());
    return LinearScratch(kernel, LinearPlan(kernel, update.tokens), update.tokens).bytes();
  }

  static void pack(const cpu::Context& ctx, std::span<const LinearUpdate> updates, std::byte* memory) {
    for (const LinearUpdate& update : updates) {
      if (bytes_of_one(ctx, update) == 0) continue;
      std::construct_at(reinterpret_cast<PackedTokens*>(memory), ctx, ctx.kernels->f32, update.x, memory + head);
      memory += bytes_of_one(ctx, update);
    }
  }

  /// Updates rows [begin, end) of y, which points to row `begin` of the first token. memory: what pack() filled.
  static void run(const cpu::Context& ctx, std::span<const LinearUpdate> updates, std::size_t begin, std::size_t end,
                  float* y, std::size_t y_stride, std::byte* memory, std::byte* slot) {
    for (const LinearUpdate& update : updates) {
      float* first = y + update.begin * y_stride;
      if (const std::size_t bytes = bytes_of_one(ctx, update)) {
        const LinearKernel kernel = linear_kernel(exact(ctx), update.weight->dtype());
        const auto& x = *std::launder(reinterpret_cast<const PackedTokens*>(memory));
        const std::size_t most = LinearPlan(kernel, update.tokens).panels * panel_rows;
        for (std::size_t row = begin; row < end; row += most)
          LinearRows(ctx, kernel, *update.weight, row, std::min(end, row + most), update.tokens, slot)
              .run(x, first + (row - begin), y_stride, true);
        memory += bytes;
      }
      for (std::size_t t = 0; t < update.tokens; ++t) {
        float* row = first + t * y_stride;
        if (update.gain)
          for (std::size_t i = 0; i < end - begin; ++i) row[i] *= update.gain[begin + i];
        if (update.bias) ctx.kernels->add(update.bias + begin, end - begin, row);
      }
    }
  }

 private:
  static_assert(std::is_trivially_destructible_v<PackedTokens>);
  static constexpr std::size_t head = (sizeof(PackedTokens) + alignment - 1) / alignment * alignment;

  static cpu::Context exact(cpu::Context ctx) noexcept {
    ctx.compute = Compute::f32;
    return ctx;
  }
  /// 0: there is nothing to multiply.
  static std::size_t bytes_of_one(const cpu::Context& ctx, const LinearUpdate& update) noexcept {
    if (!update.weight || update.x.empty()) return 0;
    return head + PackedTokens::bytes(ctx.kernels->f32, update.tokens, update.x.extent(1));
  }
};

/// Applies updates to what y (tokens, rows) holds.
inline void update_product(TensorView<float, 2> y, std::span<const LinearUpdate> updates, const cpu::Context& ctx) {
  std::size_t slot_bytes = 0;
  for (const LinearUpdate& update : updates) {
    PackedUpdates::check(update, y.extent(0), y.extent(1));
    slot_bytes = std::max(slot_bytes, PackedUpdates::slot_bytes(ctx, update));
  }
  const std::size_t packed_bytes = PackedUpdates::bytes(ctx, updates);
  const Scratch scratch(ctx, packed_bytes + slot_bytes);
  PackedUpdates::pack(ctx, updates, scratch.as<std::byte>());
  PackedUpdates::run(ctx, updates, 0, y.extent(1), y.data(), y.stride(0), scratch.as<std::byte>(),
                     scratch.as<std::byte>(packed_bytes));
}

}  // namespace detail
}  // namespace weft::inline v0
