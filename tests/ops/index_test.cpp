#include <weft/ops/index.hpp>

#include <algorithm>
#include <cmath>
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
using Indices = std::vector<std::int64_t>;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

const Tensor<std::int64_t, 2> six({2, 3}, {0, 1, 2, 3, 4, 5});

TEST(Gather, MatchesPyTorch) {
  EXPECT_EQ(values(gather(six, 1, Tensor<std::int64_t, 2>({1, 4}, {2, 0, 0, 1}))), (Indices{2, 0, 0, 1}));
  EXPECT_EQ(values(gather(six, 0, Tensor<std::int32_t, 2>({3, 2}, {1, 0, 0, 0, 1, 1}))), (Indices{3, 1, 0, 1, 3, 4}));
  EXPECT_EQ(values(gather(six, -1, Tensor<std::int64_t, 2>({2, 1}, {2, 0}))), (Indices{2, 3}));
}

TEST(Gather, FollowsTheDefinitionInEveryLayout) {
  const auto x = random_tensor<float, 3>({3, 4, 5}, 1);
  for (int dim = 0; dim < 3; ++dim) {
    const auto d = static_cast<std::size_t>(dim);
    Dims<3> extents{2, 3, 4};
    extents[d] = 7;
    Tensor<std::int64_t, 3> index(extents);
    Philox rng(static_cast<std::uint64_t>(dim));
    for (auto& i : index.elements()) i = static_cast<std::int64_t>(rng() % x.extent(d));
    for_each_layout(x, [&](const auto& v) {
      for_each_layout(index, [&](const auto& at) {
        const auto y = gather(v, dim, at);
        ASSERT_EQ(y.extents(), extents);
        detail::for_each_index(extents, [&](const Dims<3>& i) {
          Dims<3> source = i;
          source[d] = static_cast<std::size_t>(index.view()(i));
          EXPECT_EQ(y.view()(i), x.view()(source));
        });
      });
    });
  }
}

TEST(Gather, RejectsWhatPyTorchRejects) {
  const auto index = [](const Dims<2>& extents, std::int64_t value) {
    Tensor<std::int64_t, 2> result(extents);
    for (auto& i : result.elements()) i = value;
    return result;
  };
  EXPECT_THROW(gather(six, 1, index({1, 1}, -1)), ShapeError);
  EXPECT_THROW(gather(six, 1, index({1, 1}, 3)), ShapeError);
  EXPECT_THROW(gather(six, 1, index({1, 1}, std::numeric_limits<std::int64_t>::min())), ShapeError);
  EXPECT_THROW(gather(six, 1, index({3, 1}, 0)), ShapeError);
  EXPECT_THROW(gather(six, 2, index({1, 1}, 0)), ShapeError);
  EXPECT_THROW(gather(Tensor<float, 2>({2, 0}), 1, index({2, 1}, 0)), ShapeError);
  EXPECT_EQ(gather(six, 1, index({5, 0}, 0)).extents(), (Dims<2>{5, 0}));
}

TEST(IndexSelect, MatchesPyTorch) {
  EXPECT_EQ(values(index_select(six, 1, Tensor<std::int64_t, 1>({3}, {2, 2, 0}))), (Indices{2, 2, 0, 5, 5, 3}));
  EXPECT_EQ(values(index_select(six, 0, Tensor<std::int32_t, 1>({1}, {1}))), (Indices{3, 4, 5}));
  EXPECT_EQ(index_select(six, -1, Tensor<std::int64_t, 1>({0})).extents(), (Dims<2>{2, 0}));
}

TEST(IndexSelect, RejectsIndicesOutside) {
  EXPECT_THROW(index_select(six, 1, Tensor<std::int64_t, 1>({1}, {-1})), ShapeError);
  EXPECT_THROW(index_select(six, 1, Tensor<std::int64_t, 1>({1}, {3})), ShapeError);
  EXPECT_THROW(index_select(Tensor<float, 2>({2, 0}), 0, Tensor<std::int64_t, 1>({1}, {5})), ShapeError);
  EXPECT_THROW(index_select(six, -3, Tensor<std::int64_t, 1>({1}, {0})), ShapeError);
}

