#include <weft/core/tensor_view.hpp>

#include <array>
#include <cstddef>
#include <numeric>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/tensor.hpp>

namespace {

using namespace weft;

class Views : public ::testing::Test {
 protected:
  Views() { std::iota(memory.begin(), memory.end(), 0); }
  std::array<int, 60> memory{};
  TensorView<int, 3> x{memory.data(), {3, 4, 5}};
};

TEST_F(Views, IndexingGoesThroughTheStrides) {
  EXPECT_EQ(x.strides(), (Dims<3>{20, 5, 1}));
  EXPECT_EQ(x(2, 1, 3), 48);
  EXPECT_EQ(x(Dims<3>{2, 1, 3}), 48);
  EXPECT_EQ(x[2][1][3], 48);
  EXPECT_EQ(x.at(2, 3, 4), 59);
  EXPECT_THROW(x.at(2, 4, 0), ShapeError);
  EXPECT_THROW(x.at(3, 0, 0), ShapeError);
  x(0, 0, 1) = 77;
  EXPECT_EQ(memory[1], 77);
  EXPECT_EQ(x.size(), 60u);
  EXPECT_EQ(x.shape(), (Shape{3, 4, 5}));
}

TEST_F(Views, DimensionsCountFromBothEnds) {
  EXPECT_EQ(detail::resolve_dim(-1, 3), 2u);
  EXPECT_EQ(detail::resolve_dim(-3, 3), 0u);
  EXPECT_THROW(detail::resolve_dim(3, 3), ShapeError);
  EXPECT_THROW(detail::resolve_dim(-4, 3), ShapeError);
  EXPECT_EQ(x.select(-1, 4)(1, 2), x(1, 2, 4));
  EXPECT_THROW(x.select(-1, 5), ShapeError);
  EXPECT_THROW(x.select(3, 0), ShapeError);
}

TEST_F(Views, SliceTakesEveryStepthElement) {
  for (std::size_t start = 0; start < 7; ++start) {
    for (std::size_t stop = 0; stop < 8; ++stop) {
      for (std::size_t step = 1; step < 4; ++step) {
        const auto v = x.slice(2, start, stop, step);
        std::vector<int> expected;
        for (std::size_t i = start; i < stop && i < 5; i += step) expected.push_back(x(1, 2, i));
        ASSERT_EQ(v.extent(2), expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(v(1, 2, i), expected[i]);
      }
    }
  }
  EXPECT_EQ(x.slice(0, 1).extents(), (Dims<3>{2, 4, 5}));
  EXPECT_THROW(x.slice(0, 0, 1, 0), ShapeError);
}

TEST_F(Views, NarrowStaysInside) {
  EXPECT_EQ(x.narrow(1, 1, 2)(2, 1, 4), x(2, 2, 4));
  EXPECT_EQ(x.narrow(1, 4, 0).size(), 0u);
  EXPECT_THROW(x.narrow(1, 3, 2), ShapeError);
  EXPECT_THROW(x.narrow(1, 5, 0), ShapeError);
  EXPECT_THROW(x.narrow(1, 1, dynamic), ShapeError);
}

TEST_F(Views, TransposeAndPermuteMoveDimensions) {
  const auto t = x.transpose(0, -1);
  const auto p = x.permute({2, 0, -2});
  detail::for_each_index(x.extents(), [&](const Dims<3>& i) {
    EXPECT_EQ(t(i[2], i[1], i[0]), x(i));
    EXPECT_EQ(p(i[2], i[0], i[1]), x(i));
  });
  EXPECT_FALSE(t.is_contiguous());
  EXPECT_TRUE(x.is_contiguous());
  EXPECT_THROW(x.permute({0, 0, 1}), ShapeError);
  EXPECT_THROW(x.permute({0, 1, 3}), ShapeError);
}

TEST_F(Views, ReshapeKeepsTheOrderAndNeverCopies) {
  const auto flat = x.reshape(60);
  EXPECT_EQ(flat.data(), x.data());
  EXPECT_EQ(flat[37], 37);
  EXPECT_EQ(x.reshape(dynamic, std::size_t{6}).extents(), (Dims<2>{10, 6}));
  EXPECT_EQ(x.reshape(2, 2, 3, 5)(1, 1, 2, 4), 59);
  EXPECT_THROW(x.reshape(7, 9), ShapeError);
  EXPECT_THROW(x.reshape(dynamic, std::size_t{7}), ShapeError);
  EXPECT_THROW(x.reshape(dynamic, dynamic), ShapeError);
  EXPECT_THROW(x.transpose(0, 1).reshape(60), ShapeError);
  EXPECT_THROW(x.narrow(0, 0, 0).reshape(dynamic, std::size_t{0}), ShapeError);
  EXPECT_EQ(x.narrow(0, 0, 0).reshape(dynamic, std::size_t{5}).extents(), (Dims<2>{0, 5}));
}

TEST_F(Views, SqueezeUndoesUnsqueeze) {
  for (int dim = -4; dim < 4; ++dim) {
    const auto wide = x.unsqueeze(dim);
    EXPECT_EQ(wide.extent(detail::resolve_dim(dim, 4)), 1u);
    EXPECT_TRUE(wide.is_contiguous());
    const auto back = wide.squeeze(dim);
    EXPECT_EQ(back.extents(), x.extents());
    EXPECT_EQ(back(2, 1, 3), x(2, 1, 3));
  }
  EXPECT_THROW(x.squeeze(0), ShapeError);
  EXPECT_THROW(x.unsqueeze(4), ShapeError);
}

TEST_F(Views, BroadcastRepeatsWithoutCopying) {
  const auto row = x.narrow(0, 0, 1);
  const auto v = row.broadcast_to(Dims<4>{2, 6, 4, 5});
  EXPECT_EQ(v.strides(), (Dims<4>{0, 0, 5, 1}));
  EXPECT_EQ(&v(1, 5, 3, 2), &x(0, 3, 2));
  EXPECT_EQ(row.broadcast_to(Dims<3>{0, 4, 5}).size(), 0u);
  EXPECT_THROW(x.broadcast_to(Dims<3>{6, 4, 5}), ShapeError);
  EXPECT_THROW(row.broadcast_to(Dims<3>{1, 1, 5}), ShapeError);
}

TEST_F(Views, ContiguousCopiesInOrder) {
  const auto t = x.transpose(0, 2).slice(1, 0, 4, 2);
  const auto copy = t.contiguous();
  EXPECT_TRUE(copy.is_contiguous());
  detail::for_each_index(t.extents(), [&](const Dims<3>& i) { EXPECT_EQ(copy.view()(i), t(i)); });
}

TEST_F(Views, StridesOfExtentsZeroAndOneDoNotMatter) {
  EXPECT_TRUE((TensorView<int, 2>(memory.data(), {1, 5}, {99, 1}).is_contiguous()));
  EXPECT_TRUE((TensorView<int, 2>(memory.data(), {0, 5}, {99, 7}).is_contiguous()));
  EXPECT_FALSE((TensorView<int, 2>(memory.data(), {2, 5}, {6, 1}).is_contiguous()));
}

TEST_F(Views, StaticExtentsAreChecked) {
  using Rows = TensorView<int, 2, Extents<dynamic, 20>>;
  using Const = TensorView<const int, 2>;
  const Rows rows(memory.data(), {3, 20});
  EXPECT_EQ(rows.extent(1), 20u);
  EXPECT_THROW(Rows(memory.data(), {3, 19}), ShapeError);
  const TensorView<int, 2> any(memory.data(), {4, 15});
  EXPECT_THROW(static_cast<void>(Rows(any)), ShapeError);
  static_assert(std::is_convertible_v<Rows, Const>);
  static_assert(!std::is_convertible_v<Const, TensorView<int, 2>>);
  static_assert(!std::is_convertible_v<TensorView<int, 2>, Rows> && std::is_constructible_v<Rows, TensorView<int, 2>>);
  static_assert(!std::is_constructible_v<Rows, TensorView<int, 2, Extents<dynamic, 21>>>);
}

TEST(TensorView, DefaultIsEmpty) {
  const TensorView<float, 2> none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.data(), nullptr);
}

TEST(TensorView, RequirementsSayWhatWasFound) {
  try {
    detail::require_shape("op", "x", Dims<2>{1, 2}, Dims<2>{1, 3});
    FAIL() << "accepted";
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "op: x has shape (1, 2), expected (1, 3)");
  }
  EXPECT_THROW(detail::require_extent("op", "the width", 3, 4), ShapeError);
  EXPECT_NO_THROW(detail::require_extent("op", "the width", 4, 4));
}

TEST(TensorLike, NamesTensorsAndViews) {
  static_assert(TensorLike<Tensor<float, 2>> && TensorLike<const Tensor<float, 2>&>);
  static_assert(TensorLike<TensorView<const half, 1>> && !TensorLike<float> && !TensorLike<std::vector<float>>);
  static_assert(std::is_same_v<value_t<TensorView<const half, 1>>, half> && rank_of<Tensor<float, 4>> == 4);
  static_assert(std::is_same_v<view_t<const Tensor<float, 1>>, TensorView<const float, 1>>);
  static_assert(detail::same_extent<Tensor<float, 1, Extents<3>>, 0, Tensor<float, 2>, 1>);
  static_assert(!detail::same_shape<Tensor<float, 1, Extents<3>>, Tensor<float, 1, Extents<4>>>);
  SUCCEED();
}

}  // namespace
