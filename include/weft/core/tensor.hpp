#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include <weft/core/memory.hpp>
#include <weft/core/tensor_view.hpp>

namespace weft::inline v0 {

namespace detail {

/// Calls f(index) for every index of `extents`, last dimension fastest.
template <std::size_t Rank, class F>
constexpr void for_each_index(const Dims<Rank>& extents, F&& f) {
  for (const std::size_t extent : extents)
    if (extent == 0) return;
  Dims<Rank> index{};
  while (true) {
    f(std::as_const(index));
    std::size_t d = Rank;
    while (d-- > 0) {
      if (++index[d] < extents[d]) break;
      index[d] = 0;
      if (d == 0) return;
    }
  }
}

}  // namespace detail

/// A tensor that owns its elements: contiguous, last dimension fastest, 64-byte aligned, zero at first. Copying copies
/// the elements. Everything a TensorView does, a Tensor does through view().
///
///   Tensor<float, 2> x({tokens, hidden});
///   Tensor<float, 2, Extents<dynamic, 64>> y({tokens, 64});
template <Element T, std::size_t Rank, class E>
class Tensor {
  static_assert(!std::is_const_v<T>,
                "a Tensor owns mutable elements; TensorView<const T, Rank> is the read-only window");

 public:
  using element_type = T;
  using value_type = T;
  using extents_type = E;
  using View = TensorView<T, Rank, E>;
  using ConstView = TensorView<const T, Rank, E>;
  static constexpr std::size_t rank = Rank;

  Tensor() = default;

  /// Zeros. Throws ShapeError where `extents` contradict E or their product overflows, std::bad_alloc without memory.
  explicit Tensor(const Dims<Rank>& extents) : Tensor(extents, Uninitialised{}) { std::fill_n(data(), size(), T{}); }

  /// These values, in order; ShapeError unless there are as many as elements.
  Tensor(const Dims<Rank>& extents, std::span<const T> values) : Tensor(extents, Uninitialised{}) {
    if (values.size() != size()) raise<ShapeError>("Tensor: ", values.size(), " values for ", size(), " elements");
    std::copy(values.begin(), values.end(), data());
  }
  Tensor(const Dims<Rank>& extents, std::initializer_list<T> values)
      : Tensor(extents, std::span<const T>(values.begin(), values.size())) {}

  /// Elements that hold no value yet; write before reading.
  static Tensor uninitialised(const Dims<Rank>& extents) { return Tensor(extents, Uninitialised{}); }

  Tensor(const Tensor& other) {
    if (!other.memory_) return;
    *this = uninitialised(other.extents());
    std::copy_n(other.data(), other.size(), data());
  }
  Tensor& operator=(const Tensor& other) {
    Tensor copy(other);
    return *this = std::move(copy);
  }
  Tensor(Tensor&& other) noexcept : view_(std::exchange(other.view_, {})), memory_(std::move(other.memory_)) {}
  Tensor& operator=(Tensor&& other) noexcept {
    view_ = std::exchange(other.view_, {});
    memory_ = std::move(other.memory_);
    return *this;
  }
  ~Tensor() = default;

  View view() noexcept { return view_; }
  ConstView view() const noexcept { return ConstView(view_); }

  // Implicit, so that a Tensor goes wherever a view is asked for.
  operator TensorView<T, Rank>() noexcept { return view_; }
  operator TensorView<const T, Rank>() const noexcept { return TensorView<const T, Rank>(view_); }

  T* data() noexcept { return view_.data(); }
  const T* data() const noexcept { return view_.data(); }
  std::span<T> elements() noexcept { return {data(), size()}; }
  std::span<const T> elements() const noexcept { return {data(), size()}; }
  const Dims<Rank>& extents() const noexcept { return view_.extents(); }
  std::size_t extent(std::size_t dim) const noexcept { return view_.extent(dim); }
  const Dims<Rank>& strides() const noexcept { return view_.strides(); }
  std::size_t stride(std::size_t dim) const noexcept { return view_.stride(dim); }
  Shape shape() const { return view_.shape(); }
  std::size_t size() const noexcept { return memory_ ? view_.size() : 0; }
  bool empty() const noexcept { return size() == 0; }
  bool is_contiguous() const noexcept { return true; }

