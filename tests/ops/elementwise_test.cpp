#include <weft/ops/elementwise.hpp>

#include <cstdint>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "layouts.hpp"

namespace {

using namespace weft;
using weft::testing::for_each_layout;
using weft::testing::random_tensor;
using weft::testing::values;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

TEST(Full, FillsEveryElement) {
  const auto x = full<float>({2, 3}, 1.5f);
  EXPECT_EQ(x.extents(), (Dims<2>{2, 3}));
  EXPECT_EQ(values(x), std::vector<float>(6, 1.5f));
  EXPECT_EQ(values(full<half>(Dims<1>{3}, half(-2.f)))[2], -2.f);
  EXPECT_EQ(values(ones<bfloat16>({2}))[1], 1.f);
  EXPECT_EQ(values(zeros<std::int64_t>({2, 2})), std::vector<std::int64_t>(4, 0));
  EXPECT_EQ(values(ones<bool>(Dims<2>{1, 2})), std::vector<bool>(2, true));
  EXPECT_TRUE(full<float>({0, 3}, 1.f).empty());
}

TEST(Arange, CountsLikePyTorch) {
  EXPECT_EQ(values(arange<std::int64_t>(4)), (std::vector<std::int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(values(arange<std::int32_t>(7, -4, -3)), (std::vector<std::int32_t>{7, 4, 1, -2}));
  EXPECT_EQ(values(arange<float>(1, 0, -0.25)), (std::vector<float>{1, 0.75f, 0.5f, 0.25f}));
  EXPECT_EQ(values(arange<half>(1, 2.5, 0.5))[2], 2.f);
  EXPECT_EQ(values(arange<std::uint8_t>(0, 300, 100)), (std::vector<std::uint8_t>{0, 100, 200}));
  EXPECT_TRUE(arange<float>(3, 3, 1).empty());
  EXPECT_TRUE(arange<std::int64_t>(0).empty());
  const auto tenths = arange<float>(0, 1, 0.1);
  ASSERT_EQ(tenths.size(), 10u);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_FLOAT_EQ(tenths[i], 0.1f * static_cast<float>(i));
}

TEST(Arange, ReachesTheEndsOfInt64) {
  constexpr auto lowest = std::numeric_limits<std::int64_t>::min();
  constexpr auto highest = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(values(arange<std::int64_t>(highest - 2, highest, 1)),
            (std::vector<std::int64_t>{highest - 2, highest - 1}));
  EXPECT_EQ(values(arange<std::int64_t>(highest, lowest, lowest)), (std::vector<std::int64_t>{highest, -1}));
  EXPECT_EQ(values(arange<std::int64_t>(lowest, highest, highest)),
            (std::vector<std::int64_t>{lowest, -1, highest - 1}));
}

TEST(Arange, RejectsWhatLeadsNowhere) {
  EXPECT_THROW(arange<float>(0, 5, 0), ConfigError);
  EXPECT_THROW(arange<std::int64_t>(0, 5, 0), ConfigError);
  EXPECT_THROW(arange<float>(0, 5, -1), ConfigError);
  EXPECT_THROW(arange<std::int64_t>(5, 0, 1), ConfigError);
  EXPECT_THROW(arange<std::int64_t>(-1), ConfigError);
  EXPECT_THROW(arange<float>(0, infinity, 1), ConfigError);
  EXPECT_THROW(arange<float>(nan, 1, 1), ConfigError);
  EXPECT_THROW(arange<float>(0, 1e300, 1e-300), ConfigError);
  EXPECT_THROW(arange<std::uint8_t>(0, 301, 100), ConfigError);
  EXPECT_THROW(arange<std::uint8_t>(-1, 3, 1), ConfigError);
}

TEST(Where, ChoosesElementByElement) {
  const auto a = random_tensor<float, 3>({3, 1, 5}, 1);
  const auto b = random_tensor<float, 3>({3, 1, 5}, 2);
  const auto chosen = random_tensor<bool, 3>({3, 1, 5}, 3);
  for_each_layout(chosen, [&](const auto& condition) {
    for_each_layout(a, [&](const auto& yes) {
      const auto y = where(condition, yes, b);
      detail::for_each_index(
          y.extents(), [&](const Dims<3>& i) { EXPECT_EQ(y.view()(i), chosen.view()(i) ? a.view()(i) : b.view()(i)); });
    });
  });
}

TEST(Where, BroadcastsAllThree) {
  const Tensor<bool, 2> condition({2, 1}, {true, false});
  const Tensor<float, 1> a({2}, {1, 2});
  EXPECT_EQ(values(where(condition, a, 9.f)), (std::vector<float>{1, 2, 9, 9}));
  EXPECT_EQ(values(where(condition, 9.f, a)), (std::vector<float>{9, 9, 1, 2}));
  const Tensor<float, 3> cube({3, 1, 1}, {10, 20, 30});
  const auto y = where(condition, a, cube);
  EXPECT_EQ(y.extents(), (Dims<3>{3, 2, 2}));
  EXPECT_EQ(values(y), (std::vector<float>{1, 2, 10, 10, 1, 2, 20, 20, 1, 2, 30, 30}));
  EXPECT_EQ(where(Tensor<bool, 1>({0}), Tensor<float, 2>({2, 1}), 0.f).extents(), (Dims<2>{2, 0}));
  EXPECT_THROW(where(Tensor<bool, 1>({3}), a, a), ShapeError);
  EXPECT_THROW(where(condition, a, Tensor<float, 1>({3})), ShapeError);
}

TEST(MaskedFill, FillsWhereTheMaskIsTrue) {
  const Tensor<float, 1> x({2}, {1, 2});
  const Tensor<bool, 2> mask({2, 2}, {true, false, false, true});
  EXPECT_EQ(values(masked_fill(x, mask, 7.f)), (std::vector<float>{7, 2, 1, 7}));
  EXPECT_EQ(values(masked_fill(x, Tensor<bool, 1>({1}, {true}), -infinity)), std::vector<float>(2, -infinity));
  EXPECT_EQ(x[0], 1.f);
  EXPECT_THROW(masked_fill(x, Tensor<bool, 1>({3}), 0.f), ShapeError);
}

TEST(AddMul, FollowTheDefinitionInEveryLayout) {
  const auto a = random_tensor<float, 3>({2, 3, 4}, 4);
  const auto b = random_tensor<float, 2>({3, 1}, 5);
  for_each_layout(a, [&](const auto& x) {
    const auto sum = add(x, b);
    const auto product = mul(b, x);
    detail::for_each_index(a.extents(), [&](const Dims<3>& i) {
      EXPECT_EQ(sum.view()(i), a.view()(i) + b(i[1], 0));
      EXPECT_EQ(product.view()(i), a.view()(i) * b(i[1], 0));
    });
  });
}

TEST(AddMul, BroadcastAndRejectLikePyTorch) {
  EXPECT_EQ(add(Tensor<float, 3>({2, 1, 3}), Tensor<float, 2>({4, 1})).extents(), (Dims<3>{2, 4, 3}));
  EXPECT_EQ(add(Tensor<float, 2>({1, 3}), Tensor<float, 2>({0, 3})).extents(), (Dims<2>{0, 3}));
  EXPECT_THROW(add(Tensor<float, 2>({2, 3}), Tensor<float, 1>({2})), ShapeError);
  EXPECT_THROW(mul(Tensor<float, 2>({2, 3}), Tensor<float, 2>({0, 3})), ShapeError);
  try {
    add(Tensor<float, 2>({2, 3}), Tensor<float, 1>({2}));
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "add: the shapes (2, 3) (2) do not broadcast");
  }
}

TEST(AddMul, IntegersWrapAround) {
  const auto one = [](auto value) { return Tensor<decltype(value), 1>({1}, {value}); };
  EXPECT_EQ(add(one(std::int8_t{127}), one(std::int8_t{1}))[0], -128);
  EXPECT_EQ(mul(one(std::int8_t{-128}), one(std::int8_t{-1}))[0], -128);
  EXPECT_EQ(add(one(std::numeric_limits<std::int32_t>::max()), one(std::int32_t{1}))[0],
            std::numeric_limits<std::int32_t>::min());
  EXPECT_EQ(mul(one(std::numeric_limits<std::int64_t>::min()), one(std::int64_t{-1}))[0],
            std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(mul(one(std::int32_t{-3}), one(std::int32_t{5}))[0], -15);
}

TEST(AddMul, HalvesAreRoundedOnce) {
  const Tensor<half, 1> x({1}, {half(1.f)});
  EXPECT_EQ(add(x, Tensor<half, 1>({1}, {half(0x1p-11f)}))[0].bits, half(1.f).bits);
  EXPECT_EQ(add(x, Tensor<half, 1>({1}, {half(0x1.8p-11f)}))[0].bits, half(1.f + 0x1p-10f).bits);
}

TEST(Classify, FindsNanAndInfinity) {
  const Tensor<float, 2> x({2, 2}, {1.f, nan, -infinity, 0.f});
  EXPECT_EQ(values(isnan(x)), (std::vector<bool>{false, true, false, false}));
  EXPECT_EQ(values(isfinite(x)), (std::vector<bool>{true, false, false, true}));
  EXPECT_EQ(values(isnan(x.transpose(0, 1))), (std::vector<bool>{false, false, true, false}));
  const Tensor<half, 1> h({3}, {half(nan), half(1e6f), half(1.f)});
  EXPECT_EQ(values(isnan(h)), (std::vector<bool>{true, false, false}));
  EXPECT_EQ(values(isfinite(h)), (std::vector<bool>{false, false, true}));
  EXPECT_EQ(values(isnan(Tensor<std::int32_t, 1>({1}))), std::vector<bool>{false});
  EXPECT_EQ(values(isfinite(Tensor<std::int32_t, 1>({1}))), std::vector<bool>{true});
}

TEST(Triangles, MatchPyTorch) {
  const auto x = arange<std::int32_t>(1, 13, 1);
  const auto m = x.reshape(3, 4);
  using V = std::vector<std::int32_t>;
  EXPECT_EQ(values(tril(m, -1)), (V{0, 0, 0, 0, 5, 0, 0, 0, 9, 10, 0, 0}));
  EXPECT_EQ(values(tril(m, 1)), (V{1, 2, 0, 0, 5, 6, 7, 0, 9, 10, 11, 12}));
  EXPECT_EQ(values(triu(m, 2)), (V{0, 0, 3, 4, 0, 0, 0, 8, 0, 0, 0, 0}));
  EXPECT_EQ(values(triu(m, -1)), (V{1, 2, 3, 4, 5, 6, 7, 8, 0, 10, 11, 12}));
  EXPECT_EQ(values(triu(m, -9)), values(m));
  EXPECT_EQ(values(tril(m, -9)), V(12, 0));
}

TEST(Triangles, ShareTheMatrixBetweenThemInEveryLayout) {
  const auto x = random_tensor<float, 3>({2, 5, 3}, 6);
  for_each_layout(x, [&](const auto& v) {
    for (std::ptrdiff_t d = -6; d <= 6; ++d) EXPECT_EQ(values(add(tril(v, d), triu(v, d + 1))), values(x));
  });
  const Tensor<float, 2> bad({2, 2}, {nan, nan, nan, nan});
  EXPECT_EQ(tril(bad)(0, 1), 0.f);
  EXPECT_TRUE(tril(Tensor<float, 2>({0, 3})).empty());
}

}  // namespace
