#pragma once

#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <weft/core/dtype.hpp>
#include <weft/core/shape.hpp>

namespace weft::inline v0 {

template <Element T, std::size_t Rank, class E = DynamicExtents<Rank>>
class Tensor;  // core/tensor.hpp

namespace detail {

/// A dimension given as PyTorch takes it: -1 is the last. Throws ShapeError outside [-rank, rank).
constexpr std::size_t resolve_dim(int dim, std::size_t rank) {
  const int signed_rank = static_cast<int>(rank);
  if (dim < -signed_rank || dim >= signed_rank)
    raise<ShapeError>("dimension ", dim, " is outside [", -signed_rank, ", ", signed_rank - 1, "]");
  return static_cast<std::size_t>(dim < 0 ? dim + signed_rank : dim);
}

template <std::size_t Rank>
constexpr Dims<Rank> contiguous_strides(const Dims<Rank>& extents) noexcept {
  Dims<Rank> strides{};
  std::size_t stride = 1;
  for (std::size_t i = Rank; i-- > 0;) {
    strides[i] = stride;
    stride *= extents[i];
  }
  return strides;
}

}  // namespace detail

/// A strided window on elements somebody else owns. T may be const; E states the extents known at compile time, so that
/// a mismatch among them does not compile. Copying a view copies no element; strides count elements.
///
///   TensorView<float, 2> x(data, {tokens, hidden});
///   TensorView<const float, 2, Extents<dynamic, 64>> heads = ...;
template <class T, std::size_t Rank, class E = DynamicExtents<Rank>>
class TensorView {
  static_assert(Element<T>, "TensorView holds the element types of DType");
  static_assert(Rank >= 1 && Rank <= max_rank, "a tensor has 1 to 8 dimensions");
  static_assert(E::rank == Rank, "as many extents as dimensions");

 public:
  using element_type = T;
  using value_type = std::remove_const_t<T>;
  using extents_type = E;
  static constexpr std::size_t rank = Rank;

  constexpr TensorView() noexcept = default;

  /// Contiguous elements, last dimension fastest. Throws ShapeError where `extents` contradict E.
  constexpr TensorView(T* data, const Dims<Rank>& extents)
      : TensorView(data, extents, detail::contiguous_strides<Rank>(extents)) {}

  constexpr TensorView(T* data, const Dims<Rank>& extents, const Dims<Rank>& strides)
      : data_(data), extents_(extents), strides_(strides) {
    for (std::size_t i = 0; i < Rank; ++i)
      if (!detail::extent_may_be(E::values[i], extents[i]))
        raise<ShapeError>("dimension ", i, " has ", extents[i], " elements, the type says ", E::values[i]);
  }

  /// From mutable to const, from static to dynamic extents implicitly; to static extents explicitly (checked). Extents
  /// that differ at compile time do not convert.
  template <class U, class F>
  requires(std::is_convertible_v<U (*)[], T (*)[]>&& detail::extents_may_match<E, F>()) constexpr explicit(
      !std::is_same_v<E, DynamicExtents<Rank>> && !std::is_same_v<E, F>) TensorView(const TensorView<U, Rank, F>& other)
      : TensorView(other.data(), other.extents(), other.strides()) {}

  constexpr T* data() const noexcept { return data_; }
  constexpr const Dims<Rank>& extents() const noexcept { return extents_; }
  constexpr std::size_t extent(std::size_t dim) const noexcept {
    return E::values[dim] == dynamic ? extents_[dim] : E::values[dim];
  }
  constexpr const Dims<Rank>& strides() const noexcept { return strides_; }
  constexpr std::size_t stride(std::size_t dim) const noexcept { return strides_[dim]; }
  Shape shape() const { return Shape(std::span<const std::size_t>(extents_)); }

  constexpr std::size_t size() const noexcept {
    std::size_t product = 1;
    for (const std::size_t extent : extents_) product *= extent;
    return product;
  }
  constexpr bool empty() const noexcept { return size() == 0; }

  /// Whether the elements lie one after the other, last dimension fastest. Strides of extents 0 and 1 do not count.
  constexpr bool is_contiguous() const noexcept {
    if (empty()) return true;
    std::size_t expected = 1;
    for (std::size_t i = Rank; i-- > 0;) {
      if (extents_[i] != 1 && strides_[i] != expected) return false;
      expected *= extents_[i];
    }
    return true;
  }

  /// The element at an index; unchecked.
  template <class... Index>
  requires(sizeof...(Index) == Rank && (std::is_convertible_v<Index, std::size_t> && ...)) constexpr T& operator()(
      Index... index) const noexcept {
    return data_[offset({static_cast<std::size_t>(index)...})];
  }
  constexpr T& operator()(const Dims<Rank>& index) const noexcept { return data_[offset(index)]; }

