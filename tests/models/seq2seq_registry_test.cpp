#include <weft/models/seq2seq_registry.hpp>

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <vector>

#include <weft/formats/json.hpp>

#include "family_checks.hpp"
#include "seq2seq_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

/// Reads a config as load_seq2seq() does.
Seq2SeqConfig read(const std::string& text) {
  const Json config = parse_json(text, "config.json");
  const Seq2SeqArchitecture& architecture = find_seq2seq(config);
  ConfigReader reader(config);
  Seq2SeqConfig result = architecture.read_config(reader);
  reader.finish(architecture.ignored_keys);
  return result;
}

TEST(Seq2SeqRegistry, EveryFamilyIsWholeAndHasAFixture) {
  std::set<std::string> built;
  for (const std::string& name : seq2seq_fixture_names())
    built.insert(nlohmann::json::parse(read_file(seq2seq_fixture(name) / "config.json"))["model_type"]);
  std::set<std::string_view> types;
  for (const Seq2SeqArchitecture* architecture : seq2seq_architectures) {
    EXPECT_TRUE(types.insert(architecture->model_type).second) << architecture->model_type;
    EXPECT_NE(architecture->read_config, nullptr);
    EXPECT_FALSE(architecture->tensors.empty());
    EXPECT_TRUE(built.contains(std::string(architecture->model_type))) << architecture->model_type;
  }
  EXPECT_EQ(built.size(), types.size());
}

TEST(Seq2SeqRegistry, TheCallersOwnComeFirst) {
  static constexpr Seq2SeqArchitecture mine{
      .model_type = "t5", .read_config = arch::read_t5, .tensors = {}, .ignored_keys = {}, .ignored_tensors = {}};
  static constexpr std::array<const Seq2SeqArchitecture*, 1> own{&mine};
  const Json t5 = parse_json(R"({"model_type": "t5"})", "config.json");
  EXPECT_EQ(&find_seq2seq(t5, own), &mine);
  EXPECT_EQ(&find_seq2seq(t5), &arch::t5);
  const Json other = parse_json(R"({"model_type": "llama"})", "config.json");
  EXPECT_EQ(message_of<UnsupportedError>([&] { find_seq2seq(other); }),
            "config.json: model_type (byte 22): the model type \"llama\" is not supported (bart, m2m_100, marian, "
            "mbart, mt5, t5 are)");
}

// -- Every family by its fixtures.

class Seq2SeqFamilies : public testing::TestWithParam<std::string> {
 protected:
  nlohmann::json config = nlohmann::json::parse(read_file(seq2seq_fixture(GetParam()) / "config.json"));
  bool is_t5() const { return config.contains("d_kv"); }
};

INSTANTIATE_TEST_SUITE_P(Fixtures, Seq2SeqFamilies, testing::ValuesIn(seq2seq_fixture_names()),
                         [](const auto& name_of) { return test_name(name_of.param); });

TEST_P(Seq2SeqFamilies, EveryStoredElementIsOneWeight) {
  const Seq2Seq model = load_seq2seq(seq2seq_fixture(GetParam()), {.threads = 1});
  const SafetensorsFile file(seq2seq_fixture(GetParam()) / "model.safetensors");
  std::size_t elements = 0;
  for (const WeightsEntry& entry : file.entries())
    if (!is_unread(file, entry.name)) elements += file.tensor(entry.name).size();
  EXPECT_EQ(model.parameters(), elements);
}

// But for those that not all checkpoints have.
TEST_P(Seq2SeqFamilies, AnyMissingTensorIsNamed) {
  const SafetensorsFile file(seq2seq_fixture(GetParam()) / "model.safetensors");
  expect_missing_tensors_are_named<Seq2SeqCopy>(GetParam(), [&](const std::string& name, const Seq2SeqCopy& copy) {
    const bool optional = name == "final_logits_bias" || name == "lm_head.weight" || is_unread(file, name);
    return optional ? std::string() : missing(name, copy);
  });
}

TEST_P(Seq2SeqFamilies, AnyTensorOfAnotherShapeIsNamed) {
  const SafetensorsFile file(seq2seq_fixture(GetParam()) / "model.safetensors");
  expect_other_shapes_are_named<Seq2SeqCopy>(GetParam(),
                                             [&](const std::string& name) { return is_unread(file, name); });
}

TEST_P(Seq2SeqFamilies, RefuseTensorsThatNobodyKnows) { expect_unknown_tensors_are_refused<Seq2SeqCopy>(GetParam()); }

