#include <weft/formats/meta_checkpoint.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pickle_writer.hpp"
#include "temporary_directory.hpp"

// What the whole layout computes is in tests/models/load_test.cpp.
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using weft_tests::message_of;
namespace pickle = weft_tests::pickle;

weft::Json config(const std::string& changes = "", std::size_t vocab = 32000) {
  return weft::meta_config(
      weft::parse_json(weft::detail::concat(R"({"dim": 4096, "n_layers": 32, "n_heads": 32, )",
                                            R"("multiple_of": 256, "norm_eps": 1e-05)", changes, "}"),
                       "params.json"),
      vocab);
}

TEST(MetaConfig, SaysWhatHuggingFaceSaysOfTheSameModels) {
  // Llama 2 7B, 70B and 13B, and Llama 3.2 1B: the sizes of the config.json that transformers converted.
  const weft::Json llama2 = config(R"(, "vocab_size": -1)");
  EXPECT_EQ(llama2.at("model_type").as_string(), "llama");
  EXPECT_EQ(llama2.at("vocab_size").as_size(), 32000u);
  EXPECT_EQ(llama2.at("hidden_size").as_size(), 4096u);
  EXPECT_EQ(llama2.at("intermediate_size").as_size(), 11008u);
  EXPECT_EQ(llama2.at("num_hidden_layers").as_size(), 32u);
  EXPECT_EQ(llama2.at("num_attention_heads").as_size(), 32u);
  EXPECT_EQ(llama2.at("num_key_value_heads").as_size(), 32u);
  EXPECT_EQ(llama2.at("rms_norm_eps").as_double(), 1e-5);
  EXPECT_EQ(llama2.at("rope_theta").as_double(), 10000.0);
  EXPECT_EQ(llama2.at("max_position_embeddings").as_size(), 4096u);
  EXPECT_EQ(llama2.at("eos_token_id").as_int(), 2);
  EXPECT_TRUE(llama2.at("rope_interleave").as_bool());
  EXPECT_FALSE(llama2.contains("rope_scaling"));

  const auto intermediate = [](const char* params) {
    return weft::meta_config(weft::parse_json(params, "params.json"), 1).at("intermediate_size").as_size();
  };
  EXPECT_EQ(
      intermediate(R"({"dim": 8192, "multiple_of": 4096, "ffn_dim_multiplier": 1.3, "n_heads": 64, "n_kv_heads": 8,
                             "n_layers": 80, "norm_eps": 1e-05, "vocab_size": -1})"),
      28672u);
  EXPECT_EQ(intermediate(R"({"dim": 5120, "multiple_of": 256, "n_heads": 40, "n_layers": 40, "norm_eps": 1e-05})"),
            13824u);
  EXPECT_EQ(intermediate(R"({"dim": 2048, "multiple_of": 256, "ffn_dim_multiplier": 1.5, "n_heads": 32, "n_layers": 16,
                             "norm_eps": 1e-05})"),
            8192u);
}

TEST(MetaConfig, ReadsTheRopeOfLlama3) {
  const std::string llama3 = R"(, "n_kv_heads": 8, "rope_theta": 500000.0, "vocab_size": 128256)";
  const weft::Json plain = config(llama3);
  EXPECT_EQ(plain.at("num_key_value_heads").as_size(), 8u);
  EXPECT_EQ(plain.at("rope_theta").as_double(), 500000.0);
  EXPECT_EQ(plain.at("max_position_embeddings").as_size(), 8192u);
  EXPECT_EQ(plain.at("bos_token_id").as_int(), 128000);
  EXPECT_EQ(plain.at("eos_token_id").size(), 3u);
  EXPECT_FALSE(plain.contains("rope_scaling"));

  const weft::Json scaled = config(llama3 + R"(, "use_scaled_rope": true)");
  EXPECT_EQ(scaled.at("max_position_embeddings").as_size(), 131072u);
  EXPECT_EQ(scaled.at("rope_scaling").at("rope_type").as_string(), "llama3");
  EXPECT_EQ(scaled.at("rope_scaling").at("factor").as_double(), 8.0);
  EXPECT_EQ(scaled.at("rope_scaling").at("low_freq_factor").as_double(), 1.0);
  EXPECT_EQ(scaled.at("rope_scaling").at("high_freq_factor").as_double(), 4.0);
  EXPECT_EQ(scaled.at("rope_scaling").at("original_max_position_embeddings").as_size(), 8192u);
  const weft::Json small = weft::meta_config(
      weft::parse_json(R"({"dim": 2048, "multiple_of": 256, "n_heads": 32, "n_layers": 16, "norm_eps": 1e-05,
                           "rope_theta": 500000.0, "use_scaled_rope": true})",
                       "params.json"),
      128256);
  EXPECT_EQ(small.at("rope_scaling").at("factor").as_double(), 32.0);
  EXPECT_EQ(
      config(R"(, "use_scaled_rope": true, "rope_scaling_factor": 16)").at("rope_scaling").at("factor").as_double(),
      16.0);
}

