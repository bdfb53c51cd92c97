#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/generation/generator.hpp>
#include <weft/models/seq2seq.hpp>
#include <weft/models/source_encoder.hpp>

namespace weft::inline v0 {

/// Writes what an encoder-decoder answers to a source: a translation, a summary. The source is encoded once; the text
/// begins with the checkpoint's first token (decoder_start_token_id), which is not shown, and goes on as a Generator's
/// does.
///
///   weft::Seq2SeqGenerator translate(weft::load_seq2seq("opus-mt-en-de"), {.temperature = 0.f});
///   for (std::string_view piece : translate("The house is wonderful.")) std::cout << piece;
class Seq2SeqGenerator {
 public:
  /// Throws ConfigError for sampling parameters or session options that are out of range.
  explicit Seq2SeqGenerator(Seq2Seq model, const SamplingParams& sampling = {}, const SessionOptions& session = {},
                            LogitsChain processors = {})
      : model_(std::move(model)),
        encoder_(std::make_unique<SourceEncoder>(model_, session.cache)),
        state_(std::make_unique<Generation::State>(std::make_unique<Session>(model_.decoder(), session), sampling,
                                                   std::move(processors))) {}
  /// Writes with a sequence of the caller's that encodes sources itself, as one on another device. Throws ConfigError
  /// for sampling parameters that are out of range.
  Seq2SeqGenerator(Seq2Seq model, std::unique_ptr<TokenSequence> sequence, const SamplingParams& sampling = {},
                   LogitsChain processors = {})
      : model_(std::move(model)),
        state_(std::make_unique<Generation::State>(std::move(sequence), sampling, std::move(processors))) {}

  /// Begins the answer to a source; what the previous call returned ends. Throws TokenizerError where the model has no
  /// tokenizer or cannot encode the source, ConfigError where neither options nor the checkpoint say what a text begins
  /// with, or for an empty stop string; ShapeError for an empty source or one beyond the model's positions; Cancelled.
  Generation operator()(std::string_view source, const GenerateOptions& options = {}) & {
    const std::vector<TokenId> ids = model().tokenizer().encode(
        source,
        {.add_special_tokens = options.add_special_tokens, .parse_special_tokens = options.parse_special_tokens});
    return (*this)(std::span<const TokenId>(ids), options);
  }
  /// The same from token ids, taken as they are: with the end-of-sequence token that such models expect. Throws
  /// ShapeError for ids outside the vocabulary.
  Generation operator()(std::span<const TokenId> source, const GenerateOptions& options = {}) & {
    const TokenId first = first_token(options);
    if (encoder_) {
      state_->sequence->attend_to(encoder_->encode(source, options.cancel));
    } else {
      state_->sequence->attend_to(source, options.cancel);
    }
    return begin(first, options);
  }
  /// The same from a source that a SourceEncoder of the model encoded.
  Generation operator()(EncodedSource source, const GenerateOptions& options = {}) & {
    const TokenId first = first_token(options);
    state_->sequence->attend_to(std::move(source));
    return begin(first, options);
  }
  // As for a Generator: a Generation of a temporary would refer to nothing.
  Generation operator()(std::string_view, const GenerateOptions& = {}) && = delete;
  Generation operator()(std::span<const TokenId>, const GenerateOptions& = {}) && = delete;
  Generation operator()(EncodedSource, const GenerateOptions& = {}) && = delete;

  /// The whole text at once.
  std::string text(std::string_view source, const GenerateOptions& options = {}) {
    std::string result;
    for (const std::string_view piece : (*this)(source, options)) result += piece;
    return result;
  }

  const Seq2Seq& model() const noexcept { return model_; }

 private:
  TokenId first_token(const GenerateOptions& options) const {
    const GenerationConfig& generation = model().generation_config();
    const std::optional<TokenId> first = options.decoder_start      ? options.decoder_start
                                         : generation.decoder_start ? generation.decoder_start
                                                                    : generation.bos;
    if (!first)
      raise<ConfigError>(model().source(), ": nothing says which token a text begins with (decoder_start_token_id)");
    return *first;
  }
  Generation begin(TokenId first, const GenerateOptions& options) {
    state_->start(std::span(&first, 1), options);
    return Generation(*state_);
  }

  Seq2Seq model_;
  std::unique_ptr<SourceEncoder> encoder_;  // none where the sequence encodes
  std::unique_ptr<Generation::State> state_;
};

}  // namespace weft::inline v0
