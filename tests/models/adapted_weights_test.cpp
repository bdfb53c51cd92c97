#include <weft/models/adapted_weights.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <weft/models/merge_adapter.hpp>

#include "adapter_fixtures.hpp"
#include "encoder_fixtures.hpp"
#include "seq2seq_fixtures.hpp"
#include "vision_fixtures.hpp"

// Checkpoints into which adapters are merged (tests/reference/make_adapter_fixtures.py).
namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::HasSubstr;

std::filesystem::path merged_fixture(std::string_view name) {
  return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "merged" / name;
}
Checkpoint base_of(std::string_view name) {
  const SafetensorsFile reference(merged_fixture(name) / "reference.safetensors");
  const std::string model = nlohmann::json::parse(reference.metadata()[0].second).at("model");
  return Checkpoint::open(std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / model);
}
std::vector<float> floats_of(const AnyTensor& tensor) {
  std::vector<float> floats(tensor.size());
  dequantize_row(tensor.dtype(), tensor.bytes().data(), tensor.size(), floats.data());
  return floats;
}

class MergedAdapters : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Fixture, MergedAdapters,
                         testing::Values("bart", "bert", "t5", "vit", "vit-layers", "deit-layers"),
                         [](const auto& test) { return test_name(test.param); });

TEST_P(MergedAdapters, AreTheWeightsThatPeftMerges) {
  const Checkpoint base = base_of(GetParam());
  const Checkpoint merged = merge(base, merged_fixture(GetParam()));
  const SafetensorsFile reference(merged_fixture(GetParam()) / "reference.safetensors");
  std::size_t bytes = 0;
  for (const std::string& name : merged.tensor_names()) {
    ASSERT_TRUE(base.contains(name)) << name;
    bytes += merged.tensor(name).bytes().size();
    const bool changed = reference.contains(name);
    const float limit = !changed ? 0.f : base.tensor(name).dtype() == DType::f32 ? 2e-6f : 2e-3f;
    EXPECT_LE(
        max_difference(floats_of(merged.tensor(name)), floats_of(changed ? reference.tensor(name) : base.tensor(name))),
        limit)
        << name;
  }
  EXPECT_EQ(merged.bytes(), bytes);
  for (const WeightsEntry& entry : reference.entries()) EXPECT_TRUE(merged.contains(entry.name)) << entry.name;
}

TEST(AdaptedWeights, RunInModelsOfEveryKind) {
  const LoadOptions options{.threads = 1, .tokenizer = false};
  const EncoderReference texts("bert-sequences");
  const std::vector<float> plain = all_outputs(load_encoder(base_of("bert"), options), texts.inputs());
  EXPECT_GT(
      max_difference(all_outputs(load_encoder(merge(base_of("bert"), merged_fixture("bert")), options), texts.inputs()),
                     plain),
      0.02f);
  load_seq2seq(merge(base_of("t5"), merged_fixture("t5")), options);
  load_seq2seq(merge(base_of("bart"), merged_fixture("bart")), options);
  for (const char* name : {"vit", "vit-layers", "deit-layers"})
    load_vision(merge(base_of(name), merged_fixture(name)), options);
}

/// Every option of PEFT: a decoder that is loaded from the merged checkpoint computes what the merged model of PEFT
/// does.
TEST(AdaptedWeights, AreThoseOfDecodersToo) {
  for (const std::string& name : adapter_names()) {
    const AdapterReference reference(name);
    if (!reference.contains("merged")) continue;
    const Checkpoint base = Checkpoint::open(fixture(reference.about().at("model").get<std::string>()));
    const CausalLM model =
        load_causal_lm(merge(base, adapter_fixture(name)),
                       {.weights = DType::f32, .threads = 1, .compute = Compute::f32, .tokenizer = false});
    // Weights in f16 are rounded after they are merged, which PEFT's were not.
    const bool rounded = base.tensor(base.tensor_names()[0]).dtype() != DType::f32;
    EXPECT_LE(max_difference(logits_of(model, reference.prompt()), reference.tensor("merged").elements<float>()),
              rounded ? 2e-2f : 2e-4f)
        << name;
  }
}

/// What the adapter changes and what it leaves alone cannot be one tensor.
TEST(AdaptedWeights, AreNoEmbeddingThatIsTheHead) {
  const Checkpoint tied =
      Checkpoint::open(fixture(AdapterReference("embedding-tied").about().at("model").get<std::string>()));
  EXPECT_THAT(message_of<UnsupportedError>([&] { merge(tied, adapter_fixture("embedding-tied")); }),
              HasSubstr("which is the output head too"));
}

