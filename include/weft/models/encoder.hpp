#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <weft/core/thread_pool.hpp>
#include <weft/cpu/context.hpp>
#include <weft/models/encoder_weights.hpp>
#include <weft/models/sentence_embedding.hpp>
#include <weft/tokenizers/tokenizer.hpp>

namespace weft::inline v0 {

/// A loaded encoder with the heads of its checkpoint: immutable, shared freely between threads, cheap to copy (copies
/// share the weights). What changes while it runs lives in an EncoderPass.
class Encoder {
 public:
  /// What load_encoder() puts together.
  struct Parts {
    std::string model_type;
    std::string source;  ///< where it came from, for messages
    EncoderConfig config{};
    EncoderWeights weights{};
    std::optional<SentenceEmbedding> sentence{};
    std::shared_ptr<const Tokenizer> tokenizer{};
    std::shared_ptr<Executor> executor = std::make_shared<SerialExecutor>();
    Compute compute = Compute::native;
    const cpu::Kernels* kernels = &cpu::best_kernels();
  };

  explicit Encoder(Parts parts) : parts_(std::make_shared<const Parts>(std::move(parts))) {}

  const std::string& model_type() const noexcept { return parts_->model_type; }
  const std::string& source() const noexcept { return parts_->source; }
  const EncoderConfig& config() const noexcept { return parts_->config; }
  const EncoderWeights& weights() const noexcept { return parts_->weights; }
  /// How sentences become vectors, where the checkpoint says so (modules.json of sentence-transformers).
  const std::optional<SentenceEmbedding>& sentence() const noexcept { return parts_->sentence; }
  /// The elements of a sentence embedding.
  std::size_t sentence_width() const noexcept {
    return weights().sentence ? weights().sentence.linear.classes() : config().hidden;
  }
  bool has_tokenizer() const noexcept { return parts_->tokenizer != nullptr; }
  /// Throws TokenizerError where the checkpoint has none.
  const Tokenizer& tokenizer() const {
    if (!parts_->tokenizer) raise<TokenizerError>(parts_->source, ": the checkpoint was loaded without a tokenizer");
    return *parts_->tokenizer;
  }
  Executor& executor() const noexcept { return *parts_->executor; }
  Compute compute() const noexcept { return parts_->compute; }
  const cpu::Kernels& kernels() const noexcept { return *parts_->kernels; }

  /// Numbers of weights; the decoder of masked words, which is the embedding, counts once.
  std::size_t parameters() const { return detail::count_parameters(weights()); }
  /// Matrices and vectors of weights, counted in the same way.
  std::size_t tensors() const { return detail::count_tensors(weights()); }
  /// Bytes of all weights as they lie in memory or in mapped files.
  std::size_t weight_bytes() const {
    const AnyTensor& decoder = weights().masked_word.decoder;
    return detail::count_bytes(weights()) + detail::bytes_of_weight(decoder) -
           detail::shared_bytes(decoder, weights().embedding);
  }

  /// A few lines of text: family, numbers of parameters and tensors, memory, sizes, heads.
  std::string describe() const {
    const EncoderConfig& c = config();
    return detail::concat(detail::describe_weights(*this, source(), weights()), "  layers ", c.layers, ", hidden ",
                          c.hidden, ", intermediate ", c.intermediate, ", heads ", c.heads, ", head_dim ", c.head_dim,
                          ", vocab ", c.vocab, ", context ", c.context, "\n", "  for ", for_what(), "\n", "  kernels ",
                          kernels().name, ", threads ", executor().concurrency(), "\n");
  }

 private:
  /// The heads that the checkpoint has.
  std::string for_what() const {
    const EncoderWeights& w = weights();
    std::string list = "hidden states";
    const auto add = [&](bool there, const std::string& what) { list += there ? ", " + what : ""; };
    const std::string classes = detail::concat(" (", config().classes, " classes)");
    add(sentence().has_value(), "sentence embeddings");
    add(static_cast<bool>(w.masked_word), "masked words");
    add(static_cast<bool>(w.next_sentence), "pairs of sentences");
    add(static_cast<bool>(w.sequence_classes), "sequences" + classes);
    add(static_cast<bool>(w.token_classes), "tokens" + classes);
    add(static_cast<bool>(w.answer_ends), "answers");
    add(static_cast<bool>(w.replaced_word), "replaced words");
    return list;
  }

  std::shared_ptr<const Parts> parts_;
};

}  // namespace weft::inline v0
