#include <weft/models/tensor_table.hpp>

#include <gtest/gtest.h>

namespace {

using namespace weft;

struct Part {
  AnyTensor matrix;
  Tensor<float, 1> vector{};
};
struct Layer {
  Part own;
  std::vector<Part> experts;
};
struct Weights {
  Part top;
  std::vector<Layer> layers;
};
struct Config {
  std::size_t layers = 0;
  std::size_t hidden = 0;
  std::size_t experts = 0;
};
using Row = TensorRow<Weights, Config>;

TEST(Slot, FollowsMembersAndIndexesLayersThenExperts) {
  Weights weights;
  weights.layers.resize(2);
  weights.layers[1].experts.resize(3);
  EXPECT_EQ((&slot<&Weights::top, &Part::matrix>(weights, {})), &weights.top.matrix);
  EXPECT_EQ((&slot<&Weights::top, &Part::vector>(weights, {})), &weights.top.vector);
  EXPECT_EQ((&slot<&Weights::layers, &Layer::own, &Part::vector>(weights, {1, 0})), &weights.layers[1].own.vector);
  EXPECT_EQ((&slot<&Weights::layers, &Layer::experts, &Part::matrix>(weights, {1, 2})),
            &weights.layers[1].experts[2].matrix);
}

TEST(TensorRow, KnowsHowOftenItIsThere) {
  const Config config{.layers = 4, .hidden = 8, .experts = 3};
  const Row top{"a", "b", slot<&Weights::top, &Part::matrix>, dim::hidden, dim::hidden};
  EXPECT_TRUE(top.matrix());
  EXPECT_FALSE(top.per_layer());
  EXPECT_EQ(top.layer_count(config), 1u);
  EXPECT_EQ(top.expert_count(config), 1u);
  EXPECT_EQ(top.rows(config), 8u);
  EXPECT_EQ(top.present, nullptr);
  Row layer{"a.{}", "b.{}", slot<&Weights::layers, &Layer::own, &Part::vector>, dim::hidden};
  EXPECT_FALSE(layer.matrix());
  EXPECT_EQ(layer.layer_count(config), 4u);
  layer.layers = +[](const Config& c) { return c.layers / 2; };
  layer.experts = +[](const Config& c) { return c.experts; };
  EXPECT_EQ(layer.layer_count(config), 2u);
  EXPECT_EQ(layer.expert_count(config), 3u);
}

TEST(TensorName, PutsNumbersIntoPatterns) {
  EXPECT_EQ(detail::tensor_name("norm.weight", {3, 4}), "norm.weight");
  EXPECT_EQ(detail::tensor_name("h.{}.weight", {3, 4}), "h.3.weight");
  EXPECT_EQ(detail::tensor_name("h.{}.experts.{}", {3, 14}), "h.3.experts.14");
}

TEST(TensorName, MatchesPatterns) {
  EXPECT_TRUE(detail::matches_pattern("h.3.bias", "h.{}.bias"));
  EXPECT_TRUE(detail::matches_pattern("h.31.x.0", "h.{}.x.{}"));
  EXPECT_TRUE(detail::matches_pattern("h", "h"));
  for (const char* name : {"h..bias", "h.x.bias", "h.3.bias2", "h.3", "g.3.bias", ""})
    EXPECT_FALSE(detail::matches_pattern(name, "h.{}.bias")) << name;
}

}  // namespace
