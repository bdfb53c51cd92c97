#include <weft/sampling/weights.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "reference.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

TEST(Units, CountMultiplesOfTwoToTheMinus43) {
  for (const float w :
       {0.f, 1.f, 1.75f, 0x1p-43f, 0x1.8p-43f, 0x1p-44f, 0x1.000002p-44f, 0x1p-60f, 0.1f, 0x1.fffffep+0f})
    EXPECT_EQ(detail::units(w), count_units(w)) << w;
  EXPECT_EQ(detail::units(1.f), std::uint64_t{1} << 43);
  EXPECT_EQ(detail::units(detail::negligible_weight), 0u);
}

TEST(CheckedLargest, FindsTheLargest) {
  for (const cpu::SamplingKernels* kernels : every_kernels()) {
    for (std::size_t size = 1; size < 70; ++size) {
      std::vector<float> values(size, -5.f);
      values[size / 2] = -1.f;
      EXPECT_EQ(detail::checked_largest(*kernels, values, "logit").value, -1.f);
      EXPECT_EQ(detail::checked_largest(*kernels, values, "logit").index, size / 2);
      values.assign(size, -infinity);
      values[size - 1] = std::numeric_limits<float>::lowest();
      EXPECT_EQ(detail::checked_largest(*kernels, values, "logit").index, size - 1);
    }
  }
}

TEST(CheckedLargest, NamesWhatIsWrong) {
  for (const cpu::SamplingKernels* kernels : every_kernels()) {
    const auto message = [&](const std::vector<float>& values) {
      return message_of<NumericError>([&] { detail::checked_largest(*kernels, values, "logit"); });
    };
    for (const std::size_t at : {std::size_t{0}, std::size_t{15}, std::size_t{16}, std::size_t{40}}) {
      for (const float bad : {not_a_number, -not_a_number, infinity}) {
        std::vector<float> values(41, 1.f);
        values[at] = bad;
        EXPECT_EQ(message(values).find("logit[" + std::to_string(at) + "] is "), 0u) << message(values);
      }
    }
    EXPECT_EQ(message(std::vector<float>(20, -infinity)), "logit: all 20 are -inf, no token can be chosen");
    EXPECT_EQ(message({}), "logit: all 0 are -inf, no token can be chosen");
  }
}

}  // namespace
