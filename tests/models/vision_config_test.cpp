#include <weft/models/vision_config.hpp>

#include <gtest/gtest.h>

namespace {

using namespace weft;

TEST(VisionConfig, TokensOfAnImage) {
  VisionConfig c{.image_height = 12, .image_width = 11, .patch_height = 4, .patch_width = 2};
  EXPECT_EQ(c.patches(), 15u);
  EXPECT_EQ(c.patch_size(), 24u);
  EXPECT_EQ(c.first_patch(), 1u);
  EXPECT_EQ(c.tokens(), 16u);
  c.distillation_token = true;
  EXPECT_EQ(c.tokens(), 17u);
  c.class_token = c.distillation_token = false;
  EXPECT_EQ(c.tokens(), 15u);
  EXPECT_FALSE(c.has_text());
}

}  // namespace
