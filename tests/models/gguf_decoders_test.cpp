#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <weft/formats/gguf.hpp>
#include <weft/formats/gguf_architectures.hpp>
#include <weft/formats/gguf_config.hpp>
#include <weft/formats/gguf_writer.hpp>
#include <weft/formats/safetensors.hpp>
#include <weft/models/encoder_registry.hpp>
#include <weft/models/export_gguf.hpp>
#include <weft/models/load.hpp>
#include <weft/models/registry.hpp>
#include <weft/models/save_pretrained.hpp>
#include <weft/models/seq2seq_registry.hpp>
#include <weft/quant/quantize.hpp>

#include "fixtures.hpp"

// A model of every family that GGUF files hold, as llama.cpp's converter wrote it.
namespace {

using namespace weft;
using namespace weft_tests;

std::filesystem::path directory() { return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "gguf" / "decoders"; }

std::vector<std::string> names() {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(directory()))
    if (entry.path().extension() == ".gguf") found.push_back(entry.path().stem().string());
  std::sort(found.begin(), found.end());
  return found;
}

class GgufDecoders : public testing::TestWithParam<std::string> {
 protected:
  std::filesystem::path path() const { return directory() / (GetParam() + ".gguf"); }

  /// The prompt, and the logits of its last tokens.
  struct Expected {
    std::vector<TokenId> prompt;
    std::vector<float> logits;
  };
  Expected expected() const {
    const SafetensorsFile file(directory() / (GetParam() + ".safetensors"));
    Expected expected;
    for (const std::int64_t id : file.tensor("input_ids").elements<std::int64_t>())
      expected.prompt.push_back(static_cast<TokenId>(id));
    const AnyTensor logits = file.tensor("logits");
    expected.logits.assign(logits.elements<float>().begin(), logits.elements<float>().end());
    return expected;
  }
  static std::vector<float> floats(const AnyTensor& tensor) {
    std::vector<float> values(tensor.size());
    dequantize_row(tensor.dtype(), tensor.bytes().data(), values.size(), values.data());
    return values;
  }
  static float difference(const CausalLM& model, const Expected& expected) {
    const std::vector<float> all = observe(model, expected.prompt).logits;
    return max_difference(std::span(all).last(expected.logits.size()), expected.logits);
  }
};

TEST_P(GgufDecoders, ComputesWhatTheReferenceDoes) {
  const Expected reference = expected();
  for (const Load load : {Load::repack, Load::in_place})
    EXPECT_LE(difference(load_causal_lm(path(), {.load = load, .threads = 1, .compute = Compute::f32}), reference),
              2e-4f);
}

/// Rows, gains and names go back to where transformers has them.
TEST_P(GgufDecoders, AreSavedAsTransformersHasThem) {
  const TemporaryDirectory saved;
  const LoadOptions options{.threads = 1, .compute = Compute::f32};
  save_pretrained(load_causal_lm(path(), options), saved.path(), {.weights = DType::f32});
  const CausalLM model = load_causal_lm(saved.path(), options);
  EXPECT_NE(model.parts().checkpoint_config.get_or("rope_interleave", false), true);
  EXPECT_FALSE(model.parts().checkpoint_config.contains("norm_gain_offset"));
  EXPECT_LE(difference(model, expected()), 2e-4f);
}

/// Every version of transformers looks for Phi-3's factors there, and takes a window of 0 for one that holds nothing.
TEST(GgufArchitectures, SayOfPhi3WhatTransformersReads) {
  const Checkpoint longer = Checkpoint::open(directory() / "phi3-long.gguf");
  EXPECT_EQ(longer.config().at("original_max_position_embeddings").as_size(), 32u);
  EXPECT_EQ(longer.config().at("rope_scaling").at("type").as_string(), "longrope");
  EXPECT_EQ(longer.config().at("rope_scaling").size(), 3u);
  EXPECT_TRUE(longer.config().at("sliding_window").is_null());
  EXPECT_EQ(Checkpoint::open(directory() / "phi3.gguf").config().at("sliding_window").as_size(), 8u);
}

/// From transformers' names and layouts, what is written is what the converter wrote: its metadata and its tensors.
TEST_P(GgufDecoders, AreWrittenAsTheConverterDoes) {
  const TemporaryDirectory saved;
  save_pretrained(load_causal_lm(path(), {.threads = 1}), saved.path() / "model", {.weights = DType::f32});
  GgufWriter writer;
  for (const TensorToWrite& tensor : export_gguf(Checkpoint::open(saved.path() / "model"), writer))
    writer.add_tensor(tensor.name, tensor.dtype, tensor.shape, tensor.read);
  writer.write(saved.path() / "m.gguf");
  const GgufFile written(saved.path() / "m.gguf"), original(path());
  for (const GgufValue& value : original.metadata())
    if (value.key().starts_with(original.architecture())) {
      // Phi-3's is the context where nothing stretches it.
      if (GetParam() == "phi3" && value.key() == "phi3.rope.scaling.original_context_length") continue;
      const GgufValue* other = written.find_value(value.key());
      ASSERT_NE(other, nullptr) << value.key();
      EXPECT_EQ(detail::json_of(*other), detail::json_of(value)) << value.key();
    }
  ASSERT_EQ(written.entries().size(), original.entries().size());
  for (const WeightsEntry& entry : original.entries()) {
    const AnyTensor before = original.tensor(entry.name), after = written.tensor(entry.name);
    EXPECT_EQ(after.shape(), before.shape()) << entry.name;
    EXPECT_LE(max_difference(floats(after), floats(before)), 1e-6f) << entry.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, GgufDecoders, testing::ValuesIn(names()), [](const auto& named) {
  std::string name = named.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(GgufArchitectures, EveryOneIsAFamilyAndHasAFixture) {
  std::set<std::string> tried;
  for (const char* folder : {"decoders", "encoders", "seq2seq"})
    for (const auto& entry : std::filesystem::directory_iterator(directory().parent_path() / folder))
      if (entry.path().extension() == ".gguf")
        tried.insert(std::string(Checkpoint::open(entry.path()).config().at("model_type").as_string()));
  for (const detail::GgufArchitecture& architecture : detail::gguf_architectures) {
    EXPECT_TRUE(tried.contains(std::string(architecture.model_type))) << architecture.model_type;
    const auto count = [&](const auto& families) {
      return std::count_if(families.begin(), families.end(),
                           [&](const auto* family) { return family->model_type == architecture.model_type; });
    };
    const std::ptrdiff_t kinds = architecture.model_type == "t5" ? 2 : 1;  // its encoder alone is another
    EXPECT_EQ(count(decoder_architectures) + count(encoder_architectures) + count(seq2seq_architectures), kinds)
        << architecture.model_type;
  }
}

/// A family that GGUF files hold and that is not in the table is a family that nobody thought of.
TEST(GgufArchitectures, LackTheFamiliesThatGgufLacks) {
  std::set<std::string_view> missing;
  for (const DecoderArchitecture* family : decoder_architectures)
    if (std::none_of(detail::gguf_architectures.begin(), detail::gguf_architectures.end(),
                     [&](const auto& known) { return known.model_type == family->model_type; }))
      missing.insert(family->model_type);
  const std::set<std::string_view> not_in_gguf{"gpt_neo", "gptj", "mistral", "opt"};  // Mistral is Llama there
  EXPECT_EQ(missing, not_in_gguf);
}

}  // namespace
