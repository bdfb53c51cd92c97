#pragma once

#include <weft/models/arch/bart.hpp>

namespace weft::inline v0::arch {

/// Positions begin in the row after that of padding, as in fairseq.
inline Seq2SeqConfig read_m2m_100(ConfigReader& config) {
  Seq2SeqConfig c = read_bart_family(config, true);
  set_pre_norm(c);
  const std::size_t first = config.count_or("pad_token_id", 1) + 1;
  c.encoder.position_offset = c.decoder.position_offset = first;
  c.encoder.position_rows = c.decoder.position_rows = c.encoder.context + first;
  c.sinusoids = SinusoidParams{.last_is_theta = true};
  // Sums of two modules' outputs, the output of none.
  c.encoder.modules.embedding = "encoder_hidden_states.0";
  c.decoder.modules.embedding = "decoder_hidden_states.0";
  return c;
}

inline constexpr auto m2m_100_tensors = joined(bart_rows::tokens, bart_rows::layers, bart_rows::final_norms);

/// M2M-100 (Fan et al. 2021, arXiv:2010.11125) and NLLB-200 (arXiv:2207.04672) (transformers,
/// models/m2m_100/modeling_m2m_100.py): positions are sinusoids.
inline constexpr Seq2SeqArchitecture m2m_100{.model_type = "m2m_100",
                                             .read_config = read_m2m_100,
                                             .tensors = m2m_100_tensors,
                                             .ignored_keys = bart_ignored_keys,
                                             .ignored_tensors = bart_ignored_tensors,
                                             .prefix = "model."};

}  // namespace weft::inline v0::arch
