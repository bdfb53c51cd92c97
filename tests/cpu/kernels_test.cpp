#include <weft/cpu/kernels.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/core/memory.hpp>

#include "guarded_memory.hpp"
#include "instruction_sets.hpp"

namespace {

using namespace weft;
using weft::testing::elements_of;
using weft::testing::EveryIsa;
using weft::testing::Guarded;
using weft::testing::infinity;
using weft::testing::isa_name;
using weft::testing::nan;
using weft::testing::near;
using weft::testing::random_floats;
using weft::testing::same_bits;
using weft::testing::sizes;
using weft::testing::ulps;

class Kernels : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Isa, Kernels, ::testing::ValuesIn(cpu::all_isas), isa_name);

/// Every `step`th float from `first` to `last`, which have one sign.
std::vector<float> sweep(float first, float last, std::size_t count) {
  std::vector<float> values;
  for (std::size_t i = 0; i <= count; ++i) {
    const double at = static_cast<double>(i) / static_cast<double>(count);
    values.push_back(static_cast<float>(static_cast<double>(first) * (1 - at) + static_cast<double>(last) * at));
  }
  return values;
}

TEST_P(Kernels, ExpIsWithinItsBound) {
  const std::vector<float> x = sweep(-87.f, 88.7f, 1500000);
  std::vector<float> y(x.size());
  ctx.kernels->exp(x.data(), x.size(), y.data());
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double expected = std::exp(static_cast<double>(x[i]));
    worst = std::max(worst, std::abs(static_cast<double>(y[i]) - expected) / expected);
  }
  EXPECT_LT(worst, 0x1p-22);
}

TEST_P(Kernels, ExpEndsInZeroInfinityAndNaN) {
  const std::vector<float> x{0.f,   -0.f,    infinity, -infinity, nan,    88.8f,  89.f,
                             1e30f, -104.1f, -200.f,   -1e30f,    88.72f, 1e-40f, -1e-40f};
  std::vector<float> y(x.size());
  ctx.kernels->exp(x.data(), x.size(), y.data());
  const std::vector<float> expected{1.f, 1.f, infinity, 0.f, nan, infinity, infinity, infinity, 0.f, 0.f, 0.f};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(ulps(y[i], expected[i]), 0.0) << x[i] << " -> " << y[i];
  EXPECT_TRUE(std::isfinite(y[11]));
  EXPECT_EQ(y[12], 1.f);
  EXPECT_EQ(y[13], 1.f);
  // Denormal results are right within one step.
  for (const float value : sweep(-103.9f, -87.f, 2000)) {
    float result = 0;
    ctx.kernels->exp(&value, 1, &result);
    EXPECT_LE(std::abs(static_cast<double>(result) - std::exp(static_cast<double>(value))), 0x1.8p-149) << value;
  }
}

double activation_of(Activation kind, double x) {
  switch (kind) {
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::gelu: return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::quick_gelu: return x / (1 + std::exp(-1.702 * x));
    case Activation::relu: return std::max(0.0, x);
  }
  return 0;
}

constexpr Activation activations[]{Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::quick_gelu,
                                   Activation::relu};

TEST_P(Kernels, ActivationsAreWithinTheirBounds) {
  const std::vector<float> x = sweep(-8.f, 8.f, 400000);
  std::vector<float> y(x.size());
  for (const Activation kind : activations) {
    ctx.kernels->activation(kind, x.data(), nullptr, x.size(), y.data());
    double worst = 0;
    for (std::size_t i = 0; i < x.size(); ++i)
      worst = std::max(worst, std::abs(static_cast<double>(y[i]) - activation_of(kind, static_cast<double>(x[i]))));
    EXPECT_LT(worst, kind == Activation::relu   ? 1e-300
                     : kind == Activation::gelu ? 1e-6
                                                : 2e-6)
        << static_cast<int>(kind);
  }
}

