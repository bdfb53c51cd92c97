#include <weft/quant/quantize.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/rng.hpp>

namespace {

using namespace weft;

constexpr DType block_formats[]{DType::q8_0, DType::q4_0, DType::q4_1,  DType::q5_0,   DType::q5_1,
                                DType::q4_k, DType::q5_k, DType::q6_k,  DType::q8_128, DType::q8_row,
                                DType::q2_k, DType::q3_k, DType::iq4_nl};

class Format : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Quant, Format, ::testing::ValuesIn(block_formats),
                         [](const auto& format) { return std::string(name(format.param)); });

std::vector<float> random_floats(std::size_t n, std::uint64_t seed) {
  Philox rng(seed);
  std::vector<float> values(n);
  for (float& value : values) value = 2.f * uniform_float(rng) - 1.f;
  return values;
}

std::vector<float> decoded(DType dtype, const std::vector<std::byte>& row, std::size_t n) {
  std::vector<float> y(n);
  dequantize_row(dtype, row.data(), n, y.data());
  return y;
}

std::vector<std::byte> encoded(DType dtype, const std::vector<float>& x) {
  std::vector<std::byte> row(bytes_of(dtype, x.size()));
  quantize_row(dtype, x.data(), x.size(), row.data());
  return row;
}

TEST_P(Format, WritesTheBytesAndReadsTheFloatsOfTheReference) {
  const std::string path = WEFT_TESTS_DIR "/fixtures/quant/" + std::string(name(GetParam())) + ".bin";
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    EXPECT_TRUE(GetParam() == DType::q8_128 || GetParam() == DType::q8_row) << path << " is missing";
    GTEST_SKIP() << "the format is weft's own";
  }
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  constexpr std::size_t n = 256;
  const std::size_t row_bytes = bytes_of(GetParam(), n);
  const std::size_t record = 2 * n * sizeof(float) + row_bytes;
  ASSERT_EQ(bytes.size() % record, 0u);
  ASSERT_GE(bytes.size() / record, 10u);
  for (std::size_t at = 0; at < bytes.size(); at += record) {
    std::vector<float> x(n), y(n);
    std::vector<std::byte> row(row_bytes);
    std::memcpy(x.data(), bytes.data() + at, n * sizeof(float));
    std::memcpy(row.data(), bytes.data() + at + n * sizeof(float), row_bytes);
    std::memcpy(y.data(), bytes.data() + at + n * sizeof(float) + row_bytes, n * sizeof(float));
    const std::vector<float> found = decoded(GetParam(), row, n);
    EXPECT_EQ(std::memcmp(found.data(), y.data(), n * sizeof(float)), 0) << "case " << at / record;
#if !defined(__FMA__) && !defined(__ARM_FEATURE_FMA)
    EXPECT_EQ(encoded(GetParam(), x), row) << "case " << at / record;
#endif
  }
}

/// Half of the largest distance between neighbouring codes, in units of the largest element.
double coarseness(DType dtype) {
  switch (dtype) {
    case DType::q2_k: return 1.0 / 2;
    case DType::q3_k: return 1.0 / 3;
    case DType::iq4_nl: return 1.0 / 8;
    case DType::q4_0: return 1.0 / 8;
    case DType::q4_1: return 1.0 / 15;
    case DType::q4_k: return 1.0 / 9;
    case DType::q5_0: return 1.0 / 16;
    case DType::q5_1: return 1.0 / 30;
    case DType::q5_k: return 1.0 / 20;
    case DType::q6_k: return 1.0 / 31;
    default: return 0.55 / 127;
  }
}

TEST_P(Format, StaysWithinItsCoarseness) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<float> x = random_floats(512, seed);
    const std::vector<float> y = decoded(GetParam(), encoded(GetParam(), x), x.size());
    for (std::size_t i = 0; i < x.size(); ++i)
      ASSERT_NEAR(x[i], y[i], coarseness(GetParam()) * 1.03) << seed << " " << i;
  }
}

TEST_P(Format, WhatWasReadIsWrittenAgainClosely) {
  const std::vector<float> x = random_floats(256, 3);
  const std::vector<float> once = decoded(GetParam(), encoded(GetParam(), x), x.size());
  const std::vector<float> twice = decoded(GetParam(), encoded(GetParam(), once), x.size());
  double first = 0, second = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    first += std::pow(x[i] - once[i], 2);
    second += std::pow(once[i] - twice[i], 2);
  }
  EXPECT_LE(second, 0.6 * first);
}

TEST_P(Format, ZerosStayZeros) {
  for (const float value : decoded(GetParam(), encoded(GetParam(), std::vector<float>(256, 0.f)), 256))
    EXPECT_EQ(value, 0.f);
}

