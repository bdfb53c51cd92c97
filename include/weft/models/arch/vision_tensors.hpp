#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <variant>

#include <weft/models/vision_weights.hpp>

// What the tensor tables of models of images are made of: slots, extents, and what needs a tensor.
namespace weft::inline v0 {

namespace dim {

/// Of a tower: in_tower<&VisionConfig::text, &TowerConfig::hidden>.
template <auto Tower, auto Size>
std::size_t in_tower(const VisionConfig& c) {
  return c.*Tower.*Size;
}
template <auto Size>
std::size_t in_config(const VisionConfig& c) {
  return c.*Size;
}
inline constexpr auto image_hidden = in_tower<&VisionConfig::image, &TowerConfig::hidden>;
inline constexpr auto image_intermediate = in_tower<&VisionConfig::image, &TowerConfig::intermediate>;
inline constexpr auto image_layers = in_tower<&VisionConfig::image, &TowerConfig::layers>;
inline constexpr auto text_hidden = in_tower<&VisionConfig::text, &TowerConfig::hidden>;
inline constexpr auto text_intermediate = in_tower<&VisionConfig::text, &TowerConfig::intermediate>;
inline constexpr auto text_layers = in_tower<&VisionConfig::text, &TowerConfig::layers>;
inline constexpr auto text_context = in_config<&VisionConfig::context>;
inline constexpr auto image_pooled = in_config<&VisionConfig::pooled>;
inline constexpr auto shared_projection = in_config<&VisionConfig::projection>;
inline constexpr auto image_classes = in_config<&VisionConfig::classes>;
inline std::size_t patch_size(const VisionConfig& c) { return c.patch_size(); }
inline std::size_t image_tokens(const VisionConfig& c) { return c.tokens(); }
/// The rows of queries, keys and values in one tensor of all three.
inline std::size_t pooler_qkv(const VisionConfig& c) { return 3 * c.image.hidden; }
inline std::size_t pooler_k(const VisionConfig& c) { return c.image.hidden; }
inline std::size_t pooler_v(const VisionConfig& c) { return 2 * c.image.hidden; }
inline std::size_t one(const VisionConfig&) { return 1; }

}  // namespace dim

namespace arch {
namespace in_vision {

template <auto... Members>
inline constexpr auto in_image = slot<&VisionWeights::image, Members...>;
template <auto... Members>
inline constexpr auto in_text = slot<&VisionWeights::text, Members...>;
template <auto Head>
inline constexpr auto weight = slot<Head, &LinearHead::weight>;
template <auto Head>
inline constexpr auto bias = slot<Head, &LinearHead::bias>;

template <auto Tower, auto... Members>
inline constexpr auto in_layer = slot<Tower, &TowerWeights::layers, Members...>;
template <auto Tower, auto Member>
inline constexpr auto in_attention = in_layer<Tower, &EncoderLayerWeights::attention, Member>;
template <auto Tower, auto Member>
inline constexpr auto in_mlp = in_layer<Tower, &EncoderLayerWeights::mlp, Member>;
template <auto... Members>
inline constexpr auto in_pooler = slot<&VisionWeights::attention_pooler, Members...>;

/// The slots of the layers of one tower.
template <auto Tower>
struct Layer {
  static constexpr auto q = in_attention<Tower, &AttentionWeights::q>;
  static constexpr auto k = in_attention<Tower, &AttentionWeights::k>;
  static constexpr auto v = in_attention<Tower, &AttentionWeights::v>;
  static constexpr auto o = in_attention<Tower, &AttentionWeights::o>;
  static constexpr auto q_bias = in_attention<Tower, &AttentionWeights::q_bias>;
  static constexpr auto k_bias = in_attention<Tower, &AttentionWeights::k_bias>;
  static constexpr auto v_bias = in_attention<Tower, &AttentionWeights::v_bias>;
  static constexpr auto o_bias = in_attention<Tower, &AttentionWeights::o_bias>;
  static constexpr auto up = in_mlp<Tower, &MlpWeights::up>;
  static constexpr auto down = in_mlp<Tower, &MlpWeights::down>;
  static constexpr auto up_bias = in_mlp<Tower, &MlpWeights::up_bias>;
  static constexpr auto down_bias = in_mlp<Tower, &MlpWeights::down_bias>;
  static constexpr auto attention_norm = in_layer<Tower, &EncoderLayerWeights::attention_norm, &NormWeights::gain>;
  static constexpr auto attention_norm_bias = in_layer<Tower, &EncoderLayerWeights::attention_norm, &NormWeights::bias>;
  static constexpr auto mlp_norm = in_layer<Tower, &EncoderLayerWeights::mlp_norm, &NormWeights::gain>;
  static constexpr auto mlp_norm_bias = in_layer<Tower, &EncoderLayerWeights::mlp_norm, &NormWeights::bias>;
};
using ImageLayer = Layer<&VisionWeights::image>;
using TextLayer = Layer<&VisionWeights::text>;

}  // namespace in_vision

/// What needs a tensor: TensorRow::present.
namespace vision {

inline bool never(const VisionConfig&, std::size_t) { return false; }
inline bool text(const VisionConfig& c, std::size_t) { return c.has_text(); }
inline bool projected_text(const VisionConfig& c, std::size_t) { return c.has_text() && c.text_projection; }
template <bool VisionConfig::*Choice>
bool chosen(const VisionConfig& c, std::size_t) {
  return c.*Choice;
}
template <ImagePooling Pooling>
bool pooled(const VisionConfig& c, std::size_t) {
  return c.pooling == Pooling;
}
template <ImageClassifier... Kinds>
bool classified([[maybe_unused]] const VisionConfig& c, std::size_t) {
  return ((c.classifier == Kinds) || ...);
}

}  // namespace vision

using VisionSlot = std::variant<VisionRow::Matrix, VisionRow::Vector>;
using VisionNeeds = bool (*)(const VisionConfig&, std::size_t);

/// A matrix, or a vector where there are no columns, of every checkpoint or where something needs it.
constexpr VisionRow vision_row(std::string_view name, VisionSlot slot, VisionRow::Extent rows,
                               VisionRow::Extent columns = nullptr, VisionNeeds needs = nullptr) {
  return {.name = name, .gguf = "", .slot = slot, .rows = rows, .columns = columns, .present = needs};
}
/// The same of every layer of a tower.
constexpr VisionRow image_row(std::string_view name, VisionSlot slot, VisionRow::Extent rows,
                              VisionRow::Extent columns = nullptr, VisionNeeds needs = nullptr) {
  VisionRow row = vision_row(name, slot, rows, columns, needs);
  row.layers = dim::image_layers;
  return row;
}
constexpr VisionRow text_row(std::string_view name, VisionSlot slot, VisionRow::Extent rows,
                             VisionRow::Extent columns = nullptr) {
  VisionRow row = vision_row(name, slot, rows, columns, vision::text);
  row.layers = dim::text_layers;
  return row;
}
/// A part that some checkpoints have and some have not: there with the tensor of this name.
constexpr VisionRow optional_row(std::string_view with, VisionRow row) {
  row.with = with;
  return row;
}
/// The same, stored in any shape of as many elements.
constexpr VisionRow reshaped(VisionRow row) {
  row.reshaped = true;
  return row;
}
constexpr VisionRow looked_up(VisionRow row) {
  row.lookup = true;
  return row;
}

}  // namespace arch
}  // namespace weft::inline v0