TEST(AdaptedWeights, TakeAScaleAndOneAnother) {
  const Checkpoint base = base_of("bert");
  const std::string query = "bert.encoder.layer.0.attention.self.query.weight";
  EXPECT_EQ(merge(base, merged_fixture("bert")).tensor(query).dtype(), base.tensor(query).dtype());
  const std::vector<float> plain = floats_of(base.tensor(query));
  const std::vector<float> once = floats_of(merge(base, merged_fixture("bert")).tensor(query));
  const std::vector<float> back =
      floats_of(merge(merge(base, merged_fixture("bert"), 0.5f), merged_fixture("bert"), 0.5f).tensor(query));
  EXPECT_GT(max_difference(once, plain), 0.1f);
  EXPECT_LE(max_difference(back, once), 2e-3f);
  EXPECT_LE(max_difference(floats_of(merge(base, merged_fixture("bert"), 0.f).tensor(query)), plain), 0.f);
}

/// A copy of an adapter that a test may break.
class MergedCopy : public DirectoryCopy {
 public:
  MergedCopy() : DirectoryCopy(merged_fixture("bert")) {
    remove("reference.safetensors");
    std::filesystem::rename(path() / "adapter_model.safetensors", path() / "model.safetensors");
  }
  template <class E>
  std::string failure(const std::function<void(const MergedCopy&)>& change = {}, float scale = 1.f) const {
    if (change) change(*this);
    std::filesystem::copy_file(path() / "model.safetensors", path() / "adapter_model.safetensors");
    return message_of<E>([&] { merge(base_of("bert"), path(), scale); });
  }
  void set(const char* key, const nlohmann::json& value) const {
    edit_json("adapter_config.json", [&](nlohmann::json& config) { config[key] = value; });
  }
};

TEST(AdaptedWeights, WhatDoesNotFitIsNamed) {
  using Copy = MergedCopy;
  EXPECT_THAT(Copy().failure<ConfigError>([](const Copy& c) { c.set("r", 5); }), HasSubstr("has shape (4, "));
  EXPECT_THAT(Copy().failure<FormatError>([](const Copy& c) {
    c.set("target_modules", {"query"});
    c.set("bias", "all");
  }),
              HasSubstr("adapter_config.json does not target "));
  EXPECT_THAT(Copy().failure<FormatError>([](const Copy& c) {
    c.set("target_modules", {"query", "output.dense"});
  }),
              HasSubstr("targets bert.encoder.layer.0.output.dense, of which there are no tensors"));
  EXPECT_THAT(Copy().failure<FormatError>([](const Copy& c) { c.set("modules_to_save", {"pooler"}); }),
              HasSubstr("names it neither in modules_to_save nor by bias"));
  EXPECT_THAT(Copy().failure<FormatError>([](const Copy& c) { c.set("use_dora", true); }),
              HasSubstr("there is no lora_magnitude_vector"));
  EXPECT_THAT(Copy().failure<ConfigError>({}, std::nanf("")), HasSubstr("is not a number"));
  const DirectoryCopy vit(merged_fixture("vit-layers"));  // whose modules have other names than their weights
  vit.edit_json("adapter_config.json", [](nlohmann::json& config) { config["target_modules"].push_back("v_proj"); });
  EXPECT_THAT(message_of<FormatError>([&] { merge(base_of("vit-layers"), vit.path()); }),
              HasSubstr("targets vit.layers.0.attention.v_proj, of which there are no tensors"));
  EXPECT_THAT(Copy().failure<FormatError>([](const Copy& c) {
    c.edit_tensors([](Copy::Tensors& tensors) {
      tensors.emplace_back("base_model.model.none.lora_A.weight", zeros(DType::f32, {4, 4}));
    });
  }),
              HasSubstr("the checkpoint has no module none"));
  EXPECT_THAT(Copy().failure<FormatError>([](const Copy& c) {
    c.edit_tensors([](Copy::Tensors& tensors) {
      std::erase_if(tensors,
                    [](const auto& entry) { return entry.first.ends_with("0.attention.self.query.lora_B.weight"); });
    });
  }),
              HasSubstr("there is no lora_B for bert.encoder.layer.0.attention.self.query.weight"));
}

}  // namespace
