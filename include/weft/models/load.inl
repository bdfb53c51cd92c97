#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <utility>

#include <weft/formats/checkpoint.hpp>
#include <weft/models/causal_lm.hpp>
#include <weft/models/load_options.hpp>
#include <weft/models/registry.hpp>
#include <weft/models/weight_loader.hpp>
#include <weft/tokenizers/load_tokenizer.hpp>

namespace weft::inline v0 {

namespace detail {

/// What config.json alone says of a decoder.
inline CausalLM::Parts read_decoder_config(const Checkpoint& checkpoint,
                                           std::span<const DecoderArchitecture* const> architectures) {
  const DecoderArchitecture& architecture = find_architecture(checkpoint.config(), architectures);
  ConfigReader reader(checkpoint.config());
  CausalLM::Parts parts{.model_type = std::string(architecture.model_type),
                        .source = checkpoint.location(),
                        .config = architecture.read_config(reader),
                        .architecture = &architecture,
                        .checkpoint_config = checkpoint.config()};
  reader.finish(architecture.ignored_keys);
  if (parts.config.heads / parts.config.kv_heads > cpu::attention_rows)
    raise<UnsupportedError>(checkpoint.config().location(), ": ", parts.config.heads / parts.config.kv_heads,
                            " query heads per key/value head, at most ", cpu::attention_rows, " are supported");
  return parts;
}

}  // namespace detail

WEFT_INLINE CausalLM load_causal_lm(const Checkpoint& checkpoint, const LoadOptions& options,
                                    std::span<const DecoderArchitecture* const> architectures) {
  CausalLM::Parts parts = detail::read_decoder_config(checkpoint, architectures);
  parts.generation = read_generation_config(checkpoint.config(), checkpoint.generation_config(), parts.config.vocab);
  if (options.tokenizer) parts.tokenizer = load_tokenizer(checkpoint);
  parts.executor = detail::executor_of(options);
  parts.compute = options.compute;
  if (options.kernels) parts.kernels = options.kernels;
  const cpu::Context ctx{.kernels = parts.kernels, .executor = parts.executor.get()};
  parts.weights = detail::WeightLoader(checkpoint, *parts.architecture, parts.config, options, ctx).load();
  return CausalLM(std::move(parts));
}
WEFT_INLINE CausalLM load_causal_lm(const std::filesystem::path& path, const LoadOptions& options,
                                    std::span<const DecoderArchitecture* const> architectures) {
  return load_causal_lm(Checkpoint::open(path), options, architectures);
}

}  // namespace weft::inline v0
