#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
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

struct SessionOptions {
  std::size_t context = 0;   ///< positions the cache holds; 0: the model's own, at most 8192
  DType cache = DType::f32;  ///< f32, f16 or bf16
  std::size_t chunk = 512;   ///< tokens of a prompt that are processed at once
};

/// One sequence in the making: the key/value cache and the scratch memory of a model. It belongs to one thread at a
/// time. Everything is allocated when it is made, nothing per token.
class Session {
 public:
  /// Throws ConfigError for a chunk or context of 0 tokens or a context beyond the model's, UnsupportedError for
  /// another cache type, std::bad_alloc.
  explicit Session(CausalLM model, const SessionOptions& options = {})
      : model_(std::move(model)), context_(checked_context(model_.config(), options)) {
    const DecoderConfig& c = model_.config();
    if (options.chunk == 0) raise<ConfigError>("Session: chunk is 0, expected at least one token");
    chunk_ = std::min(options.chunk, context_);
    cache_ = KvCache(c, context_, options.cache);
    rope_ = RopeTable(c.head_dim, context_, c.rope);
    positions_.resize(context_);
    std::iota(positions_.begin(), positions_.end(), 0);
    x_ = make(c.hidden);
    normed_ = make(c.hidden);
    q_ = make(c.query());
    k_ = make(c.key_value());
    v_ = make(c.key_value());
    attention_out_ = make(c.query());
    gate_ = make(c.intermediate);
    up_ = make(c.intermediate);
    logits_ = Tensor<float, 2>({1, c.vocab});
  }

  const CausalLM& model() const noexcept { return model_; }
  /// Tokens in the cache: the position of the next one.
  std::size_t position() const noexcept { return position_; }
  std::size_t context() const noexcept { return context_; }
  const KvCache& cache() const noexcept { return cache_; }

  /// Forgets all tokens from `length` on. Throws ShapeError where there are fewer.
  void truncate(std::size_t length) {
    if (length > position_) raise<ShapeError>("truncate: ", length, " tokens of ", position_);
    position_ = length;
  }

  /// Called with the intermediates of every later pass; an empty tap ends that.
  void set_tap(Tap tap) { tap_ = std::move(tap); }

  /// Appends tokens and returns the logits (vocab) that predict the one after the last; they are valid until the next
  /// call. Throws ShapeError for no tokens, an id outside the vocabulary or more tokens than the context has room for,
  /// and Cancelled when `stop` is requested; the session is then as it was.
  std::span<const float> forward(std::span<const TokenId> tokens, std::stop_token stop = {}) {
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
    detail::require_shape("forward_all", "logits", logits.extents(), Dims<2>{tokens.size(), model_.config().vocab});
    std::size_t done = 0;
    run(tokens, stop, [&](TensorView<float, 2> x, bool) {
      head(x, logits.narrow(0, done, x.extent(0)));
      done += x.extent(0);
    });
  }

 private:
  static std::size_t checked_context(const DecoderConfig& config, const SessionOptions& options) {
    constexpr std::size_t usual = 8192;
    const std::size_t context = options.context ? options.context : std::min(config.context, usual);
    if (context > config.context)
      raise<ConfigError>("Session: a context of ", context, " tokens exceeds the model's ", config.context);
    return context;
  }

  Tensor<float, 2> make(std::size_t width) const { return Tensor<float, 2>::uninitialised({chunk_, width}); }

  cpu::Context context_for_ops() {
    return {.kernels = &model_.kernels(),
            .executor = &model_.executor(),
            .workspace = &workspace_,
            .compute = model_.compute()};
  }

  void check(std::span<const TokenId> tokens) const {
    if (tokens.empty()) raise<ShapeError>("forward: there are no tokens");
    if (tokens.size() > context_ - position_)
      raise<ShapeError>("forward: ", tokens.size(), " tokens after ", position_, " exceed the context of ", context_);
    for (std::size_t i = 0; i < tokens.size(); ++i)
      if (tokens[i] < 0 || static_cast<std::size_t>(tokens[i]) >= model_.config().vocab)
        raise<ShapeError>("forward: token id ", tokens[i], " at index ", i, " is outside the vocabulary of ",
                          model_.config().vocab);
  }

  /// Runs all layers over the tokens, chunk by chunk, and calls after(x, last chunk) with the last layer's output.
  template <class After>
  void run(std::span<const TokenId> tokens, const std::stop_token& stop, After&& after) {
    const std::size_t before = position_;
    try {
      for (std::size_t begin = 0; begin < tokens.size(); begin += chunk_) {
        const std::span<const TokenId> part = tokens.subspan(begin, std::min(chunk_, tokens.size() - begin));
        const TensorView<float, 2> x = layers(part, stop);
        after(x, begin + part.size() == tokens.size());
        position_ += part.size();
      }
    } catch (...) {
      position_ = before;
      throw;
    }
  }

  TensorView<float, 2> layers(std::span<const TokenId> tokens, const std::stop_token& stop) {
    const DecoderConfig& c = model_.config();
    const DecoderWeights& w = model_.weights();
    const cpu::Context ctx = context_for_ops();
    const auto rows = [&](Tensor<float, 2>& tensor) { return tensor.narrow(0, 0, tokens.size()); };
    const TensorView<float, 2> x = rows(x_);
    embedding(tokens, w.embedding, x, ctx);
    detail::tap_out(&tap_, x, "model.embed_tokens");
    const DecoderLayerParams params{
        .norm = {.eps = c.norm_eps},
        .activation = c.activation,
        .attention = {
            .scale = 1.f / std::sqrt(static_cast<float>(c.head_dim)), .offset = position_, .window = c.window}};
    const DecoderLayerBuffers buffers{
        .normed = rows(normed_),
        .attention = {.q = rows(q_), .k = rows(k_), .v = rows(v_), .out = rows(attention_out_)},
        .gate = rows(gate_),
        .up = rows(up_)};
    const std::span<const std::int32_t> positions(positions_.data() + position_, tokens.size());
    std::string name;
    for (std::size_t i = 0; i < c.layers; ++i) {
      if (stop.stop_requested()) raise<Cancelled>("forward: stopped before layer ", i);
      if (tap_) name = detail::concat("model.layers.", i);
      transformer_block(w.layers[i], cache_.layer(i), rope_, positions, params, buffers, x, &tap_, name, ctx);
    }
    return x;
  }

  /// The final norm and the output head for rows of x (overwritten).
  void head(TensorView<float, 2> x, TensorView<float, 2> logits) {
    const cpu::Context ctx = context_for_ops();
    rms_norm(x, model_.weights().final_norm, x, {.eps = model_.config().norm_eps}, ctx);
    detail::tap_out(&tap_, x, "model.norm");
    linear(x, model_.weights().output, logits, ctx);
    detail::tap_out(&tap_, logits, "lm_head");
  }

  CausalLM model_;
  std::size_t context_;
  std::size_t chunk_ = 0;
  std::size_t position_ = 0;
  KvCache cache_;
  RopeTable rope_;
  std::vector<std::int32_t> positions_;
  Tap tap_;
  cpu::Workspace workspace_;
  // Scratch, (chunk, width) each.
  Tensor<float, 2> x_, normed_, q_, k_, v_, attention_out_, gate_, up_;
  Tensor<float, 2> logits_;  // (1, vocab)
};

}  // namespace weft::inline v0
