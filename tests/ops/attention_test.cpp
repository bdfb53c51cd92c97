#include <weft/ops/attention.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/tensor.hpp>
#include <weft/core/thread_pool.hpp>

#include "../cpu/guarded_memory.hpp"
#include "../cpu/instruction_sets.hpp"

namespace {

using namespace weft;
using weft::testing::elements_of;
using weft::testing::EveryIsa;
using weft::testing::Guarded;
using weft::testing::infinity;
using weft::testing::isa_name;
using weft::testing::nan;
using weft::testing::near;
using weft::testing::random_floats;
using weft::testing::same_bits;

class Attention : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Isa, Attention, ::testing::ValuesIn(cpu::all_isas), isa_name);

/// Queries, keys and values of one case, keys and values as T.
template <class T = float>
struct Inputs {
  Tensor<float, 3> q;  // (tokens, heads, head_dim)
  Tensor<T, 3> k, v;   // (keys, kv_heads, head_dim)

  Inputs(std::size_t tokens, std::size_t keys, std::size_t heads, std::size_t kv_heads, std::size_t head_dim,
         float spread = 1.5f)
      : q(random_floats<3>({tokens, heads, head_dim}, tokens + head_dim, spread)),
        k({keys, kv_heads, head_dim}, elements_of<T>(random_floats(keys * kv_heads * head_dim, keys + 1, spread))),
        v({keys, kv_heads, head_dim}, elements_of<T>(random_floats(keys * kv_heads * head_dim, keys + 2))) {}
};

/// The elements of three dimensions, one after the other.
template <class X>
std::vector<double> numbers(const X& x) {
  std::vector<double> all;
  all.reserve(x.size());
  for (std::size_t i = 0; i < x.extent(0); ++i)
    for (std::size_t j = 0; j < x.extent(1); ++j)
      for (std::size_t d = 0; d < x.extent(2); ++d) all.push_back(static_cast<double>(static_cast<float>(x(i, j, d))));
  return all;
}

/// The definition, in double; whole rows of scores.
template <class Q, class K>
std::vector<double> reference(const Q& q, const K& k, const K& v, const AttentionParams& p) {
  const std::size_t head_dim = q.extent(2), group = q.extent(1) / k.extent(1);
  const std::vector<double> queries = numbers(q), keys = numbers(k), values = numbers(v);
  std::vector<double> out;
  for (std::size_t t = 0; t < q.extent(0); ++t)
    for (std::size_t h = 0; h < q.extent(1); ++h) {
      const auto own = static_cast<std::ptrdiff_t>(p.offset + t);
      const double* query = queries.data() + (t * q.extent(1) + h) * head_dim;
      std::vector<double> scores(k.extent(0), -HUGE_VAL), row(head_dim, 0.0);
      for (std::size_t j = 0; j < k.extent(0); ++j) {
        const auto key = static_cast<std::ptrdiff_t>(j);
        if (p.causal && key > own) continue;
        if (p.window != 0 && key <= own - static_cast<std::ptrdiff_t>(p.window)) continue;
        if (!p.key_mask.empty() && !p.key_mask[j]) continue;
        const double* key_row = keys.data() + (j * k.extent(1) + h / group) * head_dim;
        double score = std::inner_product(query, query + head_dim, key_row, 0.0);
        score *= static_cast<double>(p.scale);
        const double cap = static_cast<double>(p.soft_cap);
        if (cap != 0) score = cap * std::tanh(score / cap);
        if (!p.alibi_slopes.empty()) score += static_cast<double>(p.alibi_slopes[h]) * static_cast<double>(key - own);
        if (!p.relative_bias.empty()) {
          const auto each = static_cast<std::ptrdiff_t>(p.relative_bias.size() / q.extent(1));
          const std::ptrdiff_t at = std::clamp<std::ptrdiff_t>(key - own + each / 2, 0, each - 1);
          score +=
              static_cast<double>(p.relative_bias[h * static_cast<std::size_t>(each) + static_cast<std::size_t>(at)]);
        }
        scores[j] = score;
      }
      const double top = scores.empty() ? -HUGE_VAL : *std::max_element(scores.begin(), scores.end());
      double sum = 0;
      for (std::size_t j = 0; j < k.extent(0) && top > -HUGE_VAL; ++j) {
        const double weight = std::exp(scores[j] - top);
        sum += weight;
        const double* value_row = values.data() + (j * v.extent(1) + h / group) * head_dim;
        for (std::size_t d = 0; d < head_dim; ++d) row[d] += weight * value_row[d];
      }
      for (const double value : row) out.push_back(sum > 0 ? value / sum : 0.0);
    }
  return out;
}

