#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <stop_token>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/layers/norm.hpp>
#include <weft/layers/tap.hpp>
#include <weft/models/tower.hpp>
#include <weft/models/vision.hpp>
#include <weft/ops/attention.hpp>
#include <weft/ops/embedding.hpp>
#include <weft/ops/interpolate.hpp>

namespace weft::inline v0 {

struct VisionPassOptions {
  /// Images may be of any size, one in each pass, of a patch or more; learned positions become as many as their patches
  /// by interpolate_bicubic(), as with interpolate_pos_encoding=True in transformers.
  bool interpolate_positions = false;
};

/// Runs the image tower of a model over one or several images at once, and what follows on what comes out. Each image
/// gets the bits that it would get alone. It belongs to one thread at a time; its memory grows to the largest pass and
/// is kept.
class VisionPass {
 public:
  /// Throws UnsupportedError for a model that has no image tower.
  explicit VisionPass(VisionModel model, const VisionPassOptions& options = {})
      : model_(std::move(model)), options_(options) {
    const VisionConfig& c = model_.config();
    require("image tower", c.has_images());
    std::vector<TokenId> rows(c.tokens());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<TokenId>(i);
    learned_ = Tensor<float, 2>::uninitialised({c.tokens(), c.image.hidden});
    embedding(rows, model_.weights().image.positions, learned_, context_for_ops());
    const auto add_token = [&](std::size_t row, const Tensor<float, 1>& token) {
      if (!token.empty()) model_.kernels().add(token.data(), token.size(), &learned_(row, 0));
    };
    add_token(0, model_.weights().class_token);
    add_token(1, model_.weights().distillation_token);
  }

  const VisionModel& model() const noexcept { return model_; }
  /// Called with the intermediates of every later pass; an empty tap ends that.
  void set_tap(Tap tap) { tap_ = std::move(tap); }
  /// What runs the layers in every later pass, or, if it is a TowerDevice, all of it and the heads; none: the CPU.
  void set_layers(TowerLayers layers) { tower_.set_layers(std::move(layers)); }

  /// Runs all layers on what the image processor made. pixels: (images, channels, height, width) as the config says, or
  /// of any height and width where positions are interpolated; what is left beside the last patch is not seen.
  /// The tokens of every image, (images * tokens, hidden): the class token, where the model has one, the distillation
  /// token, and the patches row by row, normalised where the model does that before it pools; valid until the next
  /// pass. Throws ShapeError for other shapes; Cancelled when `stop` is requested and std::bad_alloc, after which there
  /// is no last pass.
  TensorView<const float, 2> forward(TensorView<const float, 4> pixels, const std::stop_token& stop = {}) {
    check(pixels.extents());
    images_ = 0;
    tower_.clear();
    try {
      run(pixels, stop);
    } catch (...) {
      tower_.clear();
      throw;
    }
    images_ = pixels.extent(0);
    return hidden();
  }
  /// One image, (channels, height, width).
  TensorView<const float, 2> forward(TensorView<const float, 3> pixels, const std::stop_token& stop = {}) {
    return forward(pixels.unsqueeze(0), stop);
  }

  /// The last pass: how many images, and their tokens, (images * tokens, hidden).
  std::size_t images() const noexcept { return images_; }
  TensorView<const float, 2> hidden() const { return tower_.hidden(); }

  // What follows, on the last pass. All throw UnsupportedError where the checkpoint has no such part, ShapeError where
  // y has another shape than is said.

  /// One vector for each image, as ImagePooling says. y: (images, pooled).
  void pool(TensorView<float, 2> y) {
    const VisionConfig& c = model_.config();
    const VisionWeights& w = model_.weights();
    detail::require_answers("pool", y, images_, c.pooled);
    const cpu::Context ctx = context_for_ops();
    require("pooler", c.pooling == ImagePooling::dense ? bool(w.pooler) : c.pooling != ImagePooling::none);
    if (TowerDevice* device = tower_.device()) {
      if (c.pooling == ImagePooling::attention) {
        device->pool_by_attention(sequences_, hidden(), y);
      } else {
        device->run_head(TowerHead::pooler, gather(0), y);
      }
    } else if (c.pooling == ImagePooling::attention) {
      pool_by_attention(y, ctx);
    } else if (c.pooling == ImagePooling::norm) {
      norm(gather(0), w.image.norm, y, {.eps = c.image.norm_eps, .kind = NormKind::layer}, ctx);
    } else {
      w.pooler.forward(gather(0), y, ctx);
      detail::head_activation(c.pooler_activation, y, ctx);
    }
    detail::tap_out(&tap_, y, c.image.modules.pooled);
  }

