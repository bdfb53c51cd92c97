#pragma once

#include <algorithm>
#include <cmath>
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
#include <weft/ops/embedding.hpp>
#include <weft/ops/softmax.hpp>

namespace weft::inline v0 {

/// Runs the text tower of a model of images and texts over one or several texts at once. Texts of unequal length lie
/// one after the other, without padding; each gets the bits that it would get alone. It belongs to one thread at a
/// time; its memory grows to the largest pass and is kept.
class TextPass {
 public:
  /// Throws UnsupportedError for a model that has no text tower.
  explicit TextPass(VisionModel model) : model_(std::move(model)) {
    if (!model_.config().has_text()) raise<UnsupportedError>(model_.source(), ": the checkpoint has no text tower");
  }

  const VisionModel& model() const noexcept { return model_; }
  /// Called with the intermediates of every later pass; an empty tap ends that.
  void set_tap(Tap tap) { tap_ = std::move(tap); }
  /// What runs the layers in every later pass, or, if it is a TowerDevice, all of it and the head; none: the CPU.
  void set_layers(TowerLayers layers) { tower_.set_layers(std::move(layers)); }

  /// Runs all layers. The tokens of every text after the final norm, (rows, hidden), the texts one after the other;
  /// valid until the next pass. Throws ShapeError for a text that is empty or exceeds the context and for ids outside
  /// the vocabulary; Cancelled when `stop` is requested and std::bad_alloc, after which there is no last pass.
  TensorView<const float, 2> forward(std::span<const std::vector<TokenId>> texts, const std::stop_token& stop = {}) {
    for (std::size_t i = 0; i < texts.size(); ++i) check(texts[i], i);
    sequences_.clear();
    pooled_rows_.clear();
    tower_.clear();
    try {
      run(texts, stop);
    } catch (...) {
      pooled_rows_.clear();
      tower_.clear();
      throw;
    }
    return hidden();
  }

  /// The last pass: how many texts, and their tokens, (rows, hidden).
  std::size_t texts() const noexcept { return pooled_rows_.size(); }
  TensorView<const float, 2> hidden() const { return tower_.hidden(); }

  /// The token that stands for each text, as TextPooling says. y: (texts, hidden). Throws ShapeError for another shape.
  void pool(TensorView<float, 2> y) {
    const std::size_t width = model_.config().text.hidden;
    detail::require_shape("pool", "y", y.extents(), Dims<2>{texts(), width});
    for (std::size_t i = 0; i < texts(); ++i)
      for (std::size_t j = 0; j < width; ++j) y(i, j) = hidden()(pooled_rows_[i], j);
  }

  /// What a text becomes in the space that it shares with images, as it leaves the projection, not of length 1, or, of
  /// a text tower without one, what pool() gives. y: (texts, projection). Throws ShapeError for another shape.
  void features(TensorView<float, 2> y) {
    const LinearHead& projection = model_.weights().text_projection;
    if (!projection) return pool(y);
    detail::require_answers("features", y, texts(), projection.classes());
    detail::reserve_rows(gathered_, texts(), model_.config().text.hidden);
    const TensorView<float, 2> pooled = gathered_.narrow(0, 0, texts());
    pool(pooled);
    if (TowerDevice* device = tower_.device()) {
      device->run_head(TowerHead::projection, pooled, y);
    } else {
      projection.forward(pooled, y, context_for_ops());
    }
    detail::tap_out(&tap_, y, model_.config().text.modules.pooled);
  }

 private:
  cpu::Context context_for_ops() {
    return {.kernels = &model_.kernels(),
            .executor = &model_.executor(),
            .workspace = &workspace_,
            .compute = model_.compute()};
  }

  void check(std::span<const TokenId> text, std::size_t index) const {
    const VisionConfig& c = model_.config();
    if (text.empty()) raise<ShapeError>("forward: text ", index, " has no tokens");
    if (text.size() > c.context)
      raise<ShapeError>("forward: text ", index, " has ", text.size(), " tokens, the model has ", c.context,
                        " positions");
    for (std::size_t t = 0; t < text.size(); ++t)
      if (text[t] < 0 || static_cast<std::size_t>(text[t]) >= c.vocab)
        raise<ShapeError>("forward: token id ", text[t], " at index ", t, " of text ", index, " is outside [0, ",
                          c.vocab, ")");
  }

  /// Which of its tokens stands for a text.
  std::size_t pooled_token(std::span<const TokenId> text) const {
    const VisionConfig& c = model_.config();
    if (c.text_pooling == TextPooling::last) return text.size() - 1;
    if (c.text_pooling == TextPooling::largest_id)
      return static_cast<std::size_t>(std::max_element(text.begin(), text.end()) - text.begin());
    const auto end = std::find(text.begin(), text.end(), c.end_token);
    return end == text.end() ? 0 : static_cast<std::size_t>(end - text.begin());
  }

