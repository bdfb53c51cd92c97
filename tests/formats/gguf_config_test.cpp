#include <weft/formats/gguf_config.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weft/formats/checkpoint.hpp>
#include <weft/formats/gguf_writer.hpp>

#include "temporary_directory.hpp"

namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using weft_tests::message_of;

class GgufConfig : public testing::Test {
 protected:
  /// The configuration of a file with these metadata and tensors beside a vocabulary of 5.
  weft::Json config(const std::function<void(weft::GgufWriter&)>& fill) const {
    weft::GgufWriter writer;
    writer.add_tensor("token_embd.weight", zeros({5, 8}));
    fill(writer);
    writer.write(directory.path() / "m.gguf");
    return weft::Checkpoint::open(directory.path() / "m.gguf").config();
  }
  static weft::AnyTensor zeros(const weft::Shape& shape) {
    return weft::AnyTensor::make(weft::DType::f32, shape, [](std::span<std::byte> bytes) {
      std::fill(bytes.begin(), bytes.end(), std::byte{});
    });
  }
  static void sizes(weft::GgufWriter& writer, const std::string& architecture) {
    writer.set("general.architecture", architecture);
    writer.set(architecture + ".block_count", std::uint32_t{2});
    writer.set(architecture + ".embedding_length", std::uint32_t{8});
    writer.set(architecture + ".feed_forward_length", std::uint32_t{24});
    writer.set(architecture + ".attention.head_count", std::uint32_t{2});
    writer.set(architecture + ".attention.layer_norm_rms_epsilon", 1e-6f);
  }

  weft_tests::TemporaryDirectory directory;
};

TEST_F(GgufConfig, NamesSizesAsHuggingFaceDoes) {
  const weft::Json json = config([](weft::GgufWriter& writer) {
    sizes(writer, "llama");
    writer.set("llama.rope.freq_base", 1e6f);
    writer.set("llama.attention.head_count_kv", std::vector<std::int32_t>{1, 1});
    writer.add_tensor("output.weight", zeros({5, 8}));
    writer.add_tensor("blk.0.attn_q.bias", zeros({8}));
  });
  EXPECT_EQ(json.at("model_type").as_string(), "llama");
  EXPECT_EQ(json.at("vocab_size").as_int(), 5);
  EXPECT_EQ(json.at("num_hidden_layers").as_int(), 2);
  EXPECT_EQ(json.at("hidden_size").as_int(), 8);
  EXPECT_EQ(json.at("intermediate_size").as_int(), 24);
  EXPECT_EQ(json.at("num_attention_heads").as_int(), 2);
  EXPECT_EQ(json.at("num_key_value_heads").as_int(), 1);
  EXPECT_EQ(static_cast<float>(json.at("rms_norm_eps").as_double()), 1e-6f);
  EXPECT_EQ(json.at("rope_theta").as_double(), 1e6);
  EXPECT_EQ(json.at("hidden_act").as_string(), "silu");
  EXPECT_TRUE(json.at("rope_interleave").as_bool());
  EXPECT_TRUE(json.at("attention_bias").as_bool());
  EXPECT_FALSE(json.at("tie_word_embeddings").as_bool());
  EXPECT_FALSE(json.at("mlp_bias").as_bool());
  EXPECT_EQ(json.find("rope_scaling"), nullptr);
}

TEST_F(GgufConfig, KnowsOtherArchitectures) {
  const weft::Json experts = config([](weft::GgufWriter& writer) {
    sizes(writer, "llama");
    writer.set("llama.expert_count", std::uint32_t{4});
    writer.set("llama.expert_used_count", std::uint32_t{2});
  });
  EXPECT_EQ(experts.at("model_type").as_string(), "mixtral");
  EXPECT_EQ(experts.at("num_local_experts").as_int(), 4);
  EXPECT_EQ(experts.at("num_experts_per_tok").as_int(), 2);
  const weft::Json qwen = config([](weft::GgufWriter& writer) {
    sizes(writer, "qwen2");
    writer.add_tensor("blk.0.attn_q.bias", zeros({8}));
  });
  EXPECT_EQ(qwen.at("model_type").as_string(), "qwen2");
  EXPECT_EQ(qwen.find("rope_interleave"), nullptr);
  EXPECT_EQ(qwen.find("attention_bias"), nullptr);
  EXPECT_TRUE(qwen.at("tie_word_embeddings").as_bool());
}

