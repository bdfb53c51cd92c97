#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <weft/core/tensor.hpp>
#include <weft/cpu/context.hpp>

namespace weft::inline v0 {

/// The weight of a pixel at distance d from the centre of one that is made, in pixels of the coarser image.
enum class ResizeFilter : unsigned char {
  bilinear,  ///< 1 - d up to 1
  bicubic,   ///< Keys 1981 with a = -1/2, up to 2
};

/// How weights are rounded: whose bytes come out.
enum class ResizeRounding : unsigned char {
  pillow,  ///< Pillow's (libImaging/Resample.c): 22 bits after the point
  torch,   ///< those of PyTorch's interpolate(antialias=True) on bytes, which torchvision uses: 16 bits in all
};

struct ResizeParams {
  ResizeFilter filter;
  ResizeRounding rounding;
};

namespace detail {

inline double resize_weight(ResizeFilter filter, double distance) noexcept {
  const double d = std::fabs(distance);
  if (filter == ResizeFilter::bilinear) return d < 1.0 ? 1.0 - d : 0.0;
  constexpr double a = -0.5;
  if (d < 1.0) return ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
  if (d < 2.0) return (((d - 5.0) * d + 8.0) * d - 4.0) * a;
  return 0.0;
}

/// What the pixels along one dimension are made of: whole weights, to be divided by 2^bits.
struct ResizeAxis {
  std::size_t most = 0;               // weights of one pixel
  std::vector<std::size_t> begin;     // (made): the first pixel
  std::vector<std::size_t> count;     // (made): how many
  std::vector<std::int32_t> weights;  // (made, most)
  int bits = 22;

  ResizeAxis(std::size_t from, std::size_t to, const ResizeParams& params) {
    const double scale = static_cast<double>(from) / static_cast<double>(to);
    const double stretch = std::max(scale, 1.0);
    const double support = (params.filter == ResizeFilter::bilinear ? 1.0 : 2.0) * stretch;
    most = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
    begin.resize(to);
    count.resize(to);
    std::vector<double> exact(to * most);
    for (std::size_t i = 0; i < to; ++i) {
      const double centre = (static_cast<double>(i) + 0.5) * scale;
      const auto last = static_cast<std::size_t>(centre + support + 0.5);
      begin[i] = centre < support ? 0 : static_cast<std::size_t>(centre - support + 0.5);
      count[i] = std::min(std::min(last, from) - begin[i], most);
      double sum = 0.0;
      for (std::size_t j = 0; j < count[i]; ++j) {
        const double place = static_cast<double>(begin[i] + j) - centre + 0.5;
        sum += exact[i * most + j] = resize_weight(params.filter, place * (1.0 / stretch));
      }
      for (std::size_t j = 0; j < count[i]; ++j) exact[i * most + j] /= sum;
    }
    if (params.rounding == ResizeRounding::torch) bits = bits_of(exact);
    weights.reserve(exact.size());
    for (const double weight : exact)
      weights.push_back(static_cast<std::int32_t>(std::round(weight * static_cast<double>(1 << bits))));
  }

  /// PyTorch's bits: as many as leave the largest weight below 2^15.
  static int bits_of(const std::vector<double>& exact) noexcept {
    const double largest = exact.empty() ? 0.0 : *std::max_element(exact.begin(), exact.end());
    int bits = 0;
    while (bits < 22 && static_cast<int>(0.5 + largest * static_cast<double>(1 << (bits + 1))) < 1 << 15) ++bits;
    return bits;
  }

  /// Pixel i of a line, each of `width` bytes one after the other.
  void pixel(const std::uint8_t* line, std::size_t i, std::size_t width, std::uint8_t* to) const noexcept {
    std::array<std::int32_t, 64> sums;
    for (std::size_t first = 0; first < width; first += sums.size()) {
      const std::size_t bytes = std::min(sums.size(), width - first);
      std::fill_n(sums.begin(), bytes, std::int32_t{1} << (bits - 1));
      for (std::size_t j = 0; j < count[i]; ++j) {
        const std::int32_t weight = weights[i * most + j];
        const std::uint8_t* from = line + (begin[i] + j) * width + first;
        for (std::size_t b = 0; b < bytes; ++b) sums[b] += weight * from[b];
      }
      for (std::size_t b = 0; b < bytes; ++b)
        to[first + b] = static_cast<std::uint8_t>(std::clamp(sums[b] >> bits, 0, 255));
    }
  }
};

/// Whether Pillow goes along the height first: where that loses more than twice as many pixels as the width.
inline bool height_first(const Dims<3>& from, const Dims<3>& to) noexcept {
  const auto lost = [&](std::size_t dim) {
    return static_cast<std::ptrdiff_t>(from[dim]) - static_cast<std::ptrdiff_t>(to[dim]);
  };
  return lost(0) > 0 && lost(0) > 2 * lost(1);
}

}  // namespace detail

/// An image in another size, antialiased where it shrinks: the bytes of Pillow's Image.resize() or of torchvision's
/// resize() on 8-bit tensors, as ResizeRounding says.
///   y[i] = sum_j w(|j - c| / s) x[j] / sum_j w(|j - c| / s),  c = (i + 1/2) n / m - 1/2,  s = max(n / m, 1)
/// along the width, from n pixels to m, rounded to bytes, then along the height; as in Pillow 13, the height comes
/// first where that loses more than twice as many pixels as the width (Pillow up to 12 did not do so).
///
/// x: (height, width, channels), y: (height, width, channels), of any other height and width; both contiguous, not
/// overlapping. Throws ShapeError, also for an image without pixels.
inline void resize(TensorView<const std::uint8_t, 3> x, TensorView<std::uint8_t, 3> y, const ResizeParams& params,
                   const cpu::Context& ctx = {}) {
  detail::require_extent("resize", "the number of channels of y", y.extent(2), x.extent(2));
  if (x.empty() || y.empty())
    raise<ShapeError>("resize: an image of shape ", to_string(x.extents()), " to one of ", to_string(y.extents()));
  if (!x.is_contiguous() || !y.is_contiguous()) raise<ShapeError>("resize: the pixels must lie one after the other");
  const std::size_t height = x.extent(0), width = x.extent(1), channels = x.extent(2);
  const detail::ResizeAxis across(width, y.extent(1), params), down(height, y.extent(0), params);
  const auto resize_rows = [&](const std::uint8_t* from, std::size_t rows, std::uint8_t* to) {
    detail::parallel_for(ctx, rows, [&](std::size_t r, std::size_t) {
      for (std::size_t c = 0; c < y.extent(1); ++c)
        across.pixel(from + r * width * channels, c, channels, to + (r * y.extent(1) + c) * channels);
    });
  };
  const auto resize_columns = [&](const std::uint8_t* from, std::size_t row, std::uint8_t* to) {
    detail::parallel_for(ctx, y.extent(0), [&](std::size_t r, std::size_t) { down.pixel(from, r, row, to + r * row); });
  };
  if (params.rounding == ResizeRounding::pillow && detail::height_first(x.extents(), y.extents())) {
    auto part = Tensor<std::uint8_t, 3>::uninitialised({y.extent(0), width, channels});
    resize_columns(x.data(), width * channels, part.data());
    resize_rows(part.data(), y.extent(0), y.data());
  } else {
    auto part = Tensor<std::uint8_t, 3>::uninitialised({height, y.extent(1), channels});
    resize_rows(x.data(), height, part.data());
    resize_columns(part.data(), y.extent(1) * channels, y.data());
  }
}

}  // namespace weft::inline v0
