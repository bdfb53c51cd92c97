#include <weft/ops/mask.hpp>

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "layouts.hpp"

namespace {

using namespace weft;
using weft::testing::values;

TEST(PaddingMask, IsTrueForTheTokensOfEachSequence) {
  const Tensor<std::int32_t, 1> lengths({3}, {2, 0, 4});
  EXPECT_EQ(values(padding_mask(lengths, 4)),
            (std::vector<bool>{true, true, false, false, false, false, false, false, true, true, true, true}));
  const Tensor<std::int64_t, 1> wide({4}, {1, 9, 3, 9});
  EXPECT_EQ(values(padding_mask(wide.slice(0, 0, 4, 2), 3)), (std::vector<bool>{true, false, false, true, true, true}));
  EXPECT_EQ(padding_mask(Tensor<std::int32_t, 1>({0}), 4).extents(), (Dims<2>{0, 4}));
}

TEST(PaddingMask, RejectsLengthsOutside) {
  EXPECT_THROW(padding_mask(Tensor<std::int32_t, 1>({1}, {5}), 4), ShapeError);
  EXPECT_THROW(padding_mask(Tensor<std::int32_t, 1>({1}, {-1}), 4), ShapeError);
}

TEST(CausalMask, ShowsEachQueryItsPast) {
  EXPECT_EQ(values(causal_mask(3)), (std::vector<bool>{true, false, false, true, true, false, true, true, true}));
  for (std::size_t offset = 0; offset < 5; ++offset) {
    const auto mask = causal_mask(4, 7, offset);
    for (std::size_t i = 0; i < 4; ++i)
      for (std::size_t j = 0; j < 7; ++j) EXPECT_EQ(mask(i, j), j <= offset + i);
  }
  EXPECT_TRUE(causal_mask(0).empty());
  EXPECT_TRUE(causal_mask(1, 2, dynamic)(0, 1));
}

TEST(CausalMask, OfAChunkIsPartOfTheWhole) {
  const auto whole = causal_mask(9);
  const auto chunk = causal_mask(4, 9, 5);
  EXPECT_EQ(values(chunk), values(whole.narrow(0, 5, 4)));
}

TEST(CombinedMask, IsTrueWhereBothAre) {
  const auto padding = padding_mask(Tensor<std::int32_t, 1>({2}, {3, 1}), 4);
  const auto causal = causal_mask(2, 4, 2);
  const auto both = combined_mask(padding, causal);
  ASSERT_EQ(both.extents(), (Dims<3>{2, 2, 4}));
  detail::for_each_index(
      both.extents(), [&](const Dims<3>& i) { EXPECT_EQ(both.view()(i), padding(i[0], i[2]) && causal(i[1], i[2])); });
  EXPECT_EQ(values(combined_mask(padding, causal)[1]),
            (std::vector<bool>{true, false, false, false, true, false, false, false}));
  EXPECT_THROW(combined_mask(padding, causal_mask(3)), ShapeError);
}

}  // namespace
