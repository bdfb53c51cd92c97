#include <weft/layers/backend.hpp>

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include <weft/layers/bottleneck_block.hpp>
#include <weft/layers/encoder_block.hpp>
#include <weft/layers/transformer_block.hpp>

// A backend that computes nothing and writes down what layers ask it for.
namespace recorded {

using Rows = weft::TensorView<float, 2>;
using Input = weft::TensorView<const float, 2>;
using Calls = std::vector<std::string>;

struct Matrix {
  std::string name = {};
  explicit operator bool() const { return !name.empty(); }
  std::size_t extent(std::size_t) const { return 1; }
};
struct Vector {
  std::string name = {};
  std::size_t size() const { return name.empty() ? 0 : 1; }
  const float* data() const { return nullptr; }
};
struct Product {
  const Matrix& weight;
  Rows y;
  const float* bias;
};
struct Context {
  Calls& calls;
};
struct Sequences {
  bool empty() const { return false; }
};
struct Rope {
  std::size_t positions() const { return 1; }
};
struct Positions {};
struct Onto {};
struct MoeBuffers {};

class Residual;
struct Backend {
  using Element = float;
  using Matrix = recorded::Matrix;
  using Bias = recorded::Vector;
  using Vector = recorded::Vector;
  using Product = recorded::Product;
  using Context = recorded::Context;
  using Residual = recorded::Residual;
  using Onto = recorded::Onto;
  using CachedSequences = Sequences;
  using PackedSequences = Sequences;
  using Rope = recorded::Rope;
  using Positions = recorded::Positions;
  using MoeWeights = weft::MoeWeightsOn<Backend>;
  using MoeBuffers = recorded::MoeBuffers;
};
using Norm = weft::NormWeightsOn<Backend>;

class Residual {
 public:
  explicit Residual(Rows) {}
  Rows rows(const Context&) const { return {}; }
  Onto onto(const weft::ResidualParams&) const { return {}; }
  void add(Rows, const weft::ResidualParams&, const Context& ctx) const { ctx.calls.push_back("add"); }
  void norm_to(const Norm& w, Rows, const weft::NormParams&, const Context& ctx) const {
    ctx.calls.push_back("to " + w.gain.name);
  }
  void norm_in_place(const Norm& w, const weft::NormParams&, const Context& ctx) const {
    ctx.calls.push_back("in place " + w.gain.name);
  }
};

void norm(Rows, const Norm& w, Rows, const weft::NormParams&, const Context& ctx) { ctx.calls.push_back(w.gain.name); }
template <std::size_t N>
void linear(Input, const std::array<Product, N>& products, const Context& ctx) {
  std::string names;
  for (const Product& product : products) names += product.weight.name;
  ctx.calls.push_back(names);
}
void linear(Input, const Matrix& weight, Rows, const Context& ctx, const float*) { ctx.calls.push_back(weight.name); }
void linear_onto(Input, const Matrix& weight, const float*, Rows, const Context& ctx, Onto) {
  ctx.calls.push_back(weight.name);
}
void activated_linear(weft::Activation, Input, const Product& product, const Context& ctx) {
  ctx.calls.push_back("f " + product.weight.name);
}
void gated_linear(weft::Activation, Input, const Product& gate, const Product& up, const Context& ctx) {
  ctx.calls.push_back("f " + gate.weight.name + " " + up.weight.name);
}
void clip_rows(Rows, float, const Context& ctx) { ctx.calls.push_back("clip"); }
Rows heads_of(const Sequences&, Rows rows) { return rows; }
void apply_rope(Rows, const Positions&, const Rope&, const Context& ctx) { ctx.calls.push_back("rope"); }
void store_in_caches(const Sequences&, Rows, Rows, const Context& ctx) { ctx.calls.push_back("store"); }
void attend_to_caches(const Sequences&, const weft::AttentionParams&, Rows, Rows, const Context& ctx) {
  ctx.calls.push_back("attend");
}
void attend_to_sources(const Sequences&, const weft::AttentionParams& params, Rows, Rows, const Context& ctx) {
  ctx.calls.push_back(params.causal ? "attend, causal" : "attend to source");
}
void attend_in_sequences(const Sequences&, std::size_t, const weft::AttentionParams&, Rows, Rows, Rows, Rows,
                         const Context& ctx) {
  ctx.calls.push_back("attend");
}
Rows moe(const weft::MoeWeightsOn<Backend>&, weft::Activation, const weft::MoeParams&, Rows x, const MoeBuffers&, Rows,
         Rows, const Context& ctx, Onto) {
  ctx.calls.push_back("moe");
  return x;
}

}  // namespace recorded

