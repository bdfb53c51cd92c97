#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>

#include <weft/core/memory.hpp>
#include <weft/core/tensor_view.hpp>
#include <weft/cpu/context.hpp>

namespace weft::inline v0::detail {

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

}  // namespace weft::inline v0::detail
