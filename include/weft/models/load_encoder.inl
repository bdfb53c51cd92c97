#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <weft/formats/checkpoint.hpp>
#include <weft/models/encoder.hpp>
#include <weft/models/encoder_registry.hpp>
#include <weft/models/load_options.hpp>
#include <weft/models/sentence_embedding.hpp>
#include <weft/models/sentence_layer.hpp>
#include <weft/models/weight_loader.hpp>
#include <weft/tokenizers/load_tokenizer.hpp>

namespace weft::inline v0 {

namespace detail {

/// An encoder of a checkpoint, and what modules.json says of it. source: what it is called in errors.
inline Encoder load_encoder_of(const Checkpoint& checkpoint, const std::optional<SentenceModules>& modules,
                               const std::string& source, const LoadOptions& options,
                               std::span<const EncoderArchitecture* const> architectures) {
  const EncoderArchitecture& architecture = find_encoder(checkpoint.config(), architectures);
  ConfigReader reader(checkpoint.config());
  Encoder::Parts parts{
      .model_type = std::string(architecture.model_type), .source = source, .config = architecture.read_config(reader)};
  reader.finish(architecture.ignored_keys);
  if (modules) {
    parts.sentence = modules->embedding;
    if (modules->width != 0 && modules->width != parts.config.hidden)
      raise<ConfigError>(modules->source, ": the pooling is of ", modules->width, " elements, ",
                         checkpoint.config().source(), " says ", parts.config.hidden);
  } else if (checkpoint.gguf()) {
    parts.sentence = read_gguf_sentence(*checkpoint.gguf());
  }
  if (options.tokenizer) parts.tokenizer = load_tokenizer(checkpoint);
  parts.executor = executor_of(options);
  parts.compute = options.compute;
  if (options.kernels) parts.kernels = options.kernels;
  const cpu::Context ctx{.kernels = parts.kernels, .executor = parts.executor.get()};
  parts.weights = WeightLoader(checkpoint, architecture, parts.config, options, ctx).load();
  if (modules && !modules->dense.empty())
    parts.weights.sentence = load_sentence_layer(modules->dense, parts.config.hidden, options, ctx);
  return Encoder(std::move(parts));
}

}  // namespace detail

WEFT_INLINE Encoder load_encoder(const Checkpoint& checkpoint, const LoadOptions& options,
                                 std::span<const EncoderArchitecture* const> architectures) {
  std::optional<SentenceModules> modules;
  if (!checkpoint.directory().empty()) modules = read_sentence_modules(checkpoint.directory());
  return detail::load_encoder_of(checkpoint, modules, checkpoint.location(), options, architectures);
}
WEFT_INLINE Encoder load_encoder(const std::filesystem::path& path, const LoadOptions& options,
                                 std::span<const EncoderArchitecture* const> architectures) {
  const std::optional<SentenceModules> modules = read_sentence_modules(path);
  return detail::load_encoder_of(Checkpoint::open(modules ? modules->transformer : path), modules, path.string(),
                                 options, architectures);
}

}  // namespace weft::inline v0