namespace {

using namespace weft;
using recorded::Calls;

using Layer = DecoderLayerWeightsOn<recorded::Backend>;

Layer decoder_layer() {
  Layer layer;
  layer.attention_norm.gain = {"n1"};
  layer.attention_post_norm.gain = {"p1"};
  layer.attention.q = {"q"}, layer.attention.k = {"k"}, layer.attention.v = {"v"}, layer.attention.o = {"o"};
  layer.mlp_norm.gain = {"n2"};
  layer.mlp_post_norm.gain = {"p2"};
  layer.mlp.up = {"up"}, layer.mlp.down = {"down"};
  return layer;
}

Calls calls_of(const Layer& layer, BlockForm form, float clip = 0.f) {
  Calls calls;
  recorded::Residual x({});
  std::array<float, 1> memory{};
  const recorded::Rows one(memory.data(), {1, 1});
  transformer_block(layer, {}, {}, {},
                    {.form = form,
                     .norm = {.eps = 1e-5f},
                     .activation = Activation::gelu,
                     .attention = {.scores = {.scale = 1.f}, .clip = clip}},
                    {.normed = one, .attention = {one, one, one, one}, .gate = one, .up = one}, x, nullptr, {},
                    {calls});
  return calls;
}

Calls operator+(Calls a, const Calls& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const Calls attention{"qkv", "rope", "rope", "store", "attend", "o"};
const Calls mlp_calls{"f up", "down"};

TEST(Backend, ComputesADecoderLayerInTheOrderOfItsForm) {
  const std::map<BlockForm, Calls> expected{
      {BlockForm::pre_norm, Calls{"to n1"} + attention + Calls{"add", "to n2"} + mlp_calls + Calls{"add"}},
      {BlockForm::residual_norm, attention + Calls{"add", "in place n1"} + mlp_calls + Calls{"add", "in place n2"}},
      {BlockForm::post_norm, attention + Calls{"p1", "add"} + mlp_calls + Calls{"p2", "add"}},
      {BlockForm::sandwich_norm,
       Calls{"to n1"} + attention + Calls{"p1", "add", "to n2"} + mlp_calls + Calls{"p2", "add"}},
      {BlockForm::parallel, Calls{"to n1", "to n2"} + attention + Calls{"add"} + mlp_calls + Calls{"add"}},
      {BlockForm::parallel_shared, Calls{"to n1"} + attention + Calls{"add"} + mlp_calls + Calls{"add"}}};
  for (const auto& [form, calls] : expected)
    EXPECT_EQ(calls_of(decoder_layer(), form), calls) << static_cast<int>(form);
}

TEST(Backend, ComputesThePartsThatALayerHas) {
  Layer layer = decoder_layer();
  layer.cross_norm.gain = {"n3"};
  layer.cross.q = {"cross q"}, layer.cross.o = {"cross o"};
  layer.attention.q_norm.gain = {"every q"};
  layer.attention.k_head_norms.resize(1);
  layer.attention.k_head_norms[0].gain = {"first k"};
  layer.mlp.gate = {"gate"};
  EXPECT_EQ(calls_of(layer, BlockForm::pre_norm, 2.f),
            (Calls{"to n1",   "qkv",   "every q", "first k",   "clip", "clip",  "clip",    "rope",
                   "rope",    "store", "attend",  "o",         "add",  "to n3", "cross q", "attend to source",
                   "cross o", "add",   "to n2",   "f gate up", "down", "add"}));
  layer = decoder_layer();
  layer.moe.experts.resize(2);
  EXPECT_EQ(calls_of(layer, BlockForm::residual_norm),
            (attention + Calls{"add", "in place n1", "moe", "add", "in place n2"}));
}

TEST(Backend, ComputesAnEncoderLayer) {
  EncoderLayerWeightsOn<recorded::Backend> layer;
  layer.attention = decoder_layer().attention;
  layer.attention_norm.gain = {"n1"};
  layer.mlp = decoder_layer().mlp;
  layer.mlp_norm.gain = {"n2"};
  const auto run = [&](EncoderForm form) {
    Calls calls;
    recorded::Residual x({});
    encoder_block(layer, {},
                  {.form = form,
                   .norm = {.eps = 1e-5f},
                   .activation = Activation::gelu,
                   .scores = {.scale = 1.f},
                   .head_dim = 1,
                   .attention_name = {},
                   .mlp_name = {}},
                  {}, x, nullptr, {}, {calls});
    return calls;
  };
  EXPECT_EQ(run(EncoderForm::pre_norm), (Calls{"to n1", "qkv", "attend", "o", "add", "to n2", "f up", "down", "add"}));
  EXPECT_EQ(run(EncoderForm::post_norm),
            (Calls{"qkv", "attend", "o", "add", "in place n1", "f up", "down", "add", "in place n2"}));
}

TEST(Backend, ComputesALayerWithABottleneck) {
  BottleneckLayerWeightsOn<recorded::Backend> layer{};
  layer.attention = decoder_layer().attention;
  layer.attention_norm.gain = {"n1"};
  layer.last.mlp = decoder_layer().mlp;
  layer.last.norm.gain = {"n2"};
  const auto run = [&] {
    Calls calls;
    bottleneck_block(layer, {},
                     {.norm = {.eps = 1e-5f},
                      .activation = Activation::relu,
                      .scores = {.scale = 1.f},
                      .head_dim = 1,
                      .attention_name = {},
                      .mlp_name = {}},
                     1e-5f, {}, {}, nullptr, {}, {calls});
    return calls;
  };
  const Calls halves{"qk", "v", "attend", "o", "add", "in place n1", "f up", "down", "add", "in place n2"};
  EXPECT_EQ(run(), halves);
  layer.input = {.weight = {"in"}, .norm = {.gain = {"n0"}}};
  layer.query_key = {.weight = {"shared"}, .norm = {.gain = {"n4"}}};
  layer.output = {.weight = {"out"}, .norm = {.gain = {"n3"}}};
  EXPECT_EQ(run(), (Calls{"in", "n0", "shared", "n4"} + halves + Calls{"out", "add", "in place n3"}));
}

}  // namespace
