#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/layers/bottleneck_block.hpp>
#include <weft/layers/encoder_block.hpp>
#include <weft/layers/tap.hpp>
#include <weft/models/encoder.hpp>
#include <weft/ops/embedding.hpp>
#include <weft/ops/rows.hpp>

namespace weft::inline v0 {

/// One sequence of a pass, with its special tokens and without padding.
struct EncoderInput {
  std::span<const TokenId> tokens;
  std::span<const TokenId> types = {};  ///< the segment of every token; empty: all are of segment 0
  std::size_t position = 0;             ///< of the first token; above 0 where padding before it is counted
};

/// Runs an encoder over one or several sequences at once, and its heads on what comes out. Sequences of unequal length
/// lie one after the other, without padding; each gets the bits that it would get alone. It belongs to one thread at a
/// time; its memory grows to the largest pass and is kept.
class EncoderPass {
 public:
  explicit EncoderPass(Encoder model) : model_(std::move(model)) {
    const EncoderConfig& c = model_.config();
    if (c.relative_bias) relative_bias_ = relative_bias(model_.weights().relative_bias, c.buckets, context_for_ops());
  }

  const Encoder& model() const noexcept { return model_; }
  /// Called with the intermediates of every later pass; an empty tap ends that.
  void set_tap(Tap tap) { tap_ = std::move(tap); }
  /// What runs heads from now on; none: the CPU.
  void set_heads(EncoderHeadRunner runner) { heads_ = std::move(runner); }

  /// Runs all layers. The last one's output for every token, after the final norm where there is one, (rows, hidden),
  /// the sequences one after the other; valid until the next pass. Throws ShapeError for a sequence that is empty or
  /// exceeds the model's positions, for ids outside the vocabulary and for types that are not as many or not in the
  /// table; Cancelled when `stop` is requested and std::bad_alloc, after which there is no last pass.
  TensorView<const float, 2> forward(std::span<const EncoderInput> inputs, const std::stop_token& stop = {}) {
    check(inputs);
    try {
      return run(inputs, stop);
    } catch (...) {
      place({});
      throw;
    }
  }

  /// Throws ShapeError for inputs that forward() does not take.
  void check(std::span<const EncoderInput> inputs) const {
    for (std::size_t i = 0; i < inputs.size(); ++i) check(inputs[i], i);
  }

  /// Makes room for a pass that is computed elsewhere, as on a device: the last layer's output is to be written to what
  /// is returned, (rows, hidden), and heads say what follows from it. Throws as forward() does.
  TensorView<float, 2> receive(std::span<const EncoderInput> inputs) {
    check(inputs);
    place(inputs);
    return x_.narrow(0, 0, rows_);
  }

  /// The last pass: where its sequences lie, and the last layer's output (rows, hidden).
  std::span<const PackedSequence> sequences() const noexcept { return sequences_; }
  TensorView<const float, 2> hidden() const { return x_.narrow(0, 0, rows_); }

  // The heads, on the last pass. They throw UnsupportedError where the checkpoint has no such head, ShapeError where y
  // has another shape than is said.

