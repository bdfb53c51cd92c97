#include <weft/models/sentence_embedding.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <string>

#include <weft/core/tensor.hpp>

#include "../formats/temporary_directory.hpp"

namespace {

using namespace weft;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using weft_tests::message_of;
using weft_tests::TemporaryDirectory;

const Tensor<float, 2> states({3, 2}, {1, -4, 2, 8, 6, 2});

std::array<float, 2> embedded(const SentenceEmbedding& params, TensorView<const float, 2> x = states) {
  std::array<float, 2> y{7, 7};
  sentence_embedding(x, params, y);
  return y;
}

TEST(SentenceEmbedding, PoolsInEveryWay) {
  EXPECT_THAT(embedded({.pooling = Pooling::first}), ElementsAre(1, -4));
  EXPECT_THAT(embedded({.pooling = Pooling::last}), ElementsAre(6, 2));
  EXPECT_THAT(embedded({.pooling = Pooling::max}), ElementsAre(6, 8));
  EXPECT_THAT(embedded({.pooling = Pooling::mean}), ElementsAre(FloatNear(3, 1e-6f), FloatNear(2, 1e-6f)));
  EXPECT_THAT(embedded({.pooling = Pooling::mean_sqrt}),
              ElementsAre(FloatNear(9 / std::sqrt(3.f), 1e-6f), FloatNear(6 / std::sqrt(3.f), 1e-6f)));
  EXPECT_THAT(embedded({.pooling = Pooling::weighted_mean}),
              ElementsAre(FloatNear(23.f / 6, 1e-6f), FloatNear(18.f / 6, 1e-6f)));
}

TEST(SentenceEmbedding, NormalisesToLengthOne) {
  const Tensor<float, 2> x({1, 2}, {3, -4});
  EXPECT_THAT(embedded({.pooling = Pooling::first, .normalize = true}, x),
              ElementsAre(FloatNear(0.6f, 1e-7f), FloatNear(-0.8f, 1e-7f)));
  EXPECT_THAT(embedded({.pooling = Pooling::mean, .normalize = true}, Tensor<float, 2>({2, 2})), ElementsAre(0, 0));
}

TEST(SentenceEmbedding, ChecksShapes) {
  std::array<float, 3> y{};
  EXPECT_THROW(sentence_embedding(states, {}, y), ShapeError);
  EXPECT_EQ(message_of<ShapeError>([] {
              embedded({}, Tensor<float, 2>({0, 2}));
            }),
            "sentence_embedding: there are no tokens");
}

// -- modules.json.

class Modules : public ::testing::Test {
 protected:
  Modules() {
    for (const char* folder : {"pool", "1_Pooling"}) std::filesystem::create_directory(directory.path() / folder);
  }
  /// What modules.json says with a 1_Pooling/config.json.
  SentenceModules read(std::string_view modules, std::string_view pooling) const {
    directory.write("modules.json", modules);
    directory.write("1_Pooling/config.json", pooling);
    return *read_sentence_modules(directory.path());
  }
  std::string refused(std::string_view modules, std::string_view pooling) const {
    return message_of<Error>([&] { read(modules, pooling); });
  }

  TemporaryDirectory directory;
  static constexpr std::string_view two =
      R"([{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
          {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])";
  static constexpr std::string_view three =
      R"([{"path": "", "type": "Transformer"}, {"path": "1_Pooling", "type": "a.b.Pooling"},
          {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}])";
};

TEST_F(Modules, AreOptional) { EXPECT_FALSE(read_sentence_modules(directory.path()).has_value()); }