template <class T>
Tensor<float, 3> run(const cpu::Context& ctx, const Inputs<T>& in, const AttentionParams& params) {
  Tensor<float, 3> out(in.q.extents());
  std::fill_n(out.data(), out.size(), nan);
  attention(in.q, in.k, in.v, out, params, ctx);
  return out;
}

template <class T>
void expect_reference(const cpu::Context& ctx, const Inputs<T>& in, const AttentionParams& params,
                      double tolerance = 3e-6) {
  EXPECT_TRUE(near(run(ctx, in, params).elements(), reference(in.q, in.k, in.v, params), tolerance))
      << "tokens " << in.q.extent(0) << " keys " << in.k.extent(0) << " heads " << in.q.extent(1) << "/"
      << in.k.extent(1) << " head_dim " << in.q.extent(2) << " offset " << params.offset << " window " << params.window;
}

float usual_scale(std::size_t head_dim) { return 1.f / std::sqrt(static_cast<float>(head_dim)); }

TEST_P(Attention, MatchesTheDefinitionForEveryHeadDimAndCacheType) {
  const auto check = [&]<class T>(T) {
    for (const std::size_t head_dim : {1u, 8u, 10u, 16u, 17u, 64u, 80u, 96u, 128u, 256u}) {
      const AttentionParams params{.scale = usual_scale(head_dim), .offset = 3};
      expect_reference(ctx, Inputs<T>(70, 73, 4, 2, head_dim), params);
      expect_reference(ctx, Inputs<T>(1, 4, 4, 2, head_dim), params);
    }
  };
  check(float{});
  check(half{});
  check(bfloat16{});
}

TEST_P(Attention, SharesKeysAmongGroupsOfHeads) {
  for (const std::size_t group : {1u, 2u, 3u, 5u, 8u, 32u, 71u})
    for (const std::size_t tokens : {1u, 2u, 7u, 49u})
      for (const std::size_t kv_heads : {1u, 3u})
        expect_reference(ctx, Inputs<>(tokens, 80, group * kv_heads, kv_heads, 24),
                         {.scale = usual_scale(24), .offset = 80 - tokens});
}

TEST_P(Attention, SeesTheCacheBeforeTheFirstToken) {
  for (const std::size_t offset : {0u, 1u, 62u, 63u, 64u, 65u, 200u})
    for (const std::size_t tokens : {1u, 3u, 48u, 65u})
      for (const std::size_t beyond : {0u, 9u}) {  // room in the cache that no token has filled
        const AttentionParams params{.scale = usual_scale(16), .offset = offset};
        expect_reference(ctx, Inputs<>(tokens, offset + tokens + beyond, 2, 1, 16), params);
      }
  expect_reference(ctx, Inputs<>(20, 90, 2, 1, 16), {.scale = 0.25f, .causal = false});
  expect_reference(ctx, Inputs<>(90, 20, 2, 1, 16), {.scale = 0.25f, .causal = false});
}

TEST_P(Attention, SeesOnlyTheWindow) {
  for (const std::size_t window : {1u, 2u, 5u, 63u, 64u, 65u, 100u, 130u, 1000u})
    for (const std::size_t tokens : {1u, 50u, 300u})
      for (const bool causal : {true, false}) {
        const AttentionParams params{
            .scale = usual_scale(16), .causal = causal, .offset = 300 - tokens, .window = window};
        expect_reference(ctx, Inputs<>(tokens, 300, 2, 1, 16), params);
      }
}

