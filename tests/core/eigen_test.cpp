#include <weft/core/eigen.hpp>

#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

namespace {

using namespace weft;

TEST(AsEigen, IsTheSameMemoryBothWays) {
  Tensor<float, 2> x({2, 3}, {1, 2, 3, 4, 5, 6});
  auto m = as_eigen(x);
  EXPECT_EQ(m.data(), x.data());
  EXPECT_EQ(m.rows(), 2);
  EXPECT_EQ(m.cols(), 3);
  EXPECT_EQ(m(1, 0), 4.f);
  m(0, 2) = 30;
  EXPECT_EQ(x(0, 2), 30.f);
  x(1, 1) = 50;
  EXPECT_EQ(m(1, 1), 50.f);
  m *= 2;
  EXPECT_EQ(x(1, 2), 12.f);
}

TEST(AsEigen, KeepsStrides) {
  Tensor<double, 2> x({4, 6});
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<double>(i);
  const auto v = x.transpose(0, 1).slice(0, 1, 6, 2);  // (3, 4), strides (2, 6)
  auto m = as_eigen(v);
  ASSERT_EQ(m.rows(), 3);
  for (Eigen::Index i = 0; i < 3; ++i)
    for (Eigen::Index j = 0; j < 4; ++j)
      EXPECT_EQ(&m.coeffRef(i, j), &v(static_cast<std::size_t>(i), static_cast<std::size_t>(j)));
  const Eigen::MatrixXd product = m * m.transpose();
  double expected = 0;
  for (std::size_t j = 0; j < 4; ++j) expected += v(2, j) * v(0, j);
  EXPECT_EQ(product(2, 0), expected);

  auto column = as_eigen(x.select(1, 2));
  EXPECT_EQ(column.size(), 4);
  EXPECT_EQ(&column(3), &x(3, 2));
}

TEST(AsEigen, KeepsConst) {
  const Tensor<float, 2> x({1, 1}, {3});
  auto m = as_eigen(x);
  static_assert(std::is_const_v<std::remove_pointer_t<decltype(m.data())>>);
  EXPECT_EQ(m.sum(), 3.f);
}

TEST(AsEigen, HalvesAreEigensHalves) {
  Tensor<half, 2> x({2, 2}, {half(1.f), half(2.f), half(-0.5f), half(65504.f)});
  auto m = as_eigen(x);
  static_assert(std::is_same_v<typename decltype(m)::Scalar, Eigen::half>);
  EXPECT_EQ(static_cast<float>(m(1, 1)), 65504.f);
  m(0, 0) = Eigen::half(0.25f);
  EXPECT_EQ(x(0, 0), 0.25f);
  const auto back = from_eigen(as_eigen(x));
  static_assert(std::is_same_v<typename decltype(back)::element_type, half>);
  EXPECT_EQ(&back(1, 0), &x(1, 0));

  Tensor<bfloat16, 1> y({2}, {bfloat16(1.f), bfloat16(3.f)});
  EXPECT_EQ(static_cast<float>(as_eigen(y)(1)), 3.f);
}

TEST(FromEigen, IsTheSameMemoryBothWays) {
  Eigen::MatrixXf columns(2, 3);
  columns << 1, 2, 3, 4, 5, 6;
  const auto v = from_eigen(columns);
  EXPECT_EQ(v.extents(), (Dims<2>{2, 3}));
  EXPECT_EQ(v.strides(), (Dims<2>{1, 2}));
  EXPECT_EQ(v.data(), columns.data());
  EXPECT_EQ(v(0, 2), 3.f);
  v(1, 0) = 40;
  EXPECT_EQ(columns(1, 0), 40.f);
  columns(0, 1) = 20;
  EXPECT_EQ(v(0, 1), 20.f);

  Eigen::Matrix<double, 2, 3, Eigen::RowMajor> rows;
  rows << 1, 2, 3, 4, 5, 6;
  EXPECT_EQ(from_eigen(rows).strides(), (Dims<2>{3, 1}));
  EXPECT_EQ(from_eigen(rows)(1, 0), 4.0);
  static_assert(std::is_same_v<decltype(from_eigen(std::as_const(rows))), TensorView<const double, 2>>);
}

TEST(FromEigen, VectorsAndMaps) {
  Eigen::VectorXf vector(3);
  vector << 1, 2, 3;
  EXPECT_EQ(from_eigen(vector).extents(), (Dims<2>{3, 1}));
  EXPECT_EQ(from_eigen(vector)(2, 0), 3.f);
  Eigen::RowVectorXf row = vector.transpose();
  EXPECT_EQ(from_eigen(row).extents(), (Dims<2>{1, 3}));
  EXPECT_EQ(from_eigen(row)(0, 2), 3.f);

  Tensor<float, 2> x({3, 4});
  const auto t = x.transpose(0, 1);
  const auto back = from_eigen(as_eigen(t));
  EXPECT_EQ(back.extents(), t.extents());
  EXPECT_EQ(back.strides(), t.strides());
  EXPECT_EQ(back.data(), x.data());
  static_assert(std::is_same_v<decltype(from_eigen(as_eigen(std::as_const(x)))), TensorView<const float, 2>>);
}

}  // namespace
