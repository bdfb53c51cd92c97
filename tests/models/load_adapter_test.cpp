#include <weft/models/load_adapter.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <weft/formats/gguf_writer.hpp>
#include <weft/models/export_gguf.hpp>
#include <weft/models/merge_adapter.hpp>
#include <weft/models/weight_loader.hpp>
#include <weft/ops/quantize.hpp>

#include "adapter_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::HasSubstr;

constexpr float tolerance = 2e-4f;

class Adapters : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Fixture, Adapters, ::testing::ValuesIn(adapter_names()),
                         [](const auto& tested) { return test_name(tested.param); });

TEST(LoadAdapter, ThereIsAFixtureForEveryOption) { EXPECT_EQ(adapter_names().size(), 22u); }

TEST_P(Adapters, ComputeWhatPeftDoes) {
  const AdapterReference reference(GetParam());
  const CausalLM model = model_of(GetParam());
  const Adapter adapter = load_fixture_adapter(model, GetParam());
  const std::vector<float> logits = logits_of(model, reference.prompt(), {{adapter}});
  EXPECT_LE(max_difference(logits, reference.tensor("logits").elements<float>()), tolerance);
  EXPECT_GT(max_difference(logits, logits_of(model, reference.prompt())), 0.02f);
  EXPECT_GT(adapter.parameters(), 0u);
}

TEST_P(Adapters, MergedComputeWhatPeftDoes) {
  const AdapterReference reference(GetParam());
  const CausalLM model = model_of(GetParam(), {.weights = DType::f32});
  const CausalLM merged = merge(model, load_fixture_adapter(model, GetParam()));
  const std::string tensor = reference.contains("merged") ? "merged" : "logits";
  EXPECT_LE(max_difference(logits_of(merged, reference.prompt()), reference.tensor(tensor).elements<float>()),
            tolerance);
}

/// The fixture's model as a GGUF file, in a directory.
class GgufModel {
 public:
  explicit GgufModel(std::string_view name) {
    const Checkpoint checkpoint = Checkpoint::open(fixture(name));
    GgufWriter writer;
    for (const TensorToWrite& tensor : export_gguf(checkpoint, writer)) writer.add_tensor(tensor.name, tensor.read());
    writer.write(path());
  }
  std::filesystem::path path() const { return directory_.path() / "model.gguf"; }
  CausalLM load() const { return load_causal_lm(path(), {.threads = 1, .tokenizer = false}); }

 private:
  TemporaryDirectory directory_;
};

// The rows of queries and keys lie in another order in these files.
TEST(LoadAdapter, FitsModelsInGgufFiles) {
  const GgufModel file("llama-gqa");
  const CausalLM model = file.load();
  for (const char* name : {"lora", "dora", "patterns", "saved-mlp", "embedding"}) {
    const AdapterReference reference(name);
    const Adapter adapter = load_fixture_adapter(model, name);
    const auto expected = reference.tensor("logits");
    EXPECT_LE(max_difference(logits_of(model, reference.prompt(), {{adapter}}), expected.elements<float>()), tolerance)
        << name;
    EXPECT_LE(max_difference(logits_of(merge(model, adapter), reference.prompt()), expected.elements<float>()),
              tolerance)
        << name;
  }
}

TEST(LoadAdapter, ReadsAdaptersInGgufFiles) {
  const AdapterReference reference("lora");
  const std::filesystem::path path = adapter_fixture("lora-gguf") / "adapter.gguf";
  const GgufModel file("llama-gqa");
  for (const CausalLM& model : {model_of("lora"), file.load()})
    EXPECT_LE(max_difference(logits_of(model, reference.prompt(), {{load_adapter(model, path)}}),
                             reference.tensor("logits").elements<float>()),
              tolerance);
}