TEST_P(Attention, DoesNotSeeMaskedKeys) {
  constexpr std::size_t keys = 150, tokens = 40;
  Tensor<bool, 1> left({keys}), right({keys}), holes({keys}), whole_blocks({keys});
  for (std::size_t j = 0; j < keys; ++j) {
    left[j] = j >= 70;
    right[j] = j < 115;
    holes[j] = j % 3 != 1;
    whole_blocks[j] = j < 64 || j >= 128;
  }
  for (const auto* mask : {&left, &right, &holes, &whole_blocks})
    for (const bool causal : {true, false})
      for (const std::size_t window : {0u, 30u}) {
        const AttentionParams params{.scale = usual_scale(16),
                                     .causal = causal,
                                     .offset = keys - tokens,
                                     .window = window,
                                     .key_mask = mask->elements()};
        Inputs<> in(tokens, keys, 4, 2, 16);
        expect_reference(ctx, in, params);
        const auto expected = run(ctx, in, params);
        for (std::size_t j = 0; j < keys; ++j)
          for (std::size_t i = 0; i < 32 && !(*mask)[j]; ++i) in.k.data()[j * 32 + i] = in.v.data()[j * 32 + i] = nan;
        EXPECT_TRUE(same_bits(run(ctx, in, params).elements(), expected.elements()))
            << "what lies at a hidden key does not matter";
      }
}

TEST_P(Attention, ATokenThatSeesNoKeyGetsZeros) {
  constexpr std::size_t keys = 100;
  Tensor<bool, 1> mask({keys});
  const auto expect_zeros = [](std::span<const float> elements) {
    for (const float value : elements) EXPECT_EQ(value, 0.f);
  };
  const Inputs<> in(keys, keys, 2, 1, 16);
  expect_zeros(run(ctx, in, {.scale = 0.25f, .key_mask = mask.elements()}).elements());
  for (std::size_t j = 70; j < keys; ++j) mask[j] = true;  // left padding: the first 70 tokens see nothing
  const AttentionParams params{.scale = 0.25f, .key_mask = mask.elements()};
  const auto out = run(ctx, in, params);
  expect_zeros(out.elements().first(70 * 32));
  EXPECT_NE(out(70, 0, 0), 0.f);
  expect_reference(ctx, in, params);
  expect_zeros(run(ctx, Inputs<>(3, 0, 2, 1, 16), {.scale = 0.25f, .causal = false}).elements());
  expect_zeros(
      run(ctx, Inputs<>(3, 10, 2, 1, 16), {.scale = 0.25f, .causal = false, .offset = 500, .window = 4}).elements());
}

TEST_P(Attention, AddsAlibiAndCapsScores) {
  const std::vector<float> slopes{0.5f, 0.25f, 0.f, 0.0078125f};
  for (const std::size_t tokens : {1u, 20u, 130u}) {
    const Inputs<> in(tokens, 200, 4, 2, 16, 4.f);
    for (const float cap : {0.f, 2.f, 50.f})
      for (const bool alibi : {false, true}) {
        AttentionParams params{.scale = usual_scale(16), .offset = 200 - tokens, .soft_cap = cap};
        if (alibi) params.alibi_slopes = slopes;
        expect_reference(ctx, in, params, 1e-5);
        params.window = 70;
        expect_reference(ctx, in, params, 1e-5);
      }
  }
}

TEST_P(Attention, AddsABiasForEachDistance) {
  for (const std::size_t radius : {0u, 3u, 90u, 300u}) {
    const std::vector<float> bias = random_floats(4 * (2 * radius + 1), radius + 1, 3.f);
    for (const std::size_t tokens : {1u, 20u, 130u})
      for (const bool causal : {false, true}) {
        AttentionParams params{
            .scale = usual_scale(16), .causal = causal, .offset = 200 - tokens, .relative_bias = bias};
        expect_reference(ctx, Inputs<>(tokens, 200, 4, 2, 16), params, 1e-5);
        params.offset = 0;
        expect_reference(ctx, Inputs<>(tokens, 200, 4, 4, 16), params, 1e-5);
      }
  }
}

