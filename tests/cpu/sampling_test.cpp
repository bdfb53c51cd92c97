#include <weft/cpu/sampling.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "guarded_memory.hpp"
#include "instruction_sets.hpp"

namespace {

using namespace weft;
using weft::testing::Guarded;
using weft::testing::infinity;
using weft::testing::isa_name;
using weft::testing::nan;
using weft::testing::random_floats;
using weft::testing::sizes;

class SamplingKernels : public weft::testing::EveryIsa {
 protected:
  const cpu::SamplingKernels& kernels = cpu::sampling_kernels_for(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Isa, SamplingKernels, ::testing::ValuesIn(cpu::all_isas), isa_name);

std::size_t blocks(std::size_t n, std::size_t block) { return (n + block - 1) / block; }

/// A weight rounded to a multiple of 2^-43, as the number of those.
std::uint64_t count_units(float weight) {
  return static_cast<std::uint64_t>(std::nearbyint(std::ldexp(static_cast<double>(weight), 43)));
}

std::uint64_t count_units(std::span<const float> weights) {
  std::uint64_t sum = 0;
  for (const float w : weights) sum += count_units(w);
  return sum;
}

/// The definition of weights, one rounded operation at a time.
float weight_of(float d) {
  if (!(d >= -31.f)) return 0.f;
  volatile float product = d * 0x1.715476p+0f;
  const float n = std::nearbyint(product);
  const float coarse = d - n * 0x1.62ep-1f;
  product = n * 0x1.0bfbe8p-15f;
  const float r = coarse - product;
  volatile float p = 1.f / 5040.f;
  for (const float coefficient : {1.f / 720.f, 1.f / 120.f, 1.f / 24.f, 1.f / 6.f, 0.5f, 1.f, 1.f}) {
    product = p * r;
    p = product + coefficient;
  }
  return std::ldexp(p, static_cast<int>(n));
}

TEST_P(SamplingKernels, LargestIsTheFirstOfTheLargest) {
  for (const std::size_t n : sizes) {
    const Guarded<float> x(random_floats(n, n, 9.f));
    std::vector<float> block_max(blocks(n, cpu::logit_block));
    const auto expected = std::max_element(x.data(), x.data() + n);
    for (float* maxima : {static_cast<float*>(nullptr), block_max.data()}) {
      const cpu::Largest found = kernels.largest(x.data(), n, maxima);
      EXPECT_EQ(found.index, static_cast<std::size_t>(expected - x.data())) << n;
      EXPECT_EQ(found.value, *expected) << n;
    }
    for (std::size_t b = 0; b < block_max.size(); ++b) {
      const std::size_t end = std::min(n, (b + 1) * cpu::logit_block);
      EXPECT_EQ(block_max[b], *std::max_element(x.data() + b * cpu::logit_block, x.data() + end)) << n;
    }
  }
}

TEST_P(SamplingKernels, LargestAmongEquals) {
  for (const std::size_t n : {1u, 2u, 31u, 64u, 65u, 200u}) {
    for (std::size_t at = 0; at < n; ++at) {
      std::vector<float> x(n, -3.f);
      std::fill(x.begin() + static_cast<std::ptrdiff_t>(at), x.end(), -2.f);
      EXPECT_EQ(kernels.largest(x.data(), n, nullptr).index, at);
    }
    EXPECT_EQ(kernels.largest(std::vector<float>(n, -infinity).data(), n, nullptr).value, -infinity);
    EXPECT_EQ(kernels.largest(std::vector<float>(n, -infinity).data(), n, nullptr).index, 0u);
  }
  const std::vector<float> zeros{-0.f, 0.f, -0.f};
  EXPECT_EQ(kernels.largest(zeros.data(), 3, nullptr).index, 0u);
}

TEST_P(SamplingKernels, LargestSeesEveryNaNAndInfinity) {
  for (const std::size_t n : {1u, 7u, 64u, 65u, 130u}) {
    for (std::size_t at = 0; at < n; ++at) {
      for (const float bad : {nan, -nan, infinity}) {
        std::vector<float> x = random_floats(n, 2);
        x[at] = bad;
        EXPECT_TRUE(std::isnan(kernels.largest(x.data(), n, nullptr).value)) << n << " " << at;
        std::vector<float> block_max(blocks(n, cpu::logit_block));
        EXPECT_TRUE(std::isnan(kernels.largest(x.data(), n, block_max.data()).value)) << n << " " << at;
      }
    }
  }
}

TEST_P(SamplingKernels, WeightsAreTheSameBitsEverywhere) {
  for (const std::size_t n : sizes) {
    for (const float scale : {0.5f, 25.f}) {
      std::vector<float> x = random_floats(n, n, scale);
      if (n > 4) x[2] = -infinity;
      const float max = *std::ranges::max_element(x);
      for (const float temperature : {1.f, 0.7f, 1.9f}) {
        const Guarded<float> from(x);
        Guarded<float> weights(n);
        const std::uint64_t total = kernels.weigh(from.data(), n, max, temperature, weights.data());
        for (std::size_t i = 0; i < n; ++i)
          ASSERT_EQ(weights[i], weight_of((x[i] - max) / temperature)) << i << " of " << n << ", " << temperature;
        EXPECT_EQ(total, count_units(weights.elements())) << n;
        EXPECT_EQ(kernels.weigh(from.data(), n, max, temperature, nullptr), total) << n;
        std::vector<float> in_place = x;
        EXPECT_EQ(kernels.weigh(in_place.data(), n, max, temperature, in_place.data()), total) << n;
        EXPECT_TRUE(std::ranges::equal(in_place, weights.elements())) << n;
      }
    }
  }
}

TEST_P(SamplingKernels, WeightsAreWithinTwoUnitsInTheLastPlace) {
  std::vector<float> d(1 << 20);
  for (std::size_t i = 0; i < d.size(); ++i) d[i] = -31.f * static_cast<float>(i + 1) * 0x1p-20f;
  std::vector<float> weights(d.size());
  kernels.weigh(d.data(), d.size(), 0.f, 1.f, weights.data());
  double worst = 0;
  for (std::size_t i = 0; i < d.size(); ++i)
    worst = std::max(worst, weft::testing::ulps(weights[i], std::exp(static_cast<double>(d[i]))));
  EXPECT_LT(worst, 2.0);
}

TEST_P(SamplingKernels, WeightsAtTheEnds) {
  constexpr float largest = std::numeric_limits<float>::max();
  constexpr float tiny = std::numeric_limits<float>::denorm_min();
  const auto weigh = [&](std::vector<float> x, float max, float temperature) {
    kernels.weigh(x.data(), x.size(), max, temperature, x.data());
    return x;
  };
  EXPECT_EQ(weigh({0.f, -0.f, -31.001f, -largest, -infinity}, 0.f, 1.f), (std::vector<float>{1, 1, 0, 0, 0}));
  EXPECT_EQ(weigh({largest, -largest, 0.f, -infinity, largest}, largest, tiny), (std::vector<float>{1, 0, 0, 0, 1}));
  EXPECT_EQ(weigh({1.f, 0.f, -infinity}, 1.f, largest), (std::vector<float>{1, 1, 0}));
  for (const float w : weigh({-tiny, -0x1p-24f}, 0.f, 1.f)) EXPECT_LE(w, 1.f);
  EXPECT_GT(weigh({-31.f}, 0.f, 1.f)[0], 0.f);
}

TEST_P(SamplingKernels, SumsAreExact) {
  for (const std::size_t n : sizes) {
    std::vector<float> w = random_floats(n, n + 5);
    for (std::size_t i = 0; i < n; ++i) w[i] = std::ldexp(std::abs(w[i]), 1 - static_cast<int>(i % 53));
    for (const float value : {1.f, 0x1p-43f, 0x1.8p-43f, 0x1p-44f, 0x1.000002p-44f, 0x1.fffffep-21f, 0x1.fffffep+0f})
      w.push_back(value);
    const Guarded<float> weights(w);
    for (const float lowest : {0.f, 0x1p-30f, 0.25f, w[0]}) {
      std::vector<float> counted = w;
      for (float& x : counted) x = x >= lowest ? x : 0.f;
      std::vector<std::uint64_t> units(blocks(w.size(), cpu::weight_block));
      EXPECT_EQ(kernels.sum_from(weights.data(), w.size(), lowest, units.data()), count_units(counted)) << n;
      EXPECT_EQ(kernels.sum_from(weights.data(), w.size(), lowest, nullptr), count_units(counted)) << n;
      for (std::size_t b = 0; b < units.size(); ++b) {
        const auto block = std::span<const float>(counted).subspan(b * cpu::weight_block);
        EXPECT_EQ(units[b], count_units(block.first(std::min(block.size(), cpu::weight_block)))) << n;
      }
    }
  }
  EXPECT_EQ(kernels.sum_from(nullptr, 0, 0.f, nullptr), 0u);
}

TEST_P(SamplingKernels, SumsDoNotOverflowAtTheLargestVocabulary) {
  const std::vector<float> weights(std::size_t{1} << 20, 0x1.fffffep+0f);
  EXPECT_EQ(kernels.sum_from(weights.data(), weights.size(), 0.f, nullptr), count_units(weights[0]) << 20);
}

TEST_P(SamplingKernels, CollectsInOrder) {
  for (const std::size_t n : sizes) {
    std::vector<float> values = random_floats(n, n + 7);
    values[n / 2] = 0.25f;
    values[n / 3] = -infinity;
    const Guarded<float> x(values);
    for (const auto& [lowest, below] : {std::pair{0.25f, 0.5f}, std::pair{-infinity, infinity}, std::pair{0.25f, 0.25f},
                                        std::pair{-1.f, infinity}, std::pair{0.95f, infinity}}) {
      std::vector<float> expected;
      std::vector<std::uint32_t> expected_indices;
      for (std::size_t i = 0; i < n; ++i) {
        if (!(values[i] >= lowest && values[i] < below)) continue;
        expected.push_back(values[i]);
        expected_indices.push_back(static_cast<std::uint32_t>(i));
      }
      Guarded<float> found(expected.size() + cpu::collect_slack);
      Guarded<std::uint32_t> indices(expected.size() + cpu::collect_slack);
      ASSERT_EQ(kernels.collect(x.data(), n, lowest, below, found.data(), indices.data()), expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(found[i], expected[i]);
        EXPECT_EQ(indices[i], expected_indices[i]);
      }
    }
  }
}

TEST(SamplingKernelsOf, TheBestAreThoseOfTheBestInstructionSet) {
  EXPECT_EQ(&cpu::best_sampling_kernels(), &cpu::sampling_kernels_for(cpu::best_isa()));
}

}  // namespace
