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
#include <weft/models/weight_loader.hpp>
#include <weft/tokenizers/load_tokenizer.hpp>

namespace weft::inline v0 {

WEFT_INLINE Encoder load_encoder(const std::filesystem::path& path, const LoadOptions& options,
                                 std::span<const EncoderArchitecture* const> architectures) {
  const std::optional<SentenceModules> modules = read_sentence_modules(path);
  const Checkpoint checkpoint = Checkpoint::open(modules ? modules->transformer : path);
  const EncoderArchitecture& architecture = find_encoder(checkpoint.config(), architectures);
  ConfigReader reader(checkpoint.config());
  Encoder::Parts parts{.model_type = std::string(architecture.model_type),
                       .source = path.string(),
                       .config = architecture.read_config(reader)};
  reader.finish(architecture.ignored_keys);
  if (modules) {
    parts.sentence = modules->embedding;
    if (modules->width != 0 && modules->width != parts.config.hidden)
      raise<ConfigError>(modules->source, ": the pooling is of ", modules->width, " elements, ",
                         checkpoint.config().source(), " says ", parts.config.hidden);
  }
  if (options.tokenizer) parts.tokenizer = load_tokenizer(checkpoint);
  parts.executor = detail::executor_of(options);
  parts.compute = options.compute;
  if (options.kernels) parts.kernels = options.kernels;
  const cpu::Context ctx{.kernels = parts.kernels, .executor = parts.executor.get()};
  parts.weights = detail::WeightLoader(checkpoint, architecture, parts.config, options, ctx).load();
  return Encoder(std::move(parts));
}

}  // namespace weft::inline v0
