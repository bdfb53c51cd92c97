#include <weft/layers/cached_sequences.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <vector>

#include <weft/core/thread_pool.hpp>

#include "random_weights.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

constexpr std::size_t heads = 4, kv_heads = 2, head_dim = 32, context = 20;
constexpr std::size_t query = heads * head_dim, key_value = kv_heads * head_dim;

/// A cache filled with numbers that must not be seen.
struct Cache {
  explicit Cache(DType dtype) : bytes(2 * bytes_of(dtype, context * key_value), std::byte{0x7b}) {
    layer = {.dtype = dtype,
             .k = bytes.data(),
             .v = bytes.data() + bytes.size() / 2,
             .kv_heads = kv_heads,
             .context = context,
             .head_dim = head_dim};
  }
  std::vector<std::byte> bytes;
  CacheLayer layer;
};

TEST(CachedSequences, SplitRowsIntoHeads) {
  const Cache cache(DType::f32);
  const CachedSequence sequence{.cache = cache.layer, .begin = 0, .tokens = 3, .position = 0};
  Tensor<float, 2> q({3, query});
  const TensorView<float, 3> split = heads_of({&sequence, 1}, q);
  EXPECT_EQ(split.extents(), (Dims<3>{3, heads, head_dim}));
  EXPECT_EQ(&split(2, 1, 5), &q(2, head_dim + 5));
}

// Each head's positions lie one after the other, in the cache's type; nothing else is touched.
TEST(CachedSequences, StoreRowsWhereTheyBelong) {
  Numbers numbers(1);
  Tensor<float, 2> k = numbers.tensor<2>({5, key_value}), v = numbers.tensor<2>({5, key_value});
  ThreadPool pool(2);
  for (const cpu::Kernels* kernels : all_kernels())
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::q8_0}) {
      const Cache first(dtype), second(dtype), untouched(dtype);
      const std::vector<CachedSequence> sequences{{.cache = first.layer, .begin = 0, .tokens = 2, .position = 7},
                                                  {.cache = second.layer, .begin = 2, .tokens = 3, .position = 0}};
      store_in_caches(sequences, k, v, {.kernels = kernels, .executor = &pool});
      const std::size_t row_bytes = bytes_of(dtype, head_dim);
      std::vector<std::byte> encoded(row_bytes);
      for (const CachedSequence& s : sequences)
        for (std::size_t h = 0; h < kv_heads; ++h)
          for (std::size_t position = 0; position < context; ++position)
            for (const bool values : {false, true}) {
              const std::size_t at = (h * context + position) * row_bytes;
              const std::byte* expected = (values ? untouched.layer.v : untouched.layer.k) + at;
              if (position >= s.position && position < s.position + s.tokens) {
                const Tensor<float, 2>& rows = values ? v : k;
                quantize_row(dtype, &rows(s.begin + position - s.position, h * head_dim), head_dim, encoded.data());
                expected = encoded.data();
              }
              ASSERT_EQ(std::memcmp((values ? s.cache.v : s.cache.k) + at, expected, row_bytes), 0)
                  << name(dtype) << " head " << h << " position " << position << " " << kernels->name;
            }
    }
}

/// Attention in double: q (tokens, query) at `offset` to k, v (keys, key_value).
Rows naive(const Rows& q, const Rows& k, const Rows& v, double scale, bool causal, std::size_t offset) {
  Rows out(q.size(), std::vector<double>(query));
  for (std::size_t t = 0; t < q.size(); ++t)
    for (std::size_t h = 0; h < heads; ++h) {
      const std::size_t keys = causal ? offset + t + 1 : k.size(), at = h / (heads / kv_heads) * head_dim;
      std::vector<double> weight(keys);
      double sum = 0.0;
      for (std::size_t j = 0; j < keys; ++j) {
        double score = 0.0;
        for (std::size_t d = 0; d < head_dim; ++d) score += q[t][h * head_dim + d] * k[j][at + d];
        sum += weight[j] = std::exp(scale * score);
      }
      for (std::size_t j = 0; j < keys; ++j)
        for (std::size_t d = 0; d < head_dim; ++d) out[t][h * head_dim + d] += weight[j] / sum * v[j][at + d];
    }
  return out;
}

