#pragma once

#include <array>
#include <span>

#include <weft/models/arch/clip.hpp>
#include <weft/models/arch/deit.hpp>
#include <weft/models/arch/siglip.hpp>
#include <weft/models/arch/vit.hpp>
#include <weft/models/vision_weights.hpp>

namespace weft::inline v0 {

/// The families of models of images that weft knows.
inline constexpr std::array vision_architectures{
    // clang-format off
    &arch::clip,
    &arch::clip_text_model,
    &arch::clip_vision_model,
    &arch::deit,
    &arch::siglip,
    &arch::siglip_text_model,
    &arch::siglip_vision_model,
    &arch::vit,
    // clang-format on
};

/// The architecture of a model_type, looked up among `own` (the caller's) first. Throws UnsupportedError naming the
/// file and what is known.
inline const VisionArchitecture& find_vision(const Json& config, std::span<const VisionArchitecture* const> own = {}) {
  return detail::find_among<VisionArchitecture>(config, own, vision_architectures);
}

}  // namespace weft::inline v0
