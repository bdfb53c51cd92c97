#pragma once

#include <cstddef>
#include <span>

#include <weft/cpu/kernels.hpp>

// The parameters of operations that run on more than one kind of device, without the operations; Activation and
// RopePairing come from kernels.hpp.
namespace weft::inline v0 {

struct RmsNormParams {
  float eps;                ///< what the checkpoint says (rms_norm_eps)
  float gain_offset = 0.f;  ///< 1 for families that store gain - 1, as Gemma does
};

struct LayerNormParams {
  float eps;  ///< what the checkpoint says (layer_norm_eps)
};

/// What changes scores and visibility; the neutral values change nothing.
struct AttentionParams {
  float scale;                               ///< usually 1 / sqrt(head_dim)
  bool causal = true;                        ///< a token sees keys up to its own
  std::size_t offset = 0;                    ///< the key that belongs to token 0: tokens already in the cache
  std::size_t window = 0;                    ///< a token sees its own key and the window - 1 before it; 0: all
  float soft_cap = 0.f;                      ///< score = cap * tanh(score / cap); 0: none
  std::span<const bool> key_mask = {};       ///< (keys): false hides a key, as padding; empty: all visible
  std::span<const float> alibi_slopes = {};  ///< (heads): slope * (key - position) is added; empty: none
  /// (heads, 2 * radius + 1): what is added where key - position is -radius .. radius, beyond that what is added at the
  /// nearer end; empty: none. relative_bias() makes it of a table of buckets.
  std::span<const float> relative_bias = {};
};

}  // namespace weft::inline v0
