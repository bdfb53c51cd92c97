#pragma once

#include <cstddef>
#include <type_traits>

#include <Eigen/Core>

#include <weft/core/tensor.hpp>

namespace weft::inline v0 {

namespace detail {

template <class T>
struct EigenScalar {
  using type = T;
};
template <>
struct EigenScalar<half> {
  using type = Eigen::half;
};
template <>
struct EigenScalar<bfloat16> {
  using type = Eigen::bfloat16;
};
template <class T>
using eigen_scalar_t = typename EigenScalar<std::remove_const_t<T>>::type;

template <class Scalar>
struct ElementOfEigen {
  using type = Scalar;
};
template <>
struct ElementOfEigen<Eigen::half> {
  using type = half;
};
template <>
struct ElementOfEigen<Eigen::bfloat16> {
  using type = bfloat16;
};

template <class T, class Plain>
using EigenMatching = std::conditional_t<std::is_const_v<T>, const Plain, Plain>;

}  // namespace detail

/// The elements of a rank-2 tensor as an Eigen matrix (rows, columns): no copy, the strides are kept, writing through
/// one is seen through the other. half and bfloat16 appear as Eigen::half and Eigen::bfloat16.
template <TensorLike X>
requires(rank_of<X> == 2) auto as_eigen(X&& x) {
  using T = typename view_t<X>::element_type;
  using Scalar = detail::eigen_scalar_t<T>;
  using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Stride = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
  const auto v = view(x);
  return Eigen::Map<detail::EigenMatching<T, Matrix>, Eigen::Unaligned, Stride>(
      reinterpret_cast<detail::EigenMatching<T, Scalar>*>(v.data()), static_cast<Eigen::Index>(v.extent(0)),
      static_cast<Eigen::Index>(v.extent(1)),
      Stride(static_cast<Eigen::Index>(v.stride(0)), static_cast<Eigen::Index>(v.stride(1))));
}

/// The elements of a rank-1 tensor as an Eigen column vector; see above.
template <TensorLike X>
requires(rank_of<X> == 1) auto as_eigen(X&& x) {
  using T = typename view_t<X>::element_type;
  using Scalar = detail::eigen_scalar_t<T>;
  using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;
  const auto v = view(x);
  return Eigen::Map<detail::EigenMatching<T, Vector>, Eigen::Unaligned, Eigen::InnerStride<>>(
      reinterpret_cast<detail::EigenMatching<T, Scalar>*>(v.data()), static_cast<Eigen::Index>(v.extent(0)),
      Eigen::InnerStride<>(static_cast<Eigen::Index>(v.stride(0))));
}

namespace detail {

/// T says whether the elements are const; `data` is that of `matrix`.
template <class T, class Matrix>
TensorView<T, 2> view_of_eigen(const Matrix& matrix, T* data) {
  const auto inner = static_cast<std::size_t>(matrix.innerStride());
  const auto outer = static_cast<std::size_t>(matrix.outerStride());
  return {data,
          {static_cast<std::size_t>(matrix.rows()), static_cast<std::size_t>(matrix.cols())},
          Matrix::IsRowMajor ? Dims<2>{outer, inner} : Dims<2>{inner, outer}};
}

template <class Scalar>
using element_of_eigen_t = typename ElementOfEigen<Scalar>::type;

}  // namespace detail

/// An Eigen matrix, vector or map with elements in memory as a rank-2 view (rows, columns): no copy. The Eigen object
/// must outlive the view.
template <class Derived>
auto from_eigen(Eigen::PlainObjectBase<Derived>& matrix) {
  using T = detail::element_of_eigen_t<typename Derived::Scalar>;
  return detail::view_of_eigen(matrix.derived(), reinterpret_cast<T*>(matrix.data()));
}
template <class Derived>
auto from_eigen(const Eigen::PlainObjectBase<Derived>& matrix) {
  using T = const detail::element_of_eigen_t<typename Derived::Scalar>;
  return detail::view_of_eigen(matrix.derived(), reinterpret_cast<T*>(matrix.data()));
}
template <class Plain, int Options, class Stride>
auto from_eigen(Eigen::Map<Plain, Options, Stride> map) {
  using Element = detail::element_of_eigen_t<typename Plain::Scalar>;
  using T = std::conditional_t<std::is_const_v<Plain>, const Element, Element>;
  return detail::view_of_eigen(map, reinterpret_cast<T*>(map.data()));
}

}  // namespace weft::inline v0
