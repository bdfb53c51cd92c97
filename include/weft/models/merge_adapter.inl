#pragma once

#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/models/adapter.hpp>
#include <weft/models/low_rank_panels.hpp>
#include <weft/quant/quantize.hpp>

namespace weft::inline v0 {

namespace detail {

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

/// The biases of a product after those of its second low-rank matrix, scaled.
inline void merge_bias(const Adapter& adapter, const Adapter::Matrix& change, float scale, DecoderWeights& weights) {
  if (change.bias.empty()) return;
  if (!change.bias_slot)
    raise<UnsupportedError>(adapter.source(), ": lora_bias cannot be merged into a layer that has no bias");
  Tensor<float, 1>& bias = change.bias_slot(weights, change.index);
  if (bias.empty()) bias = Tensor<float, 1>({change.bias.size()});
  for (std::size_t i = 0; i < bias.size(); ++i) bias(i) += scale * change.bias(i);
}

inline void check_merge(const char* what, const CausalLM& model, const Adapter& adapter, float scale) {
  if (&adapter.model().weights() != &model.weights())
    raise<ConfigError>(what, ": ", adapter.source(), " was loaded for another model");
  if (!std::isfinite(scale)) raise<ConfigError>(what, ": the scale of ", adapter.source(), " is not a number");
}

inline cpu::Context context_of(const CausalLM& model) {
  return {.kernels = &model.kernels(), .executor = &model.executor()};
}

}  // namespace detail

WEFT_INLINE CausalLM merge(const CausalLM& model, const Adapter& adapter, float scale) {
  detail::check_merge("merge", model, adapter, scale);
  CausalLM::Parts parts = model.parts();
  for (const Adapter::Matrix& m : adapter.matrices()) {
    AnyTensor& weight = m.slot(parts.weights, m.index);
    if (m.replaced) weight = m.replaced;
    if (!m.a) continue;
    weight = detail::merged_matrix(weight, m, scale * m.scale, detail::context_of(model));
    detail::merge_bias(adapter, m, scale * m.scale, parts.weights);
  }
  for (const Adapter::Vector& v : adapter.vectors()) v.slot(parts.weights, v.index) = v.replaced;
  const auto changed = [&](const AnyTensor DecoderWeights::*matrix) {
    return (parts.weights.*matrix).bytes().data() != (model.weights().*matrix).bytes().data();
  };
  if (changed(&DecoderWeights::embedding) || changed(&DecoderWeights::output)) parts.config.tied_embeddings = false;
  return CausalLM(std::move(parts));
}

WEFT_INLINE CausalLM unmerge(const CausalLM& model, const Adapter& adapter, float scale) {
  detail::check_merge("unmerge", model, adapter, scale);
  bool lost = !adapter.vectors().empty();
  for (const Adapter::Matrix& m : adapter.matrices()) lost = lost || m.replaced || !m.magnitude.length.empty();
  if (lost)
    raise<UnsupportedError>("unmerge: ", adapter.source(),
                            " replaces weights or scales them by magnitudes, which merging does not keep");
  return merge(model, adapter, -scale);
}

}  // namespace weft::inline v0
