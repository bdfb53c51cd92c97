#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <weft/core/half.hpp>
#include <weft/core/layout.hpp>

// What every instruction set provides: one table of functions, filled once per ISA by generic.hpp, avx2.hpp,
// avx512.hpp, neon.hpp and those that build on them from the bodies in kernels/*.inl. Kernels take raw pointers, trust
// their arguments and never throw.
namespace weft::inline v0 {

/// y = f(x): silu x / (1 + e^-x); gelu x * Phi(x) with the error function; gelu_tanh its tanh form; quick_gelu x / (1 +
/// e^-1.702x); relu max(x, 0).
enum class Activation : unsigned char { silu, gelu, gelu_tanh, quick_gelu, relu };

/// Which elements of a head rotate together: (i, i + rotary_dim / 2), as in Hugging Face's Llama, or (2i, 2i + 1), as
/// in the RoPE paper and Meta's Llama.
enum class RopePairing : unsigned char { halves, interleaved };

namespace cpu {

/// Part of one panel: the elements of k from a multiple of panel_chunk on.
struct PanelChunk {
  const std::uint32_t* header;  // what precedes the elements of every row, where
                                // the format has that
  const std::uint32_t* data;    // (4-byte units, panel_rows)
  std::size_t k;
  bool streamed = false;  // Kernels::streams_weights
};

/// Elements after which every format begins a new unit of four bytes.
inline constexpr std::size_t panel_chunk = 512;

/// How many bytes before they are multiplied weights are asked for that are read once.
inline constexpr std::size_t prefetch_distance = 8192;

/// y[t, r] = sum over k of x[t, k] * weight[r, k] for some tokens, the rows of some panels and a part of k.
///
/// Every y[t, r] is one chain of fused multiply-adds along k, whatever the tile it falls in and wherever k is divided:
/// one element after the other for floats; pair by pair for bfloat16 dot products; and for int8 block by block, sum =
/// fma(scale of the weights, scale of the tokens * exact integer product, sum), after sum = fma(minimum, sum of the
/// tokens, sum) for formats that have one. So results do not depend on how many tokens or rows are asked for at once.
struct TileArgs {
  const std::byte* header;  // what precedes the elements of every row; for one panel that is not expanded
  const std::byte* panels;
  std::size_t panel_bytes;  // from one panel to the next
  std::size_t rows;
  const std::byte* x;    // packed tokens
  std::size_t x_bytes;   // of one token, all of k
  std::size_t x_offset;  // of one token, before this part of k
  std::size_t tokens;
  std::size_t k;
  const float* from;  // (tokens, rows), row stride from_stride: where sums begin; null: at zero
  std::size_t from_stride;
  float* y;  // (tokens, rows), row stride y_stride; may be `from`
  std::size_t y_stride;
  bool streamed = false;  // Kernels::streams_weights
};

/// Packed tokens lie in tiles of at most `most` (TokenForm::most): how many are in the tile that begins where `left`
/// tokens are left.
constexpr std::size_t tile_tokens(std::size_t left, std::size_t most) noexcept {
  if (left >= most) return most;
  return left >= 6 ? 6 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/// A form in which tokens meet weights: a tile holds, for every block of k, that block of each of its tokens.
struct TokenForm {
  std::size_t most = 0;      // token rows of one tile; 0: the instruction set has no such product
  std::size_t elements = 0;  // of a block
  std::size_t bytes = 0;     // of a block
  /// Packs rows [0, tokens) of x (stride x_stride) as one tile, for int8 at a multiple of 64 bytes; sets overflow[t]
  /// where a token has elements that the form does not reach (NaN, infinity, beyond 2^66 for int8) and leaves it alone
  /// otherwise.
  void (*pack)(const float* x, std::size_t x_stride, std::size_t tokens, std::size_t k, void* packed,
               bool* overflow) noexcept = nullptr;
};

/// Panels of int8 codes: blocks of 32 elements of k with one kind of scales.
struct I8Panels {
  void (*tile)(const TileArgs&) noexcept;
  /// As floats: (k, panel_rows).
  void (*widen)(const std::byte* panel, std::size_t k, float* to) noexcept;
  std::size_t block_bytes;
};

/// How weights of one block format become panels of int8 codes.
struct I8Weights {
  void (*expand)(const PanelChunk&, void* to) noexcept;
  /// The product straight from the interleaved rows of one panel, for few tokens.
  void (*direct)(const TileArgs&) noexcept;
  const I8Panels* panels;
};

/// The same for two-byte elements that become floats.
struct F32Weights {
  void (*expand)(const PanelChunk&, void* to) noexcept;
  void (*direct)(const TileArgs&) noexcept;
};

/// Products with tokens as blocks of 32 int8 that share a power of two (the MXINT8 of the OCP Microscaling Formats
/// specification 1.0).
struct I8Kernels {
  TokenForm tokens;
  std::size_t direct_tokens;          // tokens up to which weights are multiplied as they are read
  std::array<I8Weights, 10> weights;  // in the order of DType, from q8_0 on
};

/// One sequence of attention: its queries, keys, values and what changes scores and visibility.
struct AttentionArgs {
  const float* q;  // (tokens, heads, head_dim): strides q_token, q_head, 1
  std::size_t q_token;
  std::size_t q_head;
  const void* k;        // (keys, kv_heads, head_dim)
  std::size_t k_token;  // bytes
  std::size_t k_head;   // bytes
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
  // (heads, 2 * relative_radius + 1): what is added at each distance of key and token, clamped; null: none
  const float* relative_bias;
  std::size_t relative_radius;
};

/// The keys that a token sees are [attention_first_key, attention_last_key).
constexpr std::size_t attention_first_key(const AttentionArgs& a, std::size_t token) noexcept {
  const std::size_t end = a.offset + token + 1;
  return a.window != 0 && end > a.window ? end - a.window : 0;
}
constexpr std::size_t attention_last_key(const AttentionArgs& a, std::size_t token) noexcept {
  return a.causal && a.offset + token + 1 < a.keys ? a.offset + token + 1 : a.keys;
}

/// Attention of the tokens [token_begin, token_end) in the query heads that share one key/value head, to the keys
/// [key_begin, key_end).
struct AttentionTask {
  std::size_t kv_head;
  std::size_t token_begin;
  std::size_t token_end;
  std::size_t key_begin;
  std::size_t key_end;
};

/// Keys per step of the online softmax.
inline constexpr std::size_t attention_block = 64;
/// Keys after which a running softmax begins anew, to be merged with the one before: the unit in which a long cache is
/// divided among threads.
inline constexpr std::size_t attention_span = 512;
/// Query rows (tokens x grouped heads) that share one pass over the keys.
inline constexpr std::size_t attention_rows = 96;

/// Floats of a row of queries or outputs.
constexpr std::size_t attention_padded(std::size_t head_dim) noexcept { return (head_dim + 15) / 16 * 16; }
/// Floats of what a task leaves of its keys: sums of values (rows, padded), maxima (rows), sums (rows).
constexpr std::size_t attention_state_floats(std::size_t rows, std::size_t head_dim) noexcept {
  return (rows * (attention_padded(head_dim) + 2) + 15) / 16 * 16;
}
/// Floats of scratch of a task: for its rows of queries, scores and the state of a span, and, after them, for a block
/// of keys and values.
constexpr std::size_t attention_row_floats(std::size_t head_dim) noexcept {
  return attention_rows * (attention_padded(head_dim) + attention_block) + (attention_rows + 15) / 16 * 16 +
         attention_state_floats(attention_rows, head_dim);
}
constexpr std::size_t attention_scratch(std::size_t head_dim) noexcept {
  const std::size_t padded = (head_dim + 31) / 32 * 32;
  return attention_row_floats(head_dim) + attention_rows * (padded + attention_block) / 2 +
         3 * attention_block * padded;
}

/// Attention with a running maximum and sum per query (online softmax; Milakov and Gimelshein 2018, Rabe and Staats
/// 2021). Keys are visited in blocks and spans whose borders do not depend on the query, and spans are merged in their
/// order, so results do not depend on how queries are grouped nor on who takes which span.
struct AttentionKernels {
  /// state = the softmax of a task's rows over its keys; key_begin and key_end are borders of spans, or of all that the
  /// rows see.
  using Attend = void (*)(const AttentionArgs&, const AttentionTask&, float* state, float* scratch) noexcept;
  Attend f32;
  Attend f16;
  Attend bf16;
  Attend bf16_native;  // bfloat16 dot products: queries and probabilities rounded; null where the processor has none
  Attend q8_0;
  /// state = the softmax over the keys of `from`, which are later, and its own.
  void (*merge)(const float* from, std::size_t rows, std::size_t head_dim, float* state) noexcept;
  /// Writes the outputs of the task whose state this is.
  void (*finish)(const AttentionArgs&, const AttentionTask&, const float* state) noexcept;
};

struct Kernels {
  const char* name;

  /// Whether weights, which are read once, are asked for past the second-level cache, so that they do not drive from
  /// there what is wanted again. Processors with few buffers for lines under way to the first level read from memory at
  /// a half to a third of their rate when asked so, as Intel's do.
  bool streams_weights = false;

  /// panel[i, r] = the i-th four bytes of row r, for panel_rows rows of `bytes`
  /// bytes that lie `stride` bytes apart; zero where there are none. Bytes that lie `ahead` bytes behind these are
  /// asked for, as they are wanted next.
  void (*interleave)(const std::byte* from, std::size_t stride, std::size_t rows, std::size_t bytes, std::size_t ahead,
                     std::uint32_t* panel) noexcept;

  /// Rearranges blocks of `units` units of four bytes and a half in an interleaved panel: for every two of them a unit
  /// that holds both halves, the units of the first, those of the second. In a block the half comes first, or last.
  void (*pair_blocks)(std::uint32_t* panel, std::size_t blocks, std::size_t units, bool half_last) noexcept;

  TokenForm f32;
  void (*tile_f32)(const TileArgs&) noexcept;
  F32Weights f16;
  F32Weights bf16_as_f32;

  /// bfloat16 dot products: tokens rounded to bfloat16, sums in float.
  TokenForm bf16;
  void (*tile_bf16)(const TileArgs&) noexcept;

  I8Kernels i8;

  AttentionKernels attention;

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
