#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/layers/tap.hpp>
#include <weft/layers/transformer_block.hpp>
#include <weft/models/causal_lm.hpp>
#include <weft/models/kv_cache.hpp>
#include <weft/ops/embedding.hpp>

namespace weft::inline v0 {

/// Takes tokens of one or several sequences through all layers of a decoder. Its scratch memory is allocated when it is
/// made, nothing per token.
class DecoderPass {
 public:
  /// One sequence of a pass: its tokens, and the cache they are appended to at `position`.
  struct Sequence {
    std::span<const TokenId> tokens;
    const KvCache* cache;
    std::size_t position;
  };

  /// For at most `rows` tokens at once in at most `sequences` sequences, at positions before `context`. Throws
  /// std::bad_alloc.
  DecoderPass(CausalLM model, std::size_t rows, std::size_t sequences, std::size_t context)
      : model_(std::move(model)), rows_(rows), rope_(model_.config().head_dim, context, model_.config().rope) {
    const DecoderConfig& c = model_.config();
    positions_.resize(rows);
    tokens_.resize(rows);
    sequences_.reserve(sequences);
    const auto make = [&](std::size_t width) { return Tensor<float, 2>::uninitialised({rows, width}); };
    x_ = make(c.hidden);
    normed_ = make(c.hidden);
    q_ = make(c.query());
    k_ = make(c.key_value());
    v_ = make(c.key_value());
    attention_out_ = make(c.query());
    gate_ = make(c.intermediate);
    up_ = make(c.intermediate);
  }

  const CausalLM& model() const noexcept { return model_; }
  std::size_t rows() const noexcept { return rows_; }
  /// Called with the intermediates of every later pass; an empty tap ends that.
  void set_tap(Tap tap) { tap_ = std::move(tap); }

  /// The last layer's output for every token, the sequences one after the other (rows, hidden); valid until the next
  /// pass. Keys and values are in the caches then. Throws Cancelled when `stop` is requested.
  TensorView<float, 2> layers(std::span<const Sequence> sequences, const std::stop_token& stop) {
    const DecoderConfig& c = model_.config();
    const DecoderWeights& w = model_.weights();
    const cpu::Context ctx = context_for_ops();
    const std::size_t count = place(sequences);
    const auto rows = [&](Tensor<float, 2>& tensor) { return tensor.narrow(0, 0, count); };
    const TensorView<float, 2> x = rows(x_);
    embedding(std::span<const TokenId>(tokens_).first(count), w.embedding, x, ctx);
    detail::tap_out(&tap_, x, "model.embed_tokens");
    const DecoderLayerParams params{
        .norm = {.eps = c.norm_eps},
        .activation = c.activation,
        .attention = {.scale = 1.f / std::sqrt(static_cast<float>(c.head_dim)), .window = c.window}};
    const DecoderLayerBuffers buffers{
        .normed = rows(normed_),
        .attention = {.q = rows(q_), .k = rows(k_), .v = rows(v_), .out = rows(attention_out_)},
        .gate = rows(gate_),
        .up = rows(up_)};
    const std::span<const std::int32_t> positions(positions_.data(), count);
    std::string name;
    for (std::size_t i = 0; i < c.layers; ++i) {
      if (stop.stop_requested()) raise<Cancelled>("forward: stopped before layer ", i);
      if (tap_) name = detail::concat("model.layers.", i);
      for (std::size_t s = 0; s < sequences.size(); ++s) sequences_[s].cache = sequences[s].cache->layer(i);
      transformer_block(w.layers[i], sequences_, rope_, positions, params, buffers, x, &tap_, name, ctx);
    }
    return x;
  }

  /// The final norm and the output head for rows of x (overwritten): logits (rows, vocab).
  void head(TensorView<float, 2> x, TensorView<float, 2> logits) {
    const cpu::Context ctx = context_for_ops();
    rms_norm(x, model_.weights().final_norm, x, {.eps = model_.config().norm_eps}, ctx);
    detail::tap_out(&tap_, x, "model.norm");
    linear(x, model_.weights().output, logits, ctx);
    detail::tap_out(&tap_, logits, "lm_head");
  }

 private:
  cpu::Context context_for_ops() {
    return {.kernels = &model_.kernels(),
            .executor = &model_.executor(),
            .workspace = &workspace_,
            .compute = model_.compute()};
  }

  /// Rows, tokens and positions of the sequences of a pass; the number of rows.
  std::size_t place(std::span<const Sequence> sequences) {
    sequences_.clear();
    std::size_t row = 0;
    for (const Sequence& s : sequences) {
      sequences_.push_back({.cache = {}, .begin = row, .tokens = s.tokens.size(), .position = s.position});
      for (std::size_t i = 0; i < s.tokens.size(); ++i, ++row) {
        tokens_[row] = s.tokens[i];
        positions_[row] = static_cast<std::int32_t>(s.position + i);
      }
    }
    return row;
  }

  CausalLM model_;
  std::size_t rows_;
  RopeTable rope_;
  std::vector<TokenId> tokens_;          // (rows)
  std::vector<std::int32_t> positions_;  // (rows)
  std::vector<CachedSequence> sequences_;
  Tap tap_;
  cpu::Workspace workspace_;
  // Scratch, (rows, width) each.
  Tensor<float, 2> x_, normed_, q_, k_, v_, attention_out_, gate_, up_;
};

}  // namespace weft::inline v0
