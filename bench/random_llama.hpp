#pragma once

// Llama models of any size with random weights of any type, for measuring speed, which does not depend on their values.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include <weft/models/causal_lm.hpp>

namespace bench {

/// Gives the scales of the blocks of a random panel harmless values: 2^-8.
inline void tame_scales(weft::DType dtype, std::size_t rows, std::size_t columns, std::byte* bytes) {
  const weft::detail::DTypeInfo& info = weft::detail::dtype_table[static_cast<std::size_t>(dtype)];
  const std::size_t panel = (weft::bytes_of(dtype, columns) + 3) / 4 * weft::panel_rows;
  const std::size_t units = info.block_bytes / 4;
  const bool odd = info.block_bytes % 4 != 0;
  auto* data = reinterpret_cast<std::uint32_t*>(bytes);
  for (std::size_t p = 0; p < (rows + weft::panel_rows - 1) / weft::panel_rows; ++p)
    for (std::size_t b = 0; b < columns / info.block_elements; b += odd ? 2 : 1)
      for (std::size_t r = 0; r < weft::panel_rows; ++r)
        data[p * panel + (odd ? b / 2 * (2 * units + 1) : b * units) * weft::panel_rows + r] = 0x1c001c00u;
}

/// Random bits; the 16-bit numbers among them, elements or scales, have magnitudes between 2^-7 and 2^-6.
inline weft::AnyTensor random_matrix(weft::DType dtype, std::size_t rows, std::size_t columns, std::uint64_t& state) {
  return weft::AnyTensor::make(
      dtype, {rows, columns},
      [&](std::span<std::byte> bytes) {
        const bool brain = dtype == weft::DType::bf16;
        auto* to = reinterpret_cast<std::uint16_t*>(bytes.data());
        for (std::size_t i = 0; i < bytes.size() / 2; ++i) {
          state = state * 6364136223846793005u + 1442695040888963407u;
          const auto bits = static_cast<std::uint16_t>(state >> 33);
          to[i] = brain ? static_cast<std::uint16_t>((bits & 0x807fu) | 0x3c00u) : bits;
        }
        if (!brain) tame_scales(dtype, rows, columns, bytes.data());
      },
      weft::Layout::panels);
}

inline weft::Tensor<float, 1> ones(std::size_t n) {
  weft::Tensor<float, 1> result({n});
  for (float& value : result.elements()) value = 1.f;
  return result;
}

/// The sizes of Llama-3.2-1B.
inline weft::DecoderConfig llama_1b() {
  weft::DecoderConfig c;
  c.vocab = 128256;
  c.hidden = 2048;
  c.intermediate = 8192;
  c.layers = 16;
  c.heads = 32;
  c.kv_heads = 8;
  c.head_dim = 64;
  c.context = 8192;
  c.norm_eps = 1e-5f;
  c.rope = {.theta = 500000.f};
  c.tied_embeddings = true;
  return c;
}

/// Those of the story models of 110 and of 15 million parameters that are often used to measure overheads.
inline weft::DecoderConfig stories_110m() {
  weft::DecoderConfig c = llama_1b();
  c.vocab = 32000;
  c.hidden = 768;
  c.intermediate = 2048;
  c.layers = 12;
  c.heads = c.kv_heads = 12;
  c.context = 1024;
  c.rope = {.theta = 10000.f};
  return c;
}
inline weft::DecoderConfig stories_15m() {
  weft::DecoderConfig c = stories_110m();
  c.hidden = 288;
  c.intermediate = 768;
  c.layers = 6;
  c.heads = c.kv_heads = 6;
  c.head_dim = 48;
  return c;
}

inline weft::CausalLM random_llama(const weft::DecoderConfig& c, weft::DType dtype, std::size_t threads) {
  weft::CausalLM::Parts parts{.model_type = "llama", .source = "random weights", .config = c};
  std::uint64_t state = 7;
  const auto matrix = [&](std::size_t rows, std::size_t columns) { return random_matrix(dtype, rows, columns, state); };
  parts.weights.embedding = matrix(c.vocab, c.hidden);
  parts.weights.output = parts.weights.embedding;
  parts.weights.final_norm.gain = ones(c.hidden);
  for (std::size_t i = 0; i < c.layers; ++i) {
    weft::DecoderLayerWeights& layer = parts.weights.layers.emplace_back();
    layer.attention_norm.gain = ones(c.hidden);
    layer.mlp_norm.gain = ones(c.hidden);
    layer.attention.q = matrix(c.query(), c.hidden);
    layer.attention.k = matrix(c.key_value(), c.hidden);
    layer.attention.v = matrix(c.key_value(), c.hidden);
    layer.attention.o = matrix(c.hidden, c.query());
    layer.mlp.gate = matrix(c.intermediate, c.hidden);
    layer.mlp.up = matrix(c.intermediate, c.hidden);
    layer.mlp.down = matrix(c.hidden, c.intermediate);
  }
  parts.executor = std::make_shared<weft::ThreadPool>(threads);
  return weft::CausalLM(std::move(parts));
}

}  // namespace bench