TEST(LoadAdapter, ReadsTablesAndVectorsInGgufFiles) {
  const CausalLM model = model_of("embedding");
  const SafetensorsFile stored(adapter_fixture("embedding") / "adapter_model.safetensors");
  const std::string embedding = "base_model.model.model.embed_tokens.lora_embedding_";
  const Tensor<float, 1> gain({64}, std::vector<float>(64, 0.5f));
  const TemporaryDirectory directory;
  GgufWriter writer;
  writer.set("general.type", "adapter");
  writer.set("general.architecture", "llama");
  writer.set("adapter.type", "lora");
  writer.set("adapter.lora.alpha", 6.f);
  writer.add_tensor("token_embd.weight.lora_a", detail::transposed_copy(stored.tensor(embedding + "A")));
  writer.add_tensor("token_embd.weight.lora_b", stored.tensor(embedding + "B"));
  writer.add_tensor("output_norm.weight", AnyTensor(DType::f32, {64}, std::as_bytes(gain.elements()), nullptr));
  writer.write(directory.path() / "a.gguf");
  const Adapter adapter = load_adapter(model, directory.path() / "a.gguf");

  AdapterCopy copy("embedding");
  copy.set("target_modules", {"embed_tokens"}).set("modules_to_save", {"norm"});
  copy.edit_tensors([&](CheckpointCopy::Tensors& tensors) {
    std::erase_if(tensors, [&](const auto& tensor) { return !tensor.first.starts_with(embedding); });
    tensors.emplace_back("base_model.model.model.norm.weight",
                         AnyTensor(DType::f32, {64}, std::as_bytes(gain.elements()), nullptr));
  });
  const auto prompt = AdapterReference("embedding").prompt();
  const std::vector<float> logits = logits_of(model, prompt, {{adapter}});
  EXPECT_TRUE(same_bits(logits, logits_of(model, prompt, {{load_adapter(model, copy.path())}})));
  EXPECT_GT(max_difference(logits, logits_of(model, prompt)), 0.02f);
}

// On weights that are quantised the changes are as exact as on others.
TEST(LoadAdapter, FitsQuantisedModels) {
  for (const DType weights : {DType::q8_0, DType::q4_0, DType::bf16}) {
    const CausalLM quantised = model_of("lora", {.weights = weights, .compute = Compute::f32});
    // The same numbers as floats.
    CausalLM::Parts parts = quantised.parts();
    const auto widen = [](AnyTensor& matrix) {
      if (matrix) matrix = convert_weight(convert_weight(matrix, DType::f32, Layout::rows), DType::f32, Layout::panels);
    };
    for (DecoderLayerWeights& layer : parts.weights.layers) {
      for (AnyTensor* matrix : {&layer.attention.q, &layer.attention.k, &layer.attention.v, &layer.attention.o,
                                &layer.mlp.gate, &layer.mlp.up, &layer.mlp.down})
        widen(*matrix);
    }
    widen(parts.weights.output);
    const CausalLM plain(parts);
    for (const char* name : {"lora", "dora"}) {
      const auto prompt = AdapterReference(name).prompt();
      EXPECT_LE(max_difference(logits_of(quantised, prompt, {{load_fixture_adapter(quantised, name)}}),
                               logits_of(plain, prompt, {{load_fixture_adapter(plain, name)}})),
                tolerance);
    }
  }
}

TEST(LoadAdapter, NamesMayLackThePrefixOfTheModel) {
  AdapterCopy copy;
  copy.edit_tensors([](CheckpointCopy::Tensors& tensors) {
    for (auto& [name, tensor] : tensors) name.erase(name.find("model.layers"), std::string("model.").size());
  });
  const CausalLM model = model_of("lora");
  const AdapterReference reference("lora");
  EXPECT_LE(max_difference(logits_of(model, reference.prompt(), {{load_adapter(model, copy.path())}}),
                           reference.tensor("logits").elements<float>()),
            tolerance);
}

/// What loading a copy of an adapter fails with.
template <class E>
std::string failure(const AdapterCopy& copy, std::string_view model = "lora") {
  const CausalLM loaded = model_of(model);
  return message_of<E>([&] { load_adapter(loaded, copy.path()); });
}

const std::string q_proj = "base_model.model.model.layers.0.self_attn.q_proj.";

