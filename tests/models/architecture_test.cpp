#include <weft/models/architecture.hpp>

#include <gtest/gtest.h>

namespace {

using namespace weft;

TEST(DecoderWeights, HaveAsManyLayersAsTheConfigSays) {
  DecoderWeights weights;
  weights.resize({.layers = 3});
  EXPECT_EQ(weights.layers.size(), 3u);
  EXPECT_TRUE(weights.layers[2].attention_norm.gain.empty());
}

}  // namespace