  /// The element at an index; throws ShapeError outside.
  template <class... Index>
  requires(sizeof...(Index) == Rank &&
           (std::is_convertible_v<Index, std::size_t> && ...)) constexpr T& at(Index... index) const {
    const Dims<Rank> dims{static_cast<std::size_t>(index)...};
    for (std::size_t i = 0; i < Rank; ++i)
      if (dims[i] >= extents_[i])
        raise<ShapeError>("index ", dims[i], " of dimension ", i, " is outside its ", extents_[i], " elements");
    return data_[offset(dims)];
  }

  /// view[i]: the element for rank 1, the sub-view without the first dimension above; unchecked.
  constexpr decltype(auto) operator[](std::size_t index) const noexcept requires(Rank == 1) {
    return (data_[index * strides_[0]]);
  }
  constexpr TensorView<T, (Rank > 1 ? Rank - 1 : 1)> operator[](std::size_t index) const noexcept requires(Rank > 1) {
    return drop(0, index);
  }

  /// The sub-view at one index of a dimension, which disappears. Throws ShapeError outside.
  constexpr TensorView<T, (Rank > 1 ? Rank - 1 : 1)> select(int dim, std::size_t index) const requires(Rank > 1) {
    const std::size_t d = detail::resolve_dim(dim, Rank);
    if (index >= extents_[d])
      raise<ShapeError>("select: index ", index, " of dimension ", d, " is outside its ", extents_[d], " elements");
    return drop(d, index);
  }

  /// Elements start, start + step, ... before stop of one dimension; stop is clamped to the extent as in PyTorch.
  /// Throws ShapeError for step 0.
  constexpr TensorView<T, Rank> slice(int dim, std::size_t start, std::size_t stop = dynamic,
                                      std::size_t step = 1) const {
    const std::size_t d = detail::resolve_dim(dim, Rank);
    if (step == 0) raise<ShapeError>("slice: step must be at least 1");
    stop = stop < extents_[d] ? stop : extents_[d];
    start = start < stop ? start : stop;
    Dims<Rank> extents = extents_;
    Dims<Rank> strides = strides_;
    extents[d] = (stop - start + step - 1) / step;
    strides[d] *= step;
    return {data_ + start * strides_[d], extents, strides};
  }

  /// `length` elements from `start` of one dimension. Throws ShapeError where they pass its end.
  constexpr TensorView<T, Rank> narrow(int dim, std::size_t start, std::size_t length) const {
    const std::size_t d = detail::resolve_dim(dim, Rank);
    if (start > extents_[d] || length > extents_[d] - start)
      raise<ShapeError>("narrow: ", length, " elements from ", start, " pass the ", extents_[d], " of dimension ", d);
    return slice(dim, start, start + length);
  }

  /// Two dimensions swapped.
  constexpr TensorView<T, Rank> transpose(int dim0, int dim1) const {
    const std::size_t a = detail::resolve_dim(dim0, Rank);
    const std::size_t b = detail::resolve_dim(dim1, Rank);
    Dims<Rank> extents = extents_;
    Dims<Rank> strides = strides_;
    std::swap(extents[a], extents[b]);
    std::swap(strides[a], strides[b]);
    return {data_, extents, strides};
  }

  /// Dimension i of the result is dimension order[i] of this. Throws ShapeError unless `order` is a permutation.
  constexpr TensorView<T, Rank> permute(const std::array<int, Rank>& order) const {
    Dims<Rank> extents{};
    Dims<Rank> strides{};
    std::array<bool, Rank> seen{};
    for (std::size_t i = 0; i < Rank; ++i) {
      const std::size_t d = detail::resolve_dim(order[i], Rank);
      if (seen[d]) raise<ShapeError>("permute: dimension ", d, " is named twice");
      seen[d] = true;
      extents[i] = extents_[d];
      strides[i] = strides_[d];
    }
    return {data_, extents, strides};
  }

  /// The same elements in another shape; one extent may be `dynamic` and is inferred. Never copies: throws ShapeError
  /// where the view is not contiguous (take contiguous() first) or the numbers of elements differ.
  template <std::size_t NewRank>
  constexpr TensorView<T, NewRank> reshape(Dims<NewRank> extents) const {
    if (!is_contiguous()) raise<ShapeError>("reshape: the view is not contiguous; reshape its contiguous() copy");
    std::size_t known = 1;
    std::size_t inferred = NewRank;
    for (std::size_t i = 0; i < NewRank; ++i) {
      if (extents[i] != dynamic) {
        known = detail::checked_product(known, extents[i]);
      } else if (inferred != NewRank) {
        raise<ShapeError>("reshape: only one extent can be inferred");
      } else {
        inferred = i;
      }
    }
    if (inferred != NewRank && known != 0 && size() % known == 0) {
      extents[inferred] = size() / known;
      known *= extents[inferred];
    }
    if (known != size() || (inferred != NewRank && extents[inferred] == dynamic))
      raise<ShapeError>("reshape: ", size(), " elements do not fill the new shape");
    return {data_, extents};
  }
  template <class... Extent>
  requires(sizeof...(Extent) >= 1 &&
           (std::is_convertible_v<Extent, std::size_t> &&
            ...)) constexpr TensorView<T, sizeof...(Extent)> reshape(Extent... extents) const {
    return reshape<sizeof...(Extent)>(Dims<sizeof...(Extent)>{static_cast<std::size_t>(extents)...});
  }

