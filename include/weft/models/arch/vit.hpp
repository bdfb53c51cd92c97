#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/vision_common.hpp>
#include <weft/models/arch/vision_tensors.hpp>

namespace weft::inline v0::arch {

/// The activation of a pooler, by its name.
inline HeadActivation read_pooler_activation(ConfigReader& config) {
  const Json* kind = config.optional("pooler_act");
  if (!kind || kind->as_string() == "tanh") return HeadActivation::tanh;
  return head_activation_of(read_activation(config, "pooler_act"));
}

/// What configs of ViT and DeiT have in common.
inline VisionConfig read_vit_layers(ConfigReader& config, const TowerModules& modules) {
  VisionConfig c;
  for (const char* key :
       {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "image_size", "patch_size"})
    static_cast<void>(config.required(key));
  read_image_tower(config, c, 16, {}, modules);
  c.attention_bias = config.flag_or("qkv_bias", true);
  c.pooled = config.positive_or("pooler_output_size", c.image.hidden);
  c.pooler_activation = read_pooler_activation(config);
  return c;
}

inline VisionConfig read_vit(ConfigReader& config) {
  VisionConfig c = read_vit_layers(config, {.embedding = "vit.embeddings",
                                            .layer = "vit.layers.{}",
                                            .attention = "attention",
                                            .norm = "vit.layernorm",
                                            .pooled = "vit.pooler"});
  const std::string_view kind = read_class(config, {"ForImageClassification", "Model"});
  read_classes(config, c, kind == "ForImageClassification" ? ImageClassifier::first_token : ImageClassifier::none);
  return c;
}

/// The model without its heads, which DeiT has under another prefix.
inline constexpr auto vit_layers = std::to_array<VisionRow>({
    reshaped(vision_row("vit.embeddings.cls_token", slot<&VisionWeights::class_token>, dim::image_hidden)),
    looked_up(reshaped(vision_row("vit.embeddings.position_embeddings", in_vision::in_image<&TowerWeights::positions>,
                                  dim::image_tokens, dim::image_hidden))),
    reshaped(vision_row("vit.embeddings.patch_embeddings.projection.weight", in_vision::weight<&VisionWeights::patches>,
                        dim::image_hidden, dim::patch_size)),
    vision_row("vit.embeddings.patch_embeddings.projection.bias", in_vision::bias<&VisionWeights::patches>,
               dim::image_hidden),
    image_row("vit.encoder.layer.{}.attention.attention.query.weight", in_vision::ImageLayer::q, dim::image_hidden,
              dim::image_hidden),
    image_row("vit.encoder.layer.{}.attention.attention.query.bias", in_vision::ImageLayer::q_bias, dim::image_hidden,
              nullptr, vision::chosen<&VisionConfig::attention_bias>),
    image_row("vit.encoder.layer.{}.attention.attention.key.weight", in_vision::ImageLayer::k, dim::image_hidden,
              dim::image_hidden),
    image_row("vit.encoder.layer.{}.attention.attention.key.bias", in_vision::ImageLayer::k_bias, dim::image_hidden,
              nullptr, vision::chosen<&VisionConfig::attention_bias>),
    image_row("vit.encoder.layer.{}.attention.attention.value.weight", in_vision::ImageLayer::v, dim::image_hidden,
              dim::image_hidden),
    image_row("vit.encoder.layer.{}.attention.attention.value.bias", in_vision::ImageLayer::v_bias, dim::image_hidden,
              nullptr, vision::chosen<&VisionConfig::attention_bias>),
    image_row("vit.encoder.layer.{}.attention.output.dense.weight", in_vision::ImageLayer::o, dim::image_hidden,
              dim::image_hidden),
    image_row("vit.encoder.layer.{}.attention.output.dense.bias", in_vision::ImageLayer::o_bias, dim::image_hidden),
    image_row("vit.encoder.layer.{}.layernorm_before.weight", in_vision::ImageLayer::attention_norm, dim::image_hidden),
    image_row("vit.encoder.layer.{}.layernorm_before.bias", in_vision::ImageLayer::attention_norm_bias,
              dim::image_hidden),
    image_row("vit.encoder.layer.{}.intermediate.dense.weight", in_vision::ImageLayer::up, dim::image_intermediate,
              dim::image_hidden),
    image_row("vit.encoder.layer.{}.intermediate.dense.bias", in_vision::ImageLayer::up_bias, dim::image_intermediate),
    image_row("vit.encoder.layer.{}.output.dense.weight", in_vision::ImageLayer::down, dim::image_hidden,
              dim::image_intermediate),
    image_row("vit.encoder.layer.{}.output.dense.bias", in_vision::ImageLayer::down_bias, dim::image_hidden),
    image_row("vit.encoder.layer.{}.layernorm_after.weight", in_vision::ImageLayer::mlp_norm, dim::image_hidden),
    image_row("vit.encoder.layer.{}.layernorm_after.bias", in_vision::ImageLayer::mlp_norm_bias, dim::image_hidden),
    vision_row("vit.layernorm.weight", in_vision::in_image<&TowerWeights::norm, &NormWeights::gain>, dim::image_hidden),
    vision_row("vit.layernorm.bias", in_vision::in_image<&TowerWeights::norm, &NormWeights::bias>, dim::image_hidden),
    optional_row("vit.pooler.dense.weight",
                 vision_row("vit.pooler.dense.weight", in_vision::weight<&VisionWeights::pooler>, dim::image_pooled,
                            dim::image_hidden, vision::never)),
    optional_row("vit.pooler.dense.weight", vision_row("vit.pooler.dense.bias", in_vision::bias<&VisionWeights::pooler>,
                                                       dim::image_pooled, nullptr, vision::never)),
});

/// The head that classifies, of the models that have one of this name.
template <ImageClassifier... Kinds>
inline constexpr auto classifier_rows = std::to_array<VisionRow>({
    vision_row("classifier.weight", in_vision::weight<&VisionWeights::classifier>, dim::image_classes,
               dim::image_hidden, vision::classified<Kinds...>),
    vision_row("classifier.bias", in_vision::bias<&VisionWeights::classifier>, dim::image_classes, nullptr,
               vision::classified<Kinds...>),
});

inline constexpr auto vit_tensors = joined(vit_layers, classifier_rows<ImageClassifier::first_token>);

/// ViT (Dosovitskiy et al. 2021, arXiv:2010.11929; transformers, models/vit/modeling_vit.py).
inline constexpr VisionArchitecture vit{.model_type = "vit",
                                        .read_config = read_vit,
                                        .tensors = vit_tensors,
                                        .ignored_keys = vision_ignored_keys,
                                        .ignored_tensors = {},
                                        .prefix = "vit."};

}  // namespace weft::inline v0::arch