TEST_P(Kernels, ActivationsAtTheEndsOfTheLine) {
  const std::vector<float> x{nan, infinity, 1e30f, -1e30f, 0.f, -0.f, 1e-40f, -100.f, 100.f};
  for (const Activation kind : activations) {
    std::vector<float> y(x.size());
    ctx.kernels->activation(kind, x.data(), nullptr, x.size(), y.data());
    EXPECT_TRUE(std::isnan(y[0]));
    EXPECT_EQ(y[1], infinity);
    EXPECT_EQ(y[2], 1e30f);
    EXPECT_EQ(y[3], 0.f);
    EXPECT_EQ(y[4], 0.f);
    EXPECT_EQ(y[5], 0.f);
    EXPECT_NEAR(y[6], 0.f, 1e-39);
    EXPECT_NEAR(y[7], 0.f, 1e-30);
    EXPECT_EQ(y[8], 100.f);
  }
}

TEST_P(Kernels, ActivationsOfEveryLengthStayInsideTheirRows) {
  for (const std::size_t n : sizes) {
    const Guarded<float> x(random_floats(n, n, 4.f));
    const Guarded<float> up(random_floats(n, n + 1));
    for (const Activation kind : activations) {
      Guarded<float> y(n);
      ctx.kernels->activation(kind, x.data(), nullptr, n, y.data());
      Guarded<float> gated(n);
      ctx.kernels->activation(kind, x.data(), up.data(), n, gated.data());
      for (std::size_t i = 0; i < n; ++i) {
        const double expected = activation_of(kind, static_cast<double>(x.data()[i]));
        ASSERT_NEAR(y[i], expected, 1e-6) << n << " " << i;
        ASSERT_NEAR(gated[i], expected * static_cast<double>(up.data()[i]), 1e-6) << n << " " << i;
      }
      // In place, over the gate and over the other factor.
      Guarded<float> gate(x.data() ? std::span<const float>(x.data(), n) : std::span<const float>());
      ctx.kernels->activation(kind, gate.data(), up.data(), n, gate.data());
      EXPECT_TRUE(same_bits(gate.elements(), gated.elements()));
      Guarded<float> other(std::span<const float>(up.data(), n));
      ctx.kernels->activation(kind, x.data(), other.data(), n, other.data());
      EXPECT_TRUE(same_bits(other.elements(), gated.elements()));
    }
  }
}

TEST_P(Kernels, RowsOfEveryLengthGiveTheSameElements) {
  // An element's exp does not depend on where in the row it stands.
  const std::vector<float> x = random_floats(100, 3, 20.f);
  std::vector<float> whole(x.size());
  ctx.kernels->exp(x.data(), x.size(), whole.data());
  for (std::size_t begin = 0; begin < 20; ++begin)
    for (std::size_t n = 0; begin + n <= x.size(); n += 7) {
      std::vector<float> part(n);
      ctx.kernels->exp(x.data() + begin, n, part.data());
      EXPECT_TRUE(same_bits(part, std::span(whole).subspan(begin, n)));
    }
}

TEST_P(Kernels, SoftmaxSumsToOneAndStaysInsideItsRow) {
  for (const std::size_t n : sizes)
    for (const float scale : {1.f, 0.125f, -2.f, 0.f}) {
      const Guarded<float> x(random_floats(n, n, 10.f));
      std::vector<double> expected(n);
      double top = -1e300, sum = 0;
      for (std::size_t i = 0; i < n; ++i) top = std::max(top, static_cast<double>(x.data()[i] * scale));
      for (std::size_t i = 0; i < n; ++i) {
        expected[i] = std::exp(static_cast<double>(x.data()[i]) * static_cast<double>(scale) - top);
        sum += expected[i];
      }
      for (double& value : expected) value /= sum;
      Guarded<float> y(n);
      ctx.kernels->softmax(x.data(), n, scale, y.data());
      double total = 0;
      for (std::size_t i = 0; i < n; ++i) total += static_cast<double>(y[i]);
      EXPECT_NEAR(total, 1.0, 2e-6);
      EXPECT_TRUE(near(y, expected, 3e-6)) << n << " scale " << scale;
      Guarded<float> in_place(std::span<const float>(x.data(), n));
      ctx.kernels->softmax(in_place.data(), n, scale, in_place.data());
      EXPECT_TRUE(same_bits(in_place.elements(), y.elements()));
    }
}

