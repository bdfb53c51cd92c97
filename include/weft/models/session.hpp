#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <stop_token>
#include <utility>

#include <weft/core/token_id.hpp>
#include <weft/models/adapter.hpp>
#include <weft/models/causal_lm.hpp>
#include <weft/models/decoder_pass.hpp>
#include <weft/models/encoded_source.hpp>
#include <weft/models/kv_cache.hpp>
#include <weft/models/token_sequence.hpp>

namespace weft::inline v0 {

struct SessionOptions {
  /// Positions the cache holds; 0: the model's own, at most 8192. Long and dynamic rope rotate for a context of this
  /// length, however long the text is.
  std::size_t context = 0;
  DType cache = DType::f32;  ///< f32, f16, bf16 or q8_0
  std::size_t chunk = 512;   ///< tokens of a prompt that are processed at once
  AdapterSet adapters = {};  ///< Session::set_adapters()
};

namespace detail {

/// The context that `wanted` stands for; 0: the model's own, at most 8192.
inline std::size_t checked_context(const char* what, const DecoderConfig& config, std::size_t wanted) {
  constexpr std::size_t usual = 8192;
  const std::size_t context = wanted ? wanted : std::min(config.context, usual);
  if (context > config.context)
    raise<ConfigError>(what, ": a context of ", context, " tokens exceeds the model's ", config.context);
  return context;
}

inline std::size_t checked_chunk(const char* what, std::size_t chunk) {
  if (chunk == 0) raise<ConfigError>(what, ": chunk is 0, expected at least one token");
  return chunk;
}

inline void require_token_ids(const char* what, std::span<const TokenId> ids, std::size_t vocab) {
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || static_cast<std::size_t>(ids[i]) >= vocab)
      raise<ShapeError>(what, ": token id ", ids[i], " at index ", i, " is outside the vocabulary of ", vocab);
}

}  // namespace detail

/// One sequence in the making: the key/value cache and the scratch memory of a model. It belongs to one thread at a
/// time. Everything is allocated when it is made or by the first tokens, nothing per token. Several sessions go on
/// together, reading the weights once, in a Batch.
class Session final : public TokenSequence {
 public:
  /// Throws ConfigError for a chunk or context of 0 tokens or a context beyond the model's, UnsupportedError for
  /// another cache type, std::bad_alloc, and what set_adapters() throws.
  explicit Session(CausalLM model, const SessionOptions& options = {})
      : context_(detail::checked_context("Session", model.config(), options.context)),
        cache_(model.config(), context_, options.cache),
        logits_({1, model.config().vocab}),
        pass_(std::move(model), std::min(detail::checked_chunk("Session", options.chunk), context_), 1, context_) {
    set_adapters(options.adapters);
  }

  const CausalLM& model() const noexcept override { return pass_.model(); }
  /// Tokens in the cache: the position of the next one.
  std::size_t position() const noexcept override { return position_; }
  std::size_t context() const noexcept override { return context_; }
  const KvCache& cache() const noexcept { return cache_; }

  using TokenSequence::attend_to;
  /// Forgets all tokens and begins a sequence that reads a source, in a model that has cross-attention. Throws
  /// ConfigError for a model that has none and for a source that was encoded with another model.
  void attend_to(EncodedSource source) override {
    if (!model().config().cross_attention)
      raise<ConfigError>("attend_to: a ", model().model_type(), " model reads no source");
    if (!source.is_of(model())) raise<ConfigError>("attend_to: the source is none, or one of another model");
    source_ = std::move(source);
    position_ = 0;
  }
  /// The source that the sequence reads; none at first.
  const EncodedSource& source() const noexcept { return source_; }

  /// Forgets all tokens from `length` on. Throws ShapeError where there are fewer.
  void truncate(std::size_t length) override {
    if (length > position_) raise<ShapeError>("truncate: to ", length, " tokens, the session has ", position_);
    position_ = length;
  }

