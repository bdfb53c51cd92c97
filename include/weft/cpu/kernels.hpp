#pragma once

#include <cstddef>

#include <weft/core/half.hpp>

// What every instruction set provides: one table of functions, filled once per ISA by generic.hpp, avx2.hpp and
// avx512.hpp from the bodies in kernels/*.inl. Kernels take raw pointers, trust their arguments and never throw.
namespace weft::inline v0 {

/// y = f(x): silu x / (1 + e^-x); gelu x * Phi(x) with the error function; gelu_tanh its tanh form; relu max(x, 0).
enum class Activation : unsigned char { silu, gelu, gelu_tanh, relu };

/// Which elements of a head rotate together: (i, i + rotary_dim / 2), as in Hugging Face's Llama, or (2i, 2i + 1), as
/// in the RoPE paper and Meta's Llama.
enum class RopePairing : unsigned char { halves, interleaved };

namespace cpu {

/// y[t, r] = sum over k of x[t, k] * weight[r, k] for token rows t and the weight rows [row_begin, row_end), with x as
/// pack_tokens* left it.
///
/// Every y[t, r] is computed in the same order whatever the tile it falls in: for every block of linear_block
/// elements of k, one chain of multiply-adds per vector lane, the lanes added in a fixed tree, the blocks in order. So
/// results do not depend on how many tokens or rows are asked for at once.
struct LinearArgs {
  const void* weight;  // (rows, k) elements, row stride weight_stride
  std::size_t weight_stride;
  const void* x;  // packed tokens
  std::size_t tokens;
  std::size_t k;
  float* y;  // (tokens, rows), row stride y_stride
  std::size_t y_stride;
  std::size_t row_begin;
  std::size_t row_end;
};

/// Elements of k that are accumulated before the lanes are added up.
inline constexpr std::size_t linear_block = 2048;
/// Packed tokens are padded with zeros to a multiple of this many elements of k.
inline constexpr std::size_t linear_granule = 32;

/// Packed tokens lie in tiles of at most `most` (Kernels::linear_tokens): how many are in the tile that begins where
/// `left` tokens are left.
constexpr std::size_t linear_tile_tokens(std::size_t left, std::size_t most) noexcept {
  if (left >= most) return most;
  return left >= 3 ? 3 : left;
}

/// Attention of the tokens [token_begin, token_end) in the query heads that share one key/value head. Keys are visited
/// in blocks of attention_block whose borders do not depend on the query, with a running maximum and sum per query
/// (online softmax; Milakov and Gimelshein 2018, Rabe and Staats 2021), so results do not depend on how queries are
/// grouped.
struct AttentionArgs {
  const float* q;  // (tokens, heads, head_dim): strides q_token, q_head, 1
  std::size_t q_token;
  std::size_t q_head;
  const void* k;  // (keys, kv_heads, head_dim): strides k_token, k_head, 1
  std::size_t k_token;
  std::size_t k_head;
  const void* v;
  std::size_t v_token;
  std::size_t v_head;
  float* out;  // (tokens, heads, head_dim): strides out_token, out_head, 1
  std::size_t out_token;
  std::size_t out_head;
  std::size_t keys;    // keys in the cache
  std::size_t offset;  // the key that belongs to token 0
  std::size_t group;   // query heads per key/value head
  std::size_t head_dim;
  float scale;
  float soft_cap;      // 0: none
  std::size_t window;  // 0: none
  bool causal;
  const bool* key_mask;       // (keys); null: every key may be seen
  const float* alibi_slopes;  // (heads); null: none
};

/// Keys per step of the online softmax.
inline constexpr std::size_t attention_block = 64;
/// Query rows (tokens x grouped heads) that share one pass over the keys.
inline constexpr std::size_t attention_rows = 48;

/// Floats of scratch that one attention task uses.
constexpr std::size_t attention_scratch(std::size_t head_dim) noexcept {
  const std::size_t padded = (head_dim + 15) / 16 * 16;
  return attention_rows * (2 * padded + attention_block + 3) + 2 * attention_block * padded;
}

struct Kernels {
  const char* name;

  /// Token rows of one tile of packed tokens.
  std::size_t linear_tokens;

  /// Copies token rows [0, tokens), as many as linear_tile_tokens says, of x (stride x_stride) into one tile.
  void (*pack_tokens)(const float* x, std::size_t x_stride, std::size_t tokens, std::size_t k, float* packed) noexcept;
  void (*linear_f32)(const LinearArgs&) noexcept;
  void (*linear_f16)(const LinearArgs&) noexcept;
  void (*linear_bf16)(const LinearArgs&) noexcept;

  /// The same with x rounded to bfloat16 and products in bfloat16 dot-product instructions (float accumulation); null
  /// where the processor has none.
  void (*pack_tokens_bf16)(const float* x, std::size_t x_stride, std::size_t tokens, std::size_t k,
                           bfloat16* packed) noexcept;
  void (*linear_bf16_dot)(const LinearArgs&) noexcept;

  void (*attention_f32)(const AttentionArgs&, std::size_t kv_head, std::size_t token_begin, std::size_t token_end,
                        float* scratch) noexcept;
  void (*attention_f16)(const AttentionArgs&, std::size_t kv_head, std::size_t token_begin, std::size_t token_end,
                        float* scratch) noexcept;
  void (*attention_bf16)(const AttentionArgs&, std::size_t kv_head, std::size_t token_begin, std::size_t token_end,
                         float* scratch) noexcept;

  /// y[i] = e^(scale * x[i]) / sum; all of y NaN where x holds NaN. x and y may be the same.
  void (*softmax)(const float* x, std::size_t n, float scale, float* y) noexcept;
  /// log of the sum of e^x[i].
  float (*log_sum_exp)(const float* x, std::size_t n) noexcept;
  /// y[i] = e^x[i], relative error below 2^-22. x and y may be the same.
  void (*exp)(const float* x, std::size_t n, float* y) noexcept;

  /// y = x / sqrt(mean(x^2) + eps) * (gain + gain_offset). x and y may be the same.
  void (*rms_norm)(const float* x, const float* gain, std::size_t n, float eps, float gain_offset, float* y) noexcept;
  /// y = (x - mean) / sqrt(variance + eps) * gain + bias; gain and bias may be null. x and y may be the same.
  void (*layer_norm)(const float* x, const float* gain, const float* bias, std::size_t n, float eps, float* y) noexcept;

  /// Rotates `pairs` pairs of one head in place; see RopePairing.
  void (*rope)(float* x, const float* cos, const float* sin, std::size_t pairs, RopePairing pairing) noexcept;

  /// y = f(x), or f(x) * up where up is not null. y may be x or up.
  void (*activation)(Activation kind, const float* x, const float* up, std::size_t n, float* y) noexcept;
  /// y += x.
  void (*add)(const float* x, std::size_t n, float* y) noexcept;

  void (*to_f16)(const float* x, std::size_t n, half* y) noexcept;
  void (*to_bf16)(const float* x, std::size_t n, bfloat16* y) noexcept;
  void (*from_f16)(const half* x, std::size_t n, float* y) noexcept;
  void (*from_bf16)(const bfloat16* x, std::size_t n, float* y) noexcept;
};

}  // namespace cpu
}  // namespace weft::inline v0
