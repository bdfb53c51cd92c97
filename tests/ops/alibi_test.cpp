#include <weft/ops/alibi.hpp>

#include <gtest/gtest.h>

namespace {

using namespace weft;

TEST(AlibiSlopes, PowersOfTwoAreOneGeometricSequence) {
  EXPECT_EQ(alibi_slopes(8),
            (std::vector<float>{0.5f, 0.25f, 0.125f, 0.0625f, 0.03125f, 0.015625f, 0.0078125f, 0.00390625f}));
  EXPECT_EQ(alibi_slopes(4, 4.f), (std::vector<float>{0.5f, 0.25f, 0.125f, 0.0625f}));
  EXPECT_EQ(alibi_slopes(1), std::vector<float>{0.00390625f});
}

// transformers 5.23, models/bloom/modeling_bloom.py, build_alibi_tensor for 6 heads.
TEST(AlibiSlopes, OtherNumbersTakeTheRestFromTwiceAsMany) {
  EXPECT_EQ(alibi_slopes(6), (std::vector<float>{0.25f, 0.0625f, 0.015625f, 0.00390625f, 0.5f, 0.125f}));
  EXPECT_TRUE(alibi_slopes(0).empty());
}

}  // namespace
