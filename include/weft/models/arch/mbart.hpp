#pragma once

#include <weft/models/arch/bart.hpp>

namespace weft::inline v0::arch {

inline Seq2SeqConfig read_mbart(ConfigReader& config) {
  Seq2SeqConfig c = read_bart_family(config, false);
  set_pre_norm(c);
  return c;
}

inline constexpr auto mbart_tensors = joined(bart_rows::tokens, bart_rows::positions, bart_rows::embedding_norms,
                                             bart_rows::layers, bart_rows::final_norms, bart_rows::logits_bias);

/// mBART and mBART-50 (Liu et al. 2020, arXiv:2001.08210; transformers, models/mbart/modeling_mbart.py).
inline constexpr Seq2SeqArchitecture mbart{.model_type = "mbart",
                                           .read_config = read_mbart,
                                           .tensors = mbart_tensors,
                                           .ignored_keys = bart_ignored_keys,
                                           .ignored_tensors = bart_ignored_tensors,
                                           .prefix = "model."};

}  // namespace weft::inline v0::arch
