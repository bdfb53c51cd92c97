#include <weft/sampling/temperature.hpp>

#include <gtest/gtest.h>

#include <vector>

#include "reference.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

static_assert(LogitsProcessor<Temperature>);

TEST(Temperature, DividesLogits) {
  std::vector<float> logits{1.f, -2.f, -infinity, 0.f};
  Temperature(0.5f)(logits, {});
  EXPECT_EQ(logits, (std::vector<float>{2.f, -4.f, -infinity, 0.f}));
}

TEST(Temperature, OneChangesNothing) {
  Philox rng(1);
  std::vector<float> logits = random_logits(rng, 50);
  const std::vector<float> before = logits;
  Temperature(1.f)(logits, {});
  EXPECT_EQ(logits, before);
}

TEST(Temperature, NamesWhatIsWrong) {
  EXPECT_EQ(message_of<ConfigError>([] { Temperature t(-0.5f); }),
            "temperature is -0.5, allowed: finite and at least 0");
  EXPECT_NE(message_of<ConfigError>([] { Temperature t(not_a_number); }).find("temperature is "), std::string::npos);
  EXPECT_NE(message_of<ConfigError>([] { Temperature t(infinity); }).find("temperature is inf"), std::string::npos);
  EXPECT_EQ(message_of<ConfigError>([] { Temperature t(0.f); }),
            "temperature is 0, allowed: above 0; use sample_greedy");
}

}  // namespace