TEST_P(Kernels, SoftmaxOfSpecialValues) {
  for (const std::size_t n : {1u, 5u, 16u, 33u, 70u})
    for (std::size_t at = 0; at < n; ++at) {
      std::vector<float> x = random_floats(n, n), y(n);
      x[at] = nan;
      ctx.kernels->softmax(x.data(), n, 1.f, y.data());
      for (const float value : y) ASSERT_TRUE(std::isnan(value)) << n << " NaN at " << at;
      EXPECT_TRUE(std::isnan(ctx.kernels->log_sum_exp(x.data(), n)));
      x[at] = infinity;
      ctx.kernels->softmax(x.data(), n, 1.f, y.data());
      for (const float value : y) ASSERT_TRUE(std::isnan(value)) << n << " infinity at " << at;
      x[at] = -infinity;
      ctx.kernels->softmax(x.data(), n, 1.f, y.data());
      if (n > 1) {
        EXPECT_EQ(y[at], 0.f);
        EXPECT_FALSE(std::isnan(y[(at + 1) % n]));
      }
    }
  std::vector<float> x(20, -infinity), y(20);
  ctx.kernels->softmax(x.data(), 20, 1.f, y.data());
  for (const float value : y) EXPECT_TRUE(std::isnan(value));
  x.assign(20, -3e38f);
  x[7] = 3e38f;
  ctx.kernels->softmax(x.data(), 20, 1.f, y.data());
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(y[i], i == 7 ? 1.f : 0.f);
  x.assign(20, 1e-42f);
  ctx.kernels->softmax(x.data(), 20, 1.f, y.data());
  for (const float value : y) EXPECT_NEAR(value, 0.05f, 1e-8);
}

TEST_P(Kernels, LogSumExpStaysInsideItsRow) {
  for (const std::size_t n : sizes)
    for (const float shift : {0.f, 1000.f, -1000.f}) {
      std::vector<float> values = random_floats(n, n, 10.f);
      for (float& value : values) value += shift;
      const Guarded<float> x(values);
      double sum = 0;
      for (const float value : values) sum += std::exp(static_cast<double>(value) - static_cast<double>(shift));
      const double expected = static_cast<double>(shift) + std::log(sum);
      EXPECT_NEAR(ctx.kernels->log_sum_exp(x.data(), n), expected, 1e-6 * std::abs(expected) + 1e-6) << n;
    }
}

