#include <weft/models/vision_pass.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "vision_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr float tolerance = 2e-4f;

// -- Every fixture against the reference.

class Vision : public ::testing::TestWithParam<std::string> {
 protected:
  VisionModel load(LoadOptions options = {}) const {
    options.threads = 1;
    options.compute = Compute::f32;
    return load_vision(vision_fixture(GetParam()), options);
  }
  void expect_near(const std::string& name, TensorView<const float, 2> found) const {
    const AnyTensor expected = reference.tensor(name);
    EXPECT_EQ(found.shape(), expected.shape()) << name;
    EXPECT_LE(max_difference(values_of(found), expected.elements<float>()), tolerance) << name;
  }
  /// What part(y) writes, where the reference has it. y: (images, width).
  template <class Part>
  void expect_part(const char* name, Part&& part) const {
    if (!reference.has(name)) return;
    const Shape shape = reference.tensor(name).shape();
    Tensor<float, 2> y({shape[0], shape[1]});
    part(y);
    expect_near(name, y);
  }

  VisionReference reference{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Fixtures, Vision, ::testing::ValuesIn(vision_fixtures_with("pixel_values")),
                         [](const auto& name_of) { return test_name(name_of.param); });

TEST_P(Vision, ImagesBecomeWhatTheReferenceSays) {
  for (const cpu::Kernels* kernels : all_kernels())
    for (const Load how : {Load::repack, Load::in_place}) {
      SCOPED_TRACE(kernels->name);
      const VisionModel model = load({.load = how, .kernels = kernels});
      const VisionConfig& c = model.config();
      std::vector<std::vector<float>> seen;
      VisionPass pass(model);
      pass.set_tap([&](std::string_view name, TensorView<const float, 2> values) {
        if (name == c.image.modules.embedding ||
            (!seen.empty() && name == detail::tensor_name(c.image.modules.layer, {seen.size() - 1, 0})))
          seen.push_back(values_of(values));
      });
      expect_near("last_hidden_state", pass.forward(reference.pixels()));
      EXPECT_EQ(pass.images(), reference.pixels().extent(0));
      ASSERT_EQ(seen.size(), c.image.layers + 1);
      for (std::size_t i = 0; i <= c.image.layers; ++i) {
        const std::string name = "hidden_states." + std::to_string(i);
        if (!reference.has(name)) continue;
        EXPECT_LE(max_difference(seen[i], reference.tensor(name).elements<float>()), tolerance) << name;
      }
      expect_part("pooled", [&](auto& y) { pass.pool(y); });
      expect_part("classes", [&](auto& y) { pass.classify(y); });
      expect_part("image_features", [&](auto& y) { pass.features(y); });
    }
}

// Images of another size, after one of the model's own and before: positions are those of the pass.
TEST_P(Vision, InterpolatedPositionsAreThoseOfTheReference) {
  if (!reference.has("resized_pixel_values")) return;
  for (const cpu::Kernels* kernels : all_kernels()) {
    SCOPED_TRACE(kernels->name);
    VisionPass pass(load({.kernels = kernels}), {.interpolate_positions = true});
    expect_near("last_hidden_state", pass.forward(reference.pixels()));
    for (int round = 0; round < 2; ++round) {
      expect_near("resized_last_hidden_state", pass.forward(reference.resized_pixels()));
      expect_part("resized_pooled", [&](auto& y) { pass.pool(y); });
      expect_part("resized_classes", [&](auto& y) { pass.classify(y); });
    }
    expect_near("last_hidden_state", pass.forward(reference.pixels()));
  }
}

TEST_P(Vision, PartsThatTheReferenceLacksAreMissing) {
  const VisionModel model = load();
  const VisionConfig& c = model.config();
  VisionPass pass(model);
  pass.forward(reference.pixels());
  const std::string source = vision_fixture(GetParam()).string();
  Tensor<float, 2> pooled({pass.images(), c.pooled}), classes({pass.images(), c.classes});
  if (!reference.has("pooled")) {
    EXPECT_EQ(message_of<UnsupportedError>([&] { pass.pool(pooled); }), source + ": the checkpoint has no pooler");
    EXPECT_EQ(message_of<UnsupportedError>([&] { pass.features(pooled); }), source + ": the checkpoint has no pooler");
  }
  if (!reference.has("classes")) {
    EXPECT_EQ(message_of<UnsupportedError>([&] { pass.classify(classes); }),
              source + ": the checkpoint has no classifier");
  }
}

TEST_P(Vision, ABatchIsWhatEachImageIsAlone) {
  for (const cpu::Kernels* kernels : all_kernels())
    for (const std::size_t threads : {1u, 3u}) {
      const VisionModel model = load_vision(vision_fixture(GetParam()), {.threads = threads, .kernels = kernels});
      VisionPass batch(model), single(model);
      const std::vector<float> together = values_of(batch.forward(reference.pixels()));
      std::vector<float> apart;
      for (std::size_t i = 0; i < batch.images(); ++i) {
        const std::vector<float> alone = values_of(single.forward(reference.pixels()[i]));
        apart.insert(apart.end(), alone.begin(), alone.end());
      }
      EXPECT_TRUE(same_bits(together, apart)) << kernels->name << " " << threads;
    }
}

TEST_P(Vision, HalfPrecisionComputesAlmostTheSame) {
  VisionPass pass(load_vision(vision_fixture(GetParam()), {.weights = DType::bf16, .threads = 1}));
  const std::vector<float> last = values_of(pass.forward(reference.pixels()));
  EXPECT_LE(max_difference(last, reference.tensor("last_hidden_state").elements<float>()), 0.2f);
}

// -- Passes.

TEST(VisionPass, RunsAgainAndAgain) {
  const VisionReference reference("siglip");
  VisionPass pass(load_vision(vision_fixture("siglip"), {.threads = 1}));
  EXPECT_EQ(pass.images(), 0u);
  EXPECT_EQ(pass.hidden().extent(0), 0u);
  const auto run = [&](std::size_t images) {
    std::vector<float> said = values_of(pass.forward(reference.pixels().narrow(0, 0, images)));
    Tensor<float, 2> y({images, pass.model().features()});
    pass.features(y);
    said.insert(said.end(), y.data(), y.data() + y.size());
    return said;
  };
  const std::vector<float> one = run(1), two = run(2);
  EXPECT_EQ(run(1), one);
  EXPECT_EQ(run(2), two);
  EXPECT_TRUE(run(0).empty());
}

// Pixels need not lie one after the other.
TEST(VisionPass, TakesAnyStrides) {
  const VisionReference reference("vit");
  VisionPass pass(load_vision(vision_fixture("vit"), {.threads = 1}));
  const std::vector<float> expected = values_of(pass.forward(reference.pixels()));
  const auto turned = reference.pixels().permute({0, 2, 3, 1}).contiguous();
  const auto pixels = turned.view().permute({0, 3, 1, 2});
  EXPECT_TRUE(same_bits(values_of(pass.forward(TensorView<const float, 4>(pixels))), expected));
}

TEST(VisionPass, TapsHaveTheNamesOfTheReference) {
  const auto names_of = [](const char* fixture, auto&& ask) {
    VisionPass pass(load_vision(vision_fixture(fixture), {.threads = 1}));
    std::vector<std::string> names;
    pass.set_tap([&](std::string_view name, TensorView<const float, 2>) { names.emplace_back(name); });
    pass.forward(VisionReference(fixture).pixels());
    Tensor<float, 2> y({2, pass.model().features()});
    ask(pass, y);
    return names;
  };
  const auto features = [](VisionPass& pass, auto& y) { pass.features(y); };
  EXPECT_THAT(names_of("vit-pooler", features),
              ElementsAre("vit.embeddings", "vit.layers.0.attention", "vit.layers.0.mlp", "vit.layers.0",
                          "vit.layernorm", "vit.pooler"));
  EXPECT_THAT(names_of("clip-older", features),
              ElementsAre("vision_model.pre_layrnorm", "vision_model.encoder.layers.0.self_attn",
                          "vision_model.encoder.layers.0.mlp", "vision_model.encoder.layers.0",
                          "vision_model.post_layernorm", "visual_projection"));
  EXPECT_THAT(names_of("deit-classes", [](VisionPass&, auto&) {}),
              ElementsAre("deit.embeddings", "deit.layers.0.attention", "deit.layers.0.mlp", "deit.layers.0",
                          "deit.layernorm"));
  const std::vector<std::string> siglip = names_of("siglip", features);
  EXPECT_EQ(siglip.front(), "vision_model.embeddings");
  EXPECT_EQ(siglip[siglip.size() - 2], "vision_model.post_layernorm");
  EXPECT_EQ(siglip.back(), "vision_model.head");
}

TEST(VisionPass, ChecksShapes) {
  VisionPass pass(load_vision(vision_fixture("vit-pooler"), {.threads = 1}));
  const auto message = [&](const Dims<4>& extents) {
    Tensor<float, 4> pixels(extents);
    return message_of<ShapeError>([&] { pass.forward(pixels); });
  };
  EXPECT_EQ(message({1, 3, 12, 11}), "forward: pixels has shape (1, 3, 12, 11), expected (1, 3, 12, 12)");
  EXPECT_EQ(message({2, 1, 12, 12}), "forward: pixels has shape (2, 1, 12, 12), expected (2, 3, 12, 12)");
  pass.forward(VisionReference("vit-pooler").pixels());
  Tensor<float, 2> y({3, 10});
  EXPECT_THAT(message_of<ShapeError>([&] { pass.pool(y); }), HasSubstr("pool: y has shape (3, 10)"));
  VisionPass classes(load_vision(vision_fixture("vit"), {.threads = 1}));
  classes.forward(VisionReference("vit").pixels());
  EXPECT_THAT(message_of<ShapeError>([&] { classes.classify(y); }), HasSubstr("classify: y has shape (3, 10)"));
  VisionPass clip(load_vision(vision_fixture("clip"), {.threads = 1}));
  clip.forward(VisionReference("clip").pixels());
  EXPECT_THAT(message_of<ShapeError>([&] { clip.features(y); }), HasSubstr("features: y has shape (3, 10)"));
}

TEST(VisionPass, TakesNoImageSmallerThanAPatch) {
  VisionPass pass(load_vision(vision_fixture("vit"), {.threads = 1}), {.interpolate_positions = true});
  const auto message = [&](const Dims<4>& extents) {
    Tensor<float, 4> pixels(extents);
    return message_of<ShapeError>([&] { pass.forward(pixels); });
  };
  EXPECT_EQ(message({1, 3, 3, 12}), "forward: images of 3 x 12 have no patch of 4 x 4");
  EXPECT_EQ(message({1, 3, 12, 0}), "forward: images of 12 x 0 have no patch of 4 x 4");
  EXPECT_EQ(message({1, 2, 8, 8}), "forward: pixels has shape (1, 2, 8, 8), expected (1, 3, 8, 8)");
  const Tensor<float, 4> one({1, 3, 4, 7});
  EXPECT_EQ(pass.forward(one).extent(0), 2u);
}

TEST(VisionPass, NeedsAnImageTower) {
  EXPECT_EQ(message_of<UnsupportedError>([] { VisionPass(load_vision(vision_fixture("clip-text"), {.threads = 1})); }),
            vision_fixture("clip-text").string() + ": the checkpoint has no image tower");
}

TEST(VisionPass, AWrongInputLeavesThePassUsable) {
  VisionPass pass(load_vision(vision_fixture("vit"), {.threads = 1}));
  pass.forward(VisionReference("vit").pixels());
  const Tensor<float, 4> wrong({1, 3, 4, 4});
  EXPECT_THROW(pass.forward(wrong), ShapeError);
  EXPECT_EQ(pass.images(), 2u);
}

TEST(VisionPass, LayersMayRunElsewhere) {
  VisionPass pass(load_vision(vision_fixture("clip-vision"), {.threads = 1}));
  const VisionReference reference("clip-vision");
  const TensorView<const float, 2> hidden = pass.forward(reference.pixels());
  const std::vector<float> expected(hidden.data(), hidden.data() + hidden.size());
  std::size_t sequences = 0;
  pass.set_layers([&](std::span<const PackedSequence> all, const EncoderLayerParams& params, TensorView<float, 2> x,
                      const std::stop_token&) {
    sequences = all.size();
    EXPECT_EQ(params.form, EncoderForm::pre_norm);
    std::fill_n(x.data(), x.size(), 2.5f);
  });
  const TensorView<const float, 2> elsewhere = pass.forward(reference.pixels());
  EXPECT_EQ(sequences, pass.images());
  EXPECT_EQ(std::vector<float>(elsewhere.data(), elsewhere.data() + elsewhere.size()),
            std::vector<float>(expected.size(), 2.5f));
  pass.set_layers({});
  const TensorView<const float, 2> again = pass.forward(reference.pixels());
  EXPECT_TRUE(same_bits({again.data(), again.size()}, expected));
}

TEST(VisionPass, StopsWhenAskedTo) {
  VisionPass pass(load_vision(vision_fixture("vit"), {.threads = 1}));
  std::stop_source stop;
  pass.set_tap([&](std::string_view name, TensorView<const float, 2>) {
    if (name == "vit.layers.0") stop.request_stop();
  });
  EXPECT_EQ(message_of<Cancelled>([&] { pass.forward(VisionReference("vit").pixels(), stop.get_token()); }),
            "forward: stopped before layer 1");
  EXPECT_EQ(pass.images(), 0u);
  EXPECT_EQ(pass.hidden().extent(0), 0u);
}

}  // namespace
