#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include <weft/formats/checkpoint.hpp>
#include <weft/models/load_options.hpp>
#include <weft/models/seq2seq.hpp>
#include <weft/models/seq2seq_registry.hpp>
#include <weft/models/stored_names.hpp>
#include <weft/models/weight_loader.hpp>
#include <weft/ops/sinusoidal_positions.hpp>

namespace weft::inline v0::detail {

/// The table of computed positions, f32 (rows, width).
inline AnyTensor sinusoidal_table(std::size_t rows, std::size_t width, const SinusoidParams& params) {
  return AnyTensor::make(DType::f32, {rows, width}, [&](std::span<std::byte> bytes) {
    sinusoidal_positions(TensorView<float, 2>(reinterpret_cast<float*>(bytes.data()), {rows, width}), params);
  });
}

/// load_seq2seq() with the tokenizer that tokenizer() returns.
template <class Tokenizers>
Seq2Seq load_seq2seq_with(Tokenizers&& tokenizer, const Checkpoint& checkpoint, const LoadOptions& options,
                          std::span<const Seq2SeqArchitecture* const> architectures = {}) {
  const Seq2SeqArchitecture& architecture = find_seq2seq(checkpoint.config(), architectures);
  ConfigReader reader(checkpoint.config());
  Seq2SeqConfig config = architecture.read_config(reader);
  reader.finish(architecture.ignored_keys);
  if (checkpoint.contains("lm_head.weight")) config.decoder.tied_embeddings = false;
  if (config.shared_embedding && has_separate_tables(checkpoint, architecture))
    config.shared_embedding = config.decoder.tied_embeddings = false;
  if (config.sinusoids && config.encoder.hidden % 2 != 0)
    raise<UnsupportedError>(checkpoint.config().location(), ": sinusoidal positions of an odd width, ",
                            config.encoder.hidden, ", are not supported");

  Encoder::Parts encoder{
      .model_type = std::string(architecture.model_type), .source = checkpoint.location(), .config = config.encoder};
  CausalLM::Parts decoder{.model_type = encoder.model_type, .source = encoder.source, .config = config.decoder};
  decoder.generation =
      read_generation_config(checkpoint.config(), checkpoint.generation_config(), config.decoder.vocab);
  encoder.tokenizer = decoder.tokenizer = tokenizer();
  encoder.executor = decoder.executor = executor_of(options);
  encoder.compute = decoder.compute = options.compute;
  if (options.kernels) encoder.kernels = decoder.kernels = options.kernels;
  const cpu::Context ctx{.kernels = encoder.kernels, .executor = encoder.executor.get()};
  Seq2SeqWeights weights = WeightLoader(checkpoint, architecture, config, options, ctx).load();
  encoder.weights = std::move(weights.encoder);
  decoder.weights = std::move(weights.decoder);
  if (config.sinusoids)
    encoder.weights.positions = decoder.weights.positions =
        sinusoidal_table(config.encoder.position_rows, config.encoder.hidden, *config.sinusoids);
  return Seq2Seq({.encoder = Encoder(std::move(encoder)),
                  .decoder = CausalLM(std::move(decoder)),
                  .shared_embedding = config.shared_embedding,
                  .computed_positions = config.sinusoids.has_value()});
}

}  // namespace weft::inline v0::detail
