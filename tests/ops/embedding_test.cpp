#include <weft/ops/embedding.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "../cpu/guarded_memory.hpp"
#include "../cpu/instruction_sets.hpp"

namespace {

using namespace weft;
using weft::testing::any_tensor;
using weft::testing::elements_of;
using weft::testing::EveryIsa;
using weft::testing::Guarded;
using weft::testing::isa_name;
using weft::testing::random_floats;
using weft::testing::rounded;
using weft::testing::same_bits;
using weft::testing::sizes;

class Embedding : public EveryIsa {};
INSTANTIATE_TEST_SUITE_P(Isa, Embedding, ::testing::ValuesIn(cpu::all_isas), isa_name);

TEST_P(Embedding, CopiesTheRowOfEveryId) {
  const std::vector<TokenId> ids{4, 0, 4, 1, 3};
  for (const std::size_t hidden : sizes) {
    const std::vector<float> values = random_floats(5 * hidden, hidden, 3.f);
    const auto check = [&]<class T>(T) {
      const std::vector<double> expected = rounded<T>(values);
      // The last row ends where nothing may be read any more.
      Guarded<T> memory(elements_of<T>(values));
      const AnyTensor table(dtype_of<T>, {5, hidden}, std::as_bytes(memory.elements()), nullptr);
      Guarded<float> y(ids.size() * hidden);
      embedding(ids, table, TensorView<float, 2>(y.data(), {ids.size(), hidden}), ctx);
      Tensor<float, 2> wide({ids.size(), hidden + 3});
      embedding(ids, table, wide.view().narrow(1, 1, hidden), ctx);
      for (std::size_t t = 0; t < ids.size(); ++t)
        for (std::size_t i = 0; i < hidden; ++i) {
          ASSERT_EQ(y[t * hidden + i], expected[static_cast<std::size_t>(ids[t]) * hidden + i]);
          ASSERT_EQ(wide(t, i + 1), y[t * hidden + i]);
        }
      EXPECT_EQ(wide(0, 0), 0.f);
      EXPECT_EQ(wide(0, hidden + 1), 0.f);
    };
    check(float{});
    check(half{});
    check(bfloat16{});
  }
}

TEST_P(Embedding, TakesTensorsAndViewsWhereTheyLie) {
  const std::vector<TokenId> ids{2, 0, 1, 2};
  const std::vector<float> values = random_floats(4 * 9, 1);
  const auto check = [&]<class T>(T) {
    Tensor<float, 2> y({4, 9}), expected({4, 9});
    embedding(ids, any_tensor<T>({3, 9}, std::span(values).subspan(9)), expected, ctx);
    const std::vector<T> elements = elements_of<T>(values);
    const TensorView<const T, 2> table = TensorView<const T, 2>(elements.data(), {4, 9}).narrow(0, 1, 3);
    embedding(ids, table, y, ctx);
    EXPECT_TRUE(same_bits(y.elements(), expected.elements()));
    std::fill_n(y.data(), y.size(), 0.f);
    embedding(ids, table.contiguous(), y, ctx);
    EXPECT_TRUE(same_bits(y.elements(), expected.elements()));
    EXPECT_THROW(embedding(ids, TensorView<const T, 2>(elements.data(), {3, 9}, {10, 1}), y, ctx), ShapeError);
  };
  check(float{});
  check(half{});
  check(bfloat16{});
}

TEST_P(Embedding, NoTokensNoWork) {
  Tensor<float, 2> y({0, 4});
  EXPECT_NO_THROW(embedding({}, any_tensor<half>({3, 4}, random_floats(12, 1)), y, ctx));
}

TEST_P(Embedding, WhatDoesNotFitIsAnError) {
  const AnyTensor table = any_tensor<float>({3, 4}, random_floats(12, 1));
  Tensor<float, 2> y({2, 4});
  const std::vector<TokenId> ids{0, 2};
  EXPECT_NO_THROW(embedding(ids, table, y, ctx));
  y(0, 0) = 7.f;
  EXPECT_THROW(embedding(std::vector<TokenId>{0, 3}, table, y, ctx), ShapeError);
  EXPECT_THROW(embedding(std::vector<TokenId>{0, -1}, table, y, ctx), ShapeError);
  EXPECT_EQ(y(0, 0), 7.f) << "nothing is written before every id is checked";
  EXPECT_THROW(embedding(std::vector<TokenId>{0}, table, y, ctx), ShapeError);
  EXPECT_THROW(embedding(ids, table, Tensor<float, 2>({2, 5}), ctx), ShapeError);
  EXPECT_THROW(embedding(ids, table, Tensor<float, 2>({4, 2}).view().transpose(0, 1), ctx), ShapeError);
  EXPECT_THROW(embedding(ids, any_tensor<float>({12}, random_floats(12, 1)), y, ctx), ShapeError);
  EXPECT_THROW(embedding(ids, any_tensor<double>({3, 4}, random_floats(12, 1)), y, ctx), UnsupportedError);
  try {
    embedding(std::vector<TokenId>{1, 9}, table, y, ctx);
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_NE(std::string(error.what()).find("9"), std::string::npos);
  }
}

}  // namespace
