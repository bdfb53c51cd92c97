#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/tensor.hpp>
#include <weft/core/token_id.hpp>
#include <weft/models/encoder_pass.hpp>
#include <weft/models/seq2seq.hpp>
#include <weft/models/token_sequence.hpp>
#include <weft/models/vision.hpp>

// Encoders, encoder-decoders and models of images of tests/fixtures on the CPU, compiled by the C++ compiler, and
// without tokenizers, as cpu_decoder.hpp has decoders.
namespace weft::testing {

/// The names of all fixtures in "encoders", "seq2seq" or "vision", sorted.
std::vector<std::string> fixtures_of(std::string_view folder);

/// The families of the registries.
std::vector<std::string> encoder_families();
std::vector<std::string> seq2seq_families();
std::vector<std::string> vision_families();

/// One of the fixtures, its matrices where the file has them.
Encoder load_encoder_fixture(std::string_view name);
Seq2Seq load_seq2seq_fixture(std::string_view name);
VisionModel load_vision_fixture(std::string_view name);

/// Sequences of unequal length.
struct EncoderSequences {
  std::vector<std::vector<TokenId>> tokens, types;

  /// What passes take; the tokens must outlive it.
  std::vector<EncoderInput> inputs() const;
};
/// Those of a fixture.
EncoderSequences encoder_sequences(std::string_view name);
/// (rows, hidden).
std::vector<float> cpu_hidden(const Encoder& model, std::span<const EncoderInput> inputs);
/// What the heads that the checkpoint has say of the last pass, and the means of hidden states.
std::vector<std::vector<float>> heads_of(EncoderPass& pass);

/// What an encoder is given, and what the decoder, sequence by sequence.
struct SourcesAndTargets {
  std::vector<std::vector<TokenId>> sources, targets;
};
/// Those of a fixture.
SourcesAndTargets sources_and_targets(std::string_view name);
/// The logits (tokens, vocab) of a target after a source.
std::vector<float> cpu_logits(const Seq2Seq& model, std::span<const TokenId> source, std::span<const TokenId> target);
/// What a Seq2SeqGenerator answers by argmax, up to so many tokens; `sequence` none: on the CPU.
std::vector<TokenId> answer(const Seq2Seq& model, std::unique_ptr<TokenSequence> sequence,
                            std::span<const TokenId> source, std::size_t tokens);

/// What a model of images is about; one of them may be empty.
struct ImagesAndTexts {
  Tensor<float, 4> pixels;  // (images, channels, height, width)
  std::vector<std::vector<TokenId>> texts;
};
/// Those of a fixture.
ImagesAndTexts images_and_texts(std::string_view name);

}  // namespace weft::testing