TEST_P(Format, RowsMayLieAtAnyAddress) {
  const std::vector<float> x = random_floats(256, 5);
  const std::vector<std::byte> row = encoded(GetParam(), x);
  std::vector<std::byte> moved(row.size() + 1);
  quantize_row(GetParam(), x.data(), x.size(), moved.data() + 1);
  EXPECT_EQ(std::memcmp(moved.data() + 1, row.data(), row.size()), 0);
  std::vector<float> y(x.size());
  dequantize_row(GetParam(), moved.data() + 1, y.size(), y.data());
  EXPECT_EQ(y, decoded(GetParam(), row, x.size()));
}

TEST_P(Format, HostileNumbersDoNoHarm) {
  for (const float value : {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f}) {
    std::vector<float> x = random_floats(256, 7);
    x[100] = value;
    EXPECT_NO_THROW(decoded(GetParam(), encoded(GetParam(), x), x.size()));
  }
}

TEST_P(Format, PartOfABlockIsAnError) {
  const std::size_t block = block_elements(GetParam());
  std::vector<float> x(block + 1);
  std::vector<std::byte> row(2 * bytes_of(GetParam(), block));
  EXPECT_THROW(quantize_row(GetParam(), x.data(), block + 1, row.data()), ShapeError);
  EXPECT_THROW(dequantize_row(GetParam(), row.data(), block - 1, x.data()), ShapeError);
  EXPECT_NO_THROW(quantize_row(GetParam(), x.data(), 0, row.data()));
}

TEST(Quantize, PlainTypesAreRoundedOnce) {
  const std::vector<float> x = random_floats(33, 1);
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(decoded(DType::f32, encoded(DType::f32, x), 33)[i], x[i]);
    EXPECT_EQ(decoded(DType::f16, encoded(DType::f16, x), 33)[i], static_cast<float>(half(x[i])));
    EXPECT_EQ(decoded(DType::bf16, encoded(DType::bf16, x), 33)[i], static_cast<float>(bfloat16(x[i])));
  }
}

TEST(Quantize, RowsBecomeRowsOfAnotherType) {
  const std::vector<float> x = random_floats(512, 9);
  for (const DType from : block_formats)
    for (const DType to : {DType::q8_0, DType::q6_k, DType::q4_0, DType::f16}) {
      const std::vector<std::byte> row = encoded(from, x);
      std::vector<std::byte> found(bytes_of(to, x.size()));
      std::vector<float> floats(x.size());
      convert_row(from, row.data(), x.size(), to, found.data(), floats.data());
      const std::vector<float> before = decoded(from, row, x.size());
      const bool same = (from == DType::q3_k && to == DType::q6_k) || (from == DType::iq4_nl && to == DType::q8_0);
      EXPECT_EQ(decoded(to, found, x.size()), same ? before : decoded(to, encoded(to, before), x.size()))
          << name(from) << " " << name(to);
    }
}

TEST(Quantize, FormatsWithoutKernelsAreMultipliedInOneThatIsClose) {
  for (const DType dtype : block_formats) {
    const bool has_none = dtype == DType::q2_k || dtype == DType::q3_k || dtype == DType::iq4_nl;
    EXPECT_EQ(kernel_dtype(dtype) != dtype, has_none) << name(dtype);
    EXPECT_EQ(kernel_dtype(kernel_dtype(dtype)), kernel_dtype(dtype));
  }
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<float> x = random_floats(512, seed);
    for (std::size_t i = 0; i < x.size(); i += 71) x[i] *= 9.f;
    const std::vector<std::byte> row = encoded(DType::q2_k, x);
    const std::vector<float> before = decoded(DType::q2_k, row, x.size());
    std::vector<std::byte> converted(bytes_of(DType::q8_0, x.size()));
    convert_row(DType::q2_k, row.data(), x.size(), DType::q8_0, converted.data(), x.data());
    const std::vector<float> after = decoded(DType::q8_0, converted, x.size());
    for (std::size_t begin = 0; begin < x.size(); begin += 32) {
      float largest = 0.f;
      for (std::size_t i = begin; i < begin + 32; ++i) largest = std::max(largest, std::fabs(before[i]));
      for (std::size_t i = begin; i < begin + 32; ++i) EXPECT_LT(std::fabs(after[i] - before[i]), largest / 220.f);
    }
  }
}

TEST(Quantize, OtherTypesAreRefused) {
  float x = 0;
  std::byte row[8];
  EXPECT_THROW(quantize_row(DType::i32, &x, 1, row), UnsupportedError);
  EXPECT_THROW(dequantize_row(DType::boolean, row, 1, &x), UnsupportedError);
}

}  // namespace
