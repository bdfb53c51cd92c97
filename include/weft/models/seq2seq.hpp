#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include <weft/models/causal_lm.hpp>
#include <weft/models/encoder.hpp>

namespace weft::inline v0 {

/// A loaded encoder-decoder: an encoder, and a decoder that reads what the encoder makes of a source. Immutable, shared
/// freely between threads, cheap to copy (copies share the weights). A SourceEncoder runs the first half, once for a
/// source, a Session that attends to it, or several in a Batch, the second.
class Seq2Seq {
 public:
  /// What load_seq2seq() puts together.
  struct Parts {
    Encoder encoder;
    CausalLM decoder;
    bool shared_embedding;    ///< both halves have one table of embeddings
    bool computed_positions;  ///< and their positions are no weights
  };

  explicit Seq2Seq(Parts parts) : parts_(std::move(parts)) {}

  const std::string& model_type() const noexcept { return encoder().model_type(); }
  const std::string& source() const noexcept { return encoder().source(); }
  const Encoder& encoder() const noexcept { return parts_.encoder; }
  const CausalLM& decoder() const noexcept { return parts_.decoder; }
  const GenerationConfig& generation_config() const noexcept { return decoder().generation_config(); }
  bool has_tokenizer() const noexcept { return encoder().has_tokenizer(); }
  /// That of sources; decoder().tokenizer() is that of what is written. Throws TokenizerError where the checkpoint has
  /// none.
  const Tokenizer& tokenizer() const { return encoder().tokenizer(); }

  /// Numbers of weights; embeddings and an output head that are one table count once.
  std::size_t parameters() const {
    std::size_t count = encoder().parameters() + decoder().parameters();
    if (parts_.shared_embedding) count -= encoder().weights().embedding.size();
    if (parts_.computed_positions) count -= encoder().weights().positions.size() + decoder().weights().positions.size();
    return count;
  }

  /// Matrices and vectors of weights, counted in the same way.
  std::size_t tensors() const {
    return encoder().tensors() + decoder().tensors() - (parts_.shared_embedding ? 1 : 0) -
           (parts_.computed_positions ? 2 : 0);
  }
  /// Bytes of all weights, and of computed positions, as they lie in memory or in mapped files.
  std::size_t weight_bytes() const {
    const EncoderWeights& e = encoder().weights();
    const DecoderWeights& d = decoder().weights();
    return encoder().weight_bytes() + decoder().weight_bytes() - detail::shared_bytes(e.embedding, d.embedding) -
           detail::shared_bytes(e.positions, d.positions);
  }

  /// A few lines of text: family, numbers of parameters and tensors, memory, sizes of both halves.
  std::string describe() const {
    const auto half = [](const char* name, const auto& c) {
      return detail::concat("  ", name, ": layers ", c.layers, ", hidden ", c.hidden, ", intermediate ", c.intermediate,
                            ", heads ", c.heads, ", head_dim ", c.head_dim, ", vocab ", c.vocab, ", context ",
                            c.context, "\n");
    };
    return detail::concat(detail::describe_weights(*this, source(), encoder().weights(), decoder().weights()),
                          half("encoder", encoder().config()), half("decoder", decoder().config()), "  kernels ",
                          encoder().kernels().name, ", threads ", encoder().executor().concurrency(), "\n");
  }

 private:
  Parts parts_;
};

}  // namespace weft::inline v0