TEST_F(Modules, SayPoolingAndNormalisation) {
  const SentenceModules mean = read(
      two, R"({"word_embedding_dimension": 8, "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true})");
  EXPECT_EQ(mean.embedding.pooling, Pooling::mean);
  EXPECT_FALSE(mean.embedding.normalize);
  EXPECT_EQ(mean.transformer, directory.path());
  EXPECT_EQ(mean.width, 8u);
  EXPECT_TRUE(read(three, R"({"pooling_mode_mean_tokens": true})").embedding.normalize);
  for (const auto& [key, pooling] :
       {std::pair("pooling_mode_cls_token", Pooling::first), std::pair("pooling_mode_max_tokens", Pooling::max),
        std::pair("pooling_mode_mean_sqrt_len_tokens", Pooling::mean_sqrt),
        std::pair("pooling_mode_weightedmean_tokens", Pooling::weighted_mean),
        std::pair("pooling_mode_lasttoken", Pooling::last)})
    EXPECT_EQ(read(two, std::string("{\"") + key + "\": true}").embedding.pooling, pooling);
  for (const auto& [name, pooling] :
       {std::pair("cls", Pooling::first), std::pair("mean", Pooling::mean), std::pair("lasttoken", Pooling::last)})
    EXPECT_EQ(
        read(two, std::string("{\"embedding_dimension\": 8, \"pooling_mode\": \"") + name + "\"}").embedding.pooling,
        pooling);
}

TEST_F(Modules, MayHaveADenseLayer) {
  const std::string mean = R"({"pooling_mode_mean_tokens": true})";
  const std::string start = R"([{"path": "", "type": "Transformer"}, {"path": "1_Pooling", "type": "Pooling"}, )";
  const std::string dense = R"({"path": "2_Dense", "type": "sentence_transformers.models.Dense"})";
  EXPECT_TRUE(read(two, mean).dense.empty());
  EXPECT_EQ(read(start + dense + "]", mean).dense, directory.path() / "2_Dense");
  EXPECT_FALSE(read(start + dense + "]", mean).embedding.normalize);
  EXPECT_TRUE(read(start + dense + R"(, {"type": "Normalize"}])", mean).embedding.normalize);
  EXPECT_THAT(refused(start + R"({"type": "Normalize"}, )" + dense + "]", mean), HasSubstr("models.Dense\""));
  EXPECT_THAT(refused(start + dense + ", " + dense + "]", mean), HasSubstr("models.Dense\""));
}

TEST_F(Modules, RefuseWhatIsNotSupported) {
  const std::string pooling = (directory.path() / "1_Pooling/config.json").string();
  EXPECT_THAT(refused(two, R"({"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true})"),
              AllOf(StartsWith(pooling), HasSubstr("several kinds of pooling")));
  EXPECT_THAT(refused(two, "{}"), AllOf(StartsWith(pooling), HasSubstr("no kind of pooling")));
  EXPECT_THAT(refused(two, R"({"pooling_mode": "median"})"), HasSubstr("no kind of pooling"));
  EXPECT_THAT(refused(two, R"({"pooling_mode_mean_tokens": true, "odd": 1})"), HasSubstr("\"odd\""));
  EXPECT_THAT(refused(two, R"({"pooling_mode_mean_tokens": 1})"), HasSubstr("expected a boolean"));
  const std::string mean = R"({"pooling_mode_mean_tokens": true})";
  EXPECT_THAT(refused(R"([{"path": "", "type": "x.Transformer"}, {"path": "2", "type": "x.Dense"}])", mean),
              AllOf(StartsWith((directory.path() / "modules.json").string()), HasSubstr("\"x.Dense\"")));
  EXPECT_THAT(refused(R"([{"path": "", "type": "Transformer"}])", mean), HasSubstr("there is no element 1"));
  EXPECT_THAT(refused("{}", mean), HasSubstr("expected an array"));
  EXPECT_THAT(
      refused(R"([{"path": "../other", "type": "Transformer"}, {"path": "1_Pooling", "type": "Pooling"}])", mean),
      HasSubstr("expected the name of a folder"));
  EXPECT_THAT(refused(R"([{"path": "", "type": "Transformer"}, {"path": "pool", "type": "Pooling"}])", mean),
              HasSubstr("pool/config.json"));
}

}  // namespace
