#include <weft/sampling/weigh.hpp>

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "reference.hpp"

namespace {

using namespace weft;
using namespace weft_test;

TEST(Weigh, TheSameBitsInALoopAndAlone) {
  // A compiler that fuses products and sums in one of them only would show here.
  Philox rng(3);
  const std::vector<float> logits = random_logits(rng, 4099, 20.f);
  const float max = *std::ranges::max_element(logits);
  std::vector<float> weights(logits.size());
  detail::weigh(logits, max, 1.f, weights);
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    ASSERT_EQ(weights[i], detail::exp_weight(logits[i] - max, detail::opaque_zero())) << i;
    hash = hash * 31 + std::bit_cast<std::uint32_t>(weights[i]);
  }
  EXPECT_EQ(hash, 0x657f142b850c44e6u);  // recorded: the same with g++ and clang++ at -O0, -O2, -O3 and -march=native
}

TEST(Weigh, SumsWhatItWrites) {
  Philox rng(5);
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{15}, std::size_t{16}, std::size_t{17}, std::size_t{1000}}) {
    const std::vector<float> logits = random_logits(rng, size, 30.f);
    const float max = *std::ranges::max_element(logits);
    std::vector<float> weights(size);
    const std::uint64_t cooler = detail::weigh(logits, max, 0.7f, weights);
    EXPECT_EQ(cooler, detail::total_units(weights));
    for (std::size_t i = 0; i < size; ++i) {
      const double expected = std::exp((static_cast<double>(logits[i]) - static_cast<double>(max)) / 0.7);
      EXPECT_NEAR(weights[i], expected, expected * 1e-5 + 0x1p-43);
    }
    const std::uint64_t total = detail::weigh(logits, max, 1.f, weights);
    EXPECT_EQ(total, detail::total_exp_units(logits, max));
    std::vector<float> in_place = logits;
    detail::weigh(in_place, max, 1.f, in_place);
    EXPECT_EQ(in_place, weights);
  }
}

TEST(Weigh, NothingOverflows) {
  constexpr float largest = std::numeric_limits<float>::max();
  constexpr float tiny = std::numeric_limits<float>::denorm_min();
  const std::vector<float> logits{largest, -largest, 0.f, -infinity, largest};
  std::vector<float> weights(logits.size());
  detail::weigh(logits, largest, tiny, weights);
  EXPECT_EQ(weights, (std::vector<float>{1, 0, 0, 0, 1}));
  const std::vector<float> close{1.f, 0.f, -infinity};
  weights.resize(3);
  detail::weigh(close, 1.f, largest, weights);
  EXPECT_EQ(weights, (std::vector<float>{1, 1, 0}));
}

TEST(Weigh, EveryInstructionSetGivesTheSameBits) {
#if WEFT_X86_64
  Philox rng(6);
  for (std::size_t size = 1; size < 300; size += 1 + size / 8) {
    std::vector<float> logits = random_logits(rng, size, 25.f);
    if (size > 4) logits[2] = -infinity;
    const float max = *std::ranges::max_element(logits);
    for (const float temperature : {1.f, 0.7f, 1.9f}) {
      std::vector<float> expected(size);
      std::vector<float> found(size);
      const std::uint64_t total = detail::generic::weigh(logits.data(), size, max, temperature, expected.data());
      if (detail::has_avx2()) {
        EXPECT_EQ(detail::avx2::weigh(logits.data(), size, max, temperature, found.data()), total);
        EXPECT_EQ(found, expected);
      }
      if (detail::has_avx512()) {
        EXPECT_EQ(detail::avx512::weigh(logits.data(), size, max, temperature, found.data()), total);
        EXPECT_EQ(found, expected);
      }
      if (temperature == 1.f) {
        EXPECT_EQ(detail::generic::weigh(logits.data(), size, max, found.data()), total);
        EXPECT_EQ(found, expected);
        EXPECT_EQ(detail::generic::weigh(logits.data(), size, max, nullptr), total);
      }
    }
  }
#else
  GTEST_SKIP() << "one instruction set only";
#endif
}

}  // namespace
