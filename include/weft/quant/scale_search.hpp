#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <weft/quant/rounding.hpp>

// How the K formats choose scales: several ways of rounding are tried, each gives the scale that fits its codes best in
// the sense of weighted least squares, and the best of those is kept.
namespace weft::inline v0::detail {

/// Codes in [-Most, Most) for 16 elements and the scale with x ~ scale * code, weighted by x^2. Below 1e-15 the scale
/// is 0.
template <int Most>
float search_scale(const float* x, std::int8_t* codes) noexcept {
  constexpr int n = 16;
  const float largest = largest_magnitude<n>(x);
  if (!(std::fabs(largest) >= 1e-15f)) {
    std::fill_n(codes, n, static_cast<std::int8_t>(-Most));
    return 0.f;
  }
  float scale = 0.f, best = -1.f;
  // First the rounding that gives the largest element the code -Most, then steps of a tenth around it.
  for (int i = 0; i < 19; ++i) {
    const int step = i == 0 ? 0 : i <= 9 ? i - 10 : i - 9;
    const float inverse = step == 0 ? -static_cast<float>(Most) / largest
                                    : -(static_cast<float>(Most) + 0.1f * static_cast<float>(step)) / largest;
    std::int8_t tried[n];
    float product = 0.f, square = 0.f;
    for (int j = 0; j < n; ++j) {
      tried[j] = static_cast<std::int8_t>(clamped(nearest(inverse * x[j]), -Most, Most - 1));
      const auto code = static_cast<float>(tried[j]);
      const float weight = x[j] * x[j];
      product += weight * x[j] * code;
      square += weight * code * code;
    }
    const bool better = i == 0 || (square > 0.f && product * product > best * square);
    if (!better) continue;
    scale = square != 0.f ? product / square : 0.f;
    best = scale * product;
    std::copy_n(tried, n, codes);
  }
  return scale;
}

/// Codes in [-Most, Most) for 16 elements and the scale with x ~ scale * code, weighted by x^2: from the rounding that
/// gives the largest element the code -Most, single codes are changed as long as that fits better, five times at most.
/// Below 1e-15 the scale is 0.
template <int Most>
float refine_scale(const float* x, std::int8_t* codes) noexcept {
  constexpr int n = 16;
  const float largest = largest_magnitude<n>(x);
  if (!(std::fabs(largest) >= 1e-15f)) {
    std::fill_n(codes, n, static_cast<std::int8_t>(-Most));
    return 0.f;
  }
  const float inverse = -static_cast<float>(Most) / largest;
  float product = 0.f, square = 0.f;
  for (int i = 0; i < n; ++i) {
    codes[i] = static_cast<std::int8_t>(clamped(nearest(inverse * x[i]), -Most, Most - 1));
    const auto code = static_cast<float>(codes[i]);
    const float weight = x[i] * x[i];
    product += weight * x[i] * code;
    square += weight * code * code;
  }
  bool changed = true;
  for (int round = 0; round < 5 && changed; ++round) {
    changed = false;
    for (int i = 0; i < n; ++i) {
      const auto code = static_cast<float>(codes[i]);
      const float weight = x[i] * x[i];
      float product_without = product - weight * x[i] * code;
      if (!(product_without > 0.f)) continue;
      float square_without = square - weight * code * code;
      const int tried = clamped(nearest(x[i] * square_without / product_without), -Most, Most - 1);
      if (tried == codes[i]) continue;
      product_without += weight * x[i] * static_cast<float>(tried);
      square_without += weight * static_cast<float>(tried) * static_cast<float>(tried);
      if (!(square_without > 0.f && product_without * product_without * square > product * product * square_without))
        continue;
      codes[i] = static_cast<std::int8_t>(tried);
      product = product_without;
      square = square_without;
      changed = true;
    }
  }
  return square > 0.f ? product / square : 0.f;
}

/// How search_scale_and_minimum looks: roundings of (Most + first + i / 10) steps for i in [0, steps].
struct SearchSteps {
  float first;
  int steps;
};

struct ScaleAndMinimum {
  float scale;
  float minimum;  // not negative: x ~ scale * code - minimum
};

/// What is summed over the elements, by their weights.
enum class Deviation : unsigned char { squared, absolute };

/// Codes in [0, Most] for N elements and the scale and minimum that fit them by the weights.
template <int Most, int N, Deviation Kind>
ScaleAndMinimum search_scale_and_minimum(const float* x, const float* weights, SearchSteps search,
                                         std::uint8_t* codes) noexcept {
  constexpr int n = N;
  float least = x[0], most = x[0], sum_w = 0.f, sum_x = 0.f;
  for (int i = 0; i < n; ++i) {
    least = x[i] < least ? x[i] : least;
    most = x[i] > most ? x[i] : most;
    sum_w += weights[i];
    sum_x += weights[i] * x[i];
  }
  if (least > 0.f) least = 0.f;
  std::fill_n(codes, n, std::uint8_t{0});
  if (!(most > least)) return {0.f, -least};

  float scale = 0.f, minimum = least;
  std::uint8_t tried[n];
  // The best minimum so far is where the next rounding begins.
  const auto round_all = [&](float inverse) {
    for (int i = 0; i < n; ++i)
      tried[i] = static_cast<std::uint8_t>(clamped(nearest(inverse * (x[i] - minimum)), 0, Most));
  };
  const auto error_of = [&](float with_scale, float with_minimum) {
    float error = 0.f;
    for (int i = 0; i < n; ++i) {
      const float difference = with_scale * static_cast<float>(tried[i]) + with_minimum - x[i];
      error += weights[i] * (Kind == Deviation::squared ? difference * difference : std::fabs(difference));
    }
    return error;
  };

  const float inverse = static_cast<float>(Most) / (most - least);
  scale = 1.f / inverse;
  round_all(inverse);
  std::copy_n(tried, n, codes);
  float best = error_of(scale, minimum);
  for (int step = 0; step <= search.steps; ++step) {
    round_all((search.first + 0.1f * static_cast<float>(step) + static_cast<float>(Most)) / (most - minimum));
    float sum_l = 0.f, sum_l2 = 0.f, sum_xl = 0.f;
    for (int i = 0; i < n; ++i) {
      const auto code = static_cast<float>(tried[i]);
      sum_l += weights[i] * code;
      sum_l2 += weights[i] * code * code;
      sum_xl += weights[i] * code * x[i];
    }
    const float determinant = sum_w * sum_l2 - sum_l * sum_l;
    if (!(determinant > 0.f)) continue;
    float this_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    float this_minimum = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
    if (this_minimum > 0.f) {
      this_minimum = 0.f;
      this_scale = sum_xl / sum_l2;
    }
    const float error = error_of(this_scale, this_minimum);
    if (!(error < best)) continue;
    std::copy_n(tried, n, codes);
    best = error;
    scale = this_scale;
    minimum = this_minimum;
  }
  return {scale, -minimum};
}

}  // namespace weft::inline v0::detail