TEST_P(Attention, BitsDoNotDependOnThreadsNorOnHowTokensAreDivided) {
  const std::vector<float> slopes{0.5f, 0.25f, 0.125f, 0.0625f, 0.03f, 0.01f};
  const std::vector<float> bias = random_floats(6 * 41, 5, 2.f);
  ThreadPool two(2), three(3);
  const auto check = [&]<class T>(T) {
    constexpr std::size_t tokens = 130, before = 77;
    const Inputs<T> in(tokens, before + tokens, 6, 2, 40);
    for (const AttentionParams& params :
         {AttentionParams{.scale = usual_scale(40), .offset = before},
          AttentionParams{.scale = usual_scale(40), .offset = before, .window = 50, .soft_cap = 3.f},
          AttentionParams{.scale = usual_scale(40), .offset = before, .alibi_slopes = slopes},
          AttentionParams{.scale = usual_scale(40), .offset = before, .relative_bias = bias}}) {
      const auto whole = run(ctx, in, params);
      for (ThreadPool* pool : {&two, &three}) {
        cpu::Context threaded = ctx;
        threaded.executor = pool;
        EXPECT_TRUE(same_bits(run(threaded, in, params).elements(), whole.elements()));
      }
      for (const std::size_t group : {1u, 7u, 64u})
        for (std::size_t begin = 0; begin < tokens; begin += group) {
          const std::size_t n = std::min(group, tokens - begin);
          AttentionParams later = params;
          later.offset += begin;
          Tensor<float, 3> part({n, 6, 40});
          attention(in.q.narrow(0, begin, n), in.k, in.v, part, later, ctx);
          ASSERT_TRUE(same_bits(part.elements(), whole.elements().subspan(begin * 240, n * 240)))
              << begin << " " << group;
        }
    }
  };
  check(float{});
  check(half{});
  check(bfloat16{});
}

TEST_P(Attention, ManyBlocksOfKeys) {
  const Inputs<bfloat16> in(5, 64 * 66 + 5, 2, 1, 16);
  const AttentionParams params{.scale = usual_scale(16), .offset = 64 * 66};
  expect_reference(ctx, in, params);
  // A running maximum that grows with every block, and one that never does.
  Inputs<> rising(3, 1000, 1, 1, 8);
  for (const float direction : {1.f, -1.f}) {
    for (float& value : rising.q.elements()) value = 1.f;
    for (std::size_t j = 0; j < 1000; ++j)
      for (std::size_t d = 0; d < 8; ++d) rising.k(j, 0, d) = direction * static_cast<float>(j) * 0.125f;
    expect_reference(ctx, rising, {.scale = 1.f, .offset = 997});
    expect_reference(ctx, rising, {.scale = 0.01f, .offset = 997});
  }
}

TEST_P(Attention, SpansOfALongCacheAreMergedInTheirOrder) {
  ThreadPool two(2), five(5);
  const auto check = [&]<class T>(T, std::size_t tokens, std::size_t keys, const AttentionParams& given) {
    const Inputs<T> in(tokens, keys, 6, 2, 24);
    AttentionParams params = given;
    params.offset = keys - tokens;
    expect_reference(ctx, in, params);
    const auto alone = run(ctx, in, params);
    for (ThreadPool* pool : {&two, &five}) {
      cpu::Context threaded = ctx;
      threaded.executor = pool;
      EXPECT_TRUE(same_bits(run(threaded, in, params).elements(), alone.elements())) << tokens << " of " << keys;
    }
  };
  for (const std::size_t keys : {512u, 513u, 1600u})
    for (const std::size_t tokens : {1u, 3u}) {
      check(float{}, tokens, keys, {.scale = usual_scale(24)});
      check(bfloat16{}, tokens, keys, {.scale = usual_scale(24), .window = 700});
    }
  check(half{}, 1, 2000, {.scale = usual_scale(24), .window = 3});
  check(half{}, 40, 1100, {.scale = usual_scale(24)});
}