TEST_F(GgufConfig, SaysWhatTheArchitectureImplies) {
  const auto gemma3 = [&](const std::function<void(weft::GgufWriter&)>& more) {
    return config([&](weft::GgufWriter& writer) {
      sizes(writer, "gemma3");
      writer.set("gemma3.block_count", std::uint32_t{3});
      writer.set("gemma3.attention.key_length", std::uint32_t{6});
      more(writer);
    });
  };
  const auto types = [](const weft::Json& json) {
    std::vector<std::string_view> names;
    for (const weft::Json& type : json.at("layer_types")) names.push_back(type.as_string());
    return names;
  };
  const weft::Json usual = gemma3([](weft::GgufWriter&) {});
  EXPECT_EQ(usual.at("model_type").as_string(), "gemma3_text");
  EXPECT_EQ(usual.at("query_pre_attn_scalar").as_int(), 6);
  EXPECT_EQ(usual.at("norm_gain_offset").as_int(), 0);
  EXPECT_EQ(usual.find("layer_types"), nullptr);
  const weft::Json largest =
      gemma3([](weft::GgufWriter& writer) { writer.set("gemma3.block_count", std::uint32_t{62}); });
  EXPECT_EQ(largest.at("query_pre_attn_scalar").as_int(), 4);
  const weft::Json period =
      gemma3([](weft::GgufWriter& writer) { writer.set("gemma3.attention.sliding_window_pattern", std::uint32_t{2}); });
  EXPECT_THAT(types(period), ElementsAre("sliding_attention", "full_attention", "sliding_attention"));
  const weft::Json each = gemma3([](weft::GgufWriter& writer) {
    writer.set("gemma3.attention.sliding_window_pattern", std::vector<bool>{false, true, true});
  });
  EXPECT_THAT(types(each), ElementsAre("full_attention", "sliding_attention", "sliding_attention"));
}

TEST_F(GgufConfig, TakesWidthsOfExpertsFromTensorsOrMetadata) {
  const auto widths = [&](const std::function<void(weft::GgufWriter&)>& more) {
    return config([&](weft::GgufWriter& writer) {
             sizes(writer, "qwen2moe");
             writer.set("qwen2moe.expert_count", std::uint32_t{4});
             more(writer);
           })
        .at("moe_intermediate_size")
        .as_int();
  };
  EXPECT_EQ(widths([&](weft::GgufWriter& writer) {
              writer.add_tensor("blk.0.ffn_up_exps.weight", zeros({4, 7, 8}));
            }),
            7);
  EXPECT_EQ(
      widths([](weft::GgufWriter& writer) { writer.set("qwen2moe.expert_feed_forward_length", std::uint32_t{9}); }), 9);
}

TEST_F(GgufConfig, ReadsRotaryScaling) {
  const weft::Json linear = config([](weft::GgufWriter& writer) {
    sizes(writer, "llama");
    writer.set("llama.rope.scaling.type", "linear");
    writer.set("llama.rope.scaling.factor", 4.f);
  });
  EXPECT_EQ(linear.at("rope_scaling").at("rope_type").as_string(), "linear");
  EXPECT_EQ(linear.at("rope_scaling").at("factor").as_double(), 4.0);
  const weft::Json none = config([](weft::GgufWriter& writer) {
    sizes(writer, "llama");
    writer.set("llama.rope.scaling.type", "none");
    writer.set("llama.rope.dimension_count", std::uint32_t{4});
  });
  EXPECT_EQ(none.find("rope_scaling"), nullptr);
  EXPECT_EQ(none.find("partial_rotary_factor"), nullptr);
  const weft::Json partial = config([](weft::GgufWriter& writer) {
    sizes(writer, "llama");
    writer.set("llama.rope.dimension_count", std::uint32_t{1});
  });
  EXPECT_EQ(partial.at("partial_rotary_factor").as_double(), 0.25);
  const weft::Json factors = config([](weft::GgufWriter& writer) {
    sizes(writer, "llama");
    writer.add_tensor("rope_freqs.weight", weft::AnyTensor::make(weft::DType::f32, {2}, [](std::span<std::byte> out) {
                        const float values[] = {1.f, 0.1f};
                        std::memcpy(out.data(), values, sizeof values);
                      }));
  });
  EXPECT_EQ(static_cast<float>(factors.at("rope_scaling").at("factors").at(1).as_double()), 0.1f);
}

TEST_F(GgufConfig, RefusesWhatItDoesNotKnow) {
  const auto unsupported = [&](const std::function<void(weft::GgufWriter&)>& fill) {
    return message_of<weft::UnsupportedError>([&] { config(fill); });
  };
  EXPECT_THAT(unsupported([](weft::GgufWriter& writer) { writer.set("general.architecture", "mamba"); }),
              AllOf(HasSubstr("m.gguf: general.architecture"), HasSubstr("\"mamba\" is not supported (llama, ")));
  EXPECT_THAT(unsupported([](weft::GgufWriter& writer) {
                sizes(writer, "llama");
                writer.set("llama.odd", true);
              }),
              HasSubstr("m.gguf: llama.odd"));
  EXPECT_THAT(message_of<weft::FormatError>([&] { config([](weft::GgufWriter&) {}); }),
              HasSubstr("\"general.architecture\" is missing"));
  EXPECT_THAT(message_of<weft::FormatError>([&] {
                config([](weft::GgufWriter& writer) {
                  sizes(writer, "llama");
                  writer.set("llama.rope.freq_base", std::numeric_limits<float>::infinity());
                });
              }),
              HasSubstr("llama.rope.freq_base"));
  EXPECT_THAT(message_of<weft::FormatError>([&] {
                config([](weft::GgufWriter& writer) {
                  sizes(writer, "llama");
                  writer.add_tensor("rope_freqs.weight", weft::AnyTensor::make(weft::DType::i32, {2}, [](auto) {}));
                });
              }),
              HasSubstr("rope_freqs.weight"));
}

}  // namespace