TEST_P(Seq2SeqFamilies, RefuseKeysAndValuesThatNobodyKnows) {
  const auto refused = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json changed = config;
    changed[key] = value;
    return message_of<UnsupportedError>([&] { read(changed.dump()); });
  };
  for (const nlohmann::json& value : {nlohmann::json(0.5), nlohmann::json("some"), nlohmann::json({1})})
    EXPECT_NE(refused("no_such_key", value).find("no_such_key"), std::string::npos);
  EXPECT_NE(refused("is_encoder_decoder", false).find("a decoder alone"), std::string::npos);
  EXPECT_NE(refused("architectures", {"OddForCausalLM"}).find("\"OddForCausalLM\""), std::string::npos);
  const char* activation = is_t5() ? "dense_act_fn" : "activation_function";
  EXPECT_NE(refused(activation, "xielu").find("the activation \"xielu\" is not supported"), std::string::npos);
  if (!is_t5()) return;
  config.erase("dense_act_fn");
  EXPECT_NE(refused("feed_forward_proj", "gated-xielu").find("the activation \"xielu\" is not supported"),
            std::string::npos);
}

TEST_P(Seq2SeqFamilies, SurviveAnyValueOfAnyKey) {
  expect_configs_or_errors(config, {""}, [](const std::string& text) {
    const Seq2SeqConfig c = read(text);
    EXPECT_GT(c.encoder.vocab * c.encoder.hidden * c.encoder.layers * c.encoder.query() * c.encoder.context, 0u);
    EXPECT_GT(c.decoder.vocab * c.decoder.hidden * c.decoder.layers * c.decoder.query() * c.decoder.context, 0u);
  });
}

TEST_P(Seq2SeqFamilies, SizesMustBeThere) {
  expect_keys_are_needed(config,
                         {"vocab_size", "d_model", "num_layers encoder_layers", "num_heads decoder_attention_heads",
                          "d_ff decoder_ffn_dim", "d_kv max_position_embeddings"},
                         read);
}

// -- Families by their configs.

nlohmann::json config_of(const char* fixture) {
  return nlohmann::json::parse(read_file(seq2seq_fixture(fixture) / "config.json"));
}

TEST(Seq2SeqRegistry, T5AsOlderVersionsWroteIt) {
  nlohmann::json config = config_of("t5-gated");
  for (const char* key : {"scale_decoder_outputs", "relative_attention_max_distance", "dense_act_fn", "is_gated_act"})
    config.erase(key);
  config["n_positions"] = 512;
  config["tie_word_embeddings"] = false;
  const Seq2SeqConfig gated = read(config.dump());
  EXPECT_TRUE(gated.encoder.gated);
  EXPECT_EQ(gated.encoder.activation, Activation::gelu_tanh);
  EXPECT_EQ(gated.decoder.output_scale, 1.f);
  EXPECT_FALSE(gated.decoder.tied_embeddings);
  EXPECT_EQ(gated.decoder.buckets.max_distance, 128u);
  config.erase("feed_forward_proj");
  config.erase("tie_word_embeddings");
  const Seq2SeqConfig first = read(config.dump());
  EXPECT_FALSE(first.encoder.gated);
  EXPECT_EQ(first.decoder.activation, Activation::relu);
  EXPECT_FLOAT_EQ(first.decoder.output_scale, 1.f / std::sqrt(24.f));
  EXPECT_TRUE(first.decoder.tied_embeddings);
}

// transformers, models/t5/configuration_t5.py: what the config says of them replaces what feed_forward_proj says.
TEST(Seq2SeqRegistry, T5MayStateItsActivationAndGate) {
  nlohmann::json config = config_of("t5");
  config["dense_act_fn"] = "silu";
  config["is_gated_act"] = true;
  const Seq2SeqConfig stated = read(config.dump());
  EXPECT_TRUE(stated.encoder.gated);
  EXPECT_EQ(stated.encoder.activation, Activation::silu);
  EXPECT_EQ(stated.decoder.activation, Activation::silu);
  config["dense_act_fn"] = "xielu";
  EXPECT_NE(message_of<UnsupportedError>([&] { read(config.dump()); }).find("config.json: dense_act_fn"),
            std::string::npos);
}

TEST(Seq2SeqRegistry, BucketsMustBeOnes) {
  nlohmann::json config = config_of("t5");
  config["relative_attention_num_buckets"] = 30;
  EXPECT_NE(message_of<ConfigError>([&] { read(config.dump()); }).find("30 buckets of distances up to 128"),
            std::string::npos);
  config["relative_attention_num_buckets"] = 32;
  config["relative_attention_max_distance"] = 16;
  EXPECT_THROW(read(config.dump()), ConfigError);
  config["relative_attention_max_distance"] = (1 << 20) + 1;
  EXPECT_NE(message_of<UnsupportedError>([&] { read(config.dump()); }).find("max_distance is 1048577"),
            std::string::npos);
}

TEST(Seq2SeqRegistry, SizesMustFit) {
  nlohmann::json config = config_of("bart");
  config["decoder_attention_heads"] = 5;
  EXPECT_EQ(message_of<ConfigError>([&] { read(config.dump()); }),
            "config.json: byte 1: d_model 24 is not a multiple of decoder_attention_heads 5");
  config = config_of("marian");
  config["decoder_vocab_size"] = 50;
  EXPECT_NE(message_of<ConfigError>([&] { read(config.dump()); }).find("both halves share one embedding"),
            std::string::npos);
}

}  // namespace
