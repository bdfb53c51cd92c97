#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <tuple>
#include <utility>

#include <weft/core/tensor.hpp>

namespace weft::inline v0::detail {

/// The elements along `dim` at an index of the other dimensions; index[dim] does not count.
template <class T, std::size_t Rank, class E>
constexpr TensorView<T, 1> lane(const TensorView<T, Rank, E>& x, const Dims<Rank>& index, std::size_t dim) {
  std::size_t offset = 0;
  for (std::size_t i = 0; i < Rank; ++i)
    if (i != dim) offset += index[i] * x.stride(i);
  return {x.data() + offset, {x.extent(dim)}, {x.stride(dim)}};
}

/// Calls f(index) for every lane along `dim`, index[dim] being 0, last dimension fastest; also for lanes of no element.
template <std::size_t Rank, class F>
constexpr void for_each_lane(Dims<Rank> extents, std::size_t dim, F&& f) {
  extents[dim] = 1;
  for_each_index(extents, f);
}

/// Calls f(element) for every element, last dimension fastest.
template <class T, std::size_t Rank, class E, class F>
constexpr void for_each_element(const TensorView<T, Rank, E>& x, F&& f) {
  for_each_lane(x.extents(), Rank - 1, [&](const Dims<Rank>& index) {
    const auto row = lane(x, index, Rank - 1);
    for (std::size_t i = 0; i < row.extent(0); ++i) f(row[i]);
  });
}

/// out = f(in...) element by element; all views have the shape of `out`.
template <class Out, std::size_t Rank, class F, class... In>
constexpr void transform(const TensorView<Out, Rank>& out, F&& f, const TensorView<In, Rank>&... in) {
  for_each_lane(out.extents(), Rank - 1, [&](const Dims<Rank>& index) {
    const auto to = lane(out, index, Rank - 1);
    const std::tuple from{lane(in, index, Rank - 1)...};
    for (std::size_t i = 0; i < to.extent(0); ++i)
      to[i] = std::apply([&](const auto&... row) { return f(row[i]...); }, from);
  });
}

/// The extents without one of them.
template <std::size_t Rank>
constexpr Dims<Rank - 1> without_dim(const Dims<Rank>& extents, std::size_t dim) noexcept {
  static_assert(Rank > 1, "a tensor keeps at least one dimension");
  Dims<Rank - 1> rest{};
  for (std::size_t i = 0, to = 0; i < Rank; ++i)
    if (i != dim) rest[to++] = extents[i];
  return rest;
}

/// f(lane) of every lane along `dim`: a scalar for rank 1, else a tensor without that dimension.
template <Element Out, class T, std::size_t Rank, class E, class F>
auto reduce_lanes(const TensorView<T, Rank, E>& x, std::size_t dim, F&& f) {
  if constexpr (Rank == 1) {
    return static_cast<Out>(f(TensorView<T, 1>(x)));
  } else {
    auto result = Tensor<Out, Rank - 1>::uninitialised(without_dim(x.extents(), dim));
    Out* to = result.data();
    for_each_lane(x.extents(), dim, [&](const Dims<Rank>& index) { *to++ = f(lane(x, index, dim)); });
    return result;
  }
}

/// Whether tensors with these compile-time extents can broadcast to one shape.
template <class A, class B>
consteval bool extents_may_broadcast() {
  for (std::size_t i = 1; i <= std::min(A::rank, B::rank); ++i) {
    const std::size_t a = A::values[A::rank - i];
    const std::size_t b = B::values[B::rank - i];
    if (a != 1 && b != 1 && !extent_may_be(a, b)) return false;
  }
  return true;
}

template <class X, class Y>
inline constexpr bool may_broadcast =
    extents_may_broadcast<typename view_t<X>::extents_type, typename view_t<Y>::extents_type>();

/// The shape all views broadcast to: trailing dimensions are aligned, extents agree or are 1. Throws ShapeError.
template <class... T, std::size_t... Rank, class... E>
auto broadcast_extents(const char* op, const TensorView<T, Rank, E>&... x) {
  constexpr std::size_t rank = std::max({Rank...});
  Dims<rank> result;
  result.fill(1);
  const auto widen = [&](const auto& extents) {
    const std::size_t leading = rank - extents.size();
    for (std::size_t i = 0; i < extents.size(); ++i) {
      std::size_t& wide = result[leading + i];
      if (wide == 1) {
        wide = extents[i];
      } else if (extents[i] != 1 && extents[i] != wide) {
        std::string shapes;
        ((shapes += " " + to_string(std::span<const std::size_t>(x.extents()))), ...);
        raise<ShapeError>(op, ": the shapes", shapes, " do not broadcast");
      }
    }
  };
  (widen(x.extents()), ...);
  return result;
}

/// f of the broadcast arguments, element by element.
template <Element Out, class F, class... T, std::size_t... Rank, class... E>
auto broadcast_transform(const char* op, F&& f, const TensorView<T, Rank, E>&... x) {
  const auto extents = broadcast_extents(op, x...);
  constexpr std::size_t rank = std::max({Rank...});
  auto result = Tensor<Out, rank>::uninitialised(extents);
  transform(result.view(), f, x.template broadcast_to<rank>(extents)...);
  return result;
}

}  // namespace weft::inline v0::detail
