#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <string_view>

#include <weft/models/arch/common.hpp>
#include <weft/models/arch/encoder_common.hpp>
#include <weft/models/config_reader.hpp>
#include <weft/models/vision_config.hpp>

// The parts of config.json that models of images have in common.
namespace weft::inline v0::arch {

/// Keys that every such model may carry and that do not change what it computes.
inline constexpr auto vision_ignored_keys =
    joined(encoder_ignored_keys, std::to_array<std::string_view>({
                                     "encoder_stride",  // of masked image modelling
                                     "initializer_factor",
                                     "logit_scale_init_value",
                                     "projection_dim",
                                     "text_config_dict",
                                     "vision_config_dict",
                                 }));

/// What transformers takes where a config does not say. Those of CLIP and SigLIP say no more than what differs.
struct TowerDefaults {
  std::size_t hidden = 768;
  std::size_t intermediate = 3072;
  std::size_t layers = 12;
  std::size_t heads = 12;
  float norm_eps = 1e-12f;
  Activation activation = Activation::gelu;
};

inline TowerConfig read_tower(ConfigReader& config, const TowerDefaults& defaults, const TowerModules& modules) {
  TowerConfig tower;
  tower.hidden = config.positive_or("hidden_size", defaults.hidden);
  tower.intermediate = config.positive_or("intermediate_size", defaults.intermediate);
  tower.layers = config.positive_or("num_hidden_layers", defaults.layers);
  tower.heads = config.positive_or("num_attention_heads", defaults.heads);
  if (tower.hidden % tower.heads != 0)
    raise<ConfigError>(config.object().location(), ": hidden_size ", tower.hidden,
                       " is not a multiple of num_attention_heads ", tower.heads);
  tower.head_dim = tower.hidden / tower.heads;
  tower.norm_eps = read_eps_or(config, "layer_norm_eps", defaults.norm_eps);
  tower.activation = config.optional("hidden_act") ? read_activation(config, "hidden_act") : defaults.activation;
  tower.modules = modules;
  for (const char* key : {"is_decoder", "add_cross_attention", "is_encoder_decoder", "pruned_heads"})
    config.refuse(key);
  return tower;
}

/// A number, or a height and a width.
inline void read_height_and_width(ConfigReader& config, std::string_view key, std::size_t fallback, std::size_t& height,
                                  std::size_t& width) {
  height = width = fallback;
  const Json* value = config.optional(key);
  if (!value) return;
  if (!value->is_array()) {
    height = width = config.positive(key);
    return;
  }
  if (value->size() != 2)
    raise<ConfigError>(value->location(), ": expected a height and a width, found ", value->size(), " numbers");
  height = value->at(0).as_size();
  width = value->at(1).as_size();
}

/// The image tower: its layers, and how images become patches.
inline void read_image_tower(ConfigReader& config, VisionConfig& c, std::size_t patch, const TowerDefaults& defaults,
                             const TowerModules& modules) {
  c.image = read_tower(config, defaults, modules);
  c.pooled = c.image.hidden;
  c.channels = config.positive_or("num_channels", 3);
  read_height_and_width(config, "image_size", 224, c.image_height, c.image_width);
  read_height_and_width(config, "patch_size", patch, c.patch_height, c.patch_width);
  constexpr std::size_t most = std::size_t{1} << 16;
  for (const std::size_t size : {c.image_height, c.image_width, c.patch_height, c.patch_width, c.channels})
    if (size == 0 || size > most)
      raise<ConfigError>(config.object().location(), ": images of ", c.image_height, " x ", c.image_width,
                         " in patches of ", c.patch_height, " x ", c.patch_width, " with ", c.channels, " channels");
  if (c.patches() == 0)
    raise<ConfigError>(config.object().location(), ": images of ", c.image_height, " x ", c.image_width,
                       " have no patch of ", c.patch_height, " x ", c.patch_width);
}

/// The class of the model by what ends its name, as in "architectures"; nothing of `known` where there is none. Throws
/// UnsupportedError for another.
inline std::string_view read_class(ConfigReader& config, std::initializer_list<std::string_view> known) {
  const Json* names = config.optional("architectures");
  if (!names || names->as_array().empty()) return {};
  const Json& name = names->at(0);
  for (const std::string_view ending : known)
    if (name.as_string().ends_with(ending)) return ending;
  raise<UnsupportedError>(name.location(), ": models of class \"", name.as_string(), "\" are not supported");
}

inline void read_classes(ConfigReader& config, VisionConfig& c, ImageClassifier classifier) {
  c.classifier = classifier;
  c.labels = read_labels(config);
  c.classes = c.labels.empty() ? config.positive_or("num_labels", 2) : c.labels.size();
}

}  // namespace weft::inline v0::arch
