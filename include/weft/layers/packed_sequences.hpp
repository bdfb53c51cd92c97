#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include <weft/core/tensor_view.hpp>
#include <weft/ops/attention.hpp>

namespace weft::inline v0 {

/// One sequence among those of a pass, which lie one after the other: `tokens` rows from `begin` on.
struct PackedSequence {
  std::size_t begin;
  std::size_t tokens;
};

/// Attention of the tokens of every sequence to those of the same sequence. q, k, v, out: (tokens, heads * head_dim).
inline void attend_in_sequences(std::span<const PackedSequence> sequences, std::size_t head_dim,
                                const AttentionParams& params, TensorView<float, 2> q, TensorView<float, 2> k,
                                TensorView<float, 2> v, TensorView<float, 2> out, const cpu::Context& ctx) {
  constexpr std::size_t most = 16;  // sequences of one parallel pass
  for (std::size_t first = 0; first < sequences.size(); first += most) {
    const std::span<const PackedSequence> some = sequences.subspan(first, std::min(most, sequences.size() - first));
    std::array<AttentionSequence<float>, most> calls;
    for (std::size_t i = 0; i < some.size(); ++i) {
      const auto heads = [&](TensorView<float, 2> rows) {
        return rows.narrow(0, some[i].begin, some[i].tokens)
            .reshape(some[i].tokens, rows.extent(1) / head_dim, head_dim);
      };
      calls[i] = {.q = heads(q), .k = heads(k), .v = heads(v), .out = heads(out), .params = params};
    }
    attention(std::span<const AttentionSequence<float>>(calls.data(), some.size()), ctx);
  }
}

}  // namespace weft::inline v0
