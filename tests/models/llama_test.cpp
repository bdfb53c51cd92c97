#include <weft/models/arch/llama.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include <weft/formats/json.hpp>

#include "../formats/temporary_directory.hpp"

// How config.json becomes a DecoderConfig; what it refuses is in load_test.cpp, what it computes in session_test.cpp.
namespace {

using namespace weft;
using ::testing::HasSubstr;
using weft_tests::message_of;

constexpr const char* sizes = R"("vocab_size": 100, "hidden_size": 48, "intermediate_size": 72, "num_hidden_layers": 2,
  "num_attention_heads": 4, "rms_norm_eps": 1e-6, "hidden_act": "silu")";

DecoderConfig read(const DecoderArchitecture& architecture, const std::string& more) {
  ConfigReader reader(parse_json("{" + std::string(sizes) + (more.empty() ? "" : ", ") + more + "}", "config.json"));
  const DecoderConfig config = architecture.read_config(reader);
  reader.finish(architecture.ignored_keys);
  return config;
}

TEST(Llama, DefaultsOfTheFirstLlamas) {
  const DecoderConfig config = read(arch::llama, "");
  EXPECT_EQ(config.vocab, 100u);
  EXPECT_EQ(config.hidden, 48u);
  EXPECT_EQ(config.intermediate, 72u);
  EXPECT_EQ(config.layers, 2u);
  EXPECT_EQ(config.heads, 4u);
  EXPECT_EQ(config.kv_heads, 4u);
  EXPECT_EQ(config.head_dim, 12u);
  EXPECT_EQ(config.context, 2048u);
  EXPECT_EQ(config.norm_eps, 1e-6f);
  EXPECT_EQ(config.activation, Activation::silu);
  EXPECT_EQ(config.rope.theta, 10000.f);
  EXPECT_EQ(config.rope.pairing, RopePairing::halves);
  EXPECT_EQ(config.rope.scaling.index(), 0u);
  EXPECT_EQ(config.window, 0u);
  EXPECT_FALSE(config.attention_bias || config.attention_output_bias || config.mlp_bias || config.tied_embeddings);
}

TEST(Llama, ReadsWhatIsStated) {
  const DecoderConfig config =
      read(arch::llama, R"("num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 4096,
        "tie_word_embeddings": true, "attention_bias": true, "mlp_bias": true, "rope_theta": 500000, "dtype": "float16",
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "eos_token_id": [1, 2])");
  EXPECT_EQ(config.kv_heads, 2u);
  EXPECT_EQ(config.head_dim, 16u);
  EXPECT_EQ(config.query(), 64u);
  EXPECT_EQ(config.context, 4096u);
  EXPECT_EQ(config.rope.theta, 500000.f);
  EXPECT_TRUE(config.attention_bias && config.attention_output_bias && config.mlp_bias && config.tied_embeddings);
}

TEST(Llama, StatedHeadDimNeedNotDivide) {
  EXPECT_EQ(read(arch::llama, R"("num_key_value_heads": 1, "head_dim": 10)").query(), 40u);
}

TEST(Llama, Activations) {
  for (const auto& [name, kind] : {std::pair{"silu", Activation::silu},
                                   {"swish", Activation::silu},
                                   {"gelu", Activation::gelu},
                                   {"gelu_new", Activation::gelu_tanh},
                                   {"gelu_pytorch_tanh", Activation::gelu_tanh},
                                   {"gelu_fast", Activation::gelu_tanh},
                                   {"gelu_python", Activation::gelu},
                                   {"gelu_python_tanh", Activation::gelu_tanh},
                                   {"gelu_accurate", Activation::gelu_tanh},
                                   {"quick_gelu", Activation::quick_gelu},
                                   {"relu", Activation::relu}}) {
    ConfigReader reader(parse_json("{\"act\": \"" + std::string(name) + "\"}", "config.json"));
    EXPECT_EQ(arch::read_activation(reader, "act"), kind) << name;
  }
}

RopeParams rope_of(const std::string& text) {
  ConfigReader reader(parse_json("{" + text + "}", "config.json"));
  DecoderConfig config{.head_dim = 12, .context = 4096};
  arch::read_rope(reader, config);
  reader.finish({});
  return config.rope;
}