TEST_P(Attention, ABlockedCache) {
  ThreadPool pool(3);
  for (const std::size_t head_dim : {32u, 64u, 96u, 320u})
    for (const std::size_t keys : {1u, 15u, 64u, 700u}) {
      const std::size_t tokens = std::min<std::size_t>(keys, 5);
      const Inputs<> in(tokens, keys, 4, 2, head_dim);
      std::vector<BlockQ8_0> k(keys * 2 * head_dim / 32), v(k.size());
      Inputs<> decoded(tokens, keys, 4, 2, head_dim);
      for (std::size_t i = 0; i < k.size(); ++i) {
        encode(in.k.data() + i * 32, k[i]);
        encode(in.v.data() + i * 32, v[i]);
        decode(k[i], decoded.k.data() + i * 32);
        decode(v[i], decoded.v.data() + i * 32);
      }
      const AttentionParams params{.scale = usual_scale(head_dim), .offset = keys - tokens};
      Tensor<float, 3> out(in.q.extents());
      cpu::Context threaded = ctx;
      threaded.executor = &pool;
      const auto cache = [&](const std::vector<BlockQ8_0>& blocks) {
        return TensorView<const std::uint8_t, 3>(reinterpret_cast<const std::uint8_t*>(blocks.data()),
                                                 {keys, 2, head_dim / 32 * sizeof(BlockQ8_0)});
      };
      attention<BlockQ8_0>(in.q.view(), cache(k), cache(v), out.view(), params, threaded);
      EXPECT_TRUE(same_bits(out.elements(), run(ctx, decoded, params).elements())) << head_dim << " " << keys;
    }
}

TEST_P(Attention, SequencesOfABatchGetTheBitsTheyGetAlone) {
  ThreadPool pool(3);
  std::vector<Inputs<half>> inputs;
  std::vector<AttentionParams> params;
  std::vector<Tensor<float, 3>> alone;
  for (const auto& [tokens, keys] :
       {std::pair<std::size_t, std::size_t>{1, 700}, {40, 40}, {3, 90}, {1, 1}, {120, 130}}) {
    inputs.emplace_back(tokens, keys, 6, 2, 40);
    params.push_back({.scale = usual_scale(40), .offset = keys - tokens, .window = keys == 90 ? 20u : 0u});
    alone.push_back(run(ctx, inputs.back(), params.back()));
  }
  for (const bool threads : {false, true})
    for (const std::size_t count : {5u, 1u, 3u}) {
      std::vector<Tensor<float, 3>> out;
      std::vector<AttentionSequence<half>> sequences;
      for (std::size_t i = 0; i < count; ++i) out.emplace_back(alone[i].extents());
      for (std::size_t i = 0; i < count; ++i)
        sequences.push_back({inputs[i].q, inputs[i].k, inputs[i].v, out[i], params[i]});
      cpu::Context threaded = ctx;
      if (threads) threaded.executor = &pool;
      attention(std::span<const AttentionSequence<half>>(sequences), threaded);
      for (std::size_t i = 0; i < count; ++i)
        EXPECT_TRUE(same_bits(out[i].elements(), alone[i].elements())) << i << " of " << count;
    }
  attention(std::span<const AttentionSequence<half>>{}, ctx);
  const Inputs<half> other(1, 1, 2, 2, 16);
  Tensor<float, 3> out({1, 2, 16}), first(alone[0].extents());
  const std::vector<AttentionSequence<half>> mixed{{inputs[0].q, inputs[0].k, inputs[0].v, first, params[0]},
                                                   {other.q, other.k, other.v, out, params[3]}};
  EXPECT_THROW(attention(std::span<const AttentionSequence<half>>(mixed), ctx), ShapeError) << "another head_dim";
}

