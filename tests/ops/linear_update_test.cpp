#include <weft/ops/linear_update.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/thread_pool.hpp>
#include <weft/ops/linear.hpp>
#include <weft/ops/quantize.hpp>

#include "../cpu/instruction_sets.hpp"

namespace {

using namespace weft;
using weft::testing::any_tensor;
using weft::testing::EveryIsa;
using weft::testing::isa_name;
using weft::testing::near;
using weft::testing::random_floats;
using weft::testing::rounded;
using weft::testing::same_bits;

class LinearUpdates : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Isa, LinearUpdates, ::testing::ValuesIn(cpu::all_isas), isa_name);

/// Products of `tokens` tokens with updates of some of them, and what they are made of.
struct Case {
  Case(std::size_t tokens, std::size_t rows, std::size_t k)
      : x(weft::testing::random_floats<2>({tokens, k}, tokens)),
        weight(any_tensor<float>({rows, k}, random_floats(rows * k, rows))),
        bias(random_floats(rows, 3)) {}

  template <class T>
  void add(std::size_t begin, std::size_t count, std::size_t rank, bool gain, bool shift) {
    const std::size_t rows = weight.extent(0);
    const std::uint64_t seed = 10 * updates.size() + rank;
    firsts.push_back(weft::testing::random_floats<2>({count, rank}, seed));
    weights.push_back(any_tensor<T>({rows, rank}, random_floats(rows * rank, seed + 1)));
    gains.push_back(random_floats(rows, seed + 2));
    shifts.push_back(random_floats(rows, seed + 3));
    updates.push_back({.begin = begin, .tokens = count});
    use_gain.push_back(gain), use_shift.push_back(shift);
    for (std::size_t i = 0; i < updates.size(); ++i) {
      updates[i].x = firsts[i];
      updates[i].weight = firsts[i].extent(1) ? &weights[i] : nullptr;
      updates[i].gain = use_gain[i] ? gains[i].data() : nullptr;
      updates[i].bias = use_shift[i] ? shifts[i].data() : nullptr;
    }
  }

  Tensor<float, 2> run(const cpu::Context& ctx) const {
    Tensor<float, 2> y({x.extent(0), weight.extent(0)});
    const LinearOutput output{weight, y, bias.data(), updates};
    linear(x, std::span(&output, 1), ctx);
    return y;
  }

  std::vector<double> expected() const {
    const std::size_t tokens = x.extent(0), rows = weight.extent(0), k = x.extent(1);
    const std::span<const float> w = weight.elements<float>();
    std::vector<double> y(tokens * rows);
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t i = 0; i < k; ++i) y[t * rows + r] += double(x(t, i)) * double(w[r * k + i]);
    for (std::size_t u = 0; u < updates.size(); ++u) {
      const AnyTensor b = convert_weight(weights[u], DType::f32, Layout::rows);
      const std::size_t rank = firsts[u].extent(1);
      for (std::size_t t = 0; t < updates[u].tokens; ++t)
        for (std::size_t r = 0; r < rows; ++r) {
          double& value = y[(updates[u].begin + t) * rows + r];
          for (std::size_t i = 0; i < rank; ++i)
            value += double(firsts[u](t, i)) * double(b.elements<float>()[r * rank + i]);
          if (use_gain[u]) value *= double(gains[u][r]);
          if (use_shift[u]) value += double(shifts[u][r]);
        }
    }
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t r = 0; r < rows; ++r) y[t * rows + r] += double(bias[r]);
    return y;
  }

  Tensor<float, 2> x;
  AnyTensor weight;
  std::vector<float> bias;
  std::vector<Tensor<float, 2>> firsts;
  std::vector<AnyTensor> weights;
  std::vector<std::vector<float>> gains, shifts;
  std::vector<bool> use_gain, use_shift;
  std::vector<LinearUpdate> updates;
};

TEST_P(LinearUpdates, MatchTheDoubleReference) {
  for (const std::size_t tokens : {1u, 2u, 5u, 17u, 40u})
    for (const std::size_t rows : {1u, 31u, 33u, 129u})
      for (const std::size_t rank : {1u, 4u, 7u, 64u, 600u}) {
        Case c(tokens, rows, 45);
        c.add<float>(0, tokens, rank, false, false);
        c.add<bfloat16>(tokens / 2, tokens - tokens / 2, 3, true, true);
        c.add<half>(0, (tokens + 1) / 2, rank, true, false);
        c.add<float>(tokens / 3, 1, 0, true, true);
        EXPECT_TRUE(near(c.run(ctx).elements(), c.expected(), 2e-5 * std::sqrt(double(rank) + 45)))
            << tokens << " " << rows << " " << rank;
      }
}