TEST(MetaConfig, KnowsTheContextsOfTheGenerations) {
  EXPECT_EQ(config(R"(, "rope_theta": 1000000)").at("max_position_embeddings").as_size(), 16384u);
  const weft::Json first = weft::meta_config(
      weft::parse_json(R"({"dim": 4096, "multiple_of": 256, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-06})", "p"),
      5);
  EXPECT_EQ(first.at("max_position_embeddings").as_size(), 2048u);
  EXPECT_EQ(first.at("rms_norm_eps").as_double(), 1e-6);
}

TEST(MetaConfig, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(message_of<weft::UnsupportedError>([] { config(R"(, "moe": {})"); }),
              AllOf(HasSubstr("params.json: moe"), HasSubstr("is not one of Meta's Llama")));
  EXPECT_THAT(message_of<weft::FormatError>([] { config(R"(, "n_kv_heads": 0)"); }), HasSubstr("n_kv_heads"));
  EXPECT_THAT(message_of<weft::FormatError>([] { config(R"(, "vocab_size": -2)"); }), HasSubstr("vocab_size"));
  EXPECT_THAT(message_of<weft::FormatError>([] { config(R"(, "vocab_size": 4294967296)"); }), HasSubstr("vocab_size"));
  for (const char* factor : {"0", "-1", "1e300"})
    EXPECT_THAT(
        message_of<weft::FormatError>([&] { config(weft::detail::concat(", \"ffn_dim_multiplier\": ", factor)); }),
        HasSubstr("ffn_dim_multiplier"));
  for (const char* params : {"{}", "[]", R"({"dim": 8})", R"({"dim": "x"})", R"({"dim": 8, "multiple_of": 0})"})
    EXPECT_THAT(message_of<weft::FormatError>([&] { weft::meta_config(weft::parse_json(params, "params.json"), 1); }),
                HasSubstr("params.json: "));
}

TEST(MetaNames, AreThoseOfHuggingFace) {
  using weft::detail::hugging_face_name;
  EXPECT_EQ(hugging_face_name("tok_embeddings.weight"), "model.embed_tokens.weight");
  EXPECT_EQ(hugging_face_name("layers.31.attention.wq.weight"), "model.layers.31.self_attn.q_proj.weight");
  EXPECT_EQ(hugging_face_name("layers.0.feed_forward.w2.weight"), "model.layers.0.mlp.down_proj.weight");
  EXPECT_EQ(hugging_face_name("output.weight"), "lm_head.weight");
  for (const char* name : {"layers..attention.wq.weight", "layers.x.attention.wq.weight", "layers.1.attention.wq",
                           "layers.1.2.attention.wq.weight", "", "layers.", "layers.1", "norm"})
    EXPECT_THAT(message_of<weft::UnsupportedError>([&] { weft::detail::meta_tensor(name, "m.pth"); }),
                AllOf(HasSubstr("m.pth: tensor "), HasSubstr("no such tensor")));
}

class MetaWeights : public testing::Test {
 protected:
  weft_tests::TemporaryDirectory directory;

  struct Matrix {
    std::string name;
    std::vector<std::int64_t> extents;
    std::vector<std::int8_t> values;
  };
  /// Writes one file of bytes.
  void write(const char* file, const std::vector<Matrix>& matrices) {
    std::vector<std::pair<std::string, std::string>> items;
    std::vector<std::pair<std::string, std::string>> storages;
    for (const Matrix& matrix : matrices) {
      const std::string key = std::to_string(storages.size());
      storages.emplace_back(key, std::string(matrix.values.begin(), matrix.values.end()));
      std::vector<std::int64_t> strides(matrix.extents.size(), 1);
      for (std::size_t i = strides.size(); i-- > 1;) strides[i - 1] = strides[i] * matrix.extents[i];
      items.emplace_back(matrix.name, pickle::tensor(pickle::storage("CharStorage", key,
                                                                     static_cast<std::int64_t>(matrix.values.size())),
                                                     0, matrix.extents, strides));
    }
    directory.write(file, weft_tests::make_zip(pickle::archive(pickle::dict(items), storages)).bytes);
  }
  std::string error() {
    return message_of<weft::FormatError>([&] { weft::MetaWeights weights(directory.path(), 2); });
  }
};

