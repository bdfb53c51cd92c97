#include <weft/core/rng.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace {

using namespace weft;
using Block = std::array<std::uint32_t, 4>;

static_assert(std::uniform_random_bit_generator<Philox>);

// Known answers of Random123 for philox4x32 with 10 rounds: the counter is (counter, stream), the key the seed, each
// low word first.
TEST(Philox, GivesTheKnownAnswers) {
  constexpr std::uint64_t ones = ~std::uint64_t{0};
  EXPECT_EQ(Philox(0, 0).block(0), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox(ones, ones).block(ones), (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0
  EXPECT_EQ(Philox(0x299f31d0a4093822, 0x0370734413198a2e).block(0x85a308d3243f6a88),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
  static_assert(Philox(0, 0).block(0)[0] == 0x6627e8d5);
}

TEST(Philox, DrawsTheBlocksInOrder) {
  Philox rng(5, 9);
  for (std::uint64_t counter = 0; counter < 3; ++counter)
    for (const std::uint32_t word : Philox(5, 9).block(counter)) EXPECT_EQ(rng(), word);
}

TEST(Philox, SeedsAndStreamsDiffer) {
  std::set<std::uint32_t> first;
  for (std::uint64_t seed : {0ull, 1ull, 1ull << 32})
    for (std::uint64_t stream : {0ull, 1ull, 1ull << 32}) first.insert(Philox(seed, stream)());
  EXPECT_EQ(first.size(), 9u);
}

/// A generator that repeats one number.
struct Constant {
  std::uint32_t value;
  std::uint32_t operator()() const { return value; }
};

TEST(Uniform, StaysInsideZeroToOne) {
  Constant low{0};
  Constant high{0xffffffffu};
  EXPECT_EQ(uniform_float(low), 0.f);
  EXPECT_EQ(uniform_float(high), 1.f - 0x1p-24f);
  EXPECT_EQ(uniform_double(low), 0.0);
  EXPECT_EQ(uniform_double(high), 1.0 - 0x1p-53);
  EXPECT_TRUE(std::isfinite(normal_double(low)) && std::isfinite(normal_double(high)));
}

TEST(Uniform, MomentsAreThoseOfTheDistribution) {
  Philox rng(11);
  constexpr int n = 200'000;
  double f = 0, d = 0, square = 0, normal = 0, normal_square = 0;
  for (int i = 0; i < n; ++i) {
    f += uniform_float(rng);
    const double u = uniform_double(rng);
    d += u;
    square += u * u;
    const double z = normal_double(rng);
    normal += z;
    normal_square += z * z;
  }
  // Five standard deviations each.
  const double root = std::sqrt(static_cast<double>(n));
  EXPECT_NEAR(f / n, 0.5, 5 * 0.289 / root);
  EXPECT_NEAR(d / n, 0.5, 5 * 0.289 / root);
  EXPECT_NEAR(square / n, 1.0 / 3, 5 * 0.299 / root);
  EXPECT_NEAR(normal / n, 0.0, 5 / root);
  EXPECT_NEAR(normal_square / n, 1.0, 5 * std::sqrt(2.0) / root);
}

TEST(Uniform, TakesAStatedNumberOfDraws) {
  const auto draws = [](auto take) {
    Philox rng(3);
    take(rng);
    Philox reference(3);
    int count = 0;
    for (const std::uint32_t next = rng(); reference() != next;) ++count;
    return count;
  };
  EXPECT_EQ(draws([](Philox& rng) { uniform_float(rng); }), 1);
  EXPECT_EQ(draws([](Philox& rng) { uniform_double(rng); }), 2);
  EXPECT_EQ(draws([](Philox& rng) { normal_double(rng); }), 4);
}

}  // namespace
