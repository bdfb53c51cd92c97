#pragma once

#include <cstddef>
#include <string>

#include <weft/cpu/kernels.hpp>
#include <weft/ops/rope.hpp>

namespace weft::inline v0 {

/// The sizes and choices of a decoder, in the words of the field. Fields beyond the sizes have neutral values that
/// change nothing.
struct DecoderConfig {
  std::size_t vocab = 0;
  std::size_t hidden = 0;
  std::size_t intermediate = 0;
  std::size_t layers = 0;
  std::size_t heads = 0;
  std::size_t kv_heads = 0;
  std::size_t head_dim = 0;
  std::size_t context = 0;  ///< positions the model was made for (max_position_embeddings)
  float norm_eps = 0.f;
  Activation activation = Activation::silu;
  RopeParams rope{.theta = 0.f};
  std::size_t window = 0;  ///< sliding attention window in tokens; 0: none
  bool attention_bias = false;
  bool attention_output_bias = false;
  bool mlp_bias = false;
  bool tied_embeddings = false;  ///< the output head is the embedding table

  std::size_t query() const noexcept { return heads * head_dim; }
  std::size_t key_value() const noexcept { return kv_heads * head_dim; }
};

}  // namespace weft::inline v0
