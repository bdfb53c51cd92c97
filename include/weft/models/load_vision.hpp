#pragma once

#include <filesystem>
#include <span>

#include <weft/core/config.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/models/load_options.hpp>
#include <weft/models/vision.hpp>
#include <weft/models/vision_weights.hpp>

namespace weft::inline v0 {

/// Loads a model of images with what its checkpoint has beside the image tower: a classifier, a projection, a text
/// tower. path: a Hugging Face directory as downloaded; a checkpoint of sources has no image processor. Options and
/// what is thrown are those of load_causal_lm(), and what load_image_processor() throws. architectures: the caller's
/// own families, looked up first.
VisionModel load_vision(const Checkpoint& checkpoint, const LoadOptions& options = {},
                        std::span<const VisionArchitecture* const> architectures = {});
VisionModel load_vision(const std::filesystem::path& path, const LoadOptions& options = {},
                        std::span<const VisionArchitecture* const> architectures = {});

/// The same for a model of images and texts (CLIP, SigLIP): throws UnsupportedError where the checkpoint has no text
/// tower.
VisionModel load_vision_text(const Checkpoint& checkpoint, const LoadOptions& options = {},
                             std::span<const VisionArchitecture* const> architectures = {});
VisionModel load_vision_text(const std::filesystem::path& path, const LoadOptions& options = {},
                             std::span<const VisionArchitecture* const> architectures = {});

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/models/load_vision.inl>
#endif
