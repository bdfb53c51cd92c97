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
  EXPECT_EQ(config.form, BlockForm::pre_norm);
  EXPECT_EQ(config.embedding_scale * config.residual_scale * config.logit_scale, 1.f);
  EXPECT_TRUE(config.rotates(3));
  EXPECT_EQ(config.logit_soft_cap + config.attention_soft_cap + config.qkv_clip + config.norm_gain_offset, 0.f);
  EXPECT_FALSE(config.has_experts(3));
  EXPECT_EQ(config.window_of(3), 0u);
}

TEST(DecoderConfig, ChoicesByLayer) {
  const DecoderConfig config{.window = 5,
                             .unrotated_layers = {false, true},
                             .full_attention = {false, true},
                             .experts = 4,
                             .dense_layers = {true, false}};
  EXPECT_TRUE(config.rotates(0));
  EXPECT_FALSE(config.rotates(1));
  EXPECT_EQ(config.window_of(0), 5u);
  EXPECT_EQ(config.window_of(1), 0u);
  EXPECT_FALSE(config.has_experts(0));
  EXPECT_TRUE(config.has_experts(1));
  const DecoderConfig everywhere{.window = 5, .experts = 4};
  EXPECT_EQ(everywhere.window_of(7), 5u);
  EXPECT_TRUE(everywhere.has_experts(7));
}

TEST(DecoderConfig, ScoresAreScaledByTheRootOfTheHeadUnlessItSaysOtherwise) {
  EXPECT_EQ((DecoderConfig{.head_dim = 16}.score_scale(1)), 0.25f);
  EXPECT_EQ((DecoderConfig{.head_dim = 16, .attention_scale = 1.f}.score_scale(1)), 1.f);
  EXPECT_EQ((DecoderConfig{.head_dim = 16, .inverse_layer_scale = true}.score_scale(0)), 0.25f);
  EXPECT_EQ((DecoderConfig{.head_dim = 16, .inverse_layer_scale = true}.score_scale(1)), 0.125f);
}

TEST(DecoderConfig, TheWidestFeedForwardLayer) {
  EXPECT_EQ((DecoderConfig{.intermediate = 7}.widest_intermediate()), 7u);
  EXPECT_EQ(
      (DecoderConfig{.intermediate = 7, .expert_intermediate = 3, .shared_intermediate = 9}.widest_intermediate()), 9u);
}

}  // namespace
