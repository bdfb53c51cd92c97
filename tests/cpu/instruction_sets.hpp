#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/any_tensor.hpp>
#include <weft/core/rng.hpp>
#include <weft/core/tensor.hpp>
#include <weft/cpu/context.hpp>

// What the tests of kernels and of the ops over them share: one run per instruction set, random numbers, references.

namespace weft::testing {

inline std::string isa_name(const ::testing::TestParamInfo<cpu::Isa>& info) {
  switch (info.param) {
    case cpu::Isa::generic: return "generic";
    case cpu::Isa::avx2: return "avx2";
    case cpu::Isa::avx2_vnni: return "avx2_vnni";
    case cpu::Isa::avx512: return "avx512";
    case cpu::Isa::avx512_vnni: return "avx512_vnni";
    case cpu::Isa::avx512_bf16: return "avx512_bf16";
    case cpu::Isa::neon: return "neon";
    case cpu::Isa::neon_dot: return "neon_dot";
  }
  return "unknown";
}

/// A test that runs with the kernels of every instruction set; reported as skipped for those the processor lacks.
class EveryIsa : public ::testing::TestWithParam<cpu::Isa> {
 protected:
  void SetUp() override {
    if (!cpu::supported(GetParam())) GTEST_SKIP() << "this processor does not have the instruction set";
    ctx.kernels = &cpu::kernels_for(GetParam());
  }

  cpu::Context ctx;
};

inline constexpr float infinity = std::numeric_limits<float>::infinity();
inline constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// Extents around every vector width, block and granule.
inline constexpr std::size_t sizes[]{1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 2047, 2048, 2049, 5000};

/// Uniform in [-scale, scale).
inline std::vector<float> random_floats(std::size_t n, std::uint64_t seed, float scale = 1.f) {
  Philox rng(seed);
  std::vector<float> values(n);
  for (float& value : values) value = scale * (2.f * uniform_float(rng) - 1.f);
  return values;
}

template <std::size_t Rank>
Tensor<float, Rank> random_floats(const Dims<Rank>& extents, std::uint64_t seed, float scale = 1.f) {
  const std::vector<float> values = random_floats(Tensor<float, Rank>(extents).size(), seed, scale);
  return Tensor<float, Rank>(extents, values);
}

/// The values as elements of T, rounded.
template <class T>
std::vector<T> elements_of(std::span<const float> values) {
  std::vector<T> elements;
  for (const float value : values) elements.push_back(T(value));
  return elements;
}

/// A tensor of these values, rounded to T, with memory of its own.
template <class T>
AnyTensor any_tensor(const Shape& shape, std::span<const float> values) {
  return AnyTensor::make(dtype_of<T>, shape, [&](std::span<std::byte> bytes) {
    const std::vector<T> elements = elements_of<T>(values);
    ASSERT_EQ(bytes.size(), elements.size() * sizeof(T));
    if (!bytes.empty()) std::memcpy(bytes.data(), elements.data(), bytes.size());
  });
}

/// What the scalar of T holds after rounding, for references.
template <class T>
std::vector<double> rounded(std::span<const float> values) {
  std::vector<double> result;
  for (const float value : values) result.push_back(static_cast<double>(static_cast<float>(T(value))));
  return result;
}

/// The distance in units of the last place of a float near `expected`.
inline double ulps(float found, double expected) {
  if (std::isnan(expected)) return std::isnan(found) ? 0.0 : std::numeric_limits<double>::infinity();
  if (std::isinf(expected))
    return static_cast<double>(found) == expected ? 0.0 : std::numeric_limits<double>::infinity();
  const float nearest = static_cast<float>(expected);
  const double unit = std::max(0x1p-149, std::ldexp(1.0, std::ilogb(nearest == 0.f ? 0x1p-149f : nearest) - 23));
  return std::abs(static_cast<double>(found) - expected) / unit;
}

/// Whether two sequences hold the same bits.
template <class A, class B>
::testing::AssertionResult same_bits(const A& a, const B& b) {
  if (std::size(a) != std::size(b)) return ::testing::AssertionFailure() << std::size(a) << " and " << std::size(b);
  for (std::size_t i = 0; i < std::size(a); ++i)
    if (std::memcmp(std::data(a) + i, std::data(b) + i, sizeof *std::data(a)) != 0)
      return ::testing::AssertionFailure() << "element " << i << ": " << std::data(a)[i] << " and " << std::data(b)[i];
  return ::testing::AssertionSuccess();
}

/// |found[i] - expected[i]| <= tolerance for all i.
template <class A>
::testing::AssertionResult near(const A& found, std::span<const double> expected, double tolerance) {
  if (std::size(found) != expected.size())
    return ::testing::AssertionFailure() << std::size(found) << " elements, expected " << expected.size();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double value = static_cast<double>(std::data(found)[i]);
    if (!(std::abs(value - expected[i]) <= tolerance))
      return ::testing::AssertionFailure()
             << "element " << i << " is " << value << ", expected " << expected[i] << " within " << tolerance;
  }
  return ::testing::AssertionSuccess();
}

}  // namespace weft::testing
