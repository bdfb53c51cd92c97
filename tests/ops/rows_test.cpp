#include <weft/ops/rows.hpp>

#include <atomic>
#include <cstddef>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/thread_pool.hpp>

namespace {

using namespace weft;

TEST(FloatRow, ChecksExtentAndContiguity) {
  const Tensor<float, 1> x({6});
  EXPECT_EQ(detail::float_row("op", "x", x, 6), x.data());
  EXPECT_EQ(detail::float_row("op", "x", x.narrow(0, 2, 3), 3), x.data() + 2);
  EXPECT_EQ(detail::float_row("op", "x", x.slice(0, 1, 2, 5), 1), x.data() + 1);
  EXPECT_THROW(detail::float_row("op", "x", x, 5), ShapeError);
  EXPECT_THROW(detail::float_row("op", "x", x.slice(0, 0, 6, 2), 3), ShapeError);
  try {
    detail::float_row("rms_norm", "gain", x, 5);
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "rms_norm: gain has 6 elements, expected 5");
  }
}

/// Adds one to every element, and counts the rows.
template <class X, class Y>
std::size_t add_one(const X& x, const Y& y, const cpu::Context& ctx = {}) {
  std::atomic<std::size_t> rows{0};
  detail::for_each_row("add_one", x, y, ctx, [&](const float* from, std::size_t n, float* to) {
    for (std::size_t i = 0; i < n; ++i) to[i] = from[i] + 1.f;
    ++rows;
  });
  return rows;
}

TEST(ForEachRow, VisitsEveryRowOnce) {
  ThreadPool pool(2);
  cpu::Context threaded;
  threaded.executor = &pool;
  for (const cpu::Context& ctx : {cpu::Context{}, threaded})
    for (const std::size_t rows : {1u, 3u, 100u, 1000u})
      for (const std::size_t n : {1u, 7u, 64u, 5000u}) {
        Tensor<float, 2> x({rows, n});
        EXPECT_EQ(add_one(x.view(), x.view(), ctx), rows);
        for (const float value : x.elements()) ASSERT_EQ(value, 1.f);
      }
}

TEST(ForEachRow, FollowsTheStridesOfBothSides) {
  Tensor<float, 3> x({2, 3, 4});
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i);
  Tensor<float, 3> y({3, 2, 6});
  const auto turned = x.view().transpose(0, 1);
  EXPECT_EQ(add_one(turned, y.view().narrow(2, 1, 4)), 6u);
  detail::for_each_index(Dims<3>{3, 2, 4},
                         [&](const Dims<3>& i) { EXPECT_EQ(y(i[0], i[1], i[2] + 1), x(i[1], i[0], i[2]) + 1.f); });
  EXPECT_EQ(y(0, 0, 0), 0.f);
  EXPECT_EQ(y(0, 0, 5), 0.f);
  Tensor<float, 1> vector({4});
  EXPECT_EQ(add_one(vector.view(), vector.view()), 1u);
}

TEST(ForEachRow, RejectsShapesAndStridesThatDoNotFit) {
  Tensor<float, 2> x({2, 3}), y({3, 2});
  EXPECT_THROW(add_one(x.view(), y.view()), ShapeError);
  EXPECT_THROW(add_one(x.view(), y.view().transpose(0, 1)), ShapeError);
  EXPECT_THROW(add_one(y.view().transpose(0, 1), x.view()), ShapeError);
  Tensor<float, 2> none({0, 3});
  EXPECT_EQ(add_one(none.view(), none.view()), 0u);
  Tensor<float, 2> column({3, 1});
  EXPECT_EQ(add_one(column.view(), column.view()), 3u);
}

}  // namespace
