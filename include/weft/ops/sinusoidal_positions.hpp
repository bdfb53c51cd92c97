#pragma once

#include <cmath>
#include <cstddef>

#include <weft/core/error.hpp>
#include <weft/core/tensor_view.hpp>

namespace weft::inline v0 {

struct SinusoidParams {
  double theta = 10000;
  /// Whether the last of the frequencies is 1 / theta, as in tensor2tensor and fairseq; false: the one after the last
  /// would be, as in the paper.
  bool last_is_theta = false;
};

/// The sinusoidal embeddings of positions (Vaswani et al. 2017, arXiv:1706.03762, section 3.5), sines before cosines,
/// as in transformers, models/marian/modeling_marian.py and models/m2m_100/modeling_m2m_100.py:
///   y[p, i] = sin(p f_i), y[p, width / 2 + i] = cos(p f_i), f_i = theta^(-i / n),
/// n being width / 2, or width / 2 - 1. y: (positions, width). Throws ShapeError for an odd width.
inline void sinusoidal_positions(TensorView<float, 2> y, const SinusoidParams& params = {}) {
  if (y.extent(1) % 2 != 0)
    raise<ShapeError>("sinusoidal_positions: the width is ", y.extent(1), ", expected an even number");
  const std::size_t half = y.extent(1) / 2;
  const auto steps = static_cast<double>(params.last_is_theta ? half - 1 : half);
  for (std::size_t i = 0; i < half; ++i) {
    const double frequency = i == 0 ? 1.0 : std::pow(params.theta, -static_cast<double>(i) / steps);
    for (std::size_t p = 0; p < y.extent(0); ++p) {
      const double angle = static_cast<double>(p) * frequency;
      y(p, i) = static_cast<float>(std::sin(angle));
      y(p, half + i) = static_cast<float>(std::cos(angle));
    }
  }
}

}  // namespace weft::inline v0
