#pragma once

#include <cstddef>
#include <optional>

#include <weft/models/architecture.hpp>
#include <weft/models/encoder_weights.hpp>
#include <weft/ops/sinusoidal_positions.hpp>

namespace weft::inline v0 {

/// The sizes and choices of an encoder-decoder: those of its two halves.
struct Seq2SeqConfig {
  EncoderConfig encoder{};
  DecoderConfig decoder{};
  bool shared_embedding = true;                  ///< both halves have one table of embeddings
  std::optional<SinusoidParams> sinusoids = {};  ///< positions are computed, for the rows that the halves say
};

/// All weights of an encoder-decoder.
struct Seq2SeqWeights {
  EncoderWeights encoder{};
  DecoderWeights decoder{};

  void resize(const Seq2SeqConfig& config) {
    encoder.resize(config.encoder);
    decoder.resize(config.decoder);
  }
};

/// A family of encoder-decoders.
using Seq2SeqArchitecture = Architecture<Seq2SeqWeights, Seq2SeqConfig>;
using Seq2SeqRow = Seq2SeqArchitecture::Row;

}  // namespace weft::inline v0
