#pragma once

#include <array>
#include <cstddef>

#include <weft/core/dtype.hpp>

// The sizes that are measured, and the bytes and operations that they take at least.
namespace bench {

struct Llama {
  const char* name;
  std::size_t layers, hidden, intermediate, heads, kv_heads, head_dim, vocab;
  bool tied;

  constexpr std::size_t query() const noexcept { return heads * head_dim; }
  constexpr std::size_t key_value() const noexcept { return kv_heads * head_dim; }
};

/// The sizes of Llama-3-8B and of Llama-3.2-1B.
inline constexpr Llama llama_8b{"8B", 32, 4096, 14336, 32, 8, 128, 128256, false};
inline constexpr Llama llama_1b{"1B", 16, 2048, 8192, 32, 8, 64, 128256, true};

struct Product {
  std::size_t rows, k;
};
/// The matrices of a layer: q, k and v as one, o, gate and up as one, down.
constexpr std::array<Product, 4> products_of_layer(const Llama& s) noexcept {
  return {{{s.query() + 2 * s.key_value(), s.hidden},
           {s.hidden, s.query()},
           {2 * s.intermediate, s.hidden},
           {s.hidden, s.intermediate}}};
}

/// The bytes of weights that one token reads: those of all products. The embedding is looked up.
inline double bytes_per_token(const Llama& s, weft::DType dtype) {
  double bytes = static_cast<double>(s.vocab * weft::bytes_of(dtype, s.hidden));
  for (const Product& p : products_of_layer(s))
    bytes += static_cast<double>(s.layers * p.rows * weft::bytes_of(dtype, p.k));
  return bytes;
}

/// Operations of causal attention: two for every product of q and k and of weight and v.
constexpr double causal_attention_operations(std::size_t tokens, std::size_t heads, std::size_t head_dim) noexcept {
  const auto pairs = static_cast<double>(tokens) * static_cast<double>(tokens + 1) / 2.0;
  return 4.0 * pairs * static_cast<double>(heads * head_dim);
}

/// A mixture of experts, of which every token chooses some.
struct Mixture {
  std::size_t tokens, hidden, intermediate, experts, chosen;
};
/// A layer of Mixtral 8x7B in a prompt.
inline constexpr Mixture mixtral{2048, 4096, 14336, 8, 2};

/// Everything that is measured has these sizes.
struct Sizes {
  Llama large = llama_8b;
  Llama small = llama_1b;
  std::size_t stream_bytes = std::size_t{4} << 30;
  std::size_t product = 8192;         ///< rows, columns and k of the product that is the roof
  std::size_t tokens_per_round = 64;  ///< of decode
  std::size_t prompt_tokens = 4096;
  std::size_t keys = 32768;             ///< of decode attention
  std::size_t attention_tokens = 8192;  ///< of prompt attention
  Mixture mixture = mixtral;
  std::size_t row_elements = 4096;                   ///< of norms, rope and activations
  std::size_t arena_bytes = std::size_t{512} << 20;  ///< of each of their tensors, many times the second cache
  std::size_t row_bytes[2] = {std::size_t{16} << 20, std::size_t{256} << 20};  ///< that one call works on
  int calls = 16;                                                              ///< in a row, of what is short
};

/// Sizes for a look whether everything runs, in an emulation too.
inline Sizes rehearsal_sizes() {
  Sizes sizes;
  sizes.large = {"8B", 2, 64, 96, 4, 2, 16, 320, false};
  sizes.small = {"1B", 1, 32, 64, 2, 1, 16, 320, true};
  sizes.stream_bytes = std::size_t{1} << 16;
  sizes.product = 32;
  sizes.tokens_per_round = 2;
  sizes.prompt_tokens = 24;
  sizes.keys = 300;
  sizes.attention_tokens = 70;
  sizes.mixture = {9, 32, 40, 3, 2};
  sizes.row_elements = 128;
  sizes.arena_bytes = std::size_t{1} << 13;
  sizes.row_bytes[0] = std::size_t{1} << 11;
  sizes.row_bytes[1] = std::size_t{1} << 12;
  sizes.calls = 2;
  return sizes;
}

}  // namespace bench
