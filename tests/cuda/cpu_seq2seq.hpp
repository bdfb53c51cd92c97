#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/models/seq2seq.hpp>
#include <weft/models/token_sequence.hpp>

// Encoder-decoders of tests/fixtures/seq2seq on the CPU, compiled by the C++ compiler, and without tokenizers, as
// cpu_decoder.hpp has decoders.
namespace weft::testing {

/// The names of all fixtures, sorted.
std::vector<std::string> seq2seq_names();
/// The families of the registry.
std::vector<std::string> seq2seq_families();
/// One of the fixtures, its matrices where the file has them.
Seq2Seq load_seq2seq_fixture(std::string_view name);

/// What the encoder is given, and what the decoder, sequence by sequence.
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

}  // namespace weft::testing
