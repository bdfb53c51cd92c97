#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/layers/adapted_rows.hpp>
#include <weft/layers/tap.hpp>
#include <weft/layers/transformer_block.hpp>
#include <weft/models/causal_lm.hpp>
#include <weft/models/encoded_source.hpp>
#include <weft/models/kv_cache.hpp>
#include <weft/ops/attention.hpp>
#include <weft/ops/embedding.hpp>
#include <weft/ops/relative_bias.hpp>
#include <weft/ops/rows.hpp>
#include <weft/ops/soft_cap.hpp>

namespace weft::inline v0 {

/// Takes tokens of one or several sequences through all layers of a decoder. Its scratch memory is allocated when it is
/// made, and what products and attention borrow by the first pass of as many tokens; nothing per token, however long
/// the sequences become.
class DecoderPass {
 public:
  /// One sequence of a pass: its tokens, the cache they are appended to at `position`, the source that cross-attention
  /// sees, and what its adapters change.
  struct Sequence {
    std::span<const TokenId> tokens;
    const KvCache* cache;
    std::size_t position;
    const EncodedSource* source = nullptr;
    const WeightChanges* changes = nullptr;
  };

  /// For at most `rows` tokens at once in at most `sequences` sequences, at positions before `context`. Throws
  /// std::bad_alloc.
  DecoderPass(CausalLM model, std::size_t rows, std::size_t sequences, std::size_t context)
      : model_(std::move(model)), rows_(rows) {
    const DecoderConfig& c = model_.config();
    if (c.rope.theta != 0.f) rope_ = RopeTable(c.head_dim, context, c.rope);
    if (c.window_rope) window_rope_ = RopeTable(c.head_dim, context, *c.window_rope);
    if (c.relative_bias) relative_bias_ = relative_bias(model_.weights().relative_bias, c.buckets, context_for({}));
    positions_.resize(rows);
    tokens_.resize(rows);
    sequences_.reserve(sequences);
    adapted_.reserve(sequences);
    const auto make = [&](std::size_t width) { return Tensor<float, 2>::uninitialised({rows, width}); };
    x_ = make(c.hidden);
    normed_ = make(c.hidden);
    if (c.embedding) embedded_ = make(c.embedding);
    q_ = make(c.query());
    k_ = make(c.key_value());
    v_ = make(c.key_value());
    attention_out_ = make(c.query());
    gate_ = make(c.widest_intermediate());
    up_ = make(c.widest_intermediate());
    if (detail::is_parallel(c.form)) other_ = make(c.hidden);
    if (c.experts) {
      router_ = make(c.experts + 1);
      gathered_ = make(c.hidden);
      sum_ = make(c.hidden);
    }
    attention_bytes_ =
        detail::attention_bytes(context, c.heads, c.kv_heads, c.head_dim, model_.executor().concurrency());
  }

  /// The bytes that the constructor allocates for a model without relative positions. Throws ShapeError where they
  /// overflow.
  static std::size_t scratch_bytes(const DecoderConfig& c, std::size_t rows, std::size_t context) {
    std::size_t width = 2 * (c.hidden + c.query() + c.key_value() + c.widest_intermediate() + 1);  // 1: id and position
    width += c.embedding;
    if (detail::is_parallel(c.form)) width += c.hidden;
    if (c.experts) width += c.experts + 1 + 2 * c.hidden;
    std::size_t floats = detail::checked_product(rows, width);
    for (const RopeParams* rope : {&c.rope, c.window_rope ? &*c.window_rope : nullptr})
      if (rope && rope->theta != 0.f)
        floats += detail::checked_product(context, rope->rotary_dim ? rope->rotary_dim : c.head_dim);
    return detail::checked_product(floats, sizeof(float));
  }

  const CausalLM& model() const noexcept { return model_; }
  std::size_t rows() const noexcept { return rows_; }
  /// Called with the intermediates of every later pass; an empty tap ends that.
  void set_tap(Tap tap) { tap_ = std::move(tap); }

  /// The last layer's output for every token, the sequences one after the other (rows, hidden); valid until the next
  /// pass. Keys and values are in the caches then. Throws Cancelled when `stop` is requested.
  TensorView<float, 2> layers(std::span<const Sequence> sequences, const std::stop_token& stop) {
    const DecoderConfig& c = model_.config();
    const std::size_t count = place(sequences);
    workspace_.reserve(attention_bytes_);
    const RowAdapters adapters{adapted_, &adapter_scratch_};
    const LayerContext ctx = context_for(adapters);
    cpu::Residual x(embed(count, ctx));
    const DecoderLayerBuffers buffers = layer_buffers(count);
    const std::span<const std::int32_t> positions(positions_.data(), count);
    std::string name;
    for (std::size_t i = 0; i < c.layers; ++i) {
      if (stop.stop_requested()) raise<Cancelled>("forward: stopped before layer ", i);
      if (tap_) name = detail::tensor_name(c.modules.layer, {i, 0});
      for (std::size_t s = 0; s < sequences.size(); ++s) {
        sequences_[s].cache = sequences[s].cache->layer(i);
        if (c.cross_attention) sequences_[s].source = sequences[s].source->layer(i);
      }
      const RopeTable& rope = !c.rotates(i) ? no_rope_ : c.window_rope && c.window_of(i) != 0 ? window_rope_ : rope_;
      transformer_block(model_.weights().layers[i], sequences_, rope, positions,
                        c.layer_params(i, c.alibi_slopes, relative_bias_), buffers, x, &tap_, name, ctx);
    }
    return x.rows(ctx);
  }

