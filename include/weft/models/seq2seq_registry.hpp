#pragma once

#include <array>
#include <span>

#include <weft/models/arch/bart.hpp>
#include <weft/models/arch/m2m_100.hpp>
#include <weft/models/arch/marian.hpp>
#include <weft/models/arch/mbart.hpp>
#include <weft/models/arch/t5.hpp>
#include <weft/models/seq2seq_weights.hpp>

namespace weft::inline v0 {

/// The families of encoder-decoders that weft knows, one line each.
inline constexpr std::array seq2seq_architectures{
    // clang-format off
    &arch::bart,
    &arch::m2m_100,
    &arch::marian,
    &arch::mbart,
    &arch::mt5,
    &arch::t5,
    // clang-format on
};

/// The architecture of a model_type, looked up among `own` (the caller's) first. Throws UnsupportedError naming the
/// file and what is known.
inline const Seq2SeqArchitecture& find_seq2seq(const Json& config,
                                               std::span<const Seq2SeqArchitecture* const> own = {}) {
  return detail::find_among<Seq2SeqArchitecture>(config, own, seq2seq_architectures);
}

}  // namespace weft::inline v0
