#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include <weft/core/tensor.hpp>
#include <weft/layers/encoder_block.hpp>
#include <weft/layers/tap.hpp>
#include <weft/models/vision_weights.hpp>
#include <weft/ops/rows.hpp>

namespace weft::inline v0 {

/// Runs the layers of a tower elsewhere, as on a device: x (rows, hidden), in place, of sequences that lie one after
/// the other. Taps see none of it.
using TowerLayers = std::function<void(std::span<const PackedSequence> sequences, const EncoderLayerParams& params,
                                       TensorView<float, 2> x, const std::stop_token& stop)>;

/// Runs the layers of a tower. Its memory grows to the largest pass and is kept.
class Tower {
 public:
  /// Room for `rows` tokens: what the caller fills with what enters the first layer, (rows, hidden).
  TensorView<float, 2> place(const TowerConfig& config, std::size_t rows) {
    rows_ = 0;
    detail::reserve_rows(x_, rows, config.hidden);
    detail::reserve_rows(normed_, rows, config.hidden);
    for (Tensor<float, 2>* tensor : {&q_, &k_, &v_, &attention_out_})
      detail::reserve_rows(*tensor, rows, config.query());
    detail::reserve_rows(up_, rows, config.intermediate);
    rows_ = rows;
    return hidden();
  }
  /// The tokens of the last pass, (rows, hidden); none after one that threw.
  TensorView<float, 2> hidden() { return x_.narrow(0, 0, rows_); }
  TensorView<const float, 2> hidden() const { return x_.narrow(0, 0, rows_); }
  void clear() noexcept { rows_ = 0; }
  /// What runs the layers in every later pass; none: the CPU.
  void set_layers(TowerLayers layers) { layers_ = std::move(layers); }

  /// All layers, on the tokens in place. Throws Cancelled when `stop` is requested.
  void run(const TowerConfig& config, const TowerWeights& weights, std::span<const PackedSequence> sequences,
           bool causal, const Tap& tap, const std::stop_token& stop, const cpu::Context& ctx) {
    if (rows_ == 0) return;
    const EncoderLayerParams params{.form = EncoderForm::pre_norm,
                                    .norm = {.eps = config.norm_eps, .kind = NormKind::layer},
                                    .activation = config.activation,
                                    .scores = {.scale = config.score_scale(), .causal = causal},
                                    .head_dim = config.head_dim,
                                    .attention_name = config.modules.attention,
                                    .mlp_name = config.modules.mlp};
    if (layers_) return layers_(sequences, params, hidden(), stop);
    const auto rows = [&](Tensor<float, 2>& tensor) { return tensor.narrow(0, 0, rows_); };
    const EncoderLayerBuffers buffers{
        .normed = rows(normed_),
        .attention = {.q = rows(q_), .k = rows(k_), .v = rows(v_), .out = rows(attention_out_)},
        .gate = {},
        .up = rows(up_)};
    detail::tap_out(&tap, hidden(), config.modules.embedding);
    cpu::Residual x(hidden());
    std::string name;
    for (std::size_t i = 0; i < config.layers; ++i) {
      if (stop.stop_requested()) raise<Cancelled>("forward: stopped before layer ", i);
      if (tap) name = detail::tensor_name(config.modules.layer, {i, 0});
      encoder_block(weights.layers[i], sequences, params, buffers, x, &tap, name, ctx);
    }
  }

 private:
  std::size_t rows_ = 0;
  TowerLayers layers_;
  Tensor<float, 2> x_, normed_, q_, k_, v_, attention_out_, up_;  // at least (rows, width) each
};

}  // namespace weft::inline v0