// More sequences than one pass takes, whose caches hold 0, 1, 2, ... tokens before the one that is added.
TEST(CachedSequences, AttendToAllThatIsCachedSoFar) {
  constexpr std::size_t count = 18;
  Numbers numbers(2);
  Tensor<float, 2> before_k = numbers.tensor<2>({count, key_value}), before_v = numbers.tensor<2>({count, key_value});
  Tensor<float, 2> q = numbers.tensor<2>({count, query}), k = numbers.tensor<2>({count, key_value}),
                   v = numbers.tensor<2>({count, key_value}), out({count, query});
  std::vector<Cache> caches;
  std::vector<CachedSequence> sequences;
  for (std::size_t i = 0; i < count; ++i) {
    caches.emplace_back(DType::f32);
    const CachedSequence earlier{.cache = caches[i].layer, .begin = 0, .tokens = i, .position = 0};
    store_in_caches({&earlier, 1}, before_k, before_v, {});
    sequences.push_back({.cache = caches[i].layer, .begin = i, .tokens = 1, .position = i});
  }
  const AttentionParams params{.scale = 0.3f, .offset = 999};  // which every sequence has of its own
  for (const cpu::Kernels* kernels : all_kernels()) {
    const cpu::Context ctx{.kernels = kernels};
    store_in_caches(sequences, k, v, ctx);
    attend_to_caches(sequences, params, q, out, ctx);
    for (std::size_t i = 0; i < count; ++i) {
      const auto with_own = [&](const Tensor<float, 2>& before, const Tensor<float, 2>& own) {
        Rows rows = rows_of(before.narrow(0, 0, i));
        rows.push_back(rows_of(own.narrow(0, i, 1))[0]);
        return rows;
      };
      const Rows expected =
          naive(rows_of(q.narrow(0, i, 1)), with_own(before_k, k), with_own(before_v, v), 0.3, true, i);
      EXPECT_LT(max_difference(out.narrow(0, i, 1), expected), 1e-5) << i << " " << kernels->name;
    }
  }
}

TEST(CachedSequences, AttendToSourcesAndNotToTheirOwn) {
  Numbers numbers(3);
  Tensor<float, 2> k = numbers.tensor<2>({6, key_value}), v = numbers.tensor<2>({6, key_value});
  Tensor<float, 2> q = numbers.tensor<2>({3, query}), out({3, query});
  const Cache source(DType::f32), own(DType::f32);
  const CachedSequence filled{.cache = source.layer, .begin = 0, .tokens = 6, .position = 0};
  store_in_caches({&filled, 1}, k, v, {});
  const CachedSequence reader{
      .cache = own.layer, .begin = 0, .tokens = 3, .position = 9, .source = source.layer, .source_tokens = 5};
  attend_to_sources({&reader, 1}, {.scale = 0.3f, .causal = false}, q, out, {});
  const Rows expected = naive(rows_of(q), rows_of(k.narrow(0, 0, 5)), rows_of(v.narrow(0, 0, 5)), 0.3, false, 0);
  EXPECT_LT(max_difference(out, expected), 1e-5);
}

TEST(CachedSequences, RefuseCachesOfOtherTypes) {
  Tensor<float, 2> k({1, key_value});
  const Cache cache(DType::q4_0);
  const CachedSequence sequence{.cache = cache.layer, .begin = 0, .tokens = 1, .position = 0};
  EXPECT_THROW(store_in_caches({&sequence, 1}, k, k, {}), UnsupportedError);
}

TEST(CachedSequences, ClipKeepsWhatIsInsideAndNan) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  Tensor<float, 2> x({2, 3});
  const float values[]{-3.f, 1.5f, nan, infinity, -infinity, 2.f};
  const float expected[]{-2.f, 1.5f, nan, 2.f, -2.f, 2.f};
  std::copy_n(values, 6, x.data());
  clip_rows(x, 2.f, {});
  for (std::size_t i = 0; i < 6; ++i) {
    if (i == 2) {
      EXPECT_TRUE(std::isnan(x.data()[i]));
    } else {
      EXPECT_EQ(x.data()[i], expected[i]);
    }
  }
}

}  // namespace
