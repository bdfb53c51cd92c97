#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include <weft/formats/checkpoint.hpp>
#include <weft/models/config_reader.hpp>
#include <weft/models/encoder_heads.hpp>
#include <weft/models/load_options.hpp>
#include <weft/models/tensor_table.hpp>
#include <weft/models/weight_loader.hpp>

namespace weft::inline v0 {

namespace detail {

/// What the config.json of a dense layer says, in a form that has a tensor table.
struct SentenceLayerConfig {
  std::size_t in = 0, out = 0;
  bool bias = true;
  std::optional<HeadActivation> activation{};
};
struct SentenceLayerWeights {
  LinearHead linear;
  void resize(const SentenceLayerConfig&) noexcept {}
};
using SentenceLayerArchitecture = Architecture<SentenceLayerWeights, SentenceLayerConfig>;

inline std::optional<HeadActivation> sentence_activation(const Json& value) {
  constexpr auto kinds = std::to_array<std::pair<std::string_view, HeadActivation>>(
      {{"Tanh", HeadActivation::tanh}, {"ReLU", HeadActivation::relu}, {"SiLU", HeadActivation::silu}});
  std::string_view name = value.as_string();
  name.remove_prefix(name.rfind('.') + 1);
  if (name == "Identity") return std::nullopt;
  for (const auto& [kind, activation] : kinds)
    if (name == kind) return activation;
  raise<UnsupportedError>(value.location(), ": the activation \"", value.as_string(),
                          "\" is not supported (Identity, Tanh, ReLU and SiLU are)");
}

inline SentenceLayerConfig read_sentence_layer(ConfigReader& config) {
  for (const char* key : {"module_input_name", "module_output_name"})
    if (const Json* name = config.optional(key); name && name->as_string() != "sentence_embedding")
      raise<UnsupportedError>(name->location(), ": a dense layer of \"", name->as_string(),
                              "\" is not supported (sentence_embedding is)");
  SentenceLayerConfig c{.in = config.positive("in_features"),
                        .out = config.positive("out_features"),
                        .bias = config.flag_or("bias", true)};
  c.activation = sentence_activation(config.required("activation_function"));
  return c;
}

inline std::size_t sentence_out(const SentenceLayerConfig& c) { return c.out; }
inline std::size_t sentence_in(const SentenceLayerConfig& c) { return c.in; }
inline bool has_sentence_bias(const SentenceLayerConfig& c, std::size_t) { return c.bias; }

inline constexpr auto sentence_layer_rows = std::to_array<SentenceLayerArchitecture::Row>({
    {.name = "linear.weight",
     .gguf = "",
     .slot = slot<&SentenceLayerWeights::linear, &LinearHead::weight>,
     .rows = sentence_out,
     .columns = sentence_in},
    {.name = "linear.bias",
     .gguf = "",
     .slot = slot<&SentenceLayerWeights::linear, &LinearHead::bias>,
     .rows = sentence_out,
     .present = has_sentence_bias},
});

inline constexpr SentenceLayerArchitecture sentence_layer_architecture{.model_type = "sentence-transformers Dense",
                                                                       .read_config = read_sentence_layer,
                                                                       .tensors = sentence_layer_rows,
                                                                       .ignored_keys = {},
                                                                       .ignored_tensors = {}};

}  // namespace detail

/// The folder of a Dense module of sentence-transformers (sentence_transformers/models/Dense.py), which takes sentence
/// embeddings of `width` elements. Throws ConfigError for another width, UnsupportedError for an activation or key that
/// is not supported, and what loading a checkpoint throws.
inline SentenceLayer load_sentence_layer(const std::filesystem::path& folder, std::size_t width,
                                         const LoadOptions& options, const cpu::Context& ctx) {
  const Checkpoint checkpoint = Checkpoint::open(folder);
  const detail::SentenceLayerArchitecture& architecture = detail::sentence_layer_architecture;
  ConfigReader reader(checkpoint.config());
  const detail::SentenceLayerConfig config = architecture.read_config(reader);
  reader.finish(architecture.ignored_keys);
  if (config.in != width)
    raise<ConfigError>(checkpoint.config().location(), ": in_features is ", config.in, ", sentence embeddings have ",
                       width, " elements");
  LoadOptions own = options;
  own.progress = nullptr;
  return {.linear = detail::WeightLoader(checkpoint, architecture, config, own, ctx).load().linear,
          .activation = config.activation};
}

}  // namespace weft::inline v0
