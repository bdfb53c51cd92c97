#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <weft/core/thread_pool.hpp>
#include <weft/cpu/context.hpp>
#include <weft/models/image_processor.hpp>
#include <weft/models/vision_weights.hpp>
#include <weft/tokenizers/tokenizer.hpp>

namespace weft::inline v0 {

/// A loaded model that sees images, with the classifier or the text tower of its checkpoint, or that text tower alone:
/// immutable, shared freely
/// between threads, cheap to copy (copies share the weights). What changes while it runs lives in a VisionPass and a
/// TextPass.
class VisionModel {
 public:
  /// What load_vision() puts together.
  struct Parts {
    std::string model_type;
    std::string source;  ///< where it came from, for messages
    VisionConfig config{};
    VisionWeights weights{};
    std::optional<ImageProcessor> image_processor{};
    std::shared_ptr<const Tokenizer> tokenizer{};
    std::shared_ptr<Executor> executor = std::make_shared<SerialExecutor>();
    Compute compute = Compute::native;
    const cpu::Kernels* kernels = &cpu::best_kernels();
  };

  explicit VisionModel(Parts parts) : parts_(std::make_shared<const Parts>(std::move(parts))) {}

  const std::string& model_type() const noexcept { return parts_->model_type; }
  const std::string& source() const noexcept { return parts_->source; }
  const VisionConfig& config() const noexcept { return parts_->config; }
  const VisionWeights& weights() const noexcept { return parts_->weights; }
  bool has_image_processor() const noexcept { return parts_->image_processor.has_value(); }
  /// Throws ConfigError where the checkpoint does not say how images are prepared.
  const ImageProcessor& image_processor() const {
    if (!parts_->image_processor)
      raise<ConfigError>(parts_->source, ": there is neither preprocessor_config.json nor processor_config.json");
    return *parts_->image_processor;
  }
  bool has_tokenizer() const noexcept { return parts_->tokenizer != nullptr; }
  /// Throws TokenizerError where the checkpoint has none.
  const Tokenizer& tokenizer() const {
    if (!parts_->tokenizer) raise<TokenizerError>(parts_->source, ": the checkpoint was loaded without a tokenizer");
    return *parts_->tokenizer;
  }
  Executor& executor() const noexcept { return *parts_->executor; }
  Compute compute() const noexcept { return parts_->compute; }
  const cpu::Kernels& kernels() const noexcept { return *parts_->kernels; }

  /// How many numbers an image becomes: those of the projection, or, where there is none, of the pooler.
  std::size_t features() const noexcept {
    return weights().image_projection ? weights().image_projection.classes() : config().pooled;
  }

  /// Numbers of weights.
  std::size_t parameters() const { return detail::count_parameters(weights()); }
  /// Matrices and vectors of weights.
  std::size_t tensors() const { return detail::count_tensors(weights()); }
  /// Bytes of all weights as they lie in memory or in mapped files.
  std::size_t weight_bytes() const { return detail::count_bytes(weights()); }

  /// A few lines of text: family, numbers of parameters and tensors, memory, sizes of both towers.
  std::string describe() const {
    const VisionConfig& c = config();
    const auto tower = [](const char* kind, const TowerConfig& t) {
      return detail::concat("  ", kind, " layers ", t.layers, ", hidden ", t.hidden, ", intermediate ", t.intermediate,
                            ", heads ", t.heads, ", head_dim ", t.head_dim);
    };
    std::string text = detail::describe_weights(*this, source(), weights());
    if (c.has_images())
      text += detail::concat(tower("image", c.image), ", images ", c.channels, " x ", c.image_height, " x ",
                             c.image_width, ", patches ", c.patch_height, " x ", c.patch_width, "\n");
    if (c.has_text())
      text += detail::concat(tower("text", c.text), ", vocab ", c.vocab, ", context ", c.context, ", projection ",
                             c.projection, "\n");
    if (c.classifier != ImageClassifier::none) text += detail::concat("  classes ", c.classes, "\n");
    return text += detail::concat("  kernels ", kernels().name, ", threads ", executor().concurrency(), "\n");
  }

 private:
  std::shared_ptr<const Parts> parts_;
};

}  // namespace weft::inline v0