TEST_P(Kernels, NormsOfEveryLengthStayInsideTheirRows) {
  for (const std::size_t n : sizes) {
    const std::vector<float> values = random_floats(n, n, 3.f);
    const std::vector<float> gains = random_floats(n, n + 1), biases = random_floats(n, n + 2);
    const Guarded<float> x(values), gain(gains), bias(biases);
    double mean = 0, square = 0, variance = 0;
    for (const float value : values) mean += static_cast<double>(value) / static_cast<double>(n);
    for (const float value : values) {
      square += std::pow(static_cast<double>(value), 2) / static_cast<double>(n);
      variance += std::pow(static_cast<double>(value) - mean, 2) / static_cast<double>(n);
    }
    const double eps = 1e-3;
    for (const float offset : {0.f, 1.f}) {
      std::vector<double> expected(n);
      for (std::size_t i = 0; i < n; ++i)
        expected[i] = static_cast<double>(values[i]) / std::sqrt(square + eps) * static_cast<double>(gains[i] + offset);
      Guarded<float> y(n);
      ctx.kernels->rms_norm(x.data(), gain.data(), n, 1e-3f, offset, y.data());
      EXPECT_TRUE(near(y, expected, 4e-6)) << "rms_norm " << n;
      Guarded<float> in_place(values);
      ctx.kernels->rms_norm(in_place.data(), gain.data(), n, 1e-3f, offset, in_place.data());
      EXPECT_TRUE(same_bits(in_place.elements(), y.elements()));
    }
    for (const bool with_gain : {false, true})
      for (const bool with_bias : {false, true}) {
        std::vector<double> expected(n);
        for (std::size_t i = 0; i < n; ++i)
          expected[i] = (static_cast<double>(values[i]) - mean) / std::sqrt(variance + eps) *
                            (with_gain ? static_cast<double>(gains[i]) : 1.0) +
                        (with_bias ? static_cast<double>(biases[i]) : 0.0);
        Guarded<float> y(n);
        ctx.kernels->layer_norm(x.data(), with_gain ? gain.data() : nullptr, with_bias ? bias.data() : nullptr, n,
                                1e-3f, y.data());
        EXPECT_TRUE(near(y, expected, 5e-6)) << "layer_norm " << n;
        Guarded<float> in_place(values);
        ctx.kernels->layer_norm(in_place.data(), with_gain ? gain.data() : nullptr, with_bias ? bias.data() : nullptr,
                                n, 1e-3f, in_place.data());
        EXPECT_TRUE(same_bits(in_place.elements(), y.elements()));
      }
  }
}

TEST_P(Kernels, RopeRotatesPairsInPlace) {
  for (const std::size_t pairs : {1u, 2u, 4u, 5u, 8u, 15u, 16u, 17u, 32u, 33u, 64u})
    for (const RopePairing pairing : {RopePairing::halves, RopePairing::interleaved}) {
      const std::vector<float> values = random_floats(2 * pairs, pairs, 2.f);
      std::vector<float> cosines(pairs), sines(pairs);
      for (std::size_t i = 0; i < pairs; ++i) {
        cosines[i] = std::cos(0.3f * static_cast<float>(i));
        sines[i] = std::sin(0.3f * static_cast<float>(i));
      }
      Guarded<float> x(values);
      const Guarded<float> cos(cosines), sin(sines);
      ctx.kernels->rope(x.data(), cos.data(), sin.data(), pairs, pairing);
      for (std::size_t i = 0; i < pairs; ++i) {
        const std::size_t first = pairing == RopePairing::halves ? i : 2 * i;
        const std::size_t second = pairing == RopePairing::halves ? i + pairs : 2 * i + 1;
        const double a = static_cast<double>(values[first]), b = static_cast<double>(values[second]);
        const double c = static_cast<double>(cosines[i]), s = static_cast<double>(sines[i]);
        EXPECT_NEAR(x[first], a * c - b * s, 5e-7);
        EXPECT_NEAR(x[second], b * c + a * s, 5e-7);
      }
    }
}

TEST_P(Kernels, AddStaysInsideItsRow) {
  for (const std::size_t n : sizes) {
    const std::vector<float> values = random_floats(n, n), others = random_floats(n, n + 1);
    const Guarded<float> x(values);
    Guarded<float> y(others);
    ctx.kernels->add(x.data(), n, y.data());
    for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(y[i], others[i] + values[i]);
  }
}

