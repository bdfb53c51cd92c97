#include <weft/sampling/selection.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include <weft/sampling/weights.hpp>

#include "reference.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

TEST(OrderKey, GrowsWithTheValue) {
  constexpr float tiny = std::numeric_limits<float>::denorm_min();
  constexpr float largest = std::numeric_limits<float>::max();
  const std::vector<float> ascending{-infinity, -largest, -1.f, -tiny, 0.f, tiny, 1.f, largest, infinity};
  for (std::size_t i = 1; i < ascending.size(); ++i)
    EXPECT_LT(detail::order_key(ascending[i - 1]), detail::order_key(ascending[i])) << i;
  EXPECT_EQ(detail::order_key(0.f), detail::order_key(-0.f));
}

std::vector<float> any_values(Philox& rng, std::size_t count, int kind) {
  std::vector<float> values = random_logits(rng, count, 1.f);
  for (float& x : values) {
    x = std::abs(x);
    if (kind == 1) x = 0.5f;
    if (kind == 2) x = static_cast<float>(static_cast<int>(x * 5.f)) * 0.25f;
    if (kind == 3) x = std::ldexp(x, -static_cast<int>(rng() % 40));
    if (kind == 4 && rng() % 50 != 0) x = 0.75f;
  }
  return values;
}

TEST(FindCrossing, AgreesWithAFullSort) {
  Philox rng(71);
  std::vector<detail::Candidate> scratch;
  detail::Candidates candidates;
  for (int round = 0; round < 3000; ++round) {
    const std::vector<float> values = any_values(rng, 1 + rng() % (round % 10 == 0 ? 5000 : 200), round % 5);
    candidates.reserve(values.size());
    candidates.clear();
    candidates.collect(cpu::best_sampling_kernels(), values, 0, values.size(), -infinity, infinity);
    const std::vector<std::size_t> order = descending(values);
    const std::size_t k = 1 + rng() % values.size();
    const auto one = [](float) { return std::uint64_t{1}; };
    EXPECT_EQ(detail::find_crossing(candidates, one, 5, 4 + k, scratch).index, order[k - 1]) << round;

    std::uint64_t total = 0;
    for (const float x : values) total += detail::units(x);
    const std::uint64_t limit = total / (1 + rng() % 1000);
    if (limit >= total) continue;
    std::uint64_t sum = 0;
    std::size_t last = 0;
    while ((sum += detail::units(values[order[last]])) <= limit) ++last;
    EXPECT_EQ(detail::find_crossing(candidates, detail::units, 0, limit, scratch).index, order[last]) << round;
  }
}

TEST(Candidates, KeepThoseThatAreTaken) {
  const std::vector<float> values{1.f, 3.f, 2.f, 2.f, 0.f, 2.f};
  detail::Candidates candidates;
  candidates.reserve(values.size());
  candidates.collect(cpu::best_sampling_kernels(), values, 1, 3, 1.f, infinity);
  candidates.collect(cpu::best_sampling_kernels(), values, 3, 6, 1.f, infinity);
  candidates.keep_up_to({2.f, 3});
  EXPECT_TRUE(std::ranges::equal(candidates.indices(), std::vector<std::uint32_t>{1, 2, 3}));
  EXPECT_TRUE(std::ranges::equal(candidates.values(), std::vector<float>{3.f, 2.f, 2.f}));
}

}  // namespace