TEST_P(Attention, LayoutsOfTheCacheGiveTheSameBits) {
  const auto check = [&]<class T>(T) {
    const Inputs<T> in(9, 100, 6, 3, 20);
    const AttentionParams params{.scale = usual_scale(20), .offset = 91};
    const auto expected = run(ctx, in, params);
    // (kv_heads, keys, head_dim) in memory, misaligned, and wider than the heads.
    Tensor<T, 3> k({3, 100, 23}), v({3, 100, 23});
    const auto k_view = k.view().transpose(0, 1).narrow(2, 1, 20), v_view = v.view().transpose(0, 1).narrow(2, 3, 20);
    detail::for_each_index(in.k.extents(), [&](const Dims<3>& i) {
      k_view(i) = in.k.view()(i);
      v_view(i) = in.v.view()(i);
    });
    Tensor<float, 3> q({6, 9, 21}), out({9, 7, 25});
    const auto q_view = q.view().transpose(0, 1).narrow(2, 1, 20);
    detail::for_each_index(in.q.extents(), [&](const Dims<3>& i) { q_view(i) = in.q.view()(i); });
    const auto out_view = out.view().narrow(1, 1, 6).narrow(2, 2, 20);
    attention(q_view, k_view, v_view, out_view, params, ctx);
    EXPECT_TRUE(same_bits(out_view.contiguous().elements(), expected.elements()));
    double elsewhere = 0;
    for (const float value : out.elements()) elsewhere += static_cast<double>(value != 0.f);
    EXPECT_LE(elsewhere, static_cast<double>(expected.size())) << "only the elements of the view are written";
  };
  check(float{});
  check(half{});
  check(bfloat16{});
}

TEST_P(Attention, TouchesNothingBeyondItsOperands) {
  const auto check = [&]<class T>(T) {
    for (const std::size_t head_dim : {1u, 8u, 10u, 17u, 40u, 80u})
      for (const std::size_t keys : {1u, 5u, 17u, 63u, 65u}) {
        const Inputs<T> in(keys, keys, 3, 1, head_dim);
        Guarded<float> q(in.q.elements());
        Guarded<T> k(in.k.elements()), v(in.v.elements());
        Guarded<bool> mask(keys);
        std::fill_n(mask.data(), keys, true);
        Guarded<float> slopes(random_floats(3, 1)), out(in.q.size());
        q.protect(), k.protect(), v.protect();
        const Dims<3> cache{keys, 1, head_dim};
        attention(TensorView<const float, 3>(q.data(), in.q.extents()), TensorView<const T, 3>(k.data(), cache),
                  TensorView<const T, 3>(v.data(), cache), TensorView<float, 3>(out.data(), in.q.extents()),
                  {.scale = 0.3f, .key_mask = mask.elements(), .alibi_slopes = slopes.elements()}, ctx);
        EXPECT_TRUE(std::isfinite(out[in.q.size() - 1]));
      }
  };
  check(float{});
  check(half{});
  check(bfloat16{});
}

TEST_P(Attention, WhatLiesBeyondTheLastTokensKeyDoesNotMatter) {
  Inputs<> in(5, 90, 2, 1, 16);
  for (std::size_t j = 45; j < 90; ++j)
    for (std::size_t d = 0; d < 16; ++d) in.k(j, 0, d) = in.v(j, 0, d) = nan;
  const auto out = run(ctx, in, {.scale = 0.25f, .offset = 40});
  for (const float value : out.elements()) EXPECT_TRUE(std::isfinite(value));
}

TEST_P(Attention, NaNShowsInWhatSeesIt) {
  for (const std::size_t keys : {5u, 64u, 130u}) {
    Inputs<> in(keys, keys, 2, 1, 16);
    in.q(2, 1, 15) = nan;
    auto out = run(ctx, in, {.scale = 0.25f});
    for (std::size_t t = 0; t < keys; ++t)
      for (std::size_t h = 0; h < 2; ++h) EXPECT_EQ(std::isnan(out(t, h, 0)), t == 2 && h == 1) << t << " " << h;
    in.q(2, 1, 15) = 0.f;
    for (const std::size_t at : {std::size_t{0}, std::size_t{3}, keys - 1}) {
      Inputs<> bad_key = in;
      bad_key.k(at, 0, 7) = nan;
      out = run(ctx, bad_key, {.scale = 0.25f});
      for (std::size_t t = 0; t < keys; ++t) EXPECT_EQ(std::isnan(out(t, 0, 3)), t >= at) << t << " key " << at;
      // A token that sees no other key, whatever the lane.
      out = run(ctx, bad_key, {.scale = 0.25f, .window = 1});
      for (std::size_t t = 0; t < keys; ++t) EXPECT_EQ(std::isnan(out(t, 0, 3)), t == at) << t << " key " << at;
      Inputs<> bad_value = in;
      bad_value.v(at, 0, 7) = nan;
      out = run(ctx, bad_value, {.scale = 0.25f});
      for (std::size_t t = at; t < keys; ++t) EXPECT_TRUE(std::isnan(out(t, 0, 7)) && std::isfinite(out(t, 0, 6)));
    }
  }
}