  /// What the pooler makes of first tokens. y: (sequences, hidden).
  void pool(TensorView<float, 2> y) {
    require("pooler", model_.config().plain_pooler || model_.weights().pooler);
    const TensorView<float, 2> first = first_tokens();
    detail::require_answers("pool", y, first.extent(0), first.extent(1));
    if (model_.config().plain_pooler)
      return detail::for_each_row("pool", first, y, context_for_ops(),
                                  [](const float* from, std::size_t n, float* to) { std::copy_n(from, n, to); });
    run(EncoderHead::pooler, first, y);
  }
  /// Logits of the words at some rows of hidden(), those of masks as a rule. y: (rows, vocab). Throws ShapeError for a
  /// row outside.
  void predict_words(std::span<const std::size_t> rows, TensorView<float, 2> y) {
    const MaskedWordHead& head = model_.weights().masked_word;
    require("head for masked words", static_cast<bool>(head));
    detail::require_answers("predict_words", y, rows.size(), head.decoder.extent(0));
    const std::size_t width = model_.config().hidden;
    detail::reserve_rows(gathered_, rows.size(), width);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] >= rows_) raise<ShapeError>("predict_words: row ", rows[i], " of ", rows_);
      std::copy_n(&x_(rows[i], 0), width, &gathered_(i, 0));
    }
    run(EncoderHead::masked_word, gathered_.narrow(0, 0, rows.size()), y);
  }
  /// Logits of whether the second segment follows the first (0) or not (1). y: (sequences, 2).
  void classify_pairs(TensorView<float, 2> y) {
    const LinearHead& head = model_.weights().next_sentence;
    require("head for pairs of sentences", static_cast<bool>(head));
    detail::require_answers("classify_pairs", y, sequences_.size(), head.classes());
    run(EncoderHead::next_sentence, pooled(), y);
  }
  /// Logits of the classes of sequences. y: (sequences, classes).
  void classify_sequences(TensorView<float, 2> y) {
    const DenseHead& head = model_.weights().sequence_classes;
    require("head for classes of sequences", static_cast<bool>(head));
    detail::require_answers("classify_sequences", y, sequences_.size(), head.output.classes());
    run(EncoderHead::sequence_classes, head.dense ? first_tokens() : pooled(), y);
  }
  /// Logits of the classes of tokens. y: (rows, classes).
  void classify_tokens(TensorView<float, 2> y) {
    const LinearHead& head = model_.weights().token_classes;
    require("head for classes of tokens", static_cast<bool>(head));
    detail::require_answers("classify_tokens", y, rows_, head.classes());
    run(EncoderHead::token_classes, hidden(), y);
  }
  /// Logits of where an answer begins (column 0) and of its last token (column 1). y: (rows, 2).
  void find_answers(TensorView<float, 2> y) {
    const LinearHead& head = model_.weights().answer_ends;
    require("head for answers", static_cast<bool>(head));
    detail::require_answers("find_answers", y, rows_, head.classes());
    run(EncoderHead::answer_ends, hidden(), y);
  }
  /// Logits of whether a token was replaced (ELECTRA). y: (rows, 1).
  void find_replaced_words(TensorView<float, 2> y) {
    const DenseHead& head = model_.weights().replaced_word;
    require("head for replaced words", static_cast<bool>(head));
    detail::require_answers("find_replaced_words", y, rows_, head.output.classes());
    run(EncoderHead::replaced_word, hidden(), y);
  }
  /// One vector for each sequence, as the checkpoint says. y: (sequences, Encoder::sentence_width()).
  void embed_sentences(TensorView<float, 2> y) {
    require("rule for sentence embeddings (modules.json)", model_.sentence().has_value());
    if (!model_.weights().sentence) return embed_sentences(*model_.sentence(), y);
    detail::require_answers("embed_sentences", y, sequences_.size(), model_.sentence_width());
    detail::reserve_rows(pooled_, sequences_.size(), model_.config().hidden);
    const TensorView<float, 2> pooled = pooled_.narrow(0, 0, sequences_.size());
    embed_sentences({.pooling = model_.sentence()->pooling}, pooled);
    run(EncoderHead::sentence, pooled, y);
    for (std::size_t i = 0; i < y.extent(0) && model_.sentence()->normalize; ++i)
      detail::normalize_length({y.data() + i * y.stride(0), y.extent(1)});
  }
  /// What a rule of the caller's makes of each sequence. y: (sequences, hidden).
  void embed_sentences(const SentenceEmbedding& params, TensorView<float, 2> y) const {
    detail::require_answers("embed_sentences", y, sequences_.size(), model_.config().hidden);
    for (std::size_t i = 0; i < sequences_.size(); ++i)
      sentence_embedding(hidden().narrow(0, sequences_[i].begin, sequences_[i].tokens), params,
                         std::span<float>(y.data() + i * y.stride(0), y.extent(1)));
  }

 private:
  cpu::Context context_for_ops() {
    return {.kernels = &model_.kernels(),
            .executor = &model_.executor(),
            .workspace = &workspace_,
            .compute = model_.compute()};
  }

  /// y = what a head makes of x (rows, hidden).
  void run(EncoderHead head, TensorView<const float, 2> x, TensorView<float, 2> y) {
    if (heads_) return heads_(head, x, y);
    const EncoderWeights& w = model_.weights();
    const std::size_t rows = x.extent(0);
    Tensor<float, 2> more;
    if (head == EncoderHead::masked_word && w.masked_word.rest) more = Tensor<float, 2>::uninitialised(y.extents());
    if (const std::size_t width = dense_width(head, w)) detail::reserve_rows(scratch_, rows, width);
    run_head<cpu::Backend>(head, w, w.masked_word.decoder, model_.config(), x,
                           {.dense = scratch_.narrow(0, 0, scratch_.empty() ? 0 : rows), .more = more}, y,
                           context_for_ops());
  }

  void require(std::string_view what, bool there) const {
    if (!there) raise<UnsupportedError>(model_.source(), ": the checkpoint has no ", what);
  }

  void check(const EncoderInput& input, std::size_t index) const {
    const EncoderConfig& c = model_.config();
    const std::size_t tokens = input.tokens.size();
    if (tokens == 0) raise<ShapeError>("forward: sequence ", index, " has no tokens");
    if (input.position > c.context || tokens > c.context - input.position)
      raise<ShapeError>("forward: sequence ", index, " has ", tokens, " tokens from position ", input.position,
                        " on, the model has ", c.context, " positions");
    const auto inside = [&](std::span<const TokenId> ids, const char* what, std::size_t most) {
      for (std::size_t t = 0; t < ids.size(); ++t)
        if (ids[t] < 0 || static_cast<std::size_t>(ids[t]) >= most)
          raise<ShapeError>("forward: ", what, " ", ids[t], " at index ", t, " of sequence ", index, " is outside [0, ",
                            most, ")");
    };
    inside(input.tokens, "token id", c.vocab);
    if (input.types.empty()) return;
    detail::require_extent("forward", "the number of token types", input.types.size(), tokens);
    inside(input.types, "token type", std::max<std::size_t>(c.token_types, 1));
  }

  /// Rows, ids, types and positions of the sequences of a pass.
  void place(std::span<const EncoderInput> inputs) {
    const EncoderConfig& c = model_.config();
    sequences_.clear();
    tokens_.clear();
    types_.clear();
    positions_.clear();
    for (const EncoderInput& input : inputs) {
      sequences_.push_back({.begin = tokens_.size(), .tokens = input.tokens.size()});
      tokens_.insert(tokens_.end(), input.tokens.begin(), input.tokens.end());
      types_.insert(types_.end(), input.types.begin(), input.types.end());
      types_.resize(tokens_.size(), 0);
      for (std::size_t t = 0; t < input.tokens.size(); ++t)
        positions_.push_back(static_cast<TokenId>(c.position_offset + input.position + t));
    }
    rows_ = tokens_.size();
    detail::reserve_rows(x_, rows_, c.hidden);
  }

  void reserve_scratch() {
    const EncoderConfig& c = model_.config();
    detail::reserve_rows(normed_, rows_, c.hidden);
    for (Tensor<float, 2>* tensor : {&q_, &k_, &v_, &attention_out_}) detail::reserve_rows(*tensor, rows_, c.query());
    detail::reserve_rows(up_, rows_, c.intermediate);
    if (c.gated) detail::reserve_rows(gate_, rows_, c.intermediate);
    if (c.has_projection()) detail::reserve_rows(embedded_, rows_, c.embedding);
    detail::reserve_rows(looked_up_, rows_, c.added_width());
    if (c.trigrams) detail::reserve_rows(trigrams_, rows_, 3 * c.embedding);
    if (c.bottleneck != 0)
      for (Tensor<float, 2>* tensor : {&narrow_, &query_key_, &part_})
        detail::reserve_rows(*tensor, rows_, c.bottleneck);
  }

  TensorView<float, 2> run(std::span<const EncoderInput> inputs, const std::stop_token& stop) {
    place(inputs);
    if (inputs.empty()) return x_.narrow(0, 0, 0);
    reserve_scratch();
    const EncoderConfig& c = model_.config();
    const cpu::Context ctx = context_for_ops();
    const TensorView<float, 2> x = embed(ctx);
    const EncoderLayerParams params = c.layer_params(relative_bias_);
    std::string name;
    for (std::size_t i = 0; i < c.layers; ++i) {
      if (stop.stop_requested()) raise<Cancelled>("forward: stopped before layer ", i);
      if (tap_) name = detail::tensor_name(c.modules.layer, c.weights_of(i));
      run_layer(i, params, x, name, ctx);
    }
    const NormWeights& last = model_.weights().final_norm;
    if (!last.gain.empty()) {
      norm(x, last, x, params.norm, ctx);
      detail::tap_out(&tap_, x, c.modules.norm);
    }
    return x;
  }

  void run_layer(std::size_t layer, const EncoderLayerParams& params, TensorView<float, 2> x, std::string_view name,
                 const cpu::Context& ctx) {
    const EncoderConfig& c = model_.config();
    const EncoderWeights& w = model_.weights();
    const auto rows = [&](Tensor<float, 2>& tensor) { return tensor.narrow(0, 0, rows_); };
    const AttentionBuffers attention{.q = rows(q_), .k = rows(k_), .v = rows(v_), .out = rows(attention_out_)};
    const auto [group, inner] = c.weights_of(layer);
    cpu::Residual residual(x);
    if (c.bottleneck == 0)
      return encoder_block(c.layer_groups ? w.groups[group].layers[inner] : w.layers[layer], sequences_, params,
                           {.normed = rows(normed_),
                            .attention = attention,
                            .gate = c.gated ? rows(gate_) : TensorView<float, 2>(),
                            .up = rows(up_)},
                           residual, &tap_, name, ctx);
    bottleneck_block(w.bottleneck_layers[layer], sequences_, params, c.outer_norm_eps,
                     {.narrow = rows(narrow_),
                      .query_key = rows(query_key_),
                      .part = rows(part_),
                      .wide = rows(normed_),
                      .attention = attention,
                      .up = rows(up_)},
                     x, &tap_, name, ctx);
  }

  /// What enters the first layer (rows, hidden): embeddings of words, types and positions, normalised, and projected
  /// after that, or the words before.
  TensorView<float, 2> embed(const cpu::Context& ctx) {
    const EncoderConfig& c = model_.config();
    const EncoderWeights& w = model_.weights();
    const TensorView<float, 2> x = x_.narrow(0, 0, rows_);
    const TensorView<float, 2> words = c.has_projection() ? embedded_.narrow(0, 0, rows_) : x;
    embedding(tokens_, w.embedding, words, ctx);
    if (c.embedding_scale != 1.f) detail::scale_rows(words, c.embedding_scale, ctx);
    if (c.projected_first) w.projection.forward(c.trigrams ? join_neighbours(words) : words, x, ctx);
    const TensorView<float, 2> sum = c.projected_first ? x : words;
    const TensorView<float, 2> added = looked_up_.narrow(0, 0, rows_);
    const auto add = [&](std::span<const TokenId> ids, const AnyTensor& table) {
      if (!table) return;
      embedding(ids, table, added, ctx);
      ctx.kernels->add(added.data(), added.size(), sum.data());
    };
    add(types_, w.token_types);
    add(positions_, w.positions);
    if (!w.embedding_norm.gain.empty()) norm(sum, w.embedding_norm, sum, c.embedding_norm_params(), ctx);
    if (c.has_projection() && !c.projected_first) w.projection.forward(sum, x, ctx);
    detail::tap_out(&tap_, x, c.modules.embedding);
    return x;
  }

  /// (rows, 3 * embedding): of every token the embeddings of the next one, its own and that of the one before; zeros
  /// where the sequence ends.
  TensorView<float, 2> join_neighbours(TensorView<const float, 2> words) {
    const std::size_t width = words.extent(1);
    for (const PackedSequence& s : sequences_)
      for (std::size_t row = s.begin; row < s.begin + s.tokens; ++row) {
        float* to = &trigrams_(row, 0);
        std::fill_n(to, 3 * width, 0.f);
        if (row + 1 < s.begin + s.tokens) std::copy_n(&words(row + 1, 0), width, to);
        std::copy_n(&words(row, 0), width, to + width);
        if (row > s.begin) std::copy_n(&words(row - 1, 0), width, to + 2 * width);
      }
    return trigrams_.narrow(0, 0, rows_);
  }

  /// The rows of first tokens, gathered: (sequences, hidden).
  TensorView<float, 2> first_tokens() {
    const std::size_t width = model_.config().hidden;
    detail::reserve_rows(gathered_, sequences_.size(), width);
    for (std::size_t i = 0; i < sequences_.size(); ++i)
      std::copy_n(&x_(sequences_[i].begin, 0), width, &gathered_(i, 0));
    return gathered_.narrow(0, 0, sequences_.size());
  }
  /// pool() in memory of our own.
  TensorView<float, 2> pooled() {
    detail::reserve_rows(pooled_, sequences_.size(), model_.config().hidden);
    const TensorView<float, 2> y = pooled_.narrow(0, 0, sequences_.size());
    pool(y);
    return y;
  }

  Encoder model_;
  std::vector<float> relative_bias_;
  std::size_t rows_ = 0;
  std::vector<TokenId> tokens_, types_, positions_;  // (rows)
  std::vector<PackedSequence> sequences_;
  Tap tap_;
  EncoderHeadRunner heads_;
  cpu::Workspace workspace_;
  // Scratch, at least (rows, width) each.
  Tensor<float, 2> x_, normed_, q_, k_, v_, attention_out_, gate_, up_, embedded_, looked_up_;
  Tensor<float, 2> trigrams_, narrow_, query_key_, part_;  // of layers with a bottleneck
  Tensor<float, 2> gathered_, pooled_, scratch_;           // of heads
};

}  // namespace weft::inline v0
