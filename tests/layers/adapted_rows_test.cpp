#include <weft/layers/adapted_rows.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include <weft/core/thread_pool.hpp>
#include <weft/layers/norm.hpp>

#include "../cpu/instruction_sets.hpp"

namespace {

using namespace weft;
using weft::testing::any_tensor;
using weft::testing::random_floats;
using weft::testing::same_bits;

AnyTensor random_matrix(std::size_t rows, std::size_t columns, std::uint64_t seed) {
  return any_tensor<float>({rows, columns}, random_floats(rows * columns, seed));
}

TEST(AdaptedRows, ThoseWithTheSameChangesAreOneRun) {
  const WeightChanges a, b;
  std::vector<AdaptedRows> runs;
  append_rows(runs, 3, nullptr);
  append_rows(runs, 2, nullptr);
  append_rows(runs, 1, &a);
  append_rows(runs, 4, &b);
  append_rows(runs, 1, &b);
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].rows, 5u);
  EXPECT_EQ(runs[1].begin, 5u);
  EXPECT_EQ(runs[2].begin, 6u);
  EXPECT_EQ(runs[2].rows, 5u);
  EXPECT_EQ(runs[2].changes, &b);

  AdapterScratch scratch;
  const RowAdapters adapters{runs, &scratch};
  const RowAdapters gathered = adapters.gather([](std::size_t row) { return row % 4 == 3 || row == 10; });
  ASSERT_EQ(gathered.runs.size(), 2u);  // row 3; rows 7 and 10
  EXPECT_EQ(gathered.runs[0].rows, 1u);
  EXPECT_EQ(gathered.runs[0].changes, nullptr);
  EXPECT_EQ(gathered.runs[1].begin, 1u);
  EXPECT_EQ(gathered.runs[1].rows, 2u);
  EXPECT_EQ(gathered.runs[1].changes, &b);
  EXPECT_TRUE(adapters.gather([](std::size_t) { return false; }).runs.empty());
}

/// Two products and a norm, and three kinds of changes of them.
struct Layer {
  static constexpr std::size_t k = 300, rows = 260;

  Layer() {
    const auto change = [](std::size_t rank, std::uint64_t seed) {
      return LowRankChange{.a = random_matrix(rank, k, seed), .b = random_matrix(rows, rank, seed + 1), .scale = 0.5f};
    };
    low_rank.of(weights[0]).low_rank = {change(4, 10), change(7, 20)};
    low_rank.of(weights[1]).low_rank = {change(16, 30)};
    low_rank.of(weights[1]).low_rank[0].a = low_rank.of(weights[0]).low_rank[0].a;
    low_rank.of(weights[1]).low_rank[0].b = random_matrix(rows, 4, 31);
    low_rank.of(weights[1]).low_rank[0].gain = Tensor<float, 1>({rows}, random_floats(rows, 32));
    replaced.of(weights[1]).replaced = random_matrix(rows, k, 40);
    replaced.of(biases[0].data()) = Tensor<float, 1>({rows}, random_floats(rows, 41));
    replaced.of(norm_weights.gain.data()) = Tensor<float, 1>({k}, random_floats(k, 42));
    both = replaced;
    both.of(weights[1]).low_rank = {change(3, 50)};
  }

  /// (2, tokens, rows): of x normalised; the second product is multiplied with the first after that.
  std::vector<float> run(TensorView<const float, 2> x, std::span<const AdaptedRows> runs, cpu::Context ctx,
                         bool epilogue) const {
    AdapterScratch scratch;
    const RowAdapters adapters{runs, &scratch};
    const LayerContext layer(ctx, &adapters);
    const std::size_t tokens = x.extent(0);
    Tensor<float, 2> normed({tokens, k});
    norm(x, norm_weights, normed, {.eps = 1e-5f}, layer);
    Tensor<float, 3> y({2, tokens, rows});
    const std::array<LinearOutput, 2> outputs{LinearOutput{weights[0], y.select(0, 0), biases[0].data()},
                                              LinearOutput{weights[1], y.select(0, 1), biases[1].data()}};
    const auto multiply = [&](std::size_t begin, std::size_t end) {
      for (std::size_t t = 0; t < tokens; ++t)
        for (std::size_t r = begin; r < end; ++r) y(1, t, r) *= y(0, t, r);
    };
    linear(normed, outputs, layer, epilogue ? std::optional<LinearEpilogue>(multiply) : std::nullopt);
    return {y.elements().begin(), y.elements().end()};
  }

