#include <weft/models/load.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../formats/quantized_fixtures.hpp"
#include "fixtures.hpp"

// Quantised Hugging Face checkpoints as models; what weights they hold is in ../formats/quantized_weights_test.cpp.
namespace {

using namespace weft;
using ::testing::HasSubstr;
using weft_tests::message_of;
using weft_tests::quantized_fixture;
using weft_tests::QuantizedCopy;
using weft_tests::zeros_of;

const std::string q_proj = "model.layers.0.self_attn.q_proj";

std::vector<float> logits_of(const CausalLM& model, const SafetensorsFile& reference) {
  std::vector<TokenId> prompt;
  for (const std::int64_t id : reference.tensor("input_ids").elements<std::int64_t>())
    prompt.push_back(static_cast<TokenId>(id));
  return weft_tests::observe(model, prompt).logits;
}

class LoadQuantized : public testing::TestWithParam<std::string> {};

TEST_P(LoadQuantized, LogitsAreThoseOfTheDequantisedModel) {
  const SafetensorsFile reference(quantized_fixture(GetParam()) / "reference.safetensors");
  const std::span<const float> expected = reference.tensor("logits").elements<float>();
  for (const Load how : {Load::repack, Load::in_place}) {
    const CausalLM model = load_causal_lm(quantized_fixture(GetParam()),
                                          {.load = how, .threads = 1, .compute = Compute::f32, .tokenizer = false});
    EXPECT_LE(weft_tests::max_difference(logits_of(model, reference), expected), 2e-4f);
  }
}

TEST_P(LoadQuantized, MayBeQuantisedAgain) {
  const CausalLM model =
      load_causal_lm(quantized_fixture(GetParam()), {.weights = DType::q8_0, .threads = 1, .tokenizer = false});
  EXPECT_EQ(model.weights().layers[0].mlp.up.dtype(), DType::q8_0);
  const SafetensorsFile reference(quantized_fixture(GetParam()) / "reference.safetensors");
  const std::span<const float> expected = reference.tensor("logits").elements<float>();
  EXPECT_LE(weft_tests::max_difference(logits_of(model, reference), expected), 0.5f);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, LoadQuantized, testing::ValuesIn(weft_tests::quantized_fixture_names()),
                         [](const auto& fixture) { return weft_tests::test_name(fixture.param); });

TEST(LoadQuantized, ProgressCountsTheWeightsThatAreMade) {
  for (const char* name : {"gptq", "bnb-nf4", "fp8-block"}) {
    LoadProgress last{};
    static_cast<void>(load_causal_lm(
        quantized_fixture(name),
        {.threads = 1, .tokenizer = false, .progress = [&](const LoadProgress& progress) { last = progress; }}));
    EXPECT_EQ(last.bytes_done, last.bytes_total);
    // The empty bias of q_proj in the GPTQ model is not read.
    const std::size_t bias = std::string(name) == "gptq" ? 128 : 0;
    EXPECT_EQ(last.bytes_total, Checkpoint::open(quantized_fixture(name)).bytes() - bias);
  }
}

TEST(LoadQuantized, ABiasThatTheModelDoesNotHaveMustBeZero) {
  const QuantizedCopy copy("gptq");
  copy.put(q_proj + ".bias", weft_tests::tensor_of<float>({64}, std::vector<float>(64, 0.5f)));
  EXPECT_THAT(message_of<FormatError>([&] { load_causal_lm(copy.path(), {.threads = 1, .tokenizer = false}); }),
              HasSubstr(q_proj + ".bias: a llama model with this config.json has no such tensor"));
}

TEST(LoadQuantized, OfAnotherShapeThanTheConfigSays) {
  const QuantizedCopy copy("bnb-int8");
  copy.put(q_proj + ".weight", zeros_of(DType::i8, {64, 32}));
  EXPECT_THAT(message_of<ConfigError>([&] { load_causal_lm(copy.path(), {.threads = 1, .tokenizer = false}); }),
              HasSubstr("tensor " + q_proj + ".weight has shape (64, 32), config.json says (64, 64)"));
}

TEST(LoadQuantized, TensorsOfLayersThatTheModelDoesNotHave) {
  const QuantizedCopy copy("int8");
  copy.put("extra.weight", zeros_of(DType::i8, {2, 2})).put("extra.weight_scale", zeros_of(DType::f32, {2, 1}));
  EXPECT_THAT(message_of<FormatError>([&] { load_causal_lm(copy.path(), {.threads = 1, .tokenizer = false}); }),
              HasSubstr("tensor extra.weight: a llama model"));
}

}  // namespace