TEST_P(Kernels, ConversionsRoundAsTheScalarTypesDo) {
  std::vector<float> values = random_floats(4000, 1, 300.f);
  for (const float tiny : random_floats(2000, 2, 1e-4f)) values.push_back(tiny * tiny);  // denormal in half
  for (const float huge : random_floats(200, 3, 3e38f)) values.push_back(huge);
  for (const float value : {0.f, -0.f, infinity, -infinity, nan, -nan, 65504.f, 65519.f, 65520.f, -65520.f, 1e-40f,
                            -1e-45f, 3.4e38f, 0x1.fffffep127f, 0x1p-24f, 0x1p-25f, 0x1.000002p-25f, 2049.f, 2051.f})
    values.push_back(value);
  const auto check = [&]<class T>(T, auto to, auto from) {
    for (const std::size_t n : sizes) {
      if (n > values.size()) continue;
      const std::size_t begin = values.size() - n;
      const Guarded<float> x(std::span<const float>(values).subspan(begin, n));
      Guarded<T> y(n);
      to(x.data(), n, y.data());
      Guarded<float> back(n);
      from(y.data(), n, back.data());
      for (std::size_t i = 0; i < n; ++i) {
        const T expected(values[begin + i]);
        ASSERT_EQ(y[i].bits, expected.bits) << values[begin + i];
        ASSERT_EQ(ulps(back[i], static_cast<double>(static_cast<float>(expected))), 0.0) << values[begin + i];
      }
    }
  };
  check(half{}, ctx.kernels->to_f16, ctx.kernels->from_f16);
  check(bfloat16{}, ctx.kernels->to_bf16, ctx.kernels->from_bf16);
}

TEST_P(Kernels, EveryHalfAndBfloat16Widens) {
  std::vector<half> halves;
  std::vector<bfloat16> brains;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    halves.push_back(half::from_bits(static_cast<std::uint16_t>(bits)));
    brains.push_back(bfloat16::from_bits(static_cast<std::uint16_t>(bits)));
  }
  std::vector<float> y(65536);
  ctx.kernels->from_f16(halves.data(), halves.size(), y.data());
  for (std::size_t i = 0; i < 65536; ++i)
    ASSERT_EQ(ulps(y[i], static_cast<double>(static_cast<float>(halves[i]))), 0.0) << i;
  ctx.kernels->from_bf16(brains.data(), brains.size(), y.data());
  for (std::size_t i = 0; i < 65536; ++i)
    ASSERT_EQ(ulps(y[i], static_cast<double>(static_cast<float>(brains[i]))), 0.0) << i;
}

TEST_P(Kernels, NothingIsDoneForEmptyRows) {
  float untouched = 3.f;
  ctx.kernels->exp(nullptr, 0, &untouched);
  ctx.kernels->add(nullptr, 0, &untouched);
  ctx.kernels->activation(Activation::silu, nullptr, nullptr, 0, &untouched);
  ctx.kernels->from_f16(nullptr, 0, &untouched);
  ctx.kernels->rope(&untouched, nullptr, nullptr, 0, RopePairing::halves);
  EXPECT_EQ(untouched, 3.f);
}

TEST_P(Kernels, PackedFloatsLieTokenBesideToken) {
  const auto check = [&]<class T>(T, const cpu::TokenForm& form) {
    for (std::size_t tokens = 1; tokens <= form.most; ++tokens) {
      if (cpu::tile_tokens(tokens, form.most) != tokens) continue;
      for (const std::size_t k : {1u, 2u, 15u, 16u, 17u, 31u, 32u, 33u, 100u}) {
        const std::size_t stride = k + 3;
        const std::size_t padded = (k + 1) / 2 * 2;
        const Guarded<float> x(random_floats((tokens - 1) * stride + k, k));
        ASSERT_EQ(padded / form.elements * form.bytes, padded * sizeof(T));
        Guarded<T> packed(tokens * padded);
        std::vector<char> overflow(tokens);
        form.pack(x.data(), stride, tokens, k, packed.data(), reinterpret_cast<bool*>(overflow.data()));
        const std::size_t together = 4 / sizeof(T);  // elements of a unit of four bytes
        for (std::size_t t = 0; t < tokens; ++t)
          for (std::size_t i = 0; i < padded; ++i) {
            const std::size_t at = (i / together * tokens + t) * together + i % together;
            const T expected(i < k ? x.data()[t * stride + i] : 0.f);
            ASSERT_EQ(static_cast<float>(packed[at]), static_cast<float>(expected)) << tokens << " " << k << " " << i;
          }
      }
    }
  };
  check(float{}, ctx.kernels->f32);
  if (ctx.kernels->bf16.most) check(bfloat16{}, ctx.kernels->bf16);
}