TEST_P(LinearUpdates, DoNotDependOnThreadsLayoutAndOtherTokens) {
  Case c(21, 200, 300);
  c.add<float>(2, 17, 16, true, false);
  c.add<half>(5, 9, 5, false, true);
  const Tensor<float, 2> expected = c.run(ctx);
  ThreadPool pool(3);
  cpu::Workspace workspace;
  cpu::Context several = ctx;
  several.executor = &pool;
  several.workspace = &workspace;
  several.compute = Compute::native;
  EXPECT_TRUE(same_bits(c.run(several).elements(), expected.elements()));
  for (AnyTensor& weight : c.weights) weight = to_panels(weight);
  EXPECT_TRUE(same_bits(c.run(several).elements(), expected.elements()));
  // One token of each kind at a time.
  for (const std::size_t t : {0u, 2u, 7u, 20u}) {
    Tensor<float, 2> y({1, 200});
    std::vector<LinearUpdate> updates;
    for (const LinearUpdate& update : c.updates) {
      if (t < update.begin || t >= update.begin + update.tokens) continue;
      updates.push_back(update);
      updates.back().begin = 0;
      updates.back().tokens = 1;
      updates.back().x = update.x.narrow(0, t - update.begin, 1);
    }
    const LinearOutput output{c.weight, y, c.bias.data(), updates};
    linear(c.x.narrow(0, t, 1), std::span(&output, 1), ctx);
    EXPECT_TRUE(same_bits(y.elements(), expected.elements().subspan(t * 200, 200))) << t;
  }
}

TEST_P(LinearUpdates, OfSeveralOutputsComeBeforeTheEpilogue) {
  Case a(3, 70, 40), b(3, 70, 40);
  a.add<float>(0, 3, 2, false, false);
  b.add<float>(1, 2, 3, true, false);
  b.add<float>(0, 1, 1, false, true);
  Tensor<float, 2> y({3, 70}), z({3, 70});
  const std::vector<LinearOutput> outputs{{a.weight, y, a.bias.data(), a.updates},
                                          {b.weight, z, b.bias.data(), b.updates}};
  const auto sum = [&](std::size_t begin, std::size_t end) {
    for (std::size_t t = 0; t < 3; ++t) ctx.kernels->add(&y(t, begin), end - begin, &z(t, begin));
  };
  linear(a.x, outputs, ctx, LinearEpilogue(sum));
  const std::vector<double> first = a.expected();
  b.x = a.x;
  std::vector<double> expected = b.expected();
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += first[i];
  EXPECT_TRUE(near(z.elements(), expected, 1e-3));
}

TEST_P(LinearUpdates, ApplyToWhatIsThere) {
  Case c(4, 75, 1);
  c.add<float>(1, 3, 6, true, true);
  Tensor<float, 2> y = c.run(ctx);
  Case plain(4, 75, 1);
  Tensor<float, 2> z({4, 75});
  linear(plain.x, plain.weight, z, ctx);
  detail::update_product(z, c.updates, ctx);
  for (std::size_t t = 0; t < 4; ++t) ctx.kernels->add(c.bias.data(), 75, &z(t, 0));
  EXPECT_TRUE(same_bits(y.elements(), z.elements()));
}

TEST(LinearUpdate, WhatDoesNotFitIsAnError) {
  Case c(4, 8, 5);
  c.add<float>(0, 4, 2, true, true);
  const auto throws = [&](auto change) {
    LinearUpdate update = c.updates[0];
    change(update);
    Tensor<float, 2> y({4, 8});
    const LinearOutput output{c.weight, y, nullptr, std::span<const LinearUpdate>(&update, 1)};
    EXPECT_THROW(linear(c.x, std::span(&output, 1)), ShapeError);
  };
  const AnyTensor narrow = any_tensor<float>({8, 3}, random_floats(24, 1));
  throws([&](LinearUpdate& update) { update.begin = 1; });
  throws([&](LinearUpdate& update) { update.begin = std::size_t(-1); });
  throws([&](LinearUpdate& update) { update.tokens = 3; });
  throws([&](LinearUpdate& update) { update.weight = &narrow; });
  throws([&](LinearUpdate& update) { update.weight = &c.weight; });
}

}  // namespace
