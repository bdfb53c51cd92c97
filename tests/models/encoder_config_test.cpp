#include <weft/models/encoder_config.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstddef>

namespace {

using namespace weft;

TEST(EncoderConfig, LayersMayShareWeights) {
  EncoderConfig c{.layers = 5};
  using Index = std::array<std::size_t, 2>;
  EXPECT_EQ(c.weights_of(3), (Index{3, 0}));
  c.layer_groups = 2;
  // transformers, models/albert/modeling_albert.py: int(i / (layers / groups)).
  const std::size_t expected[]{0, 0, 0, 1, 1};
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(c.weights_of(i), (Index{expected[i], 0}));
  c.group_layers = 3;
  c.layers = 15;
  for (std::size_t i = 0; i < 15; ++i) EXPECT_EQ(c.weights_of(i), (Index{expected[i / 3], i % 3}));
}

TEST(EncoderConfig, ProjectsEmbeddingsOfAnotherWidth) {
  EncoderConfig c{.hidden = 8, .embedding = 8};
  EXPECT_FALSE(c.has_projection());
  c.projected = true;
  EXPECT_TRUE(c.has_projection());
  EXPECT_TRUE((EncoderConfig{.hidden = 8, .embedding = 4}.has_projection()));
}

}  // namespace