TEST_P(Kernels, Int8TokensOverflowWhereTheirBlocksDoNotReach) {
  const cpu::TokenForm& form = ctx.kernels->i8.tokens;
  constexpr std::size_t k = 70;
  const AlignedBytes packed = allocate_aligned((k + 31) / 32 * form.bytes * form.most);
  for (const float value : {nan, infinity, -infinity, 3e20f, -3e38f, 1e20f, -1e20f, 0.f, 1e-30f, 1e-45f}) {
    std::vector<float> x(form.most * k, 0.25f);
    x[(form.most - 1) * k + k - 1] = value;
    std::vector<char> overflow(form.most, 0);
    form.pack(x.data(), k, form.most, k, packed.get(), reinterpret_cast<bool*>(overflow.data()));
    for (std::size_t t = 0; t < form.most; ++t)
      EXPECT_EQ(overflow[t] != 0, t == form.most - 1 && !(std::abs(value) < 1.1e20f)) << value << " token " << t;
  }
}

TEST_P(Kernels, InterleavedPanelsHoldTheBytesOfTheirRows) {
  for (const std::size_t rows : {1u, 7u, 16u, 31u, 32u})
    for (const std::size_t bytes : {1u, 2u, 4u, 18u, 63u, 64u, 66u, 131u}) {
      const std::size_t stride = bytes + 5;
      Guarded<unsigned char> from((rows - 1) * stride + bytes);
      for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<unsigned char>(i * 37 + 11);
      const std::size_t units = (bytes + 3) / 4;
      Guarded<std::uint32_t> panel(units * panel_rows);
      ctx.kernels->interleave(reinterpret_cast<const std::byte*>(from.data()), stride, rows, bytes, 0, panel.data());
      for (std::size_t r = 0; r < panel_rows; ++r)
        for (std::size_t i = 0; i < 4 * units; ++i) {
          const unsigned found = panel[i / 4 * panel_rows + r] >> (8 * (i % 4)) & 0xffu;
          ASSERT_EQ(found, r < rows && i < bytes ? from[r * stride + i] : 0u) << rows << " " << bytes << " " << i;
        }
    }
}

TEST_P(Kernels, PairedBlocksKeepTheirBytes) {
  for (const std::size_t units : {4u, 5u, 8u, 52u})
    for (const std::size_t blocks : {1u, 2u, 3u, 4u})
      for (const bool half_last : {false, true}) {
        const std::size_t block_bytes = 4 * units + 2;
        std::vector<unsigned char> from(panel_rows * blocks * block_bytes);
        for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<unsigned char>(i * 31 + i / 256);
        const std::size_t all = (blocks * block_bytes + 3) / 4;
        Guarded<std::uint32_t> panel(all * panel_rows);
        ctx.kernels->interleave(reinterpret_cast<const std::byte*>(from.data()), blocks * block_bytes, panel_rows,
                                blocks * block_bytes, 0, panel.data());
        ctx.kernels->pair_blocks(panel.data(), blocks, units, half_last);
        const auto byte_at = [&](std::size_t r, std::size_t i) {
          return panel[i / 4 * panel_rows + r] >> (8 * (i % 4)) & 0xffu;
        };
        for (std::size_t r = 0; r < panel_rows; ++r)
          for (std::size_t b = 0; b < blocks; ++b) {
            const unsigned char* block = from.data() + (r * blocks + b) * block_bytes;
            const std::size_t pair = b / 2 * 4 * (2 * units + 1);
            for (std::size_t i = 0; i < 2; ++i)
              ASSERT_EQ(byte_at(r, pair + b % 2 * 2 + i), block[(half_last ? 4 * units : 0) + i]) << units << " " << b;
            for (std::size_t i = 0; i < 4 * units; ++i)
              ASSERT_EQ(byte_at(r, pair + 4 + b % 2 * 4 * units + i), block[(half_last ? 0 : 2) + i])
                  << units << " " << b << " " << i;
          }
      }
}

