#include <weft/layers/moe.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include <weft/core/thread_pool.hpp>

#include "random_weights.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

constexpr std::size_t hidden = 12, intermediate = 20, shared_intermediate = 28;

MlpWeights random_mlp(Numbers& numbers, std::size_t width) {
  return {.gate = numbers.matrix(DType::f32, width, hidden),
          .up = numbers.matrix(DType::f32, width, hidden),
          .down = numbers.matrix(DType::f32, hidden, width)};
}

MoeWeights random_moe(std::size_t experts, bool shared, bool gated) {
  Numbers numbers(experts);
  MoeWeights weights{.router = numbers.matrix(DType::f32, experts, hidden)};
  for (std::size_t e = 0; e < experts; ++e) weights.experts.push_back(random_mlp(numbers, intermediate));
  if (shared) weights.shared = random_mlp(numbers, shared_intermediate);
  if (gated) weights.shared_gate = numbers.matrix(DType::f32, 1, hidden);
  return weights;
}

Rows naive_expert(const MlpWeights& weights, const Rows& x) {
  Rows gate = naive_linear(x, weights.gate, {});
  const Rows up = naive_linear(x, weights.up, {});
  for (std::size_t t = 0; t < x.size(); ++t)
    for (std::size_t i = 0; i < gate[t].size(); ++i) gate[t][i] = gate[t][i] / (1.0 + std::exp(-gate[t][i])) * up[t][i];
  return naive_linear(gate, weights.down, {});
}

Rows naive_moe(const MoeWeights& weights, const MoeParams& params, const Rows& x) {
  const std::size_t experts = weights.experts.size();
  Rows logits = naive_linear(x, weights.router, {});
  Rows y(x.size(), std::vector<double>(hidden));
  const auto add = [&](std::size_t t, double factor, const MlpWeights& expert) {
    const Rows part = naive_expert(expert, {x[t]});
    for (std::size_t i = 0; i < hidden; ++i) y[t][i] += factor * part[0][i];
  };
  for (std::size_t t = 0; t < x.size(); ++t) {
    std::vector<double> p(experts);
    double sum = 0.0, chosen = 0.0;
    for (std::size_t e = 0; e < experts; ++e) sum += p[e] = std::exp(logits[t][e]);
    for (double& value : p) value /= sum;
    std::vector<std::size_t> order(experts);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] > p[b]; });
    order.resize(params.experts_per_token);
    for (const std::size_t e : order) chosen += p[e];
    for (const std::size_t e : order) add(t, params.normalised ? p[e] / chosen : p[e], weights.experts[e]);
    if (!weights.shared.up) continue;
    const double gate =
        weights.shared_gate ? 1.0 / (1.0 + std::exp(-naive_linear({x[t]}, weights.shared_gate, {})[0][0])) : 1.0;
    add(t, gate, weights.shared);
  }
  return y;
}

Tensor<float, 2> run(const MoeWeights& weights, const MoeParams& params, TensorView<const float, 2> x,
                     const cpu::Context& ctx = {}, std::optional<TensorView<float, 2>> residual = std::nullopt) {
  const std::size_t n = x.extent(0);
  Tensor<float, 2> router({n, weights.experts.size() + 1}), gathered({n, hidden}), gate({n, shared_intermediate}),
      up(gate), y({n, hidden});
  moe(weights, Activation::silu, params, x, {router, gathered, y}, gate, up, ctx, residual);
  return y;
}

TEST(Moe, IsTheEquation) {
  const Tensor<float, 2> x = Numbers(2).tensor<2>({9, hidden});
  for (const cpu::Kernels* kernels : all_kernels())
    for (const auto& [experts, chosen] : {std::pair{1u, 1u}, {4u, 1u}, {5u, 2u}, {6u, 6u}, {40u, 8u}})
      for (const bool normalised : {false, true})
        for (const auto& [shared, gated] : {std::pair{false, false}, {true, false}, {true, true}}) {
          const MoeWeights weights = random_moe(experts, shared, gated);
          const MoeParams params{.experts_per_token = chosen, .normalised = normalised};
          EXPECT_LT(
              max_difference(run(weights, params, x, {.kernels = kernels}), naive_moe(weights, params, rows_of(x))),
              5e-5)
              << kernels->name << " " << experts << " " << chosen;
        }
}

TEST(Moe, AddsToTheResidual) {
  const MoeWeights weights = random_moe(4, true, true);
  const Tensor<float, 2> x = Numbers(3).tensor<2>({5, hidden});
  const Tensor<float, 2> before = Numbers(4).tensor<2>({5, hidden});
  Tensor<float, 2> after = before;
  const Tensor<float, 2> y = run(weights, {.experts_per_token = 2}, x, {}, after.view());
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(after.elements()[i], before.elements()[i] + y.elements()[i]);
}

TEST(Moe, SameBitsForAnyDivisionOfTokensAndThreads) {
  const MoeWeights weights = random_moe(6, true, true);
  const MoeParams params{.experts_per_token = 2, .normalised = true};
  const Tensor<float, 2> x = Numbers(5).tensor<2>({30, hidden});
  const Tensor<float, 2> whole = run(weights, params, x);
  ThreadPool pool(2);
  std::size_t begin = 0;
  for (const std::size_t tokens : {1u, 7u, 22u}) {
    const Tensor<float, 2> part = run(weights, params, x.narrow(0, begin, tokens), {.executor = &pool});
    EXPECT_EQ(std::memcmp(part.data(), &whole(begin, 0), part.size() * sizeof(float)), 0) << tokens;
    begin += tokens;
  }
}

TEST(Moe, NanStaysNan) {
  const MoeWeights weights = random_moe(4, false, false);
  Tensor<float, 2> x = Numbers(6).tensor<2>({3, hidden});
  x(1, 4) = std::numeric_limits<float>::quiet_NaN();
  const Tensor<float, 2> y = run(weights, {.experts_per_token = 2}, x);
  for (std::size_t i = 0; i < hidden; ++i) {
    EXPECT_FALSE(std::isnan(y(0, i)));
    EXPECT_TRUE(std::isnan(y(1, i)));
    EXPECT_FALSE(std::isnan(y(2, i)));
  }
}

TEST(KeepLargest, TakesTheEarlierOfEqualOnes) {
  std::vector<float> p{0.2f, 0.3f, 0.2f, 0.3f};
  detail::keep_largest(p.data(), p.size(), 3, false);
  EXPECT_EQ(p, (std::vector<float>{0.2f, 0.3f, 0.f, 0.3f}));
  p = {0.25f, 0.25f, 0.25f, 0.25f};
  detail::keep_largest(p.data(), p.size(), 1, true);
  EXPECT_EQ(p, (std::vector<float>{1.f, 0.f, 0.f, 0.f}));
  p = {0.5f, 0.125f, 0.375f};
  detail::keep_largest(p.data(), p.size(), 3, true);
  EXPECT_EQ(p, (std::vector<float>{0.5f, 0.125f, 0.375f}));
}

}  // namespace