  /// Without one dimension of extent 1. Throws ShapeError where the extent is another.
  constexpr TensorView<T, (Rank > 1 ? Rank - 1 : 1)> squeeze(int dim) const requires(Rank > 1) {
    const std::size_t d = detail::resolve_dim(dim, Rank);
    if (extents_[d] != 1) raise<ShapeError>("squeeze: dimension ", d, " has ", extents_[d], " elements, not 1");
    return drop(d, 0);
  }

  /// With a new dimension of extent 1 at `dim`, counted in the result.
  constexpr TensorView<T, Rank + 1> unsqueeze(int dim) const requires(Rank < max_rank) {
    const std::size_t d = detail::resolve_dim(dim, Rank + 1);
    Dims<Rank + 1> extents{};
    Dims<Rank + 1> strides{};
    for (std::size_t i = 0, from = 0; i <= Rank; ++i) {
      extents[i] = i == d ? 1 : extents_[from];
      strides[i] = i == d ? 1 : strides_[from];
      if (i != d) ++from;
    }
    return {data_, extents, strides};
  }

  /// Repeats dimensions of extent 1, and new leading ones, without copying: NumPy's broadcasting rule, stride 0. Throws
  /// ShapeError where an extent neither fits nor is 1.
  template <std::size_t NewRank>
  constexpr TensorView<T, NewRank> broadcast_to(const Dims<NewRank>& extents) const {
    static_assert(NewRank >= Rank, "broadcasting never removes a dimension");
    Dims<NewRank> strides{};
    for (std::size_t i = 0; i < Rank; ++i) {
      const std::size_t to = NewRank - Rank + i;
      if (extents_[i] != extents[to] && extents_[i] != 1)
        raise<ShapeError>("broadcast: extent ", extents_[i], " of dimension ", i, " does not fit ", extents[to]);
      strides[to] = extents_[i] == extents[to] ? strides_[i] : 0;
    }
    return {data_, extents, strides};
  }

  /// A copy of its own whose elements lie one after the other. Defined in tensor.hpp.
  Tensor<value_type, Rank, E> contiguous() const;

 private:
  constexpr std::size_t offset(const Dims<Rank>& index) const noexcept {
    std::size_t result = 0;
    for (std::size_t i = 0; i < Rank; ++i) result += index[i] * strides_[i];
    return result;
  }

  constexpr TensorView<T, (Rank > 1 ? Rank - 1 : 1)> drop(std::size_t dim, std::size_t index) const noexcept
      requires(Rank > 1) {
    Dims<Rank - 1> extents{};
    Dims<Rank - 1> strides{};
    for (std::size_t i = 0, to = 0; i < Rank; ++i) {
      if (i == dim) continue;
      extents[to] = extents_[i];
      strides[to++] = strides_[i];
    }
    return {data_ + index * strides_[dim], extents, strides};
  }

  T* data_ = nullptr;
  Dims<Rank> extents_{};
  Dims<Rank> strides_{};
};

/// view(x): the TensorView of a Tensor or a TensorView; what every op takes its arguments through.
template <class T, std::size_t Rank, class E>
constexpr TensorView<T, Rank, E> view(const TensorView<T, Rank, E>& tensor) noexcept {
  return tensor;
}

/// A Tensor or a TensorView.
template <class X>
concept TensorLike = requires(X&& x) {
  {view(x).data()};
  { std::remove_cvref_t<decltype(view(x))>::rank } -> std::convertible_to<std::size_t>;
};

template <TensorLike X>
using view_t = std::remove_cvref_t<decltype(view(std::declval<X&>()))>;
/// The element type without const.
template <TensorLike X>
using value_t = typename view_t<X>::value_type;
template <TensorLike X>
inline constexpr std::size_t rank_of = view_t<X>::rank;

namespace detail {

/// Whether dimension I of X and dimension J of Y can have the same extent, as far as their types say.
template <class X, std::size_t I, class Y, std::size_t J>
inline constexpr bool same_extent = extent_may_be(view_t<X>::extents_type::values[I],
                                                  view_t<Y>::extents_type::values[J]);

template <class X, class Y>
inline constexpr bool same_shape =
    extents_may_match<typename view_t<X>::extents_type, typename view_t<Y>::extents_type>();

/// Throws ShapeError unless two extents agree.
inline void require_extent(const char* op, const char* what, std::size_t found, std::size_t expected) {
  if (found != expected) raise<ShapeError>(op, ": ", what, " is ", found, ", expected ", expected);
}

/// Throws ShapeError unless two shapes agree.
template <std::size_t Rank>
void require_shape(const char* op, const char* what, const Dims<Rank>& found, const Dims<Rank>& expected) {
  if (found != expected)
    raise<ShapeError>(op, ": ", what, " has shape ", to_string(found), ", expected ", to_string(expected));
}

}  // namespace detail

}  // namespace weft::inline v0
