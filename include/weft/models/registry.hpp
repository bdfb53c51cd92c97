#pragma once

#include <array>
#include <span>

#include <weft/models/arch/bloom.hpp>
#include <weft/models/arch/falcon.hpp>
#include <weft/models/arch/gemma.hpp>
#include <weft/models/arch/gpt2.hpp>
#include <weft/models/arch/gpt_neo.hpp>
#include <weft/models/arch/gptj.hpp>
#include <weft/models/arch/granite.hpp>
#include <weft/models/arch/llama.hpp>
#include <weft/models/arch/mixtral.hpp>
#include <weft/models/arch/mpt.hpp>
#include <weft/models/arch/neox.hpp>
#include <weft/models/arch/olmo.hpp>
#include <weft/models/arch/opt.hpp>
#include <weft/models/arch/phi.hpp>
#include <weft/models/arch/qwen.hpp>
#include <weft/models/arch/smollm3.hpp>
#include <weft/models/arch/stablelm.hpp>
#include <weft/models/architecture.hpp>

namespace weft::inline v0 {

/// The families that weft knows, one line each.
inline constexpr std::array decoder_architectures{
    // clang-format off
    &arch::bloom,
    &arch::falcon,
    &arch::gemma,
    &arch::gemma2,
    &arch::gemma3,
    &arch::gpt2,
    &arch::gpt_neo,
    &arch::gpt_neox,
    &arch::gptj,
    &arch::granite,
    &arch::llama,
    &arch::mistral,
    &arch::mixtral,
    &arch::mpt,
    &arch::olmo,
    &arch::olmo2,
    &arch::olmoe,
    &arch::opt,
    &arch::phi,
    &arch::phi3,
    &arch::qwen2,
    &arch::qwen2_moe,
    &arch::qwen3,
    &arch::qwen3_moe,
    &arch::smollm3,
    &arch::stablelm,
    // clang-format on
};

/// The architecture of a model_type, looked up among `own` (the caller's) first. Throws UnsupportedError naming the
/// file and what is known.
inline const DecoderArchitecture& find_architecture(const Json& config,
                                                    std::span<const DecoderArchitecture* const> own = {}) {
  return detail::find_among<DecoderArchitecture>(config, own, decoder_architectures);
}

}  // namespace weft::inline v0
