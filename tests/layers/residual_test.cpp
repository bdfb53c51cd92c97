#include <weft/layers/residual.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <optional>

#include "random_weights.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

constexpr std::size_t tokens = 3, hidden = 8;
constexpr NormParams norms{.eps = 1e-3f};

/// rms_norm with a gain in double.
Rows normed(Rows x, const Tensor<float, 1>& gain) {
  for (auto& row : x) {
    double squares = 0.0;
    for (const double value : row) squares += value * value / static_cast<double>(row.size());
    for (std::size_t i = 0; i < row.size(); ++i)
      row[i] *= static_cast<double>(gain(i)) / std::sqrt(squares + static_cast<double>(norms.eps));
  }
  return x;
}

/// What the part of a layer computes here: -0.5 * in + 1.
Rows part_of(Rows x) {
  for (auto& row : x)
    for (double& value : row) value = 1.0 - 0.5 * value;
  return x;
}

Rows sum(Rows x, const Rows& y, double scale) {
  for (std::size_t t = 0; t < x.size(); ++t)
    for (std::size_t i = 0; i < x[t].size(); ++i) x[t][i] += scale * y[t][i];
  return x;
}

/// x after one part, as the comments of BlockForm say.
Rows expected(BlockForm form, const Rows& x, double scale, const Tensor<float, 1>& gain, const Tensor<float, 1>& post) {
  switch (form) {
    case BlockForm::residual_norm: return normed(sum(x, part_of(x), scale), gain);
    case BlockForm::post_norm: return sum(x, normed(part_of(x), post), scale);
    case BlockForm::sandwich_norm: return sum(x, normed(part_of(normed(x, gain)), post), scale);
    default: return sum(x, part_of(normed(x, gain)), scale);
  }
}

// The part keeps its word and adds to `onto` where it is told to, as products do.
TEST(Residual, EveryFormAddsAPartAsItSays) {
  Numbers numbers(1);
  const Tensor<float, 2> before = numbers.tensor<2>({tokens, hidden});
  const NormWeights norm{.gain = numbers.vector(hidden)}, post{.gain = numbers.vector(hidden)};
  for (const BlockForm form :
       {BlockForm::pre_norm, BlockForm::residual_norm, BlockForm::post_norm, BlockForm::sandwich_norm})
    for (const float scale : {1.f, 0.25f}) {
      const ResidualParams params{form, norms, scale};
      Tensor<float, 2> rows = before, scratch({tokens, hidden});
      cpu::Residual x(rows);
      const auto part = [](TensorView<float, 2> in, TensorView<float, 2> out,
                           const std::optional<TensorView<float, 2>>& onto) {
        for (std::size_t i = 0; i < in.size(); ++i) {
          out.data()[i] = 1.f - 0.5f * in.data()[i];
          if (onto) onto->data()[i] += out.data()[i];
        }
        return out;
      };
      add_part<cpu::Backend>(x, params, norm, post, scratch, {}, part);
      EXPECT_EQ(x.rows({}).data(), rows.data());
      const double scaled = static_cast<double>(scale);
      EXPECT_LT(max_difference(rows, expected(form, rows_of(before), scaled, norm.gain, post.gain)), 1e-5)
          << static_cast<int>(form) << " " << scale;
    }
}

TEST(Residual, OnlyProductsThatNothingFollowsAddThemselves) {
  Tensor<float, 2> rows({tokens, hidden});
  const cpu::Residual x(rows);
  for (const BlockForm form : {BlockForm::pre_norm, BlockForm::residual_norm, BlockForm::parallel}) {
    EXPECT_TRUE(x.onto({form, norms}).has_value());
    EXPECT_FALSE(x.onto({form, norms, 0.5f}).has_value());
  }
  for (const BlockForm form : {BlockForm::post_norm, BlockForm::sandwich_norm})
    EXPECT_FALSE(x.onto({form, norms}).has_value());
}

TEST(Residual, NormalisesItsRowsToOthersOrInPlace) {
  Numbers numbers(2);
  const Tensor<float, 2> before = numbers.tensor<2>({tokens, hidden});
  const NormWeights weights{.gain = numbers.vector(hidden)};
  Tensor<float, 2> rows = before, y({tokens, hidden});
  const cpu::Residual x(rows);
  x.norm_to(weights, y, norms, {});
  EXPECT_LT(max_difference(y, normed(rows_of(before), weights.gain)), 1e-5);
  EXPECT_EQ(max_difference(rows, rows_of(before)), 0.0) << "x stays as it was";
  x.norm_in_place(weights, norms, {});
  EXPECT_EQ(max_difference(rows, rows_of(y)), 0.0);
}

}  // namespace
