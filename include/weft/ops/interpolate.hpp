#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include <weft/core/tensor.hpp>

namespace weft::inline v0 {

namespace detail {

/// Four neighbours along one dimension and their weights.
struct CubicTap {
  std::array<std::size_t, 4> index;
  std::array<double, 4> weight;
};

/// What each of `to` values along a dimension of `from` is made of.
inline std::vector<CubicTap> cubic_taps(std::size_t from, std::size_t to) {
  constexpr double a = -0.75;
  const auto near = [](double d) { return ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0; };
  const auto far = [](double d) { return ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a; };
  std::vector<CubicTap> taps(to);
  for (std::size_t i = 0; i < to; ++i) {
    const double place = (static_cast<double>(i) + 0.5) * static_cast<double>(from) / static_cast<double>(to) - 0.5;
    const double below = std::floor(place), t = place - below;
    taps[i].weight = {far(1.0 + t), near(t), near(1.0 - t), far(2.0 - t)};
    for (std::size_t j = 0; j < 4; ++j)
      taps[i].index[j] = static_cast<std::size_t>(
          std::clamp(below + static_cast<double>(j) - 1.0, 0.0, static_cast<double>(from) - 1.0));
  }
  return taps;
}

}  // namespace detail

/// Vectors on a grid become those of a grid of another size by cubic convolution along both dimensions (Keys 1981 with
/// a = -3/4), as PyTorch's interpolate(mode="bicubic", align_corners=False):
///   y[i] = sum_j w(|c - j|) x[j],  c = (i + 1/2) n / m - 1/2,  j the four neighbours of c
/// from n values to m, what lies beyond an edge being the value at it; in double, whatever n / m is (without
/// antialiasing).
///
/// x: (height, width, channels), y: (height, width, channels), of any other height and width; not overlapping. Throws
/// ShapeError, also for a grid without values.
inline void interpolate_bicubic(TensorView<const float, 3> x, TensorView<float, 3> y) {
  detail::require_extent("interpolate_bicubic", "the number of channels of y", y.extent(2), x.extent(2));
  if (x.empty() || y.empty())
    raise<ShapeError>("interpolate_bicubic: a grid of shape ", to_string(x.extents()), " to one of ",
                      to_string(y.extents()));
  const auto down = detail::cubic_taps(x.extent(0), y.extent(0)), across = detail::cubic_taps(x.extent(1), y.extent(1));
  for (std::size_t r = 0; r < y.extent(0); ++r)
    for (std::size_t c = 0; c < y.extent(1); ++c)
      for (std::size_t channel = 0; channel < y.extent(2); ++channel) {
        double sum = 0.0;
        for (std::size_t i = 0; i < 4; ++i)
          for (std::size_t j = 0; j < 4; ++j)
            sum += down[r].weight[i] * across[c].weight[j] *
                   static_cast<double>(x(down[r].index[i], across[c].index[j], channel));
        y(r, c, channel) = static_cast<float>(sum);
      }
}

}  // namespace weft::inline v0
