#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <utility>

#include <weft/formats/checkpoint.hpp>
#include <weft/models/load_options.hpp>
#include <weft/models/vision.hpp>
#include <weft/models/vision_registry.hpp>
#include <weft/models/weight_loader.hpp>
#include <weft/tokenizers/load_tokenizer.hpp>

namespace weft::inline v0 {

WEFT_INLINE VisionModel load_vision(const Checkpoint& checkpoint, const LoadOptions& options,
                                    std::span<const VisionArchitecture* const> architectures) {
  const VisionArchitecture& architecture = find_vision(checkpoint.config(), architectures);
  ConfigReader reader(checkpoint.config());
  VisionModel::Parts parts{.model_type = std::string(architecture.model_type),
                           .source = checkpoint.location(),
                           .config = architecture.read_config(reader)};
  reader.finish(architecture.ignored_keys);
  if (!checkpoint.directory().empty())
    parts.image_processor = load_image_processor(checkpoint.directory(), architecture.model_type);
  if (options.tokenizer && parts.config.has_text()) parts.tokenizer = load_tokenizer(checkpoint);
  parts.executor = detail::executor_of(options);
  parts.compute = options.compute;
  if (options.kernels) parts.kernels = options.kernels;
  const cpu::Context ctx{.kernels = parts.kernels, .executor = parts.executor.get()};
  parts.weights = detail::WeightLoader(checkpoint, architecture, parts.config, options, ctx).load();
  return VisionModel(std::move(parts));
}

WEFT_INLINE VisionModel load_vision(const std::filesystem::path& path, const LoadOptions& options,
                                    std::span<const VisionArchitecture* const> architectures) {
  return load_vision(Checkpoint::open(path), options, architectures);
}

WEFT_INLINE VisionModel load_vision_text(const Checkpoint& checkpoint, const LoadOptions& options,
                                         std::span<const VisionArchitecture* const> architectures) {
  VisionModel model = load_vision(checkpoint, options, architectures);
  if (!model.config().has_text()) raise<UnsupportedError>(checkpoint.location(), ": the checkpoint has no text tower");
  return model;
}
WEFT_INLINE VisionModel load_vision_text(const std::filesystem::path& path, const LoadOptions& options,
                                         std::span<const VisionArchitecture* const> architectures) {
  return load_vision_text(Checkpoint::open(path), options, architectures);
}

}  // namespace weft::inline v0
