#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include <weft/models/arch/llama.hpp>
#include <weft/models/architecture.hpp>

namespace weft::inline v0 {

/// The families that weft knows, one line each.
inline constexpr std::array decoder_architectures{
    &arch::llama,
    &arch::mistral,
};

/// The architecture of a model_type, looked up among `own` (the caller's) first. Throws UnsupportedError naming the
/// file and what is known.
inline const DecoderArchitecture& find_architecture(const Json& config,
                                                    std::span<const DecoderArchitecture* const> own = {}) {
  const Json& type = config.at("model_type");
  std::string known;
  for (const std::span<const DecoderArchitecture* const> list :
       {own, std::span<const DecoderArchitecture* const>(decoder_architectures)})
    for (const DecoderArchitecture* architecture : list) {
      if (architecture->model_type == type.as_string()) return *architecture;
      known += known.empty() ? "" : ", ";
      known += architecture->model_type;
    }
  raise<UnsupportedError>(type.location(), ": the model type \"", type.as_string(), "\" is not supported (", known,
                          " are)");
}

}  // namespace weft::inline v0