  template <class... Index>
  decltype(auto) operator()(Index... index) noexcept {
    return view()(index...);
  }
  template <class... Index>
  decltype(auto) operator()(Index... index) const noexcept {
    return view()(index...);
  }
  template <class... Index>
  decltype(auto) at(Index... index) {
    return view().at(index...);
  }
  template <class... Index>
  decltype(auto) at(Index... index) const {
    return view().at(index...);
  }
  decltype(auto) operator[](std::size_t index) noexcept { return view()[index]; }
  decltype(auto) operator[](std::size_t index) const noexcept { return view()[index]; }

  auto select(int dim, std::size_t index) { return view().select(dim, index); }
  auto select(int dim, std::size_t index) const { return view().select(dim, index); }
  auto slice(int dim, std::size_t start, std::size_t stop = dynamic, std::size_t step = 1) {
    return view().slice(dim, start, stop, step);
  }
  auto slice(int dim, std::size_t start, std::size_t stop = dynamic, std::size_t step = 1) const {
    return view().slice(dim, start, stop, step);
  }
  auto narrow(int dim, std::size_t start, std::size_t length) { return view().narrow(dim, start, length); }
  auto narrow(int dim, std::size_t start, std::size_t length) const { return view().narrow(dim, start, length); }
  auto transpose(int dim0, int dim1) { return view().transpose(dim0, dim1); }
  auto transpose(int dim0, int dim1) const { return view().transpose(dim0, dim1); }
  auto permute(const std::array<int, Rank>& order) { return view().permute(order); }
  auto permute(const std::array<int, Rank>& order) const { return view().permute(order); }
  template <class... Extent>
  auto reshape(Extent... extents) {
    return view().reshape(extents...);
  }
  template <class... Extent>
  auto reshape(Extent... extents) const {
    return view().reshape(extents...);
  }
  auto squeeze(int dim) { return view().squeeze(dim); }
  auto squeeze(int dim) const { return view().squeeze(dim); }
  auto unsqueeze(int dim) { return view().unsqueeze(dim); }
  auto unsqueeze(int dim) const { return view().unsqueeze(dim); }
  template <std::size_t NewRank>
  auto broadcast_to(const Dims<NewRank>& extents) const {
    return view().broadcast_to(extents);
  }
  Tensor contiguous() const { return *this; }

 private:
  struct Uninitialised {};

  Tensor(const Dims<Rank>& extents, Uninitialised) {
    const std::size_t elements = Shape(std::span<const std::size_t>(extents)).elements();
    const std::size_t bytes = detail::checked_product(elements, sizeof(T));
    const View checked(nullptr, extents);
    memory_ = allocate_aligned(bytes);
    view_ = View(reinterpret_cast<T*>(memory_.get()), checked.extents());
  }

  View view_;
  AlignedBytes memory_;
};

/// The tensor of IEEE half precision elements.
template <std::size_t Rank>
using HalfTensor = Tensor<half, Rank>;

template <class T, std::size_t Rank, class E>
TensorView<T, Rank, E> view(Tensor<T, Rank, E>& tensor) noexcept {
  return tensor.view();
}
template <class T, std::size_t Rank, class E>
TensorView<const T, Rank, E> view(const Tensor<T, Rank, E>& tensor) noexcept {
  return tensor.view();
}

template <class T, std::size_t Rank, class E>
auto TensorView<T, Rank, E>::contiguous() const -> Tensor<value_type, Rank, E> {
  auto result = Tensor<value_type, Rank, E>::uninitialised(extents_);
  value_type* to = result.data();
  if (is_contiguous()) {
    std::copy_n(data_, result.size(), to);
  } else {
    detail::for_each_index(extents_, [&](const Dims<Rank>& index) { *to++ = (*this)(index); });
  }
  return result;
}

}  // namespace weft::inline v0
