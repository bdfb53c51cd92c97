#include <weft/sampling/categorical.hpp>

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <vector>

#include <weft/core/tensor.hpp>

#include "reference.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

TEST(SampleCategorical, FollowsTheDistribution) {
  const std::vector<float> p{0.05f, 0.3f, 0.f, 0.2f, 0.25f, 0.15f, 0.04f, 0.01f};
  Philox rng(1);
  const auto counts = tally(p.size(), 200000, [&] { return sample_categorical(p, rng); });
  const ChiSquare test = chi_square(counts, std::vector<double>(p.begin(), p.end()));
  EXPECT_LT(test.statistic, test.threshold);
  EXPECT_FALSE(test.impossible);
}

TEST(SampleCategorical, TheTestSeesAWrongDistribution) {
  const std::vector<float> p{0.25f, 0.25f, 0.25f, 0.25f};
  Philox rng(1);
  const auto counts = tally(p.size(), 200000, [&] { return sample_categorical(p, rng); });
  const ChiSquare test = chi_square(counts, std::vector<double>{0.255, 0.245, 0.25, 0.25});
  EXPECT_GT(test.statistic, test.threshold);
}

TEST(SampleCategorical, FollowsTheDistributionOverManyBlocks) {
  Philox rng(2);
  const std::vector<double> p = softmax(random_logits(rng, 1000, 2.f));
  const std::vector<float> probabilities = as_floats(p);
  const auto counts = tally(p.size(), 80000, [&] { return sample_categorical(probabilities, rng); });
  const ChiSquare test = chi_square(counts, p);
  EXPECT_LT(test.statistic, test.threshold);
}

TEST(SampleCategorical, IsTheInverseOfTheCumulativeDistribution) {
  const std::vector<float> weights{0.5f, 0.f, 1.f, 0.5f};
  std::vector<std::uint64_t> block_units;
  const auto pick = [&](double u, float lowest = 0.f) {
    return detail::pick_weighted(cpu::best_sampling_kernels(), weights, lowest, u, block_units);
  };
  EXPECT_EQ(pick(0.0).index, 0u);
  EXPECT_EQ(pick(0.25 - 0x1p-50).index, 0u);
  EXPECT_EQ(pick(0.25).index, 2u);
  EXPECT_EQ(pick(0.75 - 0x1p-50).index, 2u);
  EXPECT_EQ(pick(0.75).index, 3u);
  EXPECT_EQ(pick(1.0 - 0x1p-53).index, 3u);
  EXPECT_EQ(pick(0.5).probability, 0.5f);
  EXPECT_EQ(pick(0.0, 0.75f).index, 2u);
  EXPECT_EQ(pick(1.0 - 0x1p-53, 0.75f).index, 2u);
  EXPECT_EQ(pick(0.5, 0.75f).probability, 1.f);
}

TEST(SampleCategorical, IsThatInverseOverManyBlocks) {
  Philox rng(3);
  std::vector<std::uint64_t> block_units;
  for (const std::size_t size : {1u, 255u, 256u, 257u, 512u, 1000u, 5000u}) {
    std::vector<float> weights(size);
    for (float& w : weights) w = uniform_float(rng);
    for (const float lowest : {0.f, 0.5f}) {
      weights[rng() % size] = 1.f;
      std::uint64_t total = 0;
      for (const float w : weights) total += w >= lowest ? count_units(w) : 0;
      for (int round = 0; round < 50; ++round) {
        const double u = uniform_double(rng);
        const auto target = static_cast<std::uint64_t>(u * static_cast<double>(total));
        std::size_t expected = 0;
        for (std::uint64_t sum = 0;; ++expected)
          if (weights[expected] >= lowest && (sum += count_units(weights[expected])) > target) break;
        for (const cpu::SamplingKernels* kernels : every_kernels())
          ASSERT_EQ(detail::pick_weighted(*kernels, weights, lowest, u, block_units).index, expected) << size;
      }
    }
  }
}

TEST(SampleCategorical, TakesOneUniformDouble) {
  Philox used(9);
  Philox expected(9);
  const std::vector<float> p{0.5f, 0.5f};
  sample_categorical(p, used);
  uniform_double(expected);
  EXPECT_EQ(used(), expected());
}

TEST(SampleCategorical, NeedNotSumToOne) {
  // The same draws whatever the scale, down to subnormal numbers and up to the largest.
  const std::vector<float> p{1.f, 3.f, 2.f};
  for (const float scale : {0x1p-149f, 0x1p-100f, 1.f, 0x1p+126f}) {
    std::vector<float> scaled;
    for (const float x : p) scaled.push_back(x * scale);
    Philox a(6);
    Philox b(6);
    for (int i = 0; i < 100; ++i) ASSERT_EQ(sample_categorical(p, a), sample_categorical(scaled, b)) << scale;
  }
}

TEST(SampleCategorical, TakesEveryKindOfRow) {
  const std::array<float, 3> array{0.f, 1.f, 0.f};
  Tensor<float, 1> tensor({3});
  tensor[0] = 0.f;
  tensor[1] = 1.f;
  tensor[2] = 0.f;
  Tensor<float, 2> matrix({2, 3});
  for (std::size_t i = 0; i < 3; ++i) matrix(0, i) = matrix(1, i) = tensor[i];
  Philox rng(0);
  EXPECT_EQ(sample_categorical(array, rng), 1);
  EXPECT_EQ(sample_categorical(std::span<const float>(array), rng), 1);
  EXPECT_EQ(sample_categorical(std::vector<float>{0.f, 1.f}, rng), 1);
  EXPECT_EQ(sample_categorical(tensor, rng), 1);
  EXPECT_EQ(sample_categorical(view(tensor), rng), 1);
  EXPECT_EQ(sample_categorical(view(matrix)[1], rng), 1);
  EXPECT_NE(message_of<ShapeError>([&] { sample_categorical(view(matrix).transpose(0, 1)[0], rng); }).find("strided"),
            std::string::npos);
}

TEST(SampleCategorical, NamesWhatIsWrong) {
  Philox rng(0);
  for (const float bad : {not_a_number, infinity, -infinity, -0.25f, -std::numeric_limits<float>::denorm_min()}) {
    std::vector<float> p(20, 0.1f);
    p[17] = bad;
    const std::string message = message_of<NumericError>([&] { sample_categorical(p, rng); });
    EXPECT_EQ(message.find("sampling: probability[17] is "), 0u) << message;
  }
  EXPECT_EQ(message_of<NumericError>([&] {
              sample_categorical(std::vector<float>{0.f, -0.f}, rng);
            }),
            "sampling: all 2 probabilities are 0");
  EXPECT_EQ(message_of<ShapeError>([&] { sample_categorical(std::vector<float>{}, rng); }),
            "sampling: there are no probabilities, expected at least one");
  const std::vector<float> many(detail::max_sampling_vocab + 1, 1.f);
  EXPECT_EQ(message_of<ShapeError>([&] { sample_categorical(many, rng); }),
            "sampling: 1048577 probabilities, expected at most 1048576");
  EXPECT_EQ(rng(), Philox(0)()) << "an error draws nothing";
  EXPECT_EQ(sample_categorical(std::vector<float>{-0.f, 1.f}, rng), 1);
}

}  // namespace
