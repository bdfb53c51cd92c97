#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/vit.hpp>

namespace weft::inline v0::arch {

inline VisionConfig read_deit(ConfigReader& config) {
  VisionConfig c = read_vit_layers(config, {.embedding = "deit.embeddings",
                                            .layer = "deit.layers.{}",
                                            .attention = "attention",
                                            .norm = "deit.layernorm",
                                            .pooled = "deit.pooler"});
  c.distillation_token = true;
  const std::string_view kind =
      read_class(config, {"ForImageClassificationWithTeacher", "ForImageClassification", "Model"});
  read_classes(config, c,
               kind == "ForImageClassificationWithTeacher" ? ImageClassifier::with_teacher
               : kind == "ForImageClassification"          ? ImageClassifier::first_token
                                                           : ImageClassifier::none);
  return c;
}

inline constexpr auto deit_tensors =
    joined(vit_layers, classifier_rows<ImageClassifier::first_token>,
           std::to_array<VisionRow>({
               reshaped(vision_row("vit.embeddings.distillation_token", slot<&VisionWeights::distillation_token>,
                                   dim::image_hidden)),
               vision_row("cls_classifier.weight", in_vision::weight<&VisionWeights::classifier>, dim::image_classes,
                          dim::image_hidden, vision::classified<ImageClassifier::with_teacher>),
               vision_row("cls_classifier.bias", in_vision::bias<&VisionWeights::classifier>, dim::image_classes,
                          nullptr, vision::classified<ImageClassifier::with_teacher>),
               vision_row("distillation_classifier.weight", in_vision::weight<&VisionWeights::distillation_classifier>,
                          dim::image_classes, dim::image_hidden, vision::classified<ImageClassifier::with_teacher>),
               vision_row("distillation_classifier.bias", in_vision::bias<&VisionWeights::distillation_classifier>,
                          dim::image_classes, nullptr, vision::classified<ImageClassifier::with_teacher>),
           }));

/// DeiT (Touvron et al. 2021, arXiv:2012.12877; transformers, models/deit/modeling_deit.py): ViT with a token that
/// learned from a teacher, and its classifier.
inline constexpr VisionArchitecture deit{.model_type = "deit",
                                         .read_config = read_deit,
                                         .tensors = deit_tensors,
                                         .ignored_keys = vision_ignored_keys,
                                         .ignored_tensors = {},
                                         .prefix = "vit.",
                                         .stored_prefix = "deit."};

}  // namespace weft::inline v0::arch