  /// What an image becomes in the space that it shares with texts, as it leaves the projection, not of length 1. y:
  /// (images, features).
  void features(TensorView<float, 2> y) {
    const LinearHead& projection = model_.weights().image_projection;
    if (!projection) return pool(y);
    detail::require_answers("features", y, images_, projection.classes());
    detail::reserve_rows(pooled_, images_, model_.config().pooled);
    const TensorView<float, 2> pooled = pooled_.narrow(0, 0, images_);
    pool(pooled);
    run(TowerHead::projection, projection, pooled, y);
    detail::tap_out(&tap_, y, "visual_projection");
  }

  /// Logits of the classes. y: (images, classes).
  void classify(TensorView<float, 2> y) {
    const VisionWeights& w = model_.weights();
    const ImageClassifier kind = model_.config().classifier;
    require("classifier", kind != ImageClassifier::none);
    detail::require_answers("classify", y, images_, w.classifier.classes());
    run(TowerHead::classifier, w.classifier, kind == ImageClassifier::mean ? mean_of_patches() : gather(0), y);
    if (kind != ImageClassifier::with_teacher) return;
    auto other = Tensor<float, 2>::uninitialised(y.extents());
    run(TowerHead::distillation_classifier, w.distillation_classifier, gather(1), other);
    for (std::size_t i = 0; i < y.extent(0); ++i)
      for (std::size_t j = 0; j < y.extent(1); ++j) y(i, j) = (y(i, j) + other(i, j)) / 2.f;
  }

 private:
  cpu::Context context_for_ops() {
    return {.kernels = &model_.kernels(),
            .executor = &model_.executor(),
            .workspace = &workspace_,
            .compute = model_.compute()};
  }

  void require(std::string_view what, bool there) const {
    if (!there) raise<UnsupportedError>(model_.source(), ": the checkpoint has no ", what);
  }

  void run(TowerHead head, const LinearHead& weights, TensorView<const float, 2> x, TensorView<float, 2> y) {
    if (TowerDevice* device = tower_.device()) return device->run_head(head, x, y);
    weights.forward(x, y, context_for_ops());
  }

  void check(const Dims<4>& pixels) const {
    const VisionConfig& c = model_.config();
    const bool any = options_.interpolate_positions;
    detail::require_shape(
        "forward", "pixels", pixels,
        Dims<4>{pixels[0], c.channels, any ? pixels[2] : c.image_height, any ? pixels[3] : c.image_width});
    if (pixels[2] < c.patch_height || pixels[3] < c.patch_width)
      raise<ShapeError>("forward: images of ", pixels[2], " x ", pixels[3], " have no patch of ", c.patch_height, " x ",
                        c.patch_width);
  }

  /// What is added to the tokens of an image of down * across patches, (tokens, hidden).
  TensorView<const float, 2> added(std::size_t down, std::size_t across) {
    const VisionConfig& c = model_.config();
    const std::size_t learned_down = c.image_height / c.patch_height, learned_across = c.image_width / c.patch_width;
    if (down == learned_down && across == learned_across) return learned_;
    if (down == down_ && across == across_) return interpolated_;
    const std::size_t first = c.first_patch(), hidden = c.image.hidden;
    down_ = across_ = 0;
    interpolated_ = Tensor<float, 2>::uninitialised({first + down * across, hidden});
    std::copy_n(learned_.data(), first * hidden, interpolated_.data());
    interpolate_bicubic(
        TensorView<const float, 3>(learned_.data() + first * hidden, {learned_down, learned_across, hidden}),
        TensorView<float, 3>(interpolated_.data() + first * hidden, {down, across, hidden}));
    down_ = down, across_ = across;
    return interpolated_;
  }

  void run(TensorView<const float, 4> pixels, const std::stop_token& stop) {
    const VisionConfig& c = model_.config();
    const TowerWeights& w = model_.weights().image;
    const cpu::Context ctx = context_for_ops();
    const TensorView<const float, 2> positions =
        added(pixels.extent(2) / c.patch_height, pixels.extent(3) / c.patch_width);
    const std::size_t tokens = positions.extent(0);
    sequences_.clear();
    for (std::size_t i = 0; i < pixels.extent(0); ++i) sequences_.push_back({.begin = i * tokens, .tokens = tokens});
    const TensorView<float, 2> x = tower_.place(c.image, pixels.extent(0) * tokens);
    if (TowerDevice* device = tower_.device())
      return device->run_images(pixels, positions, Tower::params(c.image, false), x, stop);
    const NormParams params{.eps = c.image.norm_eps, .kind = NormKind::layer};
    for (std::size_t i = 0; i < pixels.extent(0); ++i)
      embed(pixels[i], positions, x.narrow(0, sequences_[i].begin, tokens), ctx);
    if (c.input_norm) norm(x, w.input_norm, x, params, ctx);
    tower_.run(c.image, w, sequences_, false, tap_, stop, ctx);
    if (c.image.modules.norm.empty()) return;
    norm(x, w.norm, x, params, ctx);
    detail::tap_out(&tap_, x, c.image.modules.norm);
  }