TEST(IndexSelect, ReadsEveryLayout) {
  const auto x = random_tensor<bfloat16, 3>({2, 5, 3}, 2);
  const Tensor<std::int64_t, 1> index({4}, {4, 0, 0, 3});
  for_each_layout(x, [&](const auto& v) {
    const auto y = index_select(v, 1, index);
    detail::for_each_index(y.extents(), [&](const Dims<3>& i) {
      EXPECT_EQ(y.view()(i), x(i[0], static_cast<std::size_t>(index[i[1]]), i[2]));
    });
  });
}

const Tensor<float, 1> awkward({9}, {3.f, nan, 1.f, -infinity, nan, infinity, -0.f, 0.f, 3.f});

TEST(Sort, IsStableAndPutsNanLast) {
  EXPECT_EQ(values(argsort(awkward)), (Indices{3, 6, 7, 2, 0, 8, 5, 1, 4}));
  EXPECT_EQ(values(argsort(awkward, 0, true)), (Indices{1, 4, 5, 0, 8, 2, 6, 7, 3}));
  const auto sorted = sort(awkward);
  EXPECT_EQ(sorted.values[0], -infinity);
  EXPECT_TRUE(std::signbit(sorted.values[1]));
  EXPECT_TRUE(std::isnan(sorted.values[8]));
}

TEST(Sort, FollowsTheDefinitionInEveryLayout) {
  for (const std::size_t n : {1u, 2u, 17u, 101u}) {
    const auto x = random_tensor<half, 3>({3, n, 2}, 3 + n);
    for_each_layout(x, [&](const auto& v) {
      for (const bool descending : {false, true}) {
        const auto [ordered, positions] = sort(v, 1, descending);
        for (std::size_t a = 0; a < 3; ++a) {
          for (std::size_t b = 0; b < 2; ++b) {
            std::vector<std::int64_t> expected(n);
            for (std::size_t i = 0; i < n; ++i) expected[i] = static_cast<std::int64_t>(i);
            std::stable_sort(expected.begin(), expected.end(), [&](std::int64_t i, std::int64_t j) {
              const float left = x(a, static_cast<std::size_t>(i), b);
              const float right = x(a, static_cast<std::size_t>(j), b);
              return descending ? left > right : left < right;
            });
            for (std::size_t i = 0; i < n; ++i) {
              EXPECT_EQ(positions(a, i, b), expected[i]);
              EXPECT_EQ(ordered(a, i, b), x(a, static_cast<std::size_t>(expected[i]), b));
            }
          }
        }
      }
    });
  }
}

TEST(Sort, EmptyAndBool) {
  EXPECT_TRUE(sort(Tensor<float, 1>({0})).values.empty());
  EXPECT_EQ(sort(Tensor<float, 2>({2, 0})).indices.extents(), (Dims<2>{2, 0}));
  EXPECT_EQ(values(argsort(Tensor<bool, 1>({3}, {true, false, true}))), (Indices{1, 0, 2}));
  EXPECT_THROW(sort(awkward, 1), ShapeError);
}

TEST(TopK, IsTheStartOfTheSortedElements) {
  const auto x = random_tensor<float, 2>({3, 40}, 9);
  for_each_layout(x, [&](const auto& v) {
    for (const bool largest : {true, false}) {
      const auto all = sort(v, 1, largest);
      for (const std::size_t k : {0u, 1u, 7u, 39u, 40u}) {
        const auto top = topk(v, k, 1, largest);
        ASSERT_EQ(top.values.extents(), (Dims<2>{3, k}));
        EXPECT_EQ(values(top.values), values(all.values.narrow(1, 0, k)));
        EXPECT_EQ(values(top.indices), values(all.indices.narrow(1, 0, k)));
      }
    }
  });
}

TEST(TopK, NanIsTheGreatestAndTiesGoToTheLowerIndex) {
  EXPECT_EQ(values(topk(awkward, 4).indices), (Indices{1, 4, 5, 0}));
  EXPECT_EQ(values(topk(awkward, 4, -1, false).indices), (Indices{3, 6, 7, 2}));
  EXPECT_EQ(values(topk(Tensor<std::int8_t, 1>({5}, {7, 7, 7, 7, 7}), 3).indices), (Indices{0, 1, 2}));
  EXPECT_EQ(values(topk(six, 1, 0).indices), (Indices{1, 1, 1}));
  EXPECT_THROW(topk(awkward, 10), ShapeError);
  EXPECT_THROW(topk(awkward, 1, 1), ShapeError);
}

}  // namespace
