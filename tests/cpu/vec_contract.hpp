#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/half.hpp>

#include "guarded_memory.hpp"
#include "instruction_sets.hpp"

// What every vec_*.hpp promises. Their functions exist only inside their target region, so vec_functions.inl wraps them
// there, and the expectations here, compiled for every processor, see plain arrays.

namespace weft::testing {

/// The functions of one vec_*.hpp; arrays have `width` elements unless stated.
struct VecFunctions {
  using Unary = void (*)(const float*, float*);
  using Binary = void (*)(const float*, const float*, float*);
  template <class T>
  struct Memory {
    void (*load)(const T*, float*);
    void (*load_partial)(const T*, std::size_t n, float fill, float*);
    void (*store)(const float*, T*);
    void (*store_partial)(const float*, std::size_t n, T*);
  };

  std::size_t width;
  Memory<float> f32;
  Memory<half> f16;
  Memory<bfloat16> bf16;
  void (*set)(float, float*);
  Binary add, sub, mul, div, max, min, scale_pow2;
  void (*fma)(const float*, const float*, const float*, float*);
  void (*select_less)(const float*, const float*, const float*, const float*, float*);
  Unary abs, round, turn_pairs, load_twice;
  float (*reduce_add)(const float*);
  float (*reduce_max)(const float*);
  void (*reduce_add4)(const float* four_vectors, float* four_sums);
  void (*transpose)(float* width_rows);
};

template <class T>
void check_memory(const VecFunctions& vec, const VecFunctions::Memory<T>& memory) {
  const std::size_t width = vec.width;
  std::vector<float> values = random_floats(width, 1, 50.f);
  values[0] = nan;
  values[1] = -infinity;
  const std::vector<T> elements = elements_of<T>(values);
  const std::vector<double> expected = rounded<T>(values);
  std::vector<float> lanes(width);
  const Guarded<T> from(elements);
  memory.load(from.data(), lanes.data());
  for (std::size_t i = 0; i < width; ++i) EXPECT_EQ(ulps(lanes[i], expected[i]), 0.0) << i;
  Guarded<T> to(width);
  memory.store(values.data(), to.data());
  for (std::size_t i = 0; i < width; ++i) EXPECT_EQ(ulps(static_cast<float>(to[i]), expected[i]), 0.0) << i;

  for (std::size_t n = 0; n < width; ++n) {
    const Guarded<T> part(std::span<const T>(elements).first(n));
    memory.load_partial(part.data(), n, -7.f, lanes.data());
    for (std::size_t i = 0; i < width; ++i) EXPECT_EQ(ulps(lanes[i], i < n ? expected[i] : -7.0), 0.0) << n << " " << i;
    Guarded<T> short_row(n);
    memory.store_partial(values.data(), n, short_row.data());
    for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(ulps(static_cast<float>(short_row[i]), expected[i]), 0.0) << n;
  }
}

inline void check_arithmetic(const VecFunctions& vec) {
  const std::size_t width = vec.width;
  const std::vector<float> a = random_floats(width, 1, 9.f), b = random_floats(width, 2, 9.f),
                           c = random_floats(width, 3, 9.f), d = random_floats(width, 4);
  std::vector<float> out(width);
  const auto expect = [&](const char* what, auto&& of) {
    for (std::size_t i = 0; i < width; ++i) EXPECT_EQ(out[i], of(i)) << what << " " << i;
  };
  vec.set(2.5f, out.data());
  expect("set", [&](std::size_t) { return 2.5f; });
  vec.add(a.data(), b.data(), out.data());
  expect("add", [&](std::size_t i) { return a[i] + b[i]; });
  vec.sub(a.data(), b.data(), out.data());
  expect("sub", [&](std::size_t i) { return a[i] - b[i]; });
  vec.mul(a.data(), b.data(), out.data());
  expect("mul", [&](std::size_t i) { return a[i] * b[i]; });
  vec.div(a.data(), b.data(), out.data());
  expect("div", [&](std::size_t i) { return a[i] / b[i]; });
  vec.max(a.data(), b.data(), out.data());
  expect("max", [&](std::size_t i) { return std::max(a[i], b[i]); });
  vec.min(a.data(), b.data(), out.data());
  expect("min", [&](std::size_t i) { return std::min(a[i], b[i]); });
  vec.select_less(a.data(), b.data(), c.data(), d.data(), out.data());
  expect("select_less", [&](std::size_t i) { return a[i] < b[i] ? c[i] : d[i]; });
  vec.abs(a.data(), out.data());
  expect("abs", [&](std::size_t i) { return std::abs(a[i]); });
  vec.fma(a.data(), b.data(), c.data(), out.data());
  for (std::size_t i = 0; i < width; ++i) {
    const double exact = static_cast<double>(a[i]) * static_cast<double>(b[i]) + static_cast<double>(c[i]);
    EXPECT_NEAR(out[i], exact, 81 * 0x1p-23) << "fma " << i;
  }
  for (float n = -252.f; n <= 254.f; n += 1.f) {
    const std::vector<float> exponents(width, n);
    vec.scale_pow2(a.data(), exponents.data(), out.data());
    expect("scale_pow2", [&](std::size_t i) { return std::ldexp(a[i], static_cast<int>(n)); });
  }
  vec.turn_pairs(a.data(), out.data());
  expect("turn_pairs", [&](std::size_t i) { return i % 2 == 0 ? -a[i + 1] : a[i - 1]; });
  const Guarded<float> twice(std::span<const float>(a).first(width / 2));
  vec.load_twice(twice.data(), out.data());
  expect("load_twice", [&](std::size_t i) { return a[i / 2]; });
  for (const float value : {0.f, 0.49f, -0.49f, 1.51f, -1.51f, 149.7f, -149.7f, 4194303.f, -4194303.f}) {
    const std::vector<float> values(width, value);
    vec.round(values.data(), out.data());
    expect("round", [&](std::size_t) { return std::nearbyint(value); });
  }
}

inline void check_nan(const VecFunctions& vec) {
  const std::vector<float> number(vec.width, 1.f), not_number(vec.width, nan), other(vec.width, 3.f);
  std::vector<float> out(vec.width);
  const auto expect = [&](const char* what, float value) {
    for (const float lane : out) EXPECT_EQ(ulps(lane, static_cast<double>(value)), 0.0) << what;
  };
  vec.max(number.data(), not_number.data(), out.data());
  expect("max takes a NaN from the second", nan);
  vec.min(number.data(), not_number.data(), out.data());
  expect("min takes a NaN from the second", nan);
  vec.max(not_number.data(), number.data(), out.data());
  expect("max drops a NaN of the first", 1.f);
  vec.select_less(not_number.data(), number.data(), number.data(), other.data(), out.data());
  expect("a NaN is not less", 3.f);
  vec.select_less(number.data(), not_number.data(), number.data(), other.data(), out.data());
  expect("nothing is less than a NaN", 3.f);
}

inline void check_reductions(const VecFunctions& vec) {
  const std::size_t width = vec.width;
  // Whole numbers: every order of addition gives the same sum.
  std::vector<float> values(4 * width);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * i % 31) - 9.f;
  float sums[4];
  vec.reduce_add4(values.data(), sums);
  for (std::size_t r = 0; r < 4; ++r) {
    float sum = 0;
    for (std::size_t i = 0; i < width; ++i) sum += values[r * width + i];
    EXPECT_EQ(sums[r], sum);
    EXPECT_EQ(vec.reduce_add(values.data() + r * width), sum);
  }
  for (std::size_t at = 0; at < width; ++at) {
    std::vector<float> lanes(width, -5.f);
    lanes[at] = -1.f;
    EXPECT_EQ(vec.reduce_max(lanes.data()), -1.f);
    EXPECT_EQ(vec.reduce_add(lanes.data()), -5.f * static_cast<float>(width) + 4.f);
  }
  std::vector<float> rows(width * width), turned;
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i);
  turned = rows;
  vec.transpose(turned.data());
  for (std::size_t i = 0; i < width; ++i)
    for (std::size_t j = 0; j < width; ++j) EXPECT_EQ(turned[i * width + j], rows[j * width + i]) << i << " " << j;
}

inline void check_vec(const VecFunctions& vec) {
  check_memory(vec, vec.f32);
  check_memory(vec, vec.f16);
  check_memory(vec, vec.bf16);
  check_arithmetic(vec);
  check_nan(vec);
  check_reductions(vec);
}

}  // namespace weft::testing