  /// The tokens of one image: those learned, and what its patches become, each with what its place adds. pixels:
  /// (channels, height, width), positions, x: (tokens, hidden).
  void embed(TensorView<const float, 3> pixels, TensorView<const float, 2> positions, TensorView<float, 2> x,
             const cpu::Context& ctx) {
    const VisionConfig& c = model_.config();
    const std::size_t first = c.first_patch(), patches = x.extent(0) - first;
    detail::reserve_rows(patches_, patches, c.patch_size());
    const std::size_t across = pixels.extent(2) / c.patch_width;
    for (std::size_t patch = 0; patch < patches; ++patch) {
      float* to = &patches_(patch, 0);
      const std::size_t top = patch / across * c.patch_height, left = patch % across * c.patch_width;
      for (std::size_t channel = 0; channel < c.channels; ++channel)
        for (std::size_t row = top; row < top + c.patch_height; ++row)
          for (std::size_t column = left; column < left + c.patch_width; ++column) *to++ = pixels(channel, row, column);
    }
    for (std::size_t t = 0; t < first; ++t) std::fill_n(&x(t, 0), c.image.hidden, 0.f);
    model_.weights().patches.forward(patches_.narrow(0, 0, patches), x.narrow(0, first, patches), ctx);
    ctx.kernels->add(positions.data(), positions.size(), x.data());
  }

  /// Token `index` of every image: (images, hidden).
  TensorView<float, 2> gather(std::size_t index) {
    const std::size_t width = model_.config().image.hidden;
    detail::reserve_rows(gathered_, images_, width);
    for (std::size_t i = 0; i < images_; ++i)
      std::copy_n(&hidden()(sequences_[i].begin + index, 0), width, &gathered_(i, 0));
    return gathered_.narrow(0, 0, images_);
  }

  TensorView<float, 2> mean_of_patches() {
    const VisionConfig& c = model_.config();
    detail::reserve_rows(gathered_, images_, c.image.hidden);
    for (std::size_t i = 0; i < images_; ++i) {
      float* sum = &gathered_(i, 0);
      std::fill_n(sum, c.image.hidden, 0.f);
      const PackedSequence& s = sequences_[i];
      for (std::size_t t = c.first_patch(); t < s.tokens; ++t)
        model_.kernels().add(&hidden()(s.begin + t, 0), c.image.hidden, sum);
      for (std::size_t j = 0; j < c.image.hidden; ++j) sum[j] /= static_cast<float>(s.tokens - c.first_patch());
    }
    return gathered_.narrow(0, 0, images_);
  }

  void pool_by_attention(TensorView<float, 2> y, const cpu::Context& ctx) {
    const TowerConfig& c = model_.config().image;
    const AttentionPoolWeights& w = model_.weights().attention_pooler;
    const std::size_t rows = hidden().extent(0);
    Tensor<float, 2> q({1, c.hidden}), out({images_, c.hidden}), up({images_, c.intermediate});
    Tensor<float, 2> k({rows, c.hidden}), v({rows, c.hidden});
    linear(w.probe.reshape(std::size_t{1}, c.hidden), w.attention.q, q, ctx, detail::bias_or_null(w.attention.q_bias));
    linear(hidden(), w.attention.k, k, ctx, detail::bias_or_null(w.attention.k_bias));
    linear(hidden(), w.attention.v, v, ctx, detail::bias_or_null(w.attention.v_bias));
    const auto heads = [&](TensorView<float, 2> flat) { return flat.reshape(flat.extent(0), c.heads, c.head_dim); };
    std::vector<AttentionSequence<float>> calls;
    for (std::size_t i = 0; i < images_; ++i) {
      const PackedSequence& s = sequences_[i];
      calls.push_back({.q = heads(q),
                       .k = heads(k).narrow(0, s.begin, s.tokens),
                       .v = heads(v).narrow(0, s.begin, s.tokens),
                       .out = heads(out).narrow(0, i, 1),
                       .params = {.scale = c.score_scale(), .causal = false}});
    }
    attention(std::span<const AttentionSequence<float>>(calls), ctx);
    linear(out, w.attention.o, y, ctx, detail::bias_or_null(w.attention.o_bias));
    norm(y, w.norm, out, {.eps = c.norm_eps, .kind = NormKind::layer}, ctx);
    mlp(w.mlp, c.activation, out, {}, up, out, ctx, y);
  }

  VisionModel model_;
  VisionPassOptions options_;
  std::size_t images_ = 0;
  std::vector<PackedSequence> sequences_;
  Tensor<float, 2> learned_;           // (tokens, hidden): positions, with the tokens before the patches
  Tensor<float, 2> interpolated_;      // the same for images of another size, of
  std::size_t down_ = 0, across_ = 0;  // so many patches
  Tap tap_;
  cpu::Workspace workspace_;
  Tower tower_;
  Tensor<float, 2> patches_, gathered_, pooled_;
};

}  // namespace weft::inline v0
