#pragma once

#include <cstddef>
#include <span>

#include <weft/core/tensor_view.hpp>
#include <weft/cpu/kernels.hpp>

// The parameters of operations that run on more than one kind of device, and the checks of these, without the
// operations; Activation and RopePairing come from kernels.hpp.
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

namespace detail {

/// Throws ConfigError for an eps under whose root a norm would be no number.
inline void require_eps(const char* op, float eps) {
  if (!(eps >= 0.f)) raise<ConfigError>(op, ": eps is ", eps, ", expected a number of at least 0");
}

/// Throws ShapeError unless `kv_heads` heads of keys can be shared evenly.
inline void require_groups(std::size_t heads, std::size_t kv_heads) {
  if (kv_heads == 0 || heads % kv_heads != 0)
    raise<ShapeError>("attention: ", heads, " query heads cannot share ", kv_heads, " key/value heads");
}

/// Throws ShapeError unless the tokens have keys of their own, where they need them, and the mask is as long as the
/// keys.
inline void require_keys(const AttentionParams& params, std::size_t tokens, std::size_t keys) {
  if (params.causal && (tokens > keys || params.offset > keys - tokens))
    raise<ShapeError>("attention: the keys of ", tokens, " tokens from key ", params.offset, " on pass the ", keys,
                      " keys");
  if (!params.key_mask.empty()) require_extent("attention", "the key mask", params.key_mask.size(), keys);
}

/// Throws ShapeError unless the biases are those of so many heads.
inline void require_biases(const AttentionParams& params, std::size_t heads) {
  if (!params.alibi_slopes.empty())
    require_extent("attention", "the number of ALiBi slopes", params.alibi_slopes.size(), heads);
  if (!params.relative_bias.empty() &&
      (heads == 0 || params.relative_bias.size() % heads != 0 || params.relative_bias.size() / heads % 2 == 0))
    raise<ShapeError>("attention: ", params.relative_bias.size(), " relative biases for ", heads,
                      " heads, expected an odd number of them for each");
}

}  // namespace detail

}  // namespace weft::inline v0