/// FNV-1a over the bits of floats.
class Hash {
 public:
  void add(std::span<const float> values) {
    for (const float value : values)
      for (std::uint32_t bits = std::bit_cast<std::uint32_t>(value), i = 0; i < 4; ++i, bits >>= 8)
        state_ = (state_ ^ (bits & 0xffu)) * 0x100000001b3u;
  }
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325u;
};

void hash_rows(const cpu::Kernels& kernels, Hash& hash) {
  constexpr std::size_t n = 1003, pairs = n / 2;
  const std::vector<float> x = random_floats(n, 1, 8.f), gain = random_floats(n, 2), bias = random_floats(n, 3);
  std::vector<float> y(n);
  kernels.exp(x.data(), n, y.data());
  hash.add(y);
  kernels.softmax(x.data(), n, 0.37f, y.data());
  hash.add(y);
  kernels.rms_norm(x.data(), gain.data(), n, 1e-5f, 1.f, y.data());
  hash.add(y);
  kernels.layer_norm(x.data(), gain.data(), bias.data(), n, 1e-5f, y.data());
  hash.add(y);
  for (const Activation kind : {Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::relu}) {
    kernels.activation(kind, x.data(), gain.data(), n, y.data());
    hash.add(y);
  }
  for (const RopePairing pairing : {RopePairing::halves, RopePairing::interleaved}) {
    kernels.rope(y.data(), gain.data(), bias.data(), pairs, pairing);
    hash.add(y);
  }
}

void hash_attention(const cpu::Kernels& kernels, Hash& hash) {
  constexpr std::size_t tokens = 90, heads = 4, kv_heads = 2, head_dim = 40;
  const std::vector<float> q = random_floats(tokens * heads * head_dim, 1, 2.f), slopes = random_floats(heads, 2),
                           k = random_floats(tokens * kv_heads * head_dim, 3, 2.f),
                           v = random_floats(tokens * kv_heads * head_dim, 4);
  std::vector<float> out(q.size()), scratch(cpu::attention_scratch(head_dim)),
      state(cpu::attention_state_floats(cpu::attention_rows, head_dim));
  for (const float cap : {0.f, 5.f}) {
    const cpu::AttentionArgs args{.q = q.data(),
                                  .q_token = heads * head_dim,
                                  .q_head = head_dim,
                                  .k = k.data(),
                                  .k_token = kv_heads * head_dim * sizeof(float),
                                  .k_head = head_dim * sizeof(float),
                                  .v = v.data(),
                                  .v_token = kv_heads * head_dim * sizeof(float),
                                  .v_head = head_dim * sizeof(float),
                                  .out = out.data(),
                                  .out_token = heads * head_dim,
                                  .out_head = head_dim,
                                  .keys = tokens,
                                  .offset = 0,
                                  .group = heads / kv_heads,
                                  .head_dim = head_dim,
                                  .scale = 0.16f,
                                  .soft_cap = cap,
                                  .window = 70,
                                  .causal = true,
                                  .key_mask = nullptr,
                                  .alibi_slopes = cap == 0.f ? nullptr : slopes.data(),
                                  .relative_bias = nullptr,
                                  .relative_radius = 0};
    for (std::size_t head = 0; head < kv_heads; ++head)
      for (std::size_t token = 0; token < tokens; token += 18) {
        const cpu::AttentionTask task{.kv_head = head,
                                      .token_begin = token,
                                      .token_end = token + 18,
                                      .key_begin = cpu::attention_first_key(args, token),
                                      .key_end = cpu::attention_last_key(args, token + 17)};
        kernels.attention.f32(args, task, state.data(), scratch.data());
        kernels.attention.finish(args, task, state.data());
      }
    hash.add(out);
  }
}

