#pragma once

#include <array>
#include <span>

#include <weft/models/arch/albert.hpp>
#include <weft/models/arch/bert.hpp>
#include <weft/models/arch/distilbert.hpp>
#include <weft/models/arch/electra.hpp>
#include <weft/models/arch/mobilebert.hpp>
#include <weft/models/arch/mpnet.hpp>
#include <weft/models/arch/roberta.hpp>
#include <weft/models/arch/t5_encoder.hpp>
#include <weft/models/encoder_weights.hpp>

namespace weft::inline v0 {

/// The families of encoders that weft knows, one line each.
inline constexpr std::array encoder_architectures{
    // clang-format off
    &arch::albert,
    &arch::bert,
    &arch::camembert,
    &arch::distilbert,
    &arch::electra,
    &arch::mobilebert,
    &arch::mpnet,
    &arch::mt5_encoder,
    &arch::roberta,
    &arch::t5_encoder,
    &arch::xlm_roberta,
    // clang-format on
};

/// The architecture of a model_type, looked up among `own` (the caller's) first. Throws UnsupportedError naming the
/// file and what is known.
inline const EncoderArchitecture& find_encoder(const Json& config,
                                               std::span<const EncoderArchitecture* const> own = {}) {
  return detail::find_among<EncoderArchitecture>(config, own, encoder_architectures);
}

}  // namespace weft::inline v0
