#include <weft/models/adapter_config.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <string_view>

#include <weft/formats/json.hpp>

#include "../formats/temporary_directory.hpp"

namespace {

using namespace weft;
using ::testing::HasSubstr;
using weft_tests::message_of;

/// The least config with more members.
LoraConfig config(std::string_view more = "", std::string_view targets = R"(["q_proj"])") {
  return LoraConfig(parse_json(detail::concat(R"({"peft_type":"LORA","r":8,"lora_alpha":16,"target_modules":)", targets,
                                              more.empty() ? "" : ",", more, "}"),
                               "adapter_config.json"));
}

constexpr std::string_view q = "model.layers.11.self_attn.q_proj", up = "model.layers.1.mlp.up_proj";

TEST(LoraConfig, NamesEndAtADot) {
  EXPECT_TRUE(config().targets(q));
  EXPECT_TRUE(config().targets("q_proj"));
  EXPECT_FALSE(config().targets("model.xq_proj"));
  EXPECT_FALSE(config().targets(up));
  EXPECT_TRUE(config("", R"(["self_attn.q_proj"])").targets(q));
  EXPECT_FALSE(config("", "[]").targets(q));
}

TEST(LoraConfig, PatternsCoverWholeNames) {
  EXPECT_TRUE(config("", R"("model.layers.\\d+.*q_proj")").targets(q));
  EXPECT_FALSE(config("", R"("layers.\\d+.*q_proj")").targets(q));
  EXPECT_FALSE(config("", R"("model.layers.\\d+.*q_pro")").targets(q));
  EXPECT_TRUE(config("", R"("q_proj|.*up_proj")").targets(up));
  EXPECT_THAT(message_of<FormatError>([] { config("", R"("(q")"); }), HasSubstr("target_modules"));
}

TEST(LoraConfig, AllLinearMeansEveryModule) {
  EXPECT_TRUE(config("", R"("All-Linear")").targets(up));
  EXPECT_TRUE(config("", R"("all-linear")").all_linear());
  EXPECT_FALSE(config(R"("exclude_modules":["up_proj"])", R"("all-linear")").targets(up));
}

TEST(LoraConfig, ModulesAreExcludedByNameOrPattern) {
  EXPECT_FALSE(config(R"("exclude_modules":["q_proj"])").targets(q));
  EXPECT_TRUE(config(R"("exclude_modules":["proj"])").targets(q));
  EXPECT_FALSE(config(R"("exclude_modules":".*11.*")").targets(q));
  EXPECT_TRUE(config(R"("exclude_modules":".*12.*")").targets(q));
}

TEST(LoraConfig, LayersAreChosen) {
  EXPECT_TRUE(config(R"("layers_to_transform":[3,11])").targets(q));
  EXPECT_FALSE(config(R"("layers_to_transform":[1])").targets(q));
  EXPECT_TRUE(config(R"("layers_to_transform":11)").targets(q));
  EXPECT_TRUE(config(R"("layers_to_transform":[])").targets(q));
  EXPECT_TRUE(config(R"("layers_to_transform":11,"layers_pattern":"layers")").targets(q));
  EXPECT_TRUE(config(R"("layers_to_transform":11,"layers_pattern":["h","layers"])").targets(q));
  EXPECT_FALSE(config(R"("layers_to_transform":11,"layers_pattern":"h")").targets(q));
  // The first number is that of the layer, the second that of the expert.
  const auto expert = config(R"("layers_to_transform":2)", R"(["w1"])");
  EXPECT_TRUE(expert.targets("model.layers.2.experts.5.w1"));
  EXPECT_FALSE(expert.targets("model.layers.5.experts.2.w1"));
  EXPECT_FALSE(expert.targets("w1"));
  EXPECT_THROW(config(R"("layers_to_transform":2)", R"("all-linear")"), ConfigError);
}

TEST(LoraConfig, RanksAndScales) {
  EXPECT_EQ(config().rank(q), 8u);
  EXPECT_FLOAT_EQ(config().scale(q), 2.f);
  EXPECT_FLOAT_EQ(config(R"("use_rslora":true)").scale(q), 16.f / std::sqrt(8.f));
  const LoraConfig patterns =
      config(R"("rank_pattern":{"up_proj":4,"layers\\.1.*":2},"alpha_pattern":{"q_proj":3,"p_proj":5})");
  EXPECT_EQ(patterns.rank(up), 4u);
  EXPECT_EQ(patterns.rank(q), 2u);
  EXPECT_FLOAT_EQ(patterns.scale(q), 1.5f);
  EXPECT_FLOAT_EQ(patterns.scale(up), 4.f);
  EXPECT_THROW(config(R"("rank_pattern":{"q_proj":0})"), ConfigError);
}

TEST(LoraConfig, SavedModulesAreThoseWhoseNamesEndSo) {
  const LoraConfig saved = config(R"("modules_to_save":["norm","lm_head"])");
  EXPECT_TRUE(saved.saves("lm_head"));
  EXPECT_TRUE(saved.saves("model.layers.0.post_attention_layernorm"));
  EXPECT_TRUE(saved.saves("x.norm.inner"));
  EXPECT_FALSE(saved.saves("model.norms"));
  EXPECT_FALSE(config().saves("lm_head"));
}

TEST(LoraConfig, KeysThatChangeTheResultAreErrors) {
  const auto message = [](std::string_view more) { return message_of<Error>([&] { config(more); }); };
  EXPECT_THAT(message(R"("layer_replication":[[0,4],[2,5]])"), HasSubstr("\"layer_replication\" is not understood"));
  EXPECT_THAT(message(R"("target_parameters":["x"])"), HasSubstr("\"target_parameters\""));
  EXPECT_THAT(message(R"("trainable_token_indices":[1])"), HasSubstr("\"trainable_token_indices\""));
  EXPECT_THAT(message(R"("alora_invocation_tokens":[1])"), HasSubstr("\"alora_invocation_tokens\""));
  EXPECT_THAT(message(R"("use_qalora":true)"), HasSubstr("\"use_qalora\""));
  EXPECT_THAT(message(R"("ensure_weight_tying":true)"), HasSubstr("\"ensure_weight_tying\""));
  EXPECT_THAT(message(R"("init_lora_weights":"pissa_niter_4")"), HasSubstr("begin as \"pissa_niter_4\""));
  EXPECT_THAT(message(R"("something_else":1)"), HasSubstr("\"something_else\""));
  EXPECT_THAT(message(R"("bias":"some")"), HasSubstr("expected none, all or lora_only"));
  EXPECT_THAT(message(R"("use_dora":true,"lora_bias":true)"), HasSubstr("exclude each other"));
  EXPECT_EQ(message(R"("init_lora_weights":"gaussian","use_qalora":false,"qalora_group_size":16,"loftq_config":{},
                        "megatron_core":"megatron.core","lora_dropout":0.1,"peft_version":"0.21.2","revision":null)"),
            "no exception");
}

TEST(LoraConfig, OtherKindsAndMissingKeysAreErrors) {
  const auto message = [](std::string_view text) {
    return message_of<Error>([&] { LoraConfig(parse_json(text, "adapter_config.json")); });
  };
  EXPECT_THAT(message(R"({"peft_type":"LOHA"})"), HasSubstr("adapters of type \"LOHA\" are not supported"));
  EXPECT_THAT(message("{}"), HasSubstr("\"peft_type\" is missing"));
  EXPECT_THAT(message(R"({"peft_type":"LORA","lora_alpha":1,"target_modules":[]})"), HasSubstr("\"r\" is missing"));
  EXPECT_THAT(message(R"({"peft_type":"LORA","r":0,"lora_alpha":1,"target_modules":[]})"), HasSubstr("found 0"));
  EXPECT_THAT(message(R"({"peft_type":"LORA","r":1,"lora_alpha":1})"), HasSubstr("\"target_modules\" is missing"));
  EXPECT_THAT(message(R"({"peft_type":"LORA","r":1,"lora_alpha":"1","target_modules":[]})"), HasSubstr("lora_alpha"));
}

}  // namespace
