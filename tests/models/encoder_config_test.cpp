#include <weft/models/encoder_config.hpp>

#include <gtest/gtest.h>

namespace {

using namespace weft;

TEST(EncoderConfig, LayersMayShareWeights) {
  EncoderConfig c{.layers = 5};
  EXPECT_EQ(c.weighted_layers(), 5u);
  EXPECT_EQ(c.weights_of(3), 3u);
  c.layer_groups = 2;
  EXPECT_EQ(c.weighted_layers(), 2u);
  // transformers, models/albert/modeling_albert.py: int(i / (layers / groups)).
  const std::size_t expected[]{0, 0, 0, 1, 1};
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(c.weights_of(i), expected[i]);
}

TEST(EncoderConfig, ProjectsEmbeddingsOfAnotherWidth) {
  EncoderConfig c{.hidden = 8, .embedding = 8};
  EXPECT_FALSE(c.has_projection());
  c.projected = true;
  EXPECT_TRUE(c.has_projection());
  EXPECT_TRUE((EncoderConfig{.hidden = 8, .embedding = 4}.has_projection()));
}

}  // namespace