TEST_P(Attention, ExtremeScores) {
  // One key far above the others, scores far beyond what e^x holds, and scores of denormals.
  Inputs<> in(1, 70, 1, 1, 8);
  for (float& value : in.q.elements()) value = 100.f;
  for (float& value : in.k.elements()) value = -100.f;
  for (std::size_t d = 0; d < 8; ++d) in.k(66, 0, d) = 100.f;
  auto out = run(ctx, in, {.scale = 1.f, .offset = 69});
  for (std::size_t d = 0; d < 8; ++d) EXPECT_EQ(out(0, 0, d), in.v(66, 0, d));
  for (float& value : in.q.elements()) value = 1e-42f;
  for (float& value : in.k.elements()) value = 1e-3f;
  expect_reference(ctx, in, {.scale = 1.f, .offset = 69});
  expect_reference(ctx, in, {.scale = 0.f, .offset = 69});
}

TEST_P(Attention, EmptyQueries) {
  Tensor<float, 3> none({0, 2, 16});
  const Tensor<float, 3> cache({5, 1, 16});
  EXPECT_NO_THROW(attention(none, cache, cache, none, {.scale = 1.f}, ctx));
  EXPECT_NO_THROW(attention(none, cache, cache, none, {.scale = 1.f, .offset = 5}, ctx));
  Tensor<float, 3> no_heads({3, 0, 16});
  EXPECT_NO_THROW(attention(no_heads, cache, cache, no_heads, {.scale = 1.f}, ctx));
}

TEST_P(Attention, AWorkspaceChangesNoBit) {
  cpu::Workspace workspace;
  cpu::Context with = ctx;
  with.workspace = &workspace;
  for (const std::size_t head_dim : {80u, 16u}) {
    const Inputs<half> in(30, 30, 4, 2, head_dim);
    const AttentionParams params{.scale = usual_scale(head_dim)};
    EXPECT_TRUE(same_bits(run(with, in, params).elements(), run(ctx, in, params).elements()));
  }
}

TEST_P(Attention, WhatDoesNotFitIsAnError) {
  const Tensor<float, 3> q({3, 4, 16}), k({5, 2, 16}), v({5, 2, 16});
  Tensor<float, 3> out({3, 4, 16});
  const AttentionParams params{.scale = 0.25f, .offset = 2};
  const auto with = [&](auto&& change) {
    AttentionParams changed = params;
    change(changed);
    attention(q, k, v, out, changed, ctx);
  };
  EXPECT_NO_THROW(attention(q, k, v, out, params, ctx));
  EXPECT_THROW(attention(q, k, Tensor<float, 3>({4, 2, 16}), out, params, ctx), ShapeError);
  EXPECT_THROW(attention(q, k, v, Tensor<float, 3>({3, 2, 16}), params, ctx), ShapeError);
  EXPECT_THROW(attention(Tensor<float, 3>({3, 4, 8}), k, v, Tensor<float, 3>({3, 4, 8}), params, ctx), ShapeError);
  EXPECT_THROW(attention(Tensor<float, 3>({3, 3, 16}), k, v, Tensor<float, 3>({3, 3, 16}), params, ctx), ShapeError);
  const Tensor<float, 3> no_heads({5, 0, 16});
  EXPECT_THROW(attention(q, no_heads, no_heads, out, params, ctx), ShapeError);
  EXPECT_THROW(with([](AttentionParams& p) { p.offset = 3; }), ShapeError) << "the last token has no key";
  EXPECT_THROW(with([](AttentionParams& p) { p.offset = static_cast<std::size_t>(-1); }), ShapeError);
  EXPECT_NO_THROW(with([](AttentionParams& p) { p.offset = 3, p.causal = false; }));
  const Tensor<bool, 1> mask({4});
  EXPECT_THROW(with([&](AttentionParams& p) { p.key_mask = mask.elements(); }), ShapeError);
  const std::vector<float> slopes(2);
  EXPECT_THROW(with([&](AttentionParams& p) { p.alibi_slopes = slopes; }), ShapeError);
  const std::vector<float> biases(8);
  EXPECT_THROW(with([&](AttentionParams& p) { p.relative_bias = biases; }), ShapeError) << "two for each head";
  EXPECT_THROW(with([&](AttentionParams& p) { p.relative_bias = std::span(biases).first(7); }), ShapeError);
  Tensor<float, 3> scattered({3, 16, 4});
  EXPECT_THROW(attention(scattered.transpose(1, 2), k, v, out, params, ctx), ShapeError);
  EXPECT_THROW(attention(q, k, v, scattered.transpose(1, 2), params, ctx), ShapeError);
  const Tensor<float, 3> many({1, 97, 16}), one({5, 1, 16});
  EXPECT_THROW(attention(many, one, one, Tensor<float, 3>({1, 97, 16}), params, ctx), UnsupportedError);
}