  std::array<AnyTensor, 2> weights{random_matrix(rows, k, 1), random_matrix(rows, k, 2)};
  std::array<Tensor<float, 1>, 2> biases{Tensor<float, 1>({rows}, random_floats(rows, 3)),
                                         Tensor<float, 1>({rows}, random_floats(rows, 4))};
  NormWeights norm_weights{.gain = Tensor<float, 1>({k}, random_floats(k, 5))};
  WeightChanges low_rank, replaced, both;
};

// Whatever lies beside them: rows of every kind together give what each gives alone, on any number of threads.
TEST(AdaptedRows, GiveWhatTheyGiveAlone) {
  const Layer layer;
  const auto x = weft::testing::random_floats<2>({23, Layer::k}, 7);
  ThreadPool pool(3);
  const std::array<const WeightChanges*, 6> kinds{&layer.low_rank, nullptr,         &layer.replaced,
                                                  &layer.both,     &layer.low_rank, nullptr};
  const std::array<std::size_t, 6> sizes{3, 5, 1, 6, 7, 1};
  for (const bool with_replaced : {true, false})
    for (const bool epilogue : {true, false}) {
      std::vector<AdaptedRows> runs;
      for (std::size_t i = 0; i < kinds.size(); ++i)
        append_rows(runs, sizes[i], with_replaced || kinds[i] == &layer.low_rank ? kinds[i] : nullptr);
      cpu::Workspace workspace;
      const std::vector<float> together =
          layer.run(x, runs, {.executor = &pool, .workspace = &workspace, .compute = Compute::native}, epilogue);
      for (const AdaptedRows& run : runs) {
        const AdaptedRows alone{0, run.rows, run.changes};
        const std::vector<float> expected =
            layer.run(x.narrow(0, run.begin, run.rows), std::span(&alone, 1), {}, epilogue);
        for (std::size_t output = 0; output < 2; ++output)
          EXPECT_TRUE(
              same_bits(std::span(together).subspan((output * 23 + run.begin) * Layer::rows, run.rows * Layer::rows),
                        std::span(expected).subspan(output * run.rows * Layer::rows, run.rows * Layer::rows)))
              << run.begin << " " << output << epilogue;
      }
    }
}

TEST(AdaptedRows, ComputeWhatTheDefinitionSays) {
  const Layer layer;
  const auto x = weft::testing::random_floats<2>({2, Layer::k}, 8);
  const AdaptedRows none{0, 2, nullptr}, changed{0, 2, &layer.low_rank};
  Tensor<float, 2> normed({2, Layer::k});
  norm(x, layer.norm_weights, normed, {.eps = 1e-5f}, cpu::Context{});
  const std::vector<float> before = layer.run(x, std::span(&none, 1), {}, false);
  const std::vector<float> after = layer.run(x, std::span(&changed, 1), {}, false);
  WeightChanges changes = layer.low_rank;
  for (std::size_t output = 0; output < 2; ++output)
    for (std::size_t t = 0; t < 2; ++t)
      for (std::size_t r = 0; r < Layer::rows; ++r) {
        const std::size_t at = (output * 2 + t) * Layer::rows + r;
        const double bias = layer.biases[output](r);
        double expected = before[at] - bias;
        for (const LowRankChange& change : changes.of(layer.weights[output]).low_rank) {
          const auto a = change.a.view<float, 2>(), b = change.b.view<float, 2>();
          for (std::size_t i = 0; i < a.extent(0); ++i) {
            double product = 0;
            for (std::size_t c = 0; c < Layer::k; ++c) product += double(normed(t, c)) * double(a(i, c));
            expected += double(change.scale) * product * double(b(r, i));
          }
          if (!change.gain.empty()) expected *= double(change.gain(r));
        }
        ASSERT_NEAR(after[at], expected + bias, 1e-3);
      }
}

}  // namespace
