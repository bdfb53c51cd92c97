#include <weft/models/weight_loader.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include <weft/formats/safetensors.hpp>

#include "../formats/temporary_directory.hpp"

// Tables of a made-up kind of model, over checkpoints whose elements count up from 0; what load_causal_lm() does with
// the loader is in load_test.cpp.
namespace {

using namespace weft;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using weft_tests::message_of;
using weft_tests::TemporaryDirectory;

struct Layer {
  AnyTensor a;
  AnyTensor b;
  Tensor<float, 1> bias{};
  std::vector<AnyTensor> experts;
};
struct Config {
  std::size_t layers = 1;
  std::size_t experts = 2;
};
struct Weights {
  AnyTensor top;
  AnyTensor again;
  std::vector<Layer> layers;
  void resize(const Config& config) {
    layers.resize(config.layers);
    for (Layer& layer : layers) layer.experts.resize(config.experts);
  }
};
using Family = Architecture<Weights, Config>;
using Row = Family::Row;

template <std::size_t N>
std::size_t is(const Config&) {
  return N;
}
constexpr auto top = slot<&Weights::top>;
constexpr auto a = slot<&Weights::layers, &Layer::a>;
constexpr auto b = slot<&Weights::layers, &Layer::b>;
constexpr auto bias = slot<&Weights::layers, &Layer::bias>;

AnyTensor counting(const Shape& shape, DType dtype = DType::f32) {
  return AnyTensor::make(dtype, shape, [&](std::span<std::byte> bytes) {
    visit_among<float, half>(dtype, "test", [&]<class T>(std::type_identity<T>) {
      T* to = reinterpret_cast<T*>(bytes.data());
      for (std::size_t i = 0; i < shape.elements(); ++i) to[i] = T(static_cast<float>(i));
    });
  });
}

class WeightLoader : public testing::Test {
 protected:
  using Tensors = std::vector<std::pair<std::string, AnyTensor>>;

  Weights load(const Tensors& tensors, std::vector<Row> rows, LoadOptions options = {.load = Load::in_place}) {
    directory.write("config.json", "{}");
    write_safetensors(directory.path() / "model.safetensors", tensors);
    const Checkpoint checkpoint = Checkpoint::open(directory.path());
    const Family family{.model_type = "made-up",
                        .read_config = nullptr,
                        .tensors = rows,
                        .ignored_keys = {},
                        .ignored_tensors = {},
                        .prefix = "model.",
                        .stored_prefix = stored_prefix};
    return detail::WeightLoader(checkpoint, family, config, options, {}).load();
  }

