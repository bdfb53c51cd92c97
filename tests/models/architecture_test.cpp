#include <weft/models/architecture.hpp>

#include <gtest/gtest.h>

namespace {

using namespace weft;

constexpr DecoderConfig config{
    .vocab = 100, .hidden = 48, .intermediate = 72, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 16};

TEST(Dim, StandsForAnExtentOfTheConfig) {
  EXPECT_EQ(extent_of(Dim::vocab, config), 100u);
  EXPECT_EQ(extent_of(Dim::hidden, config), 48u);
  EXPECT_EQ(extent_of(Dim::intermediate, config), 72u);
  EXPECT_EQ(extent_of(Dim::query, config), 64u);
  EXPECT_EQ(extent_of(Dim::key_value, config), 32u);
}

TEST(TensorRow, KnowsWhereItGoes) {
  constexpr TensorRow model_matrix{"a", +[](DecoderWeights& w) -> AnyTensor& { return w.output; }, Dim::vocab};
  constexpr TensorRow model_vector{"b", +[](DecoderWeights& w) -> Tensor<float, 1>& { return w.final_norm; },
                                   Dim::hidden};
  constexpr TensorRow layer_matrix{"c{}", +[](DecoderLayerWeights& w) -> AnyTensor& { return w.mlp.up; },
                                   Dim::intermediate};
  constexpr TensorRow layer_vector{"d{}", +[](DecoderLayerWeights& w) -> Tensor<float, 1>& { return w.mlp_norm; },
                                   Dim::hidden};
  EXPECT_TRUE(model_matrix.matrix() && !model_matrix.per_layer());
  EXPECT_TRUE(!model_vector.matrix() && !model_vector.per_layer());
  EXPECT_TRUE(layer_matrix.matrix() && layer_matrix.per_layer());
  EXPECT_TRUE(!layer_vector.matrix() && layer_vector.per_layer());
  EXPECT_EQ(layer_matrix.columns, Dim::hidden);
  EXPECT_EQ(layer_matrix.present, nullptr);
}

}  // namespace
