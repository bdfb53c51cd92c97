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
      : encoder_(std::make_unique<SourceEncoder>(model, session.cache)),
        state_(std::make_unique<Generation::State>(std::make_unique<Session>(model.decoder(), session), sampling,
                                                   std::move(processors))) {}

  /// Begins the answer to a source; what the previous call returned ends. Throws TokenizerError where the model has no
  /// tokenizer or cannot encode the source, ConfigError where neither options nor the checkpoint say what a text begins
  /// with, or for an empty stop string; ShapeError for an empty source or one beyond the model's positions; Cancelled.
  Generation operator()(std::string_view source, const GenerateOptions& options = {}) {
    const std::vector<TokenId> ids = model().tokenizer().encode(
        source,
        {.add_special_tokens = options.add_special_tokens, .parse_special_tokens = options.parse_special_tokens});
    return (*this)(std::span<const TokenId>(ids), options);
  }
  /// The same from token ids, taken as they are: with the end-of-sequence token that such models expect. Throws
  /// ShapeError for ids outside the vocabulary.
  Generation operator()(std::span<const TokenId> source, const GenerateOptions& options = {}) {
    return (*this)(encoder_->encode(source, options.cancel), options);
  }
  /// The same from a source that a SourceEncoder of the model encoded.
  Generation operator()(EncodedSource source, const GenerateOptions& options = {}) {
    const GenerationConfig& generation = model().generation_config();
    const std::optional<TokenId> first = options.decoder_start      ? options.decoder_start
                                         : generation.decoder_start ? generation.decoder_start
                                                                    : generation.bos;
    if (!first)
      raise<ConfigError>(model().source(), ": nothing says which token a text begins with (decoder_start_token_id)");
    state_->sequence->attend_to(std::move(source));
    state_->start(std::span(&*first, 1), options);
    return Generation(*state_);
  }

  /// The whole text at once.
  std::string text(std::string_view source, const GenerateOptions& options = {}) {
    std::string result;
    for (const std::string_view piece : (*this)(source, options)) result += piece;
    return result;
  }

  const Seq2Seq& model() const noexcept { return encoder_->model(); }

 private:
  std::unique_ptr<SourceEncoder> encoder_;
  std::unique_ptr<Generation::State> state_;
};

}  // namespace weft::inline v0
