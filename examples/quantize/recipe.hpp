#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <weft/weft.hpp>

// Which type each matrix of a model gets.

/// A type for all matrices, or a mixture: more bits where rounding costs most, which is the output head, the values of
/// attention and the second half of the feed-forward part.
struct Recipe {
  std::string_view name;
  std::uint32_t file_type;  ///< general.file_type of the result, which names the recipe to other programs
  weft::DType base;
  weft::DType output;       ///< the output head, or the embedding that is one
  weft::DType more;         ///< attn_v and ffn_down of the layers that get more bits
  weft::DType projections;  ///< attn_output
};

using D = weft::DType;

constexpr auto recipes = std::to_array<Recipe>({
    {"f32", 0, D::f32, D::f32, D::f32, D::f32},
    {"f16", 1, D::f16, D::f16, D::f16, D::f16},
    {"bf16", 32, D::bf16, D::bf16, D::bf16, D::bf16},
    {"q8_0", 7, D::q8_0, D::q8_0, D::q8_0, D::q8_0},
    {"q4_0", 2, D::q4_0, D::q4_0, D::q4_0, D::q4_0},
    {"q4_1", 3, D::q4_1, D::q4_1, D::q4_1, D::q4_1},
    {"q5_0", 8, D::q5_0, D::q5_0, D::q5_0, D::q5_0},
    {"q5_1", 9, D::q5_1, D::q5_1, D::q5_1, D::q5_1},
    {"iq4_nl", 25, D::iq4_nl, D::iq4_nl, D::iq4_nl, D::iq4_nl},
    {"q2_k", 10, D::q2_k, D::q2_k, D::q2_k, D::q2_k},
    {"q3_k", 11, D::q3_k, D::q3_k, D::q3_k, D::q3_k},
    {"q4_k", 14, D::q4_k, D::q4_k, D::q4_k, D::q4_k},
    {"q5_k", 16, D::q5_k, D::q5_k, D::q5_k, D::q5_k},
    {"q6_k", 18, D::q6_k, D::q6_k, D::q6_k, D::q6_k},
    {"q2_k_m", 10, D::q2_k, D::q6_k, D::q4_k, D::q3_k},
    {"q3_k_m", 12, D::q3_k, D::q6_k, D::q5_k, D::q4_k},
    {"q4_k_m", 15, D::q4_k, D::q6_k, D::q6_k, D::q4_k},
    {"q5_k_m", 17, D::q5_k, D::q6_k, D::q6_k, D::q5_k},
});

/// The first and the last eighth of the layers, and every third between them.
constexpr bool gets_more_bits(std::size_t layer, std::size_t layers) {
  const std::size_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

/// The type nearest to `wanted` whose blocks fill rows of that many elements.
inline weft::DType fitting(weft::DType wanted, std::size_t columns) {
  for (;;) {
    if (columns % weft::block_elements(wanted) == 0) return wanted;
    switch (wanted) {
      case D::q2_k:
      case D::q3_k: wanted = D::iq4_nl; break;
      case D::q4_k: wanted = D::q5_0; break;
      case D::q5_k: wanted = D::q5_1; break;
      case D::q6_k: wanted = D::q8_0; break;
      default: wanted = D::f16; break;
    }
  }
}

/// The layer that a tensor belongs to ("blk.<layer>.", "enc.blk.<layer>."); nothing for the others.
inline std::optional<std::size_t> layer_of(const weft::TensorToWrite& tensor) {
  constexpr std::string_view before = "blk.";
  const std::size_t at = tensor.name.find(before);
  if (at == tensor.name.npos) return std::nullopt;
  return std::stoul(tensor.name.substr(at + before.size()));
}

inline std::size_t count_layers(std::span<const weft::TensorToWrite> tensors) {
  std::size_t layers = 0;
  for (const weft::TensorToWrite& tensor : tensors)
    if (const auto layer = layer_of(tensor)) layers = std::max(layers, *layer + 1);
  return layers;
}

/// The type of one tensor of a model of `layers` layers. Vectors, the frequencies of rotary embeddings, the weights
/// that choose experts and small tables that are looked up stay as they are.
inline weft::DType type_of(const weft::TensorToWrite& tensor, const Recipe& recipe, std::size_t layers, bool tied) {
  const std::string_view name = tensor.name;
  const auto is = [&](std::string_view part) { return name.find(part) != name.npos; };
  constexpr auto kept =
      std::to_array<std::string_view>({"rope_", "ffn_gate_inp", "position_embd", "token_types", "attn_rel_b"});
  if (tensor.shape.rank() < 2 || std::any_of(kept.begin(), kept.end(), is)) return tensor.dtype;
  weft::DType type = recipe.base;
  if (name == "output.weight" || (tied && name == "token_embd.weight")) {
    type = recipe.output;
  } else if (is(".attn_v.") || is(".attn_qkv.") || is(".ffn_down")) {
    if (const auto layer = layer_of(tensor); layer && gets_more_bits(*layer, layers)) type = recipe.more;
  } else if (is(".attn_output.") || is(".attn_o.")) {
    type = recipe.projections;
  }
  return fitting(type, tensor.shape[tensor.shape.rank() - 1]);
}
