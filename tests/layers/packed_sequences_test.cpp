#include <weft/layers/packed_sequences.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <vector>

#include <weft/core/thread_pool.hpp>

#include "random_weights.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

constexpr std::size_t heads = 3, kv_heads = 1, head_dim = 6;

// More sequences than one pass takes, of unequal lengths, some without tokens: each gets the bits that it would get
// alone, and no token sees another sequence.
TEST(PackedSequences, AreAsIfEachWereAlone) {
  std::vector<PackedSequence> sequences;
  std::size_t rows = 0;
  for (std::size_t i = 0; i < 35; ++i) {
    sequences.push_back({.begin = rows, .tokens = i * 7 % 12});
    rows += sequences.back().tokens;
  }
  Numbers numbers(1);
  Tensor<float, 2> q = numbers.tensor<2>({rows, heads * head_dim}), k = numbers.tensor<2>({rows, kv_heads * head_dim}),
                   v = numbers.tensor<2>({rows, kv_heads * head_dim});
  ThreadPool pool(2);
  for (const bool causal : {false, true})
    for (const cpu::Kernels* kernels : all_kernels()) {
      const AttentionParams params{.scale = 0.4f, .causal = causal};
      Tensor<float, 2> out({rows, heads * head_dim}), alone({rows, heads * head_dim});
      attend_in_sequences(sequences, head_dim, params, q, k, v, out, {.kernels = kernels, .executor = &pool});
      for (const PackedSequence& s : sequences) {
        const auto own = [&](Tensor<float, 2>& tensor, std::size_t count) {
          return tensor.narrow(0, s.begin, s.tokens).reshape(s.tokens, count, head_dim);
        };
        attention(own(q, heads), own(k, kv_heads), own(v, kv_heads), own(alone, heads), params, {.kernels = kernels});
      }
      EXPECT_EQ(std::memcmp(out.data(), alone.data(), out.size() * sizeof(float)), 0) << kernels->name;
      EXPECT_GT(max_difference(out, rows_of(Tensor<float, 2>({rows, heads * head_dim}))), 0.1) << "something is there";
    }
  Tensor<float, 2> none;
  attend_in_sequences({}, head_dim, {.scale = 1.f}, none, none, none, none, {});
}

}  // namespace
