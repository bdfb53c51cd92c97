#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include <weft/formats/json.hpp>
#include <weft/models/arch/vision_common.hpp>
#include <weft/models/arch/vision_tensors.hpp>
#include <weft/models/arch/vit.hpp>

namespace weft::inline v0::arch {

inline constexpr TowerDefaults clip_image_defaults{.norm_eps = 1e-5f, .activation = Activation::quick_gelu};
inline constexpr TowerDefaults clip_text_defaults{
    .hidden = 512, .intermediate = 2048, .heads = 8, .norm_eps = 1e-5f, .activation = Activation::quick_gelu};

/// The part of a config that describes one tower: "text_config", unless the older "text_config_dict" is given, which
/// then counts alone. An empty object where neither is.
inline ConfigReader read_part(ConfigReader& config, const std::string& key) {
  const Json* newer = config.optional(key);
  const Json* older = config.optional(key + "_dict");
  return ConfigReader(older ? *older : newer ? *newer : parse_json("{}", std::string(config.object().source())));
}

inline void read_clip_image(ConfigReader& config, VisionConfig& c) {
  read_image_tower(config, c, 32, clip_image_defaults,
                   {.embedding = "vision_model.pre_layrnorm",
                    .layer = "vision_model.encoder.layers.{}",
                    .pooled = "vision_model.post_layernorm"});
  c.patch_bias = false;
  c.input_norm = true;
  c.pooling = ImagePooling::norm;
}

inline void read_clip_text(ConfigReader& config, VisionConfig& c) {
  c.text = read_tower(config, clip_text_defaults,
                      {.embedding = "text_model.embeddings",
                       .layer = "text_model.encoder.layers.{}",
                       .norm = "text_model.final_layer_norm",
                       .pooled = "text_projection"});
  c.vocab = config.positive_or("vocab_size", 49408);
  c.context = config.positive_or("max_position_embeddings", 77);
  c.end_token = static_cast<TokenId>(config.count_or("eos_token_id", 49407));
  // Configs of before transformers 4.31 say 2 whatever the token is.
  c.text_pooling = c.end_token == 2 ? TextPooling::largest_id : TextPooling::end;
}

inline VisionConfig read_clip(ConfigReader& config) {
  VisionConfig c;
  const bool classifies = read_class(config, {"ForImageClassification", "Model"}) == "ForImageClassification";
  ConfigReader image = read_part(config, "vision_config");
  read_clip_image(image, c);
  image.finish(vision_ignored_keys);
  ConfigReader text = read_part(config, "text_config");
  if (classifies) {
    read_classes(config, c, ImageClassifier::mean);
  } else {
    read_clip_text(text, c);
    text.finish(vision_ignored_keys);
    c.projection = config.positive_or("projection_dim", 512);
    c.image_projection = true;
  }
  return c;
}

inline VisionConfig read_clip_vision(ConfigReader& config) {
  VisionConfig c;
  read_clip_image(config, c);
  c.projection = config.positive_or("projection_dim", 512);
  c.image_projection = read_class(config, {"ModelWithProjection", "Model"}) == "ModelWithProjection";
  return c;
}

inline VisionConfig read_clip_text_alone(ConfigReader& config) {
  VisionConfig c;
  read_clip_text(config, c);
  c.text_projection = read_class(config, {"ModelWithProjection", "Model"}) == "ModelWithProjection";
  c.projection = c.text_projection ? config.positive_or("projection_dim", 512) : c.text.hidden;
  return c;
}

/// The layers of an image tower, of CLIP's and of SigLIP's.
inline constexpr auto clip_image_layers = std::to_array<VisionRow>({
    reshaped(vision_row("vision_model.embeddings.patch_embedding.weight", in_vision::weight<&VisionWeights::patches>,
                        dim::image_hidden, dim::patch_size)),
    looked_up(vision_row("vision_model.embeddings.position_embedding.weight",
                         in_vision::in_image<&TowerWeights::positions>, dim::image_tokens, dim::image_hidden)),
    image_row("vision_model.encoder.layers.{}.self_attn.q_proj.weight", in_vision::ImageLayer::q, dim::image_hidden,
              dim::image_hidden),
    image_row("vision_model.encoder.layers.{}.self_attn.q_proj.bias", in_vision::ImageLayer::q_bias, dim::image_hidden),
    image_row("vision_model.encoder.layers.{}.self_attn.k_proj.weight", in_vision::ImageLayer::k, dim::image_hidden,
              dim::image_hidden),
    image_row("vision_model.encoder.layers.{}.self_attn.k_proj.bias", in_vision::ImageLayer::k_bias, dim::image_hidden),
    image_row("vision_model.encoder.layers.{}.self_attn.v_proj.weight", in_vision::ImageLayer::v, dim::image_hidden,
              dim::image_hidden),
    image_row("vision_model.encoder.layers.{}.self_attn.v_proj.bias", in_vision::ImageLayer::v_bias, dim::image_hidden),
    image_row("vision_model.encoder.layers.{}.self_attn.out_proj.weight", in_vision::ImageLayer::o, dim::image_hidden,
              dim::image_hidden),
    image_row("vision_model.encoder.layers.{}.self_attn.out_proj.bias", in_vision::ImageLayer::o_bias,
              dim::image_hidden),
    image_row("vision_model.encoder.layers.{}.layer_norm1.weight", in_vision::ImageLayer::attention_norm,
              dim::image_hidden),
    image_row("vision_model.encoder.layers.{}.layer_norm1.bias", in_vision::ImageLayer::attention_norm_bias,
              dim::image_hidden),
    image_row("vision_model.encoder.layers.{}.mlp.fc1.weight", in_vision::ImageLayer::up, dim::image_intermediate,
              dim::image_hidden),
    image_row("vision_model.encoder.layers.{}.mlp.fc1.bias", in_vision::ImageLayer::up_bias, dim::image_intermediate),
    image_row("vision_model.encoder.layers.{}.mlp.fc2.weight", in_vision::ImageLayer::down, dim::image_hidden,
              dim::image_intermediate),
    image_row("vision_model.encoder.layers.{}.mlp.fc2.bias", in_vision::ImageLayer::down_bias, dim::image_hidden),
    image_row("vision_model.encoder.layers.{}.layer_norm2.weight", in_vision::ImageLayer::mlp_norm, dim::image_hidden),
    image_row("vision_model.encoder.layers.{}.layer_norm2.bias", in_vision::ImageLayer::mlp_norm_bias,
              dim::image_hidden),
    vision_row("vision_model.post_layernorm.weight", in_vision::in_image<&TowerWeights::norm, &NormWeights::gain>,
               dim::image_hidden),
    vision_row("vision_model.post_layernorm.bias", in_vision::in_image<&TowerWeights::norm, &NormWeights::bias>,
               dim::image_hidden),
});

/// The text tower, CLIP's and SigLIP's.
inline constexpr auto clip_text_layers = std::to_array<VisionRow>({
    looked_up(text_row("text_model.embeddings.token_embedding.weight", slot<&VisionWeights::words>, dim::vocab,
                       dim::text_hidden)),
    looked_up(text_row("text_model.embeddings.position_embedding.weight", in_vision::in_text<&TowerWeights::positions>,
                       dim::text_context, dim::text_hidden)),
    text_row("text_model.encoder.layers.{}.self_attn.q_proj.weight", in_vision::TextLayer::q, dim::text_hidden,
             dim::text_hidden),
    text_row("text_model.encoder.layers.{}.self_attn.q_proj.bias", in_vision::TextLayer::q_bias, dim::text_hidden),
    text_row("text_model.encoder.layers.{}.self_attn.k_proj.weight", in_vision::TextLayer::k, dim::text_hidden,
             dim::text_hidden),
    text_row("text_model.encoder.layers.{}.self_attn.k_proj.bias", in_vision::TextLayer::k_bias, dim::text_hidden),
    text_row("text_model.encoder.layers.{}.self_attn.v_proj.weight", in_vision::TextLayer::v, dim::text_hidden,
             dim::text_hidden),
    text_row("text_model.encoder.layers.{}.self_attn.v_proj.bias", in_vision::TextLayer::v_bias, dim::text_hidden),
    text_row("text_model.encoder.layers.{}.self_attn.out_proj.weight", in_vision::TextLayer::o, dim::text_hidden,
             dim::text_hidden),
    text_row("text_model.encoder.layers.{}.self_attn.out_proj.bias", in_vision::TextLayer::o_bias, dim::text_hidden),
    text_row("text_model.encoder.layers.{}.layer_norm1.weight", in_vision::TextLayer::attention_norm, dim::text_hidden),
    text_row("text_model.encoder.layers.{}.layer_norm1.bias", in_vision::TextLayer::attention_norm_bias,
             dim::text_hidden),
    text_row("text_model.encoder.layers.{}.mlp.fc1.weight", in_vision::TextLayer::up, dim::text_intermediate,
             dim::text_hidden),
    text_row("text_model.encoder.layers.{}.mlp.fc1.bias", in_vision::TextLayer::up_bias, dim::text_intermediate),
    text_row("text_model.encoder.layers.{}.mlp.fc2.weight", in_vision::TextLayer::down, dim::text_hidden,
             dim::text_intermediate),
    text_row("text_model.encoder.layers.{}.mlp.fc2.bias", in_vision::TextLayer::down_bias, dim::text_hidden),
    text_row("text_model.encoder.layers.{}.layer_norm2.weight", in_vision::TextLayer::mlp_norm, dim::text_hidden),
    text_row("text_model.encoder.layers.{}.layer_norm2.bias", in_vision::TextLayer::mlp_norm_bias, dim::text_hidden),
    text_row("text_model.final_layer_norm.weight", in_vision::in_text<&TowerWeights::norm, &NormWeights::gain>,
             dim::text_hidden),
    text_row("text_model.final_layer_norm.bias", in_vision::in_text<&TowerWeights::norm, &NormWeights::bias>,
             dim::text_hidden),
});
inline constexpr auto clip_logit_scale =
    std::to_array<VisionRow>({reshaped(text_row("logit_scale", slot<&VisionWeights::logit_scale>, dim::one))});

inline constexpr auto clip_image_tensors = joined(
    clip_image_layers,
    std::to_array<VisionRow>({
        vision_row("vision_model.embeddings.class_embedding", slot<&VisionWeights::class_token>, dim::image_hidden),
        vision_row("vision_model.pre_layrnorm.weight",
                   in_vision::in_image<&TowerWeights::input_norm, &NormWeights::gain>, dim::image_hidden),
        vision_row("vision_model.pre_layrnorm.bias", in_vision::in_image<&TowerWeights::input_norm, &NormWeights::bias>,
                   dim::image_hidden),
        optional_row(
            "visual_projection.weight",
            vision_row("visual_projection.weight", in_vision::weight<&VisionWeights::image_projection>,
                       dim::shared_projection, dim::image_hidden, vision::chosen<&VisionConfig::image_projection>)),
    }));

inline constexpr auto clip_text_tensors = joined(
    clip_text_layers,
    std::to_array<VisionRow>({vision_row("text_projection.weight", in_vision::weight<&VisionWeights::text_projection>,
                                         dim::shared_projection, dim::text_hidden, vision::projected_text)}));

inline constexpr auto clip_tensors =
    joined(clip_image_tensors, clip_text_tensors, clip_logit_scale, classifier_rows<ImageClassifier::mean>);

// Buffers that older versions of transformers saved.
inline constexpr auto clip_ignored_tensors =
    std::to_array<std::string_view>({"text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"});

/// CLIP (Radford et al. 2021, arXiv:2103.00020; transformers, models/clip/modeling_clip.py): images and texts in one
/// space.
inline constexpr VisionArchitecture clip{.model_type = "clip",
                                         .read_config = read_clip,
                                         .tensors = clip_tensors,
                                         .ignored_keys = vision_ignored_keys,
                                         .ignored_tensors = clip_ignored_tensors};

/// Its image tower alone.
inline constexpr VisionArchitecture clip_vision_model{.model_type = "clip_vision_model",
                                                      .read_config = read_clip_vision,
                                                      .tensors = clip_image_tensors,
                                                      .ignored_keys = vision_ignored_keys,
                                                      .ignored_tensors = clip_ignored_tensors,
                                                      .prefix = "vision_model."};

/// Its text tower alone.
inline constexpr VisionArchitecture clip_text_model{.model_type = "clip_text_model",
                                                    .read_config = read_clip_text_alone,
                                                    .tensors = clip_text_tensors,
                                                    .ignored_keys = vision_ignored_keys,
                                                    .ignored_tensors = clip_ignored_tensors,
                                                    .prefix = "text_model."};

}  // namespace weft::inline v0::arch