TEST(LoadAdapter, TensorsThatDoNotFitAreNamed) {
  AdapterCopy renamed, missing, shape, type, module, prefix, extra, unnamed, twice;
  renamed.edit_tensors([](auto& tensors) { tensors[0].first = q_proj + "lora_C.weight"; });
  EXPECT_THAT(failure<FormatError>(renamed), HasSubstr("lora_C.weight: the model has no such tensor"));
  missing.edit_tensors([](auto& tensors) {
    std::erase_if(tensors, [](const auto& tensor) { return tensor.first == q_proj + "lora_B.weight"; });
  });
  EXPECT_THAT(failure<FormatError>(missing), HasSubstr("there is no lora_B for model.layers.0.self_attn.q_proj"));
  shape.edit_tensors([](auto& tensors) {
    find_tensor(tensors, q_proj + "lora_A.weight") = zeros(DType::f32, {4, 63});
  });
  EXPECT_THAT(failure<ConfigError>(shape), HasSubstr("q_proj.weight has shape (4, 63), model and adapter say (4, 64)"));
  type.edit_tensors([](auto& tensors) { find_tensor(tensors, q_proj + "lora_A.weight") = zeros(DType::i32, {4, 64}); });
  EXPECT_THAT(failure<FormatError>(type), HasSubstr("has element type i32, expected f32, f16 or bf16"));
  module.edit_tensors([](auto& tensors) {
    for (auto& [name, tensor] : tensors)
      if (const std::size_t at = name.find("layers.1"); at != name.npos) name[at + 7] = '2';
  });
  EXPECT_THAT(failure<FormatError>(module), HasSubstr("the model has no module model.layers.2.self_attn.q_proj"));
  prefix.edit_tensors([](auto& tensors) { tensors[0].first.insert(0, "x."); });
  EXPECT_THAT(failure<FormatError>(prefix), HasSubstr("its name does not begin with base_model.model."));
  extra.edit_tensors(
      [](auto& tensors) { tensors.emplace_back("base_model.model.lm_head.bias", zeros(DType::f32, {97})); });
  EXPECT_THAT(failure<FormatError>(extra), HasSubstr("lm_head.bias: the model has no such tensor"));
  unnamed.edit_tensors(
      [](auto& tensors) { tensors.emplace_back("base_model.model.model.norm.weight", zeros(DType::f32, {64})); });
  EXPECT_THAT(failure<FormatError>(unnamed), HasSubstr("names it neither in modules_to_save nor by bias"));
  twice.edit_tensors([](auto& tensors) {
    for (const char* name : {"lm_head.weight", "lm_head.base_layer.weight"})
      tensors.emplace_back(std::string("base_model.model.") + name, zeros(DType::f32, {97, 64}));
  });
  EXPECT_THAT(failure<FormatError>(twice), HasSubstr("lm_head.weight is there twice"));
  AdapterCopy none;
  none.set("target_modules", nlohmann::json::array()).edit_tensors([](auto& tensors) { tensors.clear(); });
  EXPECT_THAT(failure<FormatError>(none), HasSubstr("adapter_model.safetensors: the adapter has no tensors"));
}