  TemporaryDirectory directory;
  Config config;
  std::string_view stored_prefix;
};

TEST_F(WeightLoader, PartsOfAFusedTensorLieWhereItLies) {
  const Row::Part second{is<5>, is<2>, nullptr};
  const Weights weights =
      load({{"h.0.ab", counting({5, 3})}}, {{"h.{}.ab", "", a, is<2>, is<3>, nullptr, {is<5>, nullptr, nullptr}},
                                            {"h.{}.ab", "", b, is<3>, is<3>, nullptr, second}});
  EXPECT_THAT(weights.layers[0].a.elements<float>(), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(weights.layers[0].b.elements<float>(), ElementsAre(6, 7, 8, 9, 10, 11, 12, 13, 14));
  EXPECT_EQ(weights.layers[0].b.bytes().data(), weights.layers[0].a.bytes().data() + 24);
}

TEST_F(WeightLoader, PartsThatLieHeadByHeadAreGathered) {
  // Two heads of (a, a, b).
  const std::vector<Row> rows{{"h.{}.ab", "", a, is<4>, is<2>, nullptr, {is<6>, nullptr, is<2>}},
                              {"h.{}.ab", "", b, is<2>, is<2>, nullptr, {is<6>, is<2>, is<2>}},
                              {"h.{}.bias", "", bias, is<2>, nullptr, nullptr, {is<6>, is<2>, is<2>}}};
  for (const DType dtype : {DType::f32, DType::f16}) {
    const Weights weights = load({{"h.0.ab", counting({6, 2}, dtype)}, {"h.0.bias", counting({6}, dtype)}}, rows);
    EXPECT_EQ(weights.layers[0].a.shape(), (Shape{4, 2}));
    EXPECT_EQ(weights.layers[0].a.dtype(), dtype);
    EXPECT_THAT(weights.layers[0].bias.elements(), ElementsAre(2, 5));
    if (dtype == DType::f16) continue;
    EXPECT_THAT(weights.layers[0].a.elements<float>(), ElementsAre(0, 1, 2, 3, 6, 7, 8, 9));
    EXPECT_THAT(weights.layers[0].b.elements<float>(), ElementsAre(4, 5, 10, 11));
  }
}

TEST_F(WeightLoader, TransposedTensorsAreTurned) {
  const Weights weights =
      load({{"h.0.ab", counting({2, 3})}},
           {{.name = "h.{}.ab",
             .gguf = "",
             .slot = a,
             .rows = is<1>,
             .columns = is<2>,
             .part = {is<3>, is<1>, nullptr},
             .transposed = true},
            {.name = "h.{}.ab", .gguf = "", .slot = b, .rows = is<3>, .columns = is<2>, .transposed = true}});
  EXPECT_THAT(weights.layers[0].a.elements<float>(), ElementsAre(1, 4));
  EXPECT_THAT(weights.layers[0].b.elements<float>(), ElementsAre(0, 3, 1, 4, 2, 5));
}

TEST_F(WeightLoader, ExpertsApartOrInOneTensor) {
  const auto experts = slot<&Weights::layers, &Layer::experts>;
  const auto count = +[](const Config& c) { return c.experts; };
  const Weights apart =
      load({{"h.0.e.0", counting({1, 2})}, {"h.0.e.1", counting({1, 2})}},
           {{.name = "h.{}.e.{}", .gguf = "", .slot = experts, .rows = is<1>, .columns = is<2>, .experts = count}});
  EXPECT_THAT(apart.layers[0].experts[1].elements<float>(), ElementsAre(0, 1));
  const Weights stacked = load({{"h.0.e", counting({2, 3, 2})}}, {{.name = "h.{}.e",
                                                                   .gguf = "",
                                                                   .slot = experts,
                                                                   .rows = is<1>,
                                                                   .columns = is<2>,
                                                                   .part = {is<3>, is<2>, nullptr},
                                                                   .experts = count}});
  EXPECT_THAT(stacked.layers[0].experts[0].elements<float>(), ElementsAre(4, 5));
  EXPECT_THAT(stacked.layers[0].experts[1].elements<float>(), ElementsAre(10, 11));
  EXPECT_THAT(
      message_of<ConfigError>([&] {
        load({{"h.0.e", counting({3, 1, 2})}},
             {{.name = "h.{}.e", .gguf = "", .slot = experts, .rows = is<1>, .columns = is<2>, .experts = count}});
      }),
      HasSubstr("has shape (3, 1, 2), config.json says (2, 1, 2)"));
}

TEST_F(WeightLoader, ReshapesOnlyWhereToldTo) {
  Row row{.name = "kernel", .gguf = "", .slot = top, .rows = is<2>, .columns = is<12>, .reshaped = true};
  EXPECT_EQ(load({{"kernel", counting({2, 3, 2, 2})}}, {row}).top.shape(), (Shape{2, 12}));
  EXPECT_THAT(message_of<ConfigError>([&] {
                load({{"kernel", counting({2, 3, 2, 3})}}, {row});
              }),
              HasSubstr("has shape (2, 3, 2, 3), config.json says (2, 12)"));
  row.reshaped = false;
  EXPECT_THAT(message_of<ConfigError>([&] {
                load({{"kernel", counting({2, 3, 2, 2})}}, {row});
              }),
              HasSubstr("has shape (2, 3, 2, 2)"));
}

TEST_F(WeightLoader, NamesMayLackThePrefix) {
  const std::vector<Row> rows{{"model.top", "", top, is<2>, is<3>}};
  EXPECT_TRUE(load({{"model.top", counting({2, 3})}}, rows).top);
  EXPECT_TRUE(load({{"top", counting({2, 3})}}, rows).top);
  EXPECT_THAT(message_of<FormatError>([&] {
                load({{"model.top", counting({2, 3})}, {"top", counting({2, 3})}}, rows);
              }),
              HasSubstr("tensor top: a made-up model with this config.json has no such tensor"));
}

TEST_F(WeightLoader, AFamilyMayStoreAnotherPrefix) {
  const std::vector<Row> rows{{"model.top", "", top, is<2>, is<3>}};
  stored_prefix = "other.";
  EXPECT_TRUE(load({{"other.top", counting({2, 3})}}, rows).top);
  EXPECT_TRUE(load({{"top", counting({2, 3})}}, rows).top);
  EXPECT_THAT(message_of<FormatError>([&] {
                load({{"model.top", counting({2, 3})}}, rows);
              }),
              HasSubstr("the tensor top is missing"));
}

TEST_F(WeightLoader, AnOptionalPartComesWithItsTensor) {
  const auto again = slot<&Weights::again>;
  const auto never = +[](const Config&, std::size_t) { return false; };
  const std::vector<Row> rows{
      {"model.top", "", top, is<2>, is<3>},
      {.name = "model.again",
       .gguf = "",
       .slot = again,
       .rows = is<1>,
       .columns = is<3>,
       .present = never,
       .with = "model.key"},
      {.name = "model.key", .gguf = "", .slot = bias, .rows = is<2>, .present = never, .with = "model.key"}};
  EXPECT_FALSE(load({{"top", counting({2, 3})}}, rows).again);
  for (const std::string prefix : {"", "model."})
    EXPECT_TRUE(
        load(
            {{prefix + "top", counting({2, 3})}, {prefix + "again", counting({1, 3})}, {prefix + "key", counting({2})}},
            rows)
            .again);
  EXPECT_THAT(message_of<FormatError>([&] {
                load({{"model.top", counting({2, 3})}, {"model.key", counting({2})}}, rows);
              }),
              HasSubstr("the tensor model.again is missing"));
  EXPECT_THAT(message_of<FormatError>([&] {
                load({{"model.top", counting({2, 3})}, {"model.again", counting({1, 3})}}, rows);
              }),
              HasSubstr("tensor model.again: a made-up model with this config.json has no such tensor"));
}

TEST_F(WeightLoader, NormsMayBeCalledGammaAndBeta) {
  const std::vector<Row> rows{{"h.{}.norm.weight", "", a, is<2>, is<3>}, {"h.{}.norm.bias", "", bias, is<2>}};
  const Weights weights = load({{"h.0.norm.gamma", counting({2, 3})}, {"h.0.norm.beta", counting({2})}}, rows);
  EXPECT_TRUE(weights.layers[0].a);
  EXPECT_THAT(weights.layers[0].bias.elements(), ElementsAre(0, 1));
  EXPECT_THAT(message_of<FormatError>([&] {
                load({{"h.0.norm.weight", counting({2, 3})}}, rows);
              }),
              HasSubstr("the tensor h.0.norm.bias is missing"));
}

TEST_F(WeightLoader, ARepeatedTensorIsReadTwiceAndCountedOnce) {
  const auto again = slot<&Weights::again>;
  std::vector<LoadProgress> steps;
  LoadOptions options{.progress = [&](const LoadProgress& progress) { steps.push_back(progress); }};
  const Weights weights =
      load({{"top", counting({2, 3})}},
           {{.name = "top", .gguf = "", .slot = top, .rows = is<2>, .columns = is<3>, .lookup = true},
            {.name = "top", .gguf = "", .slot = again, .rows = is<2>, .columns = is<3>, .repeated = true}},
           options);
  EXPECT_EQ(weights.top.layout(), Layout::rows);
  EXPECT_EQ(weights.again.layout(), Layout::panels);
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0].bytes_done, 24u);
  EXPECT_EQ(steps[0].bytes_total, 24u);
}

TEST_F(WeightLoader, FusedPartsAddUpToTheWhole) {
  config.layers = 2;
  for (const Load how : {Load::repack, Load::in_place}) {
    LoadProgress last{};
    load({{"h.0.ab", counting({6, 2})}, {"h.1.ab", counting({6, 2})}},
         {{"h.{}.ab", "", a, is<4>, is<2>, nullptr, {is<6>, nullptr, is<2>}},
          {"h.{}.ab", "", b, is<2>, is<2>, nullptr, {is<6>, is<2>, is<2>}}},
         {.load = how, .preload = true, .progress = [&](const LoadProgress& progress) { last = progress; }});
    EXPECT_EQ(last.bytes_done, last.bytes_total);
    EXPECT_EQ(last.bytes_total, 96u);
  }
}

TEST_F(WeightLoader, LayersWithoutATensorAreSkipped) {
  config.layers = 3;
  const Weights weights = load({{"h.1.a", counting({1, 1})}},
                               {{"h.{}.a", "", a, is<1>, is<1>, +[](const Config&, std::size_t l) { return l == 1; }}});
  EXPECT_FALSE(weights.layers[0].a);
  EXPECT_TRUE(weights.layers[1].a);
}

}  // namespace