  /// What later tokens are computed with; an empty set ends that. Keys and values in the cache stay as they are.
  /// Nothing is read or copied. Throws ConfigError for adapters of another model.
  void set_adapters(AdapterSet adapters) override {
    if (adapters.weights() && adapters.weights() != &model().weights())
      raise<ConfigError>("set_adapters: the adapters were loaded for another model");
    adapters_ = std::move(adapters);
  }
  const AdapterSet& adapters() const noexcept { return adapters_; }

  /// Called with the intermediates of every later pass of this session alone, not of a Batch; an empty tap ends that.
  void set_tap(Tap tap) { pass_.set_tap(std::move(tap)); }

  /// Appends tokens and returns the logits (vocab) that predict the one after the last; they are valid until the next
  /// call. Throws ShapeError for no tokens, an id outside the vocabulary or more tokens than the context has room for,
  /// and Cancelled when `stop` is requested; the session is then as it was.
  std::span<const float> forward(std::span<const TokenId> tokens, std::stop_token stop = {}) override {
    check(tokens);
    run(tokens, stop, [&](TensorView<float, 2> x, bool last) {
      if (last) head(x.narrow(0, x.extent(0) - 1, 1), logits_);
    });
    return logits_.elements();
  }

  /// Appends tokens and writes the logits after each of them to `logits` (tokens, vocab): for scoring. Throws as above,
  /// and ShapeError where `logits` has another shape.
  void forward_all(std::span<const TokenId> tokens, TensorView<float, 2> logits, std::stop_token stop = {}) {
    check(tokens);
    detail::require_shape("forward_all", "logits", logits.extents(), Dims<2>{tokens.size(), model().config().vocab});
    std::size_t done = 0;
    run(tokens, stop, [&](TensorView<float, 2> x, bool) {
      head(x, logits.narrow(0, done, x.extent(0)));
      done += x.extent(0);
    });
  }

 private:
  friend class Batch;

  /// What a pass takes of the tokens that come after `position`.
  DecoderPass::Sequence sequence(std::span<const TokenId> tokens, std::size_t position) const noexcept {
    return {.tokens = tokens,
            .cache = &cache_,
            .position = position,
            .source = source_ ? &source_ : nullptr,
            .changes = adapters_.changes()};
  }

  void check(std::span<const TokenId> tokens) const {
    if (model().config().cross_attention && !source_)
      raise<ConfigError>("forward: a ", model().model_type(), " model reads a source, and there is none");
    if (tokens.empty()) raise<ShapeError>("forward: there are no tokens");
    if (tokens.size() > context_ - position_)
      raise<ShapeError>("forward: ", tokens.size(), " tokens after ", position_, " exceed the context of ", context_);
    detail::require_token_ids("forward", tokens, model().config().vocab);
  }

  void head(TensorView<float, 2> x, TensorView<float, 2> logits) {
    const AdaptedRows rows{0, x.extent(0), adapters_.changes()};
    pass_.head(x, logits, std::span(&rows, 1));
  }

  /// Runs all layers over the tokens, chunk by chunk, and calls after(x, last chunk) with the last layer's output.
  template <class After>
  void run(std::span<const TokenId> tokens, const std::stop_token& stop, After&& after) {
    const std::size_t before = position_;
    try {
      for (std::size_t begin = 0; begin < tokens.size(); begin += pass_.rows()) {
        const DecoderPass::Sequence part =
            sequence(tokens.subspan(begin, std::min(pass_.rows(), tokens.size() - begin)), position_);
        const TensorView<float, 2> x = pass_.layers(std::span(&part, 1), stop);
        after(x, begin + part.tokens.size() == tokens.size());
        position_ += part.tokens.size();
      }
    } catch (...) {
      position_ = before;
      throw;
    }
  }

  std::size_t context_;
  std::size_t position_ = 0;
  KvCache cache_;
  EncodedSource source_;
  AdapterSet adapters_;
  Tensor<float, 2> logits_;  // (1, vocab)
  DecoderPass pass_;
};

}  // namespace weft::inline v0