  void run(std::span<const std::vector<TokenId>> texts, const std::stop_token& stop) {
    const VisionConfig& c = model_.config();
    const VisionWeights& w = model_.weights();
    const cpu::Context ctx = context_for_ops();
    std::vector<TokenId> ids, positions;
    for (const std::vector<TokenId>& text : texts) {
      sequences_.push_back({.begin = ids.size(), .tokens = text.size()});
      pooled_rows_.push_back(ids.size() + pooled_token(text));
      ids.insert(ids.end(), text.begin(), text.end());
      for (std::size_t t = 0; t < text.size(); ++t) positions.push_back(static_cast<TokenId>(t));
    }
    const TensorView<float, 2> x = tower_.place(c.text, ids.size());
    if (TowerDevice* device = tower_.device())
      return device->run_texts(ids, sequences_, Tower::params(c.text, c.causal), x, stop);
    embedding(ids, w.words, x, ctx);
    detail::reserve_rows(positions_, ids.size(), c.text.hidden);
    const TensorView<float, 2> added = positions_.narrow(0, 0, ids.size());
    embedding(positions, w.text.positions, added, ctx);
    ctx.kernels->add(added.data(), added.size(), x.data());
    tower_.run(c.text, w.text, sequences_, c.causal, tap_, stop, ctx);
    norm(x, w.text.norm, x, {.eps = c.text.norm_eps, .kind = NormKind::layer}, ctx);
    detail::tap_out(&tap_, x, c.text.modules.norm);
  }

  VisionModel model_;
  std::vector<PackedSequence> sequences_;
  std::vector<std::size_t> pooled_rows_;  // (texts)
  Tap tap_;
  cpu::Workspace workspace_;
  Tower tower_;
  Tensor<float, 2> positions_, gathered_;
};

/// The ids of a text as the text tower of a model takes them: with special tokens, cut to its context, and, where it
/// was trained so (SigLIP), filled up to that with padding. Throws TokenizerError where the model has no tokenizer, and
/// what Tokenizer::tokenize() throws.
inline std::vector<TokenId> encode_text(const VisionModel& model, std::string_view text) {
  const VisionConfig& c = model.config();
  const bool padded = c.text_pooling == TextPooling::last;
  return model.tokenizer()
      .tokenize(text, {.max_length = c.context,
                       .truncation = Truncation::longest_first,
                       .padding = padded ? Padding::max_length : Padding::none})
      .ids;
}

/// logits = e^logit_scale * cosine(image, text) + logit_bias, the latter in SigLIP alone.
///
/// images: (images, width), texts: (texts, width), what VisionPass::features() and TextPass::features() gave, of any
/// length. logits: (images, texts). Throws ShapeError, UnsupportedError for a model that has not both towers.
inline void match_logits(const VisionModel& model, TensorView<const float, 2> images, TensorView<const float, 2> texts,
                         TensorView<float, 2> logits) {
  const VisionWeights& w = model.weights();
  if (w.logit_scale.empty())
    raise<UnsupportedError>(model.source(), ": the checkpoint has no ", model.config().has_text() ? "image" : "text",
                            " tower");
  detail::require_extent("match_logits", "the width of texts", texts.extent(1), images.extent(1));
  detail::require_shape("match_logits", "logits", logits.extents(), Dims<2>{images.extent(0), texts.extent(0)});
  const auto dot = [](TensorView<const float, 1> a, TensorView<const float, 1> b) {
    double sum = 0.0;
    for (std::size_t i = 0; i < a.extent(0); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return sum;
  };
  const double scale = std::exp(static_cast<double>(w.logit_scale[0]));
  const double bias = w.logit_bias.empty() ? 0.0 : static_cast<double>(w.logit_bias[0]);
  for (std::size_t i = 0; i < images.extent(0); ++i)
    for (std::size_t j = 0; j < texts.extent(0); ++j) {
      const double lengths = std::sqrt(dot(images[i], images[i])) * std::sqrt(dot(texts[j], texts[j]));
      logits(i, j) = static_cast<float>(scale * dot(images[i], texts[j]) / lengths + bias);
    }
}

/// The probabilities of zero-shot classification, of match_logits(), in place: that a text is the one of all that fits
/// (CLIP, the softmax over texts), or that it fits (SigLIP, the logistic function). logits: (images, texts).
inline void match_probabilities(const VisionModel& model, TensorView<float, 2> logits) {
  if (model.config().match == TextMatch::softmax) return softmax(logits, logits);
  for (std::size_t i = 0; i < logits.extent(0); ++i)
    for (std::size_t j = 0; j < logits.extent(1); ++j) logits(i, j) = 1.f / (1.f + std::exp(-logits(i, j)));
}

}  // namespace weft::inline v0