TEST_F(MetaWeights, UsesOneFileInPlace) {
  write("consolidated.00.pth", {{"layers.0.attention.wo.weight", {2, 2}, {1, 2, 3, 4}}, {"rope.freqs", {1}, {9}}});
  const weft::MetaWeights weights(directory.path(), 2);
  ASSERT_EQ(weights.entries().size(), 1u);
  EXPECT_EQ(weights.tensor("layers.0.attention.wo.weight").bytes().data(),
            weights.tensor("layers.0.attention.wo.weight").bytes().data());
}

TEST_F(MetaWeights, JoinsParts) {
  const auto part = [&](const char* file, std::int8_t n) {
    const auto at = [&](int i) { return static_cast<std::int8_t>(10 * n + i); };
    write(file, {{"layers.0.attention.wq.weight", {1, 2}, {at(1), at(2)}},
                 {"layers.0.attention.wo.weight", {2, 2}, {at(1), at(2), at(3), at(4)}},
                 {"tok_embeddings.weight", {2, 1}, {at(1), at(2)}},
                 {"norm.weight", {2}, {7, 8}}});
  };
  part("consolidated.00.pth", 0);
  part("consolidated.01.pth", 1);
  part("consolidated.02.pth", 2);
  const weft::MetaWeights weights(directory.path(), 3);
  const weft::AnyTensor rows = weights.tensor("layers.0.attention.wq.weight");
  EXPECT_EQ(rows.shape(), (weft::Shape{3, 2}));
  EXPECT_THAT(rows.elements<std::int8_t>(), ElementsAre(1, 2, 11, 12, 21, 22));
  const weft::AnyTensor columns = weights.tensor("layers.0.attention.wo.weight");
  EXPECT_EQ(columns.shape(), (weft::Shape{2, 6}));
  EXPECT_THAT(columns.elements<std::int8_t>(), ElementsAre(1, 2, 11, 12, 21, 22, 3, 4, 13, 14, 23, 24));
  const weft::AnyTensor embedding = weights.tensor("tok_embeddings.weight");
  EXPECT_EQ(embedding.shape(), (weft::Shape{2, 3}));
  EXPECT_THAT(embedding.elements<std::int8_t>(), ElementsAre(1, 11, 21, 2, 12, 22));
  const weft::AnyTensor norm = weights.tensor("norm.weight");
  EXPECT_THAT(norm.elements<std::int8_t>(), ElementsAre(7, 8));
  EXPECT_EQ(weights.find("layers.0.attention.wo.weight")->bytes, 12u);
  // The embedding of Llama 3: every part has whole rows.
  const weft::MetaWeights by_rows(directory.path(), 1);
  const weft::AnyTensor rows_of_all = by_rows.tensor("tok_embeddings.weight");
  EXPECT_EQ(rows_of_all.shape(), (weft::Shape{6, 1}));
  EXPECT_THAT(rows_of_all.elements<std::int8_t>(), ElementsAre(1, 2, 11, 12, 21, 22));
  weights.release(embedding);
  EXPECT_EQ(embedding.elements<std::int8_t>()[1], 11);
}

TEST_F(MetaWeights, RefusesPartsThatDoNotFit) {
  const Matrix q{"layers.0.attention.wq.weight", {1, 2}, {1, 2}};
  write("consolidated.00.pth", {q});
  write("consolidated.01.pth", {{"norm.weight", {2}, {7, 8}}});
  EXPECT_THAT(error(), AllOf(HasSubstr("consolidated.01.pth: there is no tensor layers.0.attention.wq.weight"),
                             HasSubstr("consolidated.00.pth")));
  write("consolidated.01.pth", {q, {"norm.weight", {2}, {7, 8}}});
  EXPECT_THAT(error(), HasSubstr("consolidated.01.pth: tensor norm.weight is not in"));
  write("consolidated.01.pth", {{q.name, {2, 1}, {1, 2}}});
  EXPECT_THAT(error(), AllOf(HasSubstr("consolidated.01.pth: tensor layers.0"), HasSubstr("of shape (2, 1)"),
                             HasSubstr("of shape (1, 2)")));
  write("consolidated.00.pth", {{q.name, {2}, {1, 2}}});
  EXPECT_THAT(error(), HasSubstr("expected a matrix, found the shape (2)"));
  write("consolidated.00.pth", {{"layers.0.attention.wq.bias", {2}, {1, 2}}});
  EXPECT_THAT(message_of<weft::UnsupportedError>([&] { weft::MetaWeights weights(directory.path(), 2); }),
              HasSubstr("tensor layers.0.attention.wq.bias: Meta's Llama has no such tensor"));
  directory.write("consolidated.00.pth", "x");
  EXPECT_THAT(error(), HasSubstr("consolidated.00.pth: not a ZIP archive"));
}

}  // namespace
