#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <stop_token>

#include <weft/core/tensor.hpp>
#include <weft/core/token_id.hpp>
#include <weft/models/session.hpp>

namespace weft::inline v0 {

/// How well a model predicts a text.
struct Perplexity {
  double nats = 0.0;       ///< mean of -log p(token | the tokens before it in its window)
  std::size_t tokens = 0;  ///< tokens that were predicted

  /// e^nats: the number of equally likely tokens that would be as surprising.
  double value() const noexcept { return std::exp(nats); }
  /// For a text of so many bytes.
  double bits_per_byte(std::size_t bytes) const noexcept {
    return nats * static_cast<double>(tokens) / (static_cast<double>(bytes) * 0.6931471805599453);
  }
};

struct PerplexityOptions {
  std::size_t window = 0;     ///< tokens of context; 0: as a Session has by default
  std::size_t stride = 0;     ///< tokens from one window to the next; 0: window - 1, every token predicted once
  DType cache = DType::f32;   ///< element type of the key/value cache
  std::stop_token stop = {};  ///< throws Cancelled when requested
};

/// The perplexity of a text that is longer than the context, by sliding windows: each predicts all of its tokens but
/// the first, and counts those that no window before it has counted (Hugging Face, "Perplexity of fixed-length
/// models").
///
/// ids: at least two. Throws ShapeError for fewer and for ids outside the vocabulary, ConfigError for a window of less
/// than two tokens or beyond the model's context, or a stride that skips tokens.
inline Perplexity perplexity(const CausalLM& model, std::span<const TokenId> ids,
                             const PerplexityOptions& options = {}) {
  if (ids.size() < 2) raise<ShapeError>("perplexity: ", ids.size(), " tokens, expected at least two");
  detail::require_token_ids("perplexity", ids, model.config().vocab);
  const std::size_t window = detail::checked_context("perplexity", model.config(), options.window);
  if (window < 2) raise<ConfigError>("perplexity: a window of ", window, " token, expected at least two");
  const std::size_t stride = options.stride ? options.stride : window - 1;
  if (stride >= window)
    raise<ConfigError>("perplexity: windows of ", window, " tokens that begin every ", stride, " leave tokens out");

  Session session(model, {.context = window, .cache = options.cache});
  const std::size_t vocab = model.config().vocab;
  constexpr std::size_t most = 128;  // rows of logits that are held at once
  Tensor<float, 2> logits({std::min({window, ids.size(), most}), vocab});
  Perplexity result;
  double sum = 0.0;
  std::size_t counted = 1;  // tokens that have been predicted, and the first, which nothing predicts
  for (std::size_t begin = 0; counted < ids.size(); begin += stride) {
    const std::span<const TokenId> part = ids.subspan(begin, std::min(window, ids.size() - begin));
    session.truncate(0);
    // Tokens whose successors are counted already need no logits.
    const std::size_t known = counted - 1 - begin;
    if (known > 0) session.forward(part.first(known), options.stop);
    for (std::size_t done = known; done < part.size(); done += logits.extent(0)) {
      const std::size_t count = std::min(logits.extent(0), part.size() - done);
      session.forward_all(part.subspan(done, count), logits.narrow(0, 0, count), options.stop);
      for (std::size_t i = 0; i < count && counted < begin + part.size(); ++i, ++counted, ++result.tokens) {
        const float* row = &logits(i, 0);
        sum += static_cast<double>(model.kernels().log_sum_exp(row, vocab) - row[ids[counted]]);
      }
    }
  }
  result.nats = sum / static_cast<double>(result.tokens);
  return result;
}

}  // namespace weft::inline v0