TEST(LoadAdapter, ConfigsThatDoNotFitAreErrors) {
  EXPECT_THAT(failure<ConfigError>(AdapterCopy().set("r", 5)), HasSubstr("has shape (4, 64), model and adapter say"));
  EXPECT_THAT(failure<ConfigError>(AdapterCopy().set("rank_pattern", {{"v_proj", 3}})), HasSubstr("v_proj"));
  EXPECT_THAT(failure<FormatError>(AdapterCopy().set("target_modules", {"q_proj"})),
              HasSubstr("adapter_config.json does not target model.layers.0.self_attn.v_proj"));
  EXPECT_THAT(failure<FormatError>(AdapterCopy().set("target_modules", {"q_proj", "v_proj", "o_proj"})),
              HasSubstr("targets model.layers.0.self_attn.o_proj, of which there are no tensors"));
  EXPECT_THAT(failure<FormatError>(AdapterCopy().set("use_dora", true)),
              HasSubstr("there is no lora_magnitude_vector for model.layers.0.self_attn.q_proj"));
  EXPECT_THAT(failure<FormatError>(AdapterCopy().set("modules_to_save", {"lm_head"})),
              HasSubstr("saves lm_head, of which there are no tensors"));
  EXPECT_THAT(failure<FormatError>(AdapterCopy("dora").set("use_dora", false)), HasSubstr("does not say use_dora"));
  EXPECT_THAT(failure<FormatError>(AdapterCopy("lora-bias").set("lora_bias", false), "lora-bias"),
              HasSubstr("does not say lora_bias"));
  EXPECT_THAT(failure<FormatError>(AdapterCopy("bias-all").set("bias", "none"), "bias-all"),
              HasSubstr("names it neither in modules_to_save nor by bias"));
  EXPECT_THAT(failure<FormatError>(AdapterCopy(), "conv1d"), HasSubstr("the model has no module"));
  // What "all-linear" names depends on the classes of the base model: only what is there counts.
  EXPECT_EQ(failure<Error>(AdapterCopy().set("target_modules", "all-linear")), "no exception");
}

TEST(LoadAdapter, FilesThatAreMissingOrOfAnotherKindAreErrors) {
  const CausalLM model = model_of("lora");
  const auto load = [&](const std::filesystem::path& path) { return [&model, path] { load_adapter(model, path); }; };
  EXPECT_THAT(message_of<FormatError>(load("/nonexistent")), HasSubstr("no such file"));
  const TemporaryDirectory directory;
  EXPECT_THAT(message_of<FormatError>(load(directory.path())), HasSubstr("adapter_config.json"));
  AdapterCopy copy;
  std::filesystem::remove(copy.path() / "adapter_model.safetensors");
  EXPECT_THAT(message_of<FormatError>(load(copy.path())), HasSubstr("neither adapter_model.safetensors nor"));
  EXPECT_THAT(message_of<UnsupportedError>(load(copy.path() / "adapter_config.json")),
              HasSubstr("neither the directory"));
  EXPECT_THAT(message_of<FormatError>(load(std::filesystem::path(WEFT_TESTS_DIR) / "fixtures/gguf/llama.gguf")),
              HasSubstr("general.type"));
  const CausalLM by_hand(CausalLM::Parts{.model_type = "llama", .source = "here"});
  EXPECT_THAT(message_of<ConfigError>([&] { load_adapter(by_hand, adapter_fixture("lora")); }),
              HasSubstr("was not loaded from a checkpoint"));
}

TEST(LoadAdapter, GgufAdaptersOfAnotherKindAreErrors) {
  const CausalLM model = model_of("lora");
  const TemporaryDirectory directory;
  const auto message = [&](auto key, auto value, const char* tensor = nullptr) {
    const GgufFile file(adapter_fixture("lora-gguf") / "adapter.gguf");
    GgufWriter writer;
    for (const GgufValue& old : file.metadata()) writer.set(old);
    writer.set(key, value);
    for (const WeightsEntry& entry : file.entries()) writer.add_tensor(entry.name, file.tensor(entry.name));
    if (tensor) writer.add_tensor(tensor, zeros(DType::f32, {4, 64}));
    writer.write(directory.path() / "a.gguf");
    return message_of<Error>([&] { load_adapter(model, directory.path() / "a.gguf"); });
  };
  EXPECT_THAT(message("general.type", "model"), HasSubstr("expected \"adapter\", found \"model\""));
  EXPECT_THAT(message("adapter.type", "control"), HasSubstr("expected \"lora\", found \"control\""));
  EXPECT_THAT(message("general.architecture", "qwen2"), HasSubstr("an adapter of a qwen2 model, the model is llama"));
  EXPECT_THAT(message("adapter.alora.invocation_tokens", 1), HasSubstr("the key is not understood"));
  EXPECT_THAT(message("general.name", "x", "blk.9.attn_q.weight.lora_a"), HasSubstr("the model has no such tensor"));
  EXPECT_THAT(message("general.name", "x", "blk.0.attn_k.weight.lora_a"), HasSubstr("there is no lora_B for"));
}

}  // namespace
