#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>

#include <weft/core/error.hpp>

namespace weft::inline v0 {

/// An extent that is known at run time only.
inline constexpr std::size_t dynamic = static_cast<std::size_t>(-1);

/// The largest rank of any tensor.
inline constexpr std::size_t max_rank = 8;

/// The extents of a tensor of compile-time rank.
template <std::size_t Rank>
using Dims = std::array<std::size_t, Rank>;

/// What is known at compile time of the extents of a tensor: Extents<dynamic, 64> has any number of rows of 64.
template <std::size_t... E>
struct Extents {
  static constexpr std::size_t rank = sizeof...(E);
  static constexpr Dims<rank> values{E...};
};

namespace detail {

template <std::size_t Rank, std::size_t... E>
struct DynamicExtentsOf : DynamicExtentsOf<Rank - 1, dynamic, E...> {};
template <std::size_t... E>
struct DynamicExtentsOf<0, E...> {
  using type = Extents<E...>;
};

constexpr bool extent_may_be(std::size_t known, std::size_t other) noexcept {
  return known == dynamic || other == dynamic || known == other;
}

/// Whether tensors with these compile-time extents can have equal shapes.
template <class A, class B>
consteval bool extents_may_match() {
  if (A::rank != B::rank) return false;
  for (std::size_t i = 0; i < A::rank; ++i)
    if (!extent_may_be(A::values[i], B::values[i])) return false;
  return true;
}

/// a * b, or ShapeError where that does not fit.
constexpr std::size_t checked_product(std::size_t a, std::size_t b) {
  if (a != 0 && b > static_cast<std::size_t>(-1) / a) raise<ShapeError>("the extents ", a, " x ", b, " overflow");
  return a * b;
}

}  // namespace detail

/// No extent known at compile time.
template <std::size_t Rank>
using DynamicExtents = typename detail::DynamicExtentsOf<Rank>::type;

/// The shape of a tensor of runtime rank.
class Shape {
 public:
  constexpr Shape() noexcept = default;
  constexpr Shape(std::initializer_list<std::size_t> extents)
      : Shape(std::span<const std::size_t>(extents.begin(), extents.size())) {}
  /// Throws ShapeError for more than max_rank extents.
  constexpr explicit Shape(std::span<const std::size_t> extents) {
    for (const std::size_t extent : extents) push_back(extent);
  }

  constexpr void push_back(std::size_t extent) {
    if (rank_ == max_rank) raise<ShapeError>("a tensor has at most ", max_rank, " dimensions");
    extents_[rank_++] = extent;
  }
  constexpr std::size_t rank() const noexcept { return rank_; }
  constexpr std::size_t operator[](std::size_t dim) const noexcept { return extents_[dim]; }
  constexpr const std::size_t* begin() const noexcept { return extents_.data(); }
  constexpr const std::size_t* end() const noexcept { return extents_.data() + rank_; }

  /// The number of elements; 1 for rank 0. Throws ShapeError on overflow.
  constexpr std::size_t elements() const {
    std::size_t product = 1;
    for (const std::size_t extent : *this) product = detail::checked_product(product, extent);
    return product;
  }

  friend constexpr bool operator==(const Shape& a, const Shape& b) noexcept {
    if (a.rank_ != b.rank_) return false;
    for (std::size_t i = 0; i < a.rank_; ++i)
      if (a.extents_[i] != b.extents_[i]) return false;
    return true;
  }

 private:
  std::array<std::size_t, max_rank> extents_{};
  std::size_t rank_ = 0;
};

/// "(2, 3)" for error messages.
inline std::string to_string(std::span<const std::size_t> extents) {
  std::string out = "(";
  for (std::size_t i = 0; i < extents.size(); ++i) {
    if (i) out += ", ";
    out += std::to_string(extents[i]);
  }
  return out + ")";
}
inline std::string to_string(const Shape& shape) {
  return to_string(std::span<const std::size_t>(shape.begin(), shape.rank()));
}

}  // namespace weft::inline v0
