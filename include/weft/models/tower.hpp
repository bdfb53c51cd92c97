#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include <weft/core/tensor.hpp>
#include <weft/core/token_id.hpp>
#include <weft/layers/encoder_block.hpp>
#include <weft/layers/tap.hpp>
#include <weft/models/vision_weights.hpp>
#include <weft/ops/rows.hpp>

namespace weft::inline v0 {

/// What follows the hidden states of a tower, of one row for each image or text.
enum class TowerHead : unsigned char {
  pooler,                   ///< ImagePooling::dense and norm, of first tokens
  projection,               ///< of what is pooled
  classifier,               ///< of first tokens or of means
  distillation_classifier,  ///< of second tokens
};

/// A tower that runs elsewhere, as on a device, with what comes before its layers and after them. Rows are of host
/// memory, contiguous. Taps see none of it. Everything throws what forward() and the heads of a pass throw.
class TowerDevice {
 public:
  virtual ~TowerDevice() = default;

  /// hidden (rows, hidden) = what VisionPass::forward() returns. pixels: (images, channels, height, width). added: what
  /// is added to the tokens of every image, (tokens, hidden).
  virtual void run_images(TensorView<const float, 4> pixels, TensorView<const float, 2> added,
                          const EncoderLayerParams& params, TensorView<float, 2> hidden,
                          const std::stop_token& stop) = 0;
  /// hidden (rows, hidden) = what TextPass::forward() returns. ids: (rows).
  virtual void run_texts(std::span<const TokenId> ids, std::span<const PackedSequence> sequences,
                         const EncoderLayerParams& params, TensorView<float, 2> hidden,
                         const std::stop_token& stop) = 0;
  /// y = what a head makes of x.
  virtual void run_head(TowerHead head, TensorView<const float, 2> x, TensorView<float, 2> y) = 0;
  /// ImagePooling::attention of hidden states x (rows, hidden). y: (sequences, hidden).
  virtual void pool_by_attention(std::span<const PackedSequence> sequences, TensorView<const float, 2> x,
                                 TensorView<float, 2> y) = 0;
};

/// What runs the layers of a tower instead of the CPU: a TowerDevice, or a function that does no more than the layers,
/// on x (rows, hidden), in place, of sequences that lie one after the other. Taps see none of it.
class TowerLayers {
 public:
  using Run = std::function<void(std::span<const PackedSequence> sequences, const EncoderLayerParams& params,
                                 TensorView<float, 2> x, const std::stop_token& stop)>;

  TowerLayers() = default;
  template <std::convertible_to<Run> F>
  TowerLayers(F run) : run_(std::move(run)) {}
  TowerLayers(std::shared_ptr<TowerDevice> device) : device_(std::move(device)) {}

  const Run& run() const noexcept { return run_; }
  TowerDevice* device() const noexcept { return device_.get(); }

 private:
  Run run_;
  std::shared_ptr<TowerDevice> device_;
};

/// Runs the layers of a tower. Its memory grows to the largest pass and is kept.
class Tower {
 public:
  /// Room for `rows` tokens: what the caller fills with what enters the first layer, (rows, hidden).
  TensorView<float, 2> place(const TowerConfig& config, std::size_t rows) {
    rows_ = 0;
    detail::reserve_rows(x_, rows, config.hidden);
    rows_ = rows;
    return hidden();
  }
  /// The tokens of the last pass, (rows, hidden); none after one that threw.
  TensorView<float, 2> hidden() { return x_.narrow(0, 0, rows_); }
  TensorView<const float, 2> hidden() const { return x_.narrow(0, 0, rows_); }
  void clear() noexcept { rows_ = 0; }
  /// What runs the layers in every later pass; none: the CPU.
  void set_layers(TowerLayers layers) { layers_ = std::move(layers); }
  /// What runs all of it instead, or null.
  TowerDevice* device() const noexcept { return layers_.device(); }

  /// What the layers are computed with.
  static EncoderLayerParams params(const TowerConfig& config, bool causal) {
    return {.form = EncoderForm::pre_norm,
            .norm = {.eps = config.norm_eps, .kind = NormKind::layer},
            .activation = config.activation,
            .scores = {.scale = config.score_scale(), .causal = causal},
            .head_dim = config.head_dim,
            .attention_name = config.modules.attention,
            .mlp_name = config.modules.mlp};
  }

  /// All layers, on the tokens in place. Throws Cancelled when `stop` is requested.
  void run(const TowerConfig& config, const TowerWeights& weights, std::span<const PackedSequence> sequences,
           bool causal, const Tap& tap, const std::stop_token& stop, const cpu::Context& ctx) {
    if (rows_ == 0) return;
    const EncoderLayerParams params = Tower::params(config, causal);
    if (layers_.run()) return layers_.run()(sequences, params, hidden(), stop);
    detail::reserve_rows(normed_, rows_, config.hidden);
    for (Tensor<float, 2>* tensor : {&q_, &k_, &v_, &attention_out_})
      detail::reserve_rows(*tensor, rows_, config.query());
    detail::reserve_rows(up_, rows_, config.intermediate);
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