  /// The final norm, where there is one, and the output head for rows of x (overwritten), of which `adapted`
  /// are all: logits (rows, vocab).
  void head(TensorView<float, 2> x, TensorView<float, 2> logits, std::span<const AdaptedRows> adapted) {
    const DecoderConfig& c = model_.config();
    const DecoderWeights& w = model_.weights();
    const RowAdapters adapters{adapted, &adapter_scratch_};
    const LayerContext ctx = context_for(adapters);
    if (c.final_norm) {
      norm(x, w.final_norm, x, c.norm_params(), ctx);
      detail::tap_out(&tap_, x, c.modules.norm);
    }
    if (c.output_scale != 1.f) detail::scale_rows(x, c.output_scale, ctx);
    if (w.embedding_out) {
      const TensorView<float, 2> narrow = embedded_.narrow(0, 0, x.extent(0));
      linear(x, w.embedding_out, narrow, ctx);
      x = narrow;
    }
    linear(x, w.output, logits, ctx, detail::bias_or_null(w.output_bias));
    detail::tap_out(&tap_, logits, c.modules.output);
    if (c.logit_scale != 1.f) detail::scale_rows(logits, c.logit_scale, ctx);
    if (c.logit_soft_cap != 0.f) soft_cap(logits, logits, c.logit_soft_cap, ctx);
  }

 private:
  LayerContext context_for(const RowAdapters& adapters) {
    const bool any =
        std::any_of(adapters.runs.begin(), adapters.runs.end(), [](const auto& run) { return run.changes; });
    return {{.kernels = &model_.kernels(),
             .executor = &model_.executor(),
             .workspace = &workspace_,
             .compute = model_.compute()},
            any ? &adapters : nullptr};
  }

  /// Rows, tokens, positions and adapters of the sequences of a pass; the number of rows.
  std::size_t place(std::span<const Sequence> sequences) {
    sequences_.clear();
    adapted_.clear();
    std::size_t row = 0;
    for (const Sequence& s : sequences) {
      sequences_.push_back({.cache = {}, .begin = row, .tokens = s.tokens.size(), .position = s.position});
      if (s.source) sequences_.back().source_tokens = s.source->tokens();
      append_rows(adapted_, s.tokens.size(), s.changes);
      for (std::size_t i = 0; i < s.tokens.size(); ++i, ++row) {
        tokens_[row] = s.tokens[i];
        positions_[row] = static_cast<std::int32_t>(s.position + i);
      }
    }
    return row;
  }

  DecoderLayerBuffers layer_buffers(std::size_t count) {
    const auto rows = [&](Tensor<float, 2>& tensor) { return tensor.narrow(0, 0, count); };
    DecoderLayerBuffers buffers{.normed = rows(normed_),
                                .attention = {.q = rows(q_), .k = rows(k_), .v = rows(v_), .out = rows(attention_out_)},
                                .gate = rows(gate_),
                                .up = rows(up_)};
    if (!other_.empty()) buffers.other = rows(other_);
    if (!router_.empty()) buffers.moe = {.router = rows(router_), .gathered = rows(gathered_), .sum = rows(sum_)};
    return buffers;
  }

  /// What enters the first layer (count, hidden): embeddings, projected, scaled, with those of their positions,
  /// normalised.
  TensorView<float, 2> embed(std::size_t count, const LayerContext& ctx) {
    const DecoderConfig& c = model_.config();
    const DecoderWeights& w = model_.weights();
    const TensorView<float, 2> x = x_.narrow(0, 0, count);
    const TensorView<float, 2> looked_up = c.embedding ? embedded_.narrow(0, 0, count) : x;
    embedding(std::span<const TokenId>(tokens_).first(count), w.embedding, looked_up, ctx);
    if (w.embedding_in) linear(looked_up, w.embedding_in, x, ctx);
    if (c.embedding_scale != 1.f) detail::scale_rows(x, c.embedding_scale, ctx);
    if (w.positions) {
      // The tokens have been looked up: their place takes the rows of the positions.
      for (std::size_t i = 0; i < count; ++i) tokens_[i] = positions_[i] + static_cast<TokenId>(c.position_offset);
      const TensorView<float, 2> added = normed_.narrow(0, 0, count);
      embedding(std::span<const TokenId>(tokens_).first(count), w.positions, added, ctx);
      ctx.kernels->add(added.data(), count * c.hidden, x.data());
    }
    if (!w.embedding_norm.gain.empty()) norm(x, w.embedding_norm, x, c.norm_params(), ctx);
    detail::tap_out(&tap_, x, c.modules.embedding);
    return x;
  }

  CausalLM model_;
  std::size_t rows_;
  RopeTable rope_, window_rope_, no_rope_;
  std::vector<float> relative_bias_;
  std::vector<TokenId> tokens_;          // (rows)
  std::vector<std::int32_t> positions_;  // (rows)
  std::vector<CachedSequence> sequences_;
  std::vector<AdaptedRows> adapted_;
  AdapterScratch adapter_scratch_;
  Tap tap_;
  cpu::Workspace workspace_;
  std::size_t attention_bytes_ = 0;  // that attention borrows for single tokens when the context is full
  // Scratch, (rows, width) each.
  Tensor<float, 2> x_, normed_, embedded_, q_, k_, v_, attention_out_, gate_, up_, other_, router_, gathered_, sum_;
};

}  // namespace weft::inline v0
