#include <weft/cuda/models/device_tower.cuh>

#include <algorithm>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include <weft/models/text_pass.hpp>
#include <weft/models/vision_pass.hpp>

#include "cpu_models.hpp"
#include "device_test.cuh"
#include "near_rows.hpp"

namespace weft {
namespace {

/// Hidden states and what follows from them.
template <class Pass>
void expect_near(Pass& found, Pass& expected, std::size_t features, std::size_t count) {
  const TensorView<const float, 2> a = found.hidden();
  const TensorView<const float, 2> b = expected.hidden();
  testing::expect_rows_near({a.data(), a.size()}, {b.data(), b.size()}, b.extent(1), 2e-2);
  if (features == 0) return;
  Tensor<float, 2> of_found({count, features}), of_expected({count, features});
  found.features(of_found);
  expected.features(of_expected);
  testing::expect_rows_near(of_found.elements(), of_expected.elements(), features, 2e-2);
}

/// What a head says of every image.
void expect_same_answers(VisionPass& found, VisionPass& expected, std::size_t width,
                         void (VisionPass::*head)(TensorView<float, 2>), double share = 2e-2) {
  Tensor<float, 2> of_found({found.images(), width}), of_expected({expected.images(), width});
  (found.*head)(of_found);
  (expected.*head)(of_expected);
  testing::expect_rows_near(of_found.elements(), of_expected.elements(), width, share);
}

class VisionModels : public testing::DeviceTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(VisionModels, ComputeWhatTheCpuComputes) {
  const VisionModel model = testing::load_vision_fixture(GetParam());
  const VisionConfig& c = model.config();
  const testing::ImagesAndTexts inputs = testing::images_and_texts(GetParam());
  ASSERT_TRUE(c.has_images() || c.has_text());
  if (c.has_images()) {
    ASSERT_FALSE(inputs.pixels.empty());
    VisionPass on_cpu(model), on_device(model);
    on_device.set_layers(cuda::DeviceTower<half>::of_images(model, {.rows = c.tokens()}));
    on_cpu.forward(inputs.pixels.view());
    on_device.forward(inputs.pixels.view());
    const bool pools = c.pooling != ImagePooling::none && (c.pooling != ImagePooling::dense || model.weights().pooler);
    expect_near(on_device, on_cpu, pools ? model.features() : 0, on_cpu.images());
    if (pools) expect_same_answers(on_device, on_cpu, c.pooled, &VisionPass::pool);
    if (c.classifier != ImageClassifier::none) expect_same_answers(on_device, on_cpu, c.classes, &VisionPass::classify);
  }
  if (c.has_text()) {
    ASSERT_FALSE(inputs.texts.empty());
    TextPass on_cpu(model), on_device(model);
    on_device.set_layers(cuda::DeviceTower<half>::of_texts(model, {.rows = 256}));
    on_cpu.forward(inputs.texts);
    on_device.forward(inputs.texts);
    const LinearHead& projection = model.weights().text_projection;
    expect_near(on_device, on_cpu, projection ? projection.classes() : c.text.hidden, on_cpu.texts());
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, VisionModels, ::testing::ValuesIn(testing::fixtures_of("vision")),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

class VisionOnDevice : public testing::DeviceTest {};

TEST_F(VisionOnDevice, EveryFamilyHasAFixture) {
  std::set<std::string> computed;
  for (const std::string& name : testing::fixtures_of("vision"))
    computed.insert(testing::load_vision_fixture(name).model_type());
  for (const std::string& family : testing::vision_families()) EXPECT_TRUE(computed.contains(family)) << family;
}

TEST_F(VisionOnDevice, ComputesInBfloat16) {
  for (const std::string name : {"vit-bf16", "siglip-vision"}) {
    const VisionModel model = testing::load_vision_fixture(name);
    const testing::ImagesAndTexts inputs = testing::images_and_texts(name);
    VisionPass on_cpu(model), on_device(model);
    on_device.set_layers(cuda::DeviceTower<bfloat16>::of_images(model));
    on_cpu.forward(inputs.pixels.view());
    on_device.forward(inputs.pixels.view());
    const TensorView<const float, 2> found = on_device.hidden(), expected = on_cpu.hidden();
    testing::expect_rows_near({found.data(), found.size()}, {expected.data(), expected.size()}, expected.extent(1),
                              1e-1);
    expect_same_answers(on_device, on_cpu, model.config().pooled, &VisionPass::pool, 1e-1);
  }
}

// What is left beside the last patch is not seen.
TEST_F(VisionOnDevice, TakesImagesOfAnySize) {
  const VisionModel model = testing::load_vision_fixture("vit");
  const VisionConfig& c = model.config();
  VisionPass on_cpu(model, {.interpolate_positions = true}), on_device(model, {.interpolate_positions = true});
  on_device.set_layers(cuda::DeviceTower<half>::of_images(model, {.rows = 64}));
  const auto pixels = testing::random_tensor<float, 4>(
      {3, c.channels, 3 * c.patch_height + 1, 2 * c.patch_width + c.patch_width - 1}, 1);
  const TensorView<const float, 2> expected = on_cpu.forward(pixels.view());
  const TensorView<const float, 2> found = on_device.forward(pixels.view());
  testing::expect_rows_near({found.data(), found.size()}, {expected.data(), expected.size()}, c.image.hidden, 2e-2);
}

TEST_F(VisionOnDevice, RunsOnTheDeviceItWasMadeOn) {
  if (cuda::device_count() < 2) GTEST_SKIP() << "there is one device: several are NOT tested here";
  const VisionModel model = testing::load_vision_fixture("siglip");
  const testing::ImagesAndTexts inputs = testing::images_and_texts("siglip");
  VisionPass on_cpu(model), on_device(model);
  TextPass texts_on_cpu(model), texts_on_device(model);
  {
    const cuda::DeviceScope scope(1);
    on_device.set_layers(cuda::DeviceTower<half>::of_images(model));
    texts_on_device.set_layers(cuda::DeviceTower<half>::of_texts(model));
  }
  on_cpu.forward(inputs.pixels.view());
  on_device.forward(inputs.pixels.view());
  expect_near(on_device, on_cpu, model.features(), on_cpu.images());
  texts_on_cpu.forward(inputs.texts);
  texts_on_device.forward(inputs.texts);
  expect_near(texts_on_device, texts_on_cpu, model.features(), texts_on_cpu.texts());
  EXPECT_EQ(cuda::current_device(), 0);
}

TEST_F(VisionOnDevice, LayersAloneMayRunElsewhere) {
  const VisionModel model = testing::load_vision_fixture("vit");
  VisionPass pass(model);
  std::size_t tokens = 0;
  pass.set_layers([&](std::span<const PackedSequence> sequences, const EncoderLayerParams&, TensorView<float, 2>,
                      const std::stop_token&) {
    for (const PackedSequence& sequence : sequences) tokens += sequence.tokens;
  });
  const testing::ImagesAndTexts inputs = testing::images_and_texts("vit");
  EXPECT_EQ(pass.forward(inputs.pixels.view()).extent(0), tokens);
}

#ifndef __CUDACC__
// The emulation counts what is taken.
TEST_F(VisionOnDevice, TakesNoMoreMemoryThanIsPlanned) {
  using Tower = cuda::DeviceTower<half>;
  for (const std::string name : {"siglip", "clip", "deit"}) {
    const VisionModel model = testing::load_vision_fixture(name);
    const std::size_t before = emulation::used_bytes;
    emulation::most_used_bytes = before;
    const TowerLayers images = Tower::of_images(model, {.rows = 100});
    EXPECT_LE(emulation::most_used_bytes - before, Tower::bytes_for(model, cuda::TowerKind::images, 100));
  }
}
#endif

TEST_F(VisionOnDevice, RefusesWhatDoesNotFit) {
  const VisionModel model = testing::load_vision_fixture("vit");
  const testing::ImagesAndTexts inputs = testing::images_and_texts("vit");
  EXPECT_THROW(cuda::DeviceTower<half>::of_images(model, {.rows = 0}), ConfigError);
  EXPECT_THROW(cuda::DeviceTower<half>::of_images(model, {.rows = std::size_t{1} << 50}), CudaError);
  VisionPass pass(model);
  pass.set_layers(cuda::DeviceTower<half>::of_images(model, {.rows = model.config().tokens() - 1}));
  EXPECT_THROW(pass.forward(inputs.pixels.view()), ShapeError);
  pass.set_layers(cuda::DeviceTower<half>::of_images(model));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(pass.forward(inputs.pixels.view(), stop.get_token()), Cancelled);
  EXPECT_EQ(pass.images(), 0u);
  pass.set_layers({});
  EXPECT_EQ(pass.forward(inputs.pixels.view()).extent(1), model.config().image.hidden);
}

}  // namespace
}  // namespace weft
