#include <weft/models/decoder_config.hpp>

#include <gtest/gtest.h>

namespace {

using namespace weft;

TEST(DecoderConfig, WidthsOfTheProjections) {
  const DecoderConfig config{.hidden = 48, .heads = 4, .kv_heads = 2, .head_dim = 16};
  EXPECT_EQ(config.query(), 64u);
  EXPECT_EQ(config.key_value(), 32u);
}

TEST(DecoderConfig, ChoicesAreNeutralAtFirst) {
  const DecoderConfig config;
  EXPECT_EQ(config.window, 0u);
  EXPECT_FALSE(config.attention_bias || config.attention_output_bias || config.mlp_bias || config.tied_embeddings);
  EXPECT_EQ(config.rope.scaling.index(), 0u);
  EXPECT_EQ(config.rope.rotary_dim, 0u);
  EXPECT_EQ(config.query(), 0u);
}

}  // namespace
