#pragma once

#include <array>

#include <weft/models/arch/bart.hpp>

namespace weft::inline v0::arch {

inline Seq2SeqConfig read_marian(ConfigReader& config) {
  Seq2SeqConfig c = read_bart_family(config, false);
  c.shared_embedding = config.flag_or("share_encoder_decoder_embeddings", true);
  c.decoder.vocab = config.positive_or("decoder_vocab_size", c.encoder.vocab);
  if (c.shared_embedding && c.decoder.vocab != c.encoder.vocab)
    raise<ConfigError>(config.object().location(), ": both halves share one embedding, but vocab_size is ",
                       c.encoder.vocab, " and decoder_vocab_size ", c.decoder.vocab);
  c.encoder.position_offset = c.decoder.position_offset = 0;
  c.encoder.position_rows = c.decoder.position_rows = c.encoder.context;
  c.sinusoids = SinusoidParams{};
  // Sums of two modules' outputs, the output of none.
  c.encoder.modules.embedding = "encoder_hidden_states.0";
  c.decoder.modules.embedding = "decoder_hidden_states.0";
  return c;
}

/// An output head that is the table of the decoder.
constexpr std::array<Seq2SeqRow, 1> decoder_head_row() {
  Seq2SeqRow row = seq2seq_row("model.decoder.embed_tokens.weight", in_seq2seq::decoder<&DecoderWeights::output>,
                               dim::target_vocab, dim::model_width, has::head_is_decoders);
  row.repeated = true;
  return {row};
}

inline constexpr auto marian_tensors =
    joined(bart_rows::tokens, decoder_head_row(), bart_rows::layers, bart_rows::logits_bias);

/// Marian's models of OPUS-MT (Junczys-Dowmunt et al. 2018, arXiv:1804.00344; transformers,
/// models/marian/modeling_marian.py): BART without norms of embeddings, positions are sinusoids.
inline constexpr Seq2SeqArchitecture marian{.model_type = "marian",
                                            .read_config = read_marian,
                                            .tensors = marian_tensors,
                                            .ignored_keys = bart_ignored_keys,
                                            .ignored_tensors = bart_ignored_tensors,
                                            .prefix = "model."};

}  // namespace weft::inline v0::arch