TEST(Rope, LinearUnderEitherName) {
  for (const char* type :
       {"\"type\": \"linear\"", "\"rope_type\": \"linear\"", "\"rope_type\": \"linear\", \"type\": \"linear\""}) {
    const RopeParams rope =
        rope_of(R"("rope_theta": 1000, "rope_scaling": {"factor": 2.5, )" + std::string(type) + "}");
    EXPECT_EQ(rope.theta, 1000.f);
    EXPECT_EQ(std::get<LinearRopeScaling>(rope.scaling).factor, 2.5f) << type;
  }
}

TEST(Rope, Llama3InEitherPlace) {
  const std::string rule = R"("rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
                              "original_max_position_embeddings": 8192)";
  for (const std::string& text : {R"("rope_theta": 5e5, "rope_scaling": {)" + rule + "}",
                                  R"("rope_parameters": {"rope_theta": 5e5, )" + rule + "}"}) {
    const RopeParams rope = rope_of(text);
    EXPECT_EQ(rope.theta, 5e5f);
    const auto scaling = std::get<Llama3RopeScaling>(rope.scaling);
    EXPECT_EQ(scaling.factor, 8.f);
    EXPECT_EQ(scaling.low_freq_factor, 1.f);
    EXPECT_EQ(scaling.high_freq_factor, 4.f);
    EXPECT_EQ(scaling.original_context, 8192u);
  }
}

TEST(Rope, DefaultChangesNothing) {
  for (const char* text : {R"("rope_scaling": null)", R"("rope_parameters": {"rope_type": "default"})",
                           R"("rope_scaling": {})", R"("rope_scaling": {"type": "default"})"}) {
    EXPECT_EQ(rope_of(text).scaling.index(), 0u) << text;
    EXPECT_EQ(rope_of(text).theta, 10000.f) << text;
  }
  EXPECT_EQ(rope_of(R"("rope_parameters": {"rope_type": "default", "rope_theta": 77})").theta, 77.f);
}

TEST(Rope, NeighboursWhereItSaysSo) {
  EXPECT_EQ(rope_of(R"("rope_interleave": true)").pairing, RopePairing::interleaved);
  EXPECT_EQ(rope_of(R"("rope_interleave": false)").pairing, RopePairing::halves);
}

TEST(Mistral, HasAWindowAndNoBiases) {
  EXPECT_EQ(read(arch::mistral, R"("sliding_window": 4096)").window, 4096u);
  EXPECT_EQ(read(arch::mistral, R"("sliding_window": null)").window, 0u);
  EXPECT_EQ(read(arch::mistral, "").window, 0u);
  EXPECT_THAT(message_of<UnsupportedError>([] { read(arch::mistral, R"("attention_bias": true)"); }),
              HasSubstr("attention_bias"));
}

// Every row fills its own slot; two rows of one name never are in the same checkpoint or say so.
TEST(LlamaTensors, AreDistinct) {
  DecoderWeights model;
  model.resize({.layers = 1});
  for (const bool tied : {false, true}) {
    const DecoderConfig config{
        .attention_bias = true, .attention_output_bias = true, .mlp_bias = true, .tied_embeddings = tied};
    std::set<std::string> names, gguf_names;
    std::set<const void*> slots;
    for (const DecoderRow& row : arch::llama_tensors) {
      if (row.present && !row.present(config, 0)) continue;
      EXPECT_TRUE(names.emplace(row.name).second || row.repeated) << row.name;
      EXPECT_TRUE(gguf_names.emplace(row.gguf).second || row.repeated) << row.gguf;
      EXPECT_EQ(row.matrix(), row.name.ends_with("_proj.weight") || row.name == "model.embed_tokens.weight" ||
                                  row.name == "lm_head.weight")
          << row.name;
      EXPECT_EQ(row.matrix(), row.columns != nullptr) << row.name;
      const void* slot = std::visit([&](auto f) -> const void* { return &f(model, {}); }, row.slot);
      EXPECT_TRUE(slots.insert(slot).second) << row.name;
    }
    EXPECT_EQ(slots.size(), arch::llama_tensors.size() - 1);
  }
}

}  // namespace
