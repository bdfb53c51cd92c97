#include <weft/models/text_pass.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "vision_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::ElementsAre;

constexpr float tolerance = 2e-4f;

class Texts : public ::testing::TestWithParam<std::string> {
 protected:
  VisionModel load(LoadOptions options = {}) const {
    options.threads = 1;
    options.compute = Compute::f32;
    return load_vision_text(vision_fixture(GetParam()), options);
  }
  void expect_near(const std::string& name, TensorView<const float, 2> found) const {
    const AnyTensor expected = reference.tensor(name);
    EXPECT_EQ(found.shape(), expected.shape()) << name;
    EXPECT_LE(max_difference(values_of(found), expected.elements<float>()), tolerance) << name;
  }

  VisionReference reference{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Fixtures, Texts, ::testing::ValuesIn(vision_fixtures_with("input_ids")),
                         [](const auto& name_of) { return test_name(name_of.param); });

TEST_P(Texts, BecomeWhatTheReferenceSays) {
  for (const cpu::Kernels* kernels : all_kernels())
    for (const Load how : {Load::repack, Load::in_place}) {
      SCOPED_TRACE(kernels->name);
      const VisionModel model = load({.load = how, .kernels = kernels});
      const VisionConfig& c = model.config();
      std::vector<std::vector<float>> seen;
      TextPass pass(model);
      pass.set_tap([&](std::string_view name, TensorView<const float, 2> values) {
        if (name == c.text.modules.embedding ||
            (!seen.empty() && name == detail::tensor_name(c.text.modules.layer, {seen.size() - 1, 0})))
          seen.push_back(values_of(values));
      });
      expect_near("text_last_hidden_state", pass.forward(reference.texts()));
      ASSERT_EQ(seen.size(), c.text.layers + 1);
      for (std::size_t i = 0; i <= c.text.layers; ++i) {
        const std::string name = "text_hidden_states." + std::to_string(i);
        if (!reference.has(name)) continue;
        EXPECT_LE(max_difference(seen[i], reference.tensor(name).elements<float>()), tolerance) << name;
      }
      Tensor<float, 2> y({pass.texts(), c.projection});
      pass.features(y);
      expect_near("text_features", y);
    }
}

TEST_P(Texts, MatchImagesAsTheReferenceSays) {
  const VisionModel model = load();
  if (!model.config().has_images()) {
    Tensor<float, 2> x({1, 4}), logits({1, 1});
    EXPECT_EQ(message_of<UnsupportedError>([&] { match_logits(model, x, x, logits); }),
              vision_fixture(GetParam()).string() + ": the checkpoint has no image tower");
    return;
  }
  VisionPass images(model);
  TextPass texts(model);
  images.forward(reference.pixels());
  texts.forward(reference.texts());
  Tensor<float, 2> x({images.images(), model.features()}), y({texts.texts(), model.config().projection});
  images.features(x);
  texts.features(y);
  Tensor<float, 2> logits({x.extent(0), y.extent(0)});
  match_logits(model, x, y, logits);
  expect_near("logits", logits);
  match_probabilities(model, logits);
  expect_near("probabilities", logits);
  // Lengths do not matter.
  for (float& value : x.elements()) value *= 3.f;
  match_logits(model, x, y, logits);
  expect_near("logits", logits);
  Tensor<float, 2> wrong({y.extent(0), x.extent(0)}), narrow({y.extent(0), y.extent(1) - 1});
  EXPECT_THROW(match_logits(model, x, y, wrong), ShapeError);
  EXPECT_THROW(match_logits(model, x, narrow, logits), ShapeError);
}

TEST_P(Texts, ABatchIsWhatEachTextIsAlone) {
  for (const cpu::Kernels* kernels : all_kernels())
    for (const std::size_t threads : {1u, 3u}) {
      const VisionModel model = load_vision(vision_fixture(GetParam()), {.threads = threads, .kernels = kernels});
      TextPass batch(model), single(model);
      const std::vector<float> together = values_of(batch.forward(reference.texts()));
      std::vector<float> apart;
      for (const std::vector<TokenId>& text : reference.texts()) {
        const std::vector<float> alone = values_of(single.forward({&text, 1}));
        apart.insert(apart.end(), alone.begin(), alone.end());
      }
      EXPECT_TRUE(same_bits(together, apart)) << kernels->name << " " << threads;
    }
}

TEST(TextPass, RunsAgainAndAgain) {
  const VisionReference reference("clip");
  TextPass pass(load_vision_text(vision_fixture("clip"), {.threads = 1}));
  EXPECT_EQ(pass.texts(), 0u);
  const auto run = [&](std::size_t texts) {
    return values_of(pass.forward(std::span(reference.texts()).first(texts)));
  };
  const std::vector<float> one = run(1), three = run(3);
  EXPECT_EQ(run(1), one);
  EXPECT_EQ(run(3), three);
  EXPECT_TRUE(run(0).empty());
  EXPECT_EQ(pass.texts(), 0u);
}

// A text without an end is represented by its first token, as in the reference.
TEST(TextPass, TheTokenThatStandsForAText) {
  const auto features = [](const char* fixture, const std::vector<TokenId>& text) {
    TextPass pass(load_vision_text(vision_fixture(fixture), {.threads = 1}));
    pass.forward({&text, 1});
    Tensor<float, 2> y({1, pass.model().config().projection});
    pass.features(y);
    return values_of(y);
  };
  // What follows the token that counts does not: the tower is causal.
  EXPECT_EQ(features("clip", {60, 5, 61, 7}), features("clip", {60, 5, 61, 61}));
  EXPECT_EQ(features("clip", {60, 5, 9, 7}), features("clip", {60, 8}));
  EXPECT_EQ(features("clip-older", {3, 63, 61, 63}), features("clip-older", {3, 63}));
  EXPECT_NE(features("siglip", {60, 5, 61, 7}), features("siglip", {60, 5, 61, 61}));
}

TEST(TextPass, TapsHaveTheNamesOfTheReference) {
  const auto names_of = [](const char* fixture) {
    TextPass pass(load_vision_text(vision_fixture(fixture), {.threads = 1}));
    std::vector<std::string> names;
    pass.set_tap([&](std::string_view name, TensorView<const float, 2>) { names.emplace_back(name); });
    pass.forward(VisionReference(fixture).texts());
    Tensor<float, 2> y({3, pass.model().config().projection});
    pass.features(y);
    return names;
  };
  EXPECT_THAT(names_of("clip-older"), ElementsAre("text_model.embeddings", "text_model.encoder.layers.0.self_attn",
                                                  "text_model.encoder.layers.0.mlp", "text_model.encoder.layers.0",
                                                  "text_model.final_layer_norm", "text_projection"));
  EXPECT_EQ(names_of("siglip").back(), "text_model.head");
}

TEST(TextPass, ChecksItsInput) {
  TextPass pass(load_vision_text(vision_fixture("clip"), {.threads = 1}));
  const auto message = [&](const std::vector<TokenId>& text) {
    const std::vector<std::vector<TokenId>> texts{{5}, text};
    return message_of<ShapeError>([&] { pass.forward(texts); });
  };
  EXPECT_EQ(message({}), "forward: text 1 has no tokens");
  EXPECT_EQ(message({3, 64}), "forward: token id 64 at index 1 of text 1 is outside [0, 64)");
  EXPECT_EQ(message({-1}), "forward: token id -1 at index 0 of text 1 is outside [0, 64)");
  EXPECT_EQ(message(some_ids(11, 64)), "forward: text 1 has 11 tokens, the model has 10 positions");
  pass.forward(std::vector<std::vector<TokenId>>{{5}});
  Tensor<float, 2> y({2, 3});
  EXPECT_THAT(message_of<ShapeError>([&] { pass.features(y); }), ::testing::HasSubstr("features: y has shape (2, 3)"));
}

TEST(TextPass, StopsWhenAskedTo) {
  TextPass pass(load_vision_text(vision_fixture("clip"), {.threads = 1}));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(message_of<Cancelled>([&] { pass.forward(VisionReference("clip").texts(), stop.get_token()); }),
            "forward: stopped before layer 0");
  EXPECT_EQ(pass.texts(), 0u);
}

TEST(TextPass, NeedsATextTower) {
  const VisionModel model = load_vision(vision_fixture("vit"), {.threads = 1});
  const std::string expected = vision_fixture("vit").string() + ": the checkpoint has no text tower";
  EXPECT_EQ(message_of<UnsupportedError>([&] { TextPass pass(model); }), expected);
  EXPECT_EQ(message_of<UnsupportedError>([&] { load_vision_text(vision_fixture("vit")); }), expected);
  Tensor<float, 2> logits({1, 1}), features({1, 24});
  EXPECT_EQ(message_of<UnsupportedError>([&] { match_logits(model, features, features, logits); }), expected);
}

// -- Texts as a tokenizer makes tokens of them.

TEST(EncodeText, CutsToTheContextAndFillsItUpWhereTheModelWasTrainedSo) {
  const std::filesystem::path tokenizer =
      std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "tokenizer_json" / "clip" / "tokenizer.json";
  for (const char* fixture : {"clip", "siglip"}) {
    const VisionCopy copy(fixture);
    std::filesystem::copy_file(tokenizer, copy.path() / "tokenizer.json");
    copy.write("tokenizer_config.json", R"({"pad_token": "<|endoftext|>"})");
    const VisionModel model = copy.load();
    const std::vector<TokenId> shorter = encode_text(model, "a");
    const std::vector<TokenId> longer = encode_text(model, "a photograph of a cat on a mat, and of a hat");
    EXPECT_EQ(longer.size(), 10u) << fixture;
    EXPECT_EQ(longer.front(), shorter.front());
    EXPECT_EQ(longer.back(), *model.tokenizer().id_of("<|endoftext|>"));
    EXPECT_EQ(shorter.size(), fixture == std::string("siglip") ? 10u : 3u);
    EXPECT_EQ(shorter.back(), longer.back());
  }
  const VisionModel none = load_vision(vision_fixture("clip"), {.threads = 1});
  EXPECT_THROW(static_cast<void>(encode_text(none, "a")), TokenizerError);
}

}  // namespace
