#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/clip.hpp>

namespace weft::inline v0::arch {

inline constexpr TowerDefaults siglip_defaults{.norm_eps = 1e-6f, .activation = Activation::gelu_tanh};

inline void read_siglip_image(ConfigReader& config, VisionConfig& c) {
  read_image_tower(config, c, 16, siglip_defaults,
                   {.embedding = "vision_model.embeddings",
                    .layer = "vision_model.encoder.layers.{}",
                    .norm = "vision_model.post_layernorm",
                    .pooled = "vision_model.head"});
  c.class_token = false;
  c.pooling = config.flag_or("vision_use_head", true) ? ImagePooling::attention : ImagePooling::none;
}

inline void read_siglip_text(ConfigReader& config, VisionConfig& c) {
  c.text = read_tower(config, siglip_defaults,
                      {.embedding = "text_model.embeddings",
                       .layer = "text_model.encoder.layers.{}",
                       .norm = "text_model.final_layer_norm",
                       .pooled = "text_model.head"});
  c.vocab = config.positive_or("vocab_size", 32000);
  c.context = config.positive_or("max_position_embeddings", 64);
  c.projection = config.positive_or("projection_size", c.text.hidden);
  c.causal = false;
  c.text_pooling = TextPooling::last;
}

inline VisionConfig read_siglip(ConfigReader& config) {
  VisionConfig c;
  const bool classifies = read_class(config, {"ForImageClassification", "Model"}) == "ForImageClassification";
  ConfigReader image = read_part(config, "vision_config");
  read_siglip_image(image, c);
  image.finish(vision_ignored_keys);
  ConfigReader text = read_part(config, "text_config");
  c.match = TextMatch::sigmoid;
  if (classifies) {
    read_classes(config, c, ImageClassifier::mean);
  } else {
    read_siglip_text(text, c);
    text.finish(vision_ignored_keys);
    if (c.pooling == ImagePooling::none || c.projection != c.image.hidden)
      raise<ConfigError>(config.object().location(), ": images become ",
                         c.pooling == ImagePooling::none ? 0 : c.image.hidden, " numbers, texts ", c.projection);
  }
  return c;
}

inline VisionConfig read_siglip_vision(ConfigReader& config) {
  VisionConfig c;
  read_siglip_image(config, c);
  static_cast<void>(read_class(config, {"Model"}));
  return c;
}

inline VisionConfig read_siglip_text_alone(ConfigReader& config) {
  VisionConfig c;
  read_siglip_text(config, c);
  static_cast<void>(read_class(config, {"Model"}));
  return c;
}

/// A row of the head that pools by attention.
constexpr VisionRow pooler_row(std::string_view name, VisionSlot slot, VisionRow::Extent rows,
                               VisionRow::Extent columns = nullptr) {
  return vision_row(name, slot, rows, columns, vision::pooled<ImagePooling::attention>);
}
/// A third of the tensor of queries, keys and values.
constexpr VisionRow third(VisionRow row, VisionRow::Extent begin) {
  row.part = {.stored = dim::pooler_qkv, .begin = begin};
  return row;
}

inline constexpr auto siglip_pooler = std::to_array<VisionRow>({
    reshaped(
        pooler_row("vision_model.head.probe", in_vision::in_pooler<&AttentionPoolWeights::probe>, dim::image_hidden)),
    third(pooler_row("vision_model.head.attention.in_proj_weight",
                     in_vision::in_pooler<&AttentionPoolWeights::attention, &AttentionWeights::q>, dim::image_hidden,
                     dim::image_hidden),
          nullptr),
    third(pooler_row("vision_model.head.attention.in_proj_weight",
                     in_vision::in_pooler<&AttentionPoolWeights::attention, &AttentionWeights::k>, dim::image_hidden,
                     dim::image_hidden),
          dim::pooler_k),
    third(pooler_row("vision_model.head.attention.in_proj_weight",
                     in_vision::in_pooler<&AttentionPoolWeights::attention, &AttentionWeights::v>, dim::image_hidden,
                     dim::image_hidden),
          dim::pooler_v),
    third(pooler_row("vision_model.head.attention.in_proj_bias",
                     in_vision::in_pooler<&AttentionPoolWeights::attention, &AttentionWeights::q_bias>,
                     dim::image_hidden),
          nullptr),
    third(pooler_row("vision_model.head.attention.in_proj_bias",
                     in_vision::in_pooler<&AttentionPoolWeights::attention, &AttentionWeights::k_bias>,
                     dim::image_hidden),
          dim::pooler_k),
    third(pooler_row("vision_model.head.attention.in_proj_bias",
                     in_vision::in_pooler<&AttentionPoolWeights::attention, &AttentionWeights::v_bias>,
                     dim::image_hidden),
          dim::pooler_v),
    pooler_row("vision_model.head.attention.out_proj.weight",
               in_vision::in_pooler<&AttentionPoolWeights::attention, &AttentionWeights::o>, dim::image_hidden,
               dim::image_hidden),
    pooler_row("vision_model.head.attention.out_proj.bias",
               in_vision::in_pooler<&AttentionPoolWeights::attention, &AttentionWeights::o_bias>, dim::image_hidden),
    pooler_row("vision_model.head.layernorm.weight",
               in_vision::in_pooler<&AttentionPoolWeights::norm, &NormWeights::gain>, dim::image_hidden),
    pooler_row("vision_model.head.layernorm.bias",
               in_vision::in_pooler<&AttentionPoolWeights::norm, &NormWeights::bias>, dim::image_hidden),
    pooler_row("vision_model.head.mlp.fc1.weight", in_vision::in_pooler<&AttentionPoolWeights::mlp, &MlpWeights::up>,
               dim::image_intermediate, dim::image_hidden),
    pooler_row("vision_model.head.mlp.fc1.bias", in_vision::in_pooler<&AttentionPoolWeights::mlp, &MlpWeights::up_bias>,
               dim::image_intermediate),
    pooler_row("vision_model.head.mlp.fc2.weight", in_vision::in_pooler<&AttentionPoolWeights::mlp, &MlpWeights::down>,
               dim::image_hidden, dim::image_intermediate),
    pooler_row("vision_model.head.mlp.fc2.bias",
               in_vision::in_pooler<&AttentionPoolWeights::mlp, &MlpWeights::down_bias>, dim::image_hidden),
});

inline constexpr auto siglip_image_tensors =
    joined(clip_image_layers, siglip_pooler,
           std::to_array<VisionRow>({vision_row("vision_model.embeddings.patch_embedding.bias",
                                                in_vision::bias<&VisionWeights::patches>, dim::image_hidden)}));

inline constexpr auto siglip_text_tensors = joined(
    clip_text_layers,
    std::to_array<VisionRow>({
        text_row("text_model.head.weight", in_vision::weight<&VisionWeights::text_projection>, dim::shared_projection,
                 dim::text_hidden),
        text_row("text_model.head.bias", in_vision::bias<&VisionWeights::text_projection>, dim::shared_projection),
    }));

inline constexpr auto siglip_tensors =
    joined(siglip_image_tensors, siglip_text_tensors, clip_logit_scale, classifier_rows<ImageClassifier::mean>,
           std::to_array<VisionRow>({reshaped(text_row("logit_bias", slot<&VisionWeights::logit_bias>, dim::one))}));

/// SigLIP (Zhai et al. 2023, arXiv:2303.15343; transformers, models/siglip/modeling_siglip.py): CLIP's graph without
/// class token, with a head that pools by attention, and every pair of image and text judged by itself.
inline constexpr VisionArchitecture siglip{.model_type = "siglip",
                                           .read_config = read_siglip,
                                           .tensors = siglip_tensors,
                                           .ignored_keys = vision_ignored_keys,
                                           .ignored_tensors = clip_ignored_tensors};

/// Its image tower alone.
inline constexpr VisionArchitecture siglip_vision_model{.model_type = "siglip_vision_model",
                                                        .read_config = read_siglip_vision,
                                                        .tensors = siglip_image_tensors,
                                                        .ignored_keys = vision_ignored_keys,
                                                        .ignored_tensors = clip_ignored_tensors,
                                                        .prefix = "vision_model."};

/// Its text tower alone.
inline constexpr VisionArchitecture siglip_text_model{.model_type = "siglip_text_model",
                                                      .read_config = read_siglip_text_alone,
                                                      .tensors = siglip_text_tensors,
                                                      .ignored_keys = vision_ignored_keys,
                                                      .ignored_tensors = clip_ignored_tensors,
                                                      .prefix = "text_model."};

}  // namespace weft::inline v0::arch