void hash_linear(const cpu::Kernels& kernels, Hash& hash) {
  constexpr std::size_t k = 1024, rows = panel_rows;
  const std::vector<float> x = random_floats(k, 1), weight = random_floats(rows * k, 2);
  std::vector<std::uint32_t> panel(k * rows);
  std::vector<float> y(rows);
  const AlignedBytes tokens = allocate_aligned(k * 4);
  bool overflow = false;
  const auto product = [&](const cpu::TokenForm& form, void (*tile)(const cpu::TileArgs&) noexcept) {
    form.pack(x.data(), k, 1, k, tokens.get(), &overflow);
    tile({.header = nullptr,
          .panels = reinterpret_cast<const std::byte*>(panel.data()),
          .panel_bytes = 0,
          .rows = rows,
          .x = tokens.get(),
          .x_bytes = k / form.elements * form.bytes,
          .x_offset = 0,
          .tokens = 1,
          .k = k,
          .from = nullptr,
          .from_stride = 0,
          .y = y.data(),
          .y_stride = rows});
    hash.add(y);
  };
  const auto interleave = [&](const auto& elements) {
    const auto bytes = std::as_bytes(std::span(elements));
    kernels.interleave(bytes.data(), bytes.size() / rows, rows, bytes.size() / rows, 0, panel.data());
  };
  interleave(weight);
  product(kernels.f32, kernels.tile_f32);
  interleave(elements_of<bfloat16>(weight));
  product(kernels.f32, kernels.bf16_as_f32.direct);
  if (kernels.tile_bf16) product(kernels.bf16, kernels.tile_bf16);
  // Codes of all values with scales between 2^-8 and 2^-7.
  const auto of = [](DType dtype) { return static_cast<std::size_t>(dtype) - static_cast<std::size_t>(DType::q8_0); };
  std::vector<unsigned char> blocks(rows * k / 256 * 144);
  for (std::size_t i = 0; i < blocks.size(); ++i)
    blocks[i] = i % 144 == 1 || i % 144 == 3 ? 0x1c : static_cast<unsigned char>(i * 41 + i / 64);
  interleave(blocks);
  const cpu::I8Weights& q4_k = kernels.i8.weights[of(DType::q4_k)];
  std::vector<std::byte> expanded(k / 32 * q4_k.panels->block_bytes);
  q4_k.expand({.header = panel.data(), .data = panel.data(), .k = k}, expanded.data());
  std::memcpy(panel.data(), expanded.data(), expanded.size());
  product(kernels.i8.tokens, q4_k.panels->tile);
}

TEST_P(Kernels, BitsAreThoseOfEveryCompiler) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  if (GetParam() == cpu::Isa::generic) GTEST_SKIP() << "with these flags the compiler fuses portable multiply-adds";
#endif
  Hash rows, attention, linear;
  hash_rows(*ctx.kernels, rows);
  hash_attention(*ctx.kernels, attention);
  hash_linear(*ctx.kernels, linear);
  // Recorded with g++ 12 and clang 14, which agree. To be recorded anew where a kernel is meant to calculate otherwise.
  struct Recorded {
    std::uint64_t rows, attention, linear;
  };
  const Recorded recorded[]{{17320873561074424327u, 9180191062671370685u, 5201563761959310996u},
                            {8538469859835054476u, 5788820846367532351u, 10841786145953929686u},
                            {8538469859835054476u, 5788820846367532351u, 10841786145953929686u},
                            {11873822694937120021u, 7334516537832574563u, 10841786145953929686u},
                            {11873822694937120021u, 7334516537832574563u, 10841786145953929686u},
                            {11873822694937120021u, 7334516537832574563u, 7456590184094478605u},
                            {7673471650935262464u, 2668224040578505308u, 10841786145953929686u},
                            {7673471650935262464u, 2668224040578505308u, 10841786145953929686u}};
  const Recorded& expected = recorded[static_cast<std::size_t>(GetParam())];
  EXPECT_EQ(rows.value(), expected.rows);
  EXPECT_EQ(attention.value(), expected.attention);
  EXPECT_EQ(linear.value(), expected.linear);
}

}  // namespace
