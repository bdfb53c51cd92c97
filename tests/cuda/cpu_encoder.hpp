#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/models/encoder_pass.hpp>

// Encoders of tests/fixtures/encoders on the CPU, compiled by the C++ compiler, and without tokenizers, as
// cpu_decoder.hpp has decoders.
namespace weft::testing {

/// The names of all fixtures, sorted.
std::vector<std::string> encoder_names();
/// The families of the registry.
std::vector<std::string> encoder_families();
/// One of the fixtures, its matrices where the file has them.
Encoder load_encoder_fixture(std::string_view name);

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

}  // namespace weft::testing