/// The same attention in bfloat16 products: close to that in float, and the same bits however tokens are divided.
template <class K>
void expect_native_attention(cpu::Context ctx, std::size_t heads, std::size_t kv_heads, std::size_t head_dim,
                             const AttentionParams& given) {
  constexpr std::size_t tokens = 33, keys = 150;
  const auto q = random_floats<3>({tokens, heads, head_dim}, 1);
  const auto convert = [&](std::uint64_t seed) {
    const auto values = random_floats<3>({keys, kv_heads, head_dim}, seed);
    Tensor<K, 3> result({keys, kv_heads, head_dim});
    for (std::size_t i = 0; i < values.size(); ++i) result.data()[i] = K(values.data()[i]);
    return result;
  };
  const Tensor<K, 3> k = convert(2), v = convert(3);
  Tensor<float, 3> in_float({tokens, heads, head_dim}), whole(in_float.extents()), parts(in_float.extents());
  AttentionParams params = given;
  params.offset = keys - tokens;
  attention(q, k, v, in_float, params, ctx);
  ctx.compute = Compute::native;
  attention(q, k, v, whole, params, ctx);
  for (std::size_t i = 0; i < whole.size(); ++i) ASSERT_NEAR(whole.data()[i], in_float.data()[i], 0.02) << i;
  if (std::is_same_v<K, bfloat16> && ctx.kernels->attention.bf16_native) {
    EXPECT_FALSE(same_bits(whole.elements(), in_float.elements()));
  } else {
    EXPECT_TRUE(same_bits(whole.elements(), in_float.elements()));
  }
  ThreadPool pool(2);
  ctx.executor = &pool;
  for (const std::size_t group : {1u, 7u, 20u}) {
    for (std::size_t begin = 0; begin < tokens; begin += group) {
      const std::size_t n = std::min(group, tokens - begin);
      params.offset = keys - tokens + begin;
      attention(q.narrow(0, begin, n), k, v, parts.narrow(0, begin, n), params, ctx);
    }
    EXPECT_TRUE(same_bits(parts.elements(), whole.elements())) << group;
  }
}

TEST_P(Attention, NativeProductsStayCloseAndDoNotDependOnTheDivision) {
  for (const std::size_t head_dim : {1u, 7u, 32u, 48u, 64u, 80u, 128u})
    for (const std::size_t group : {1u, 3u, 8u}) {
      const AttentionParams params{.scale = 1.f / std::sqrt(static_cast<float>(head_dim))};
      expect_native_attention<half>(ctx, 2 * group, 2, head_dim, params);
      expect_native_attention<bfloat16>(ctx, group, 1, head_dim, params);
      expect_native_attention<float>(ctx, group, 1, head_dim, params);
    }
  const std::vector<float> slopes{0.1f, 0.02f};
  expect_native_attention<half>(ctx, 2, 1, 64, {.scale = 0.1f, .window = 50, .soft_cap = 5.f, .alibi_slopes = slopes});
}

}  // namespace
