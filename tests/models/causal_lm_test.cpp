#include <weft/models/causal_lm.hpp>

#include <gtest/gtest.h>

#include <string>

#include "../formats/temporary_directory.hpp"

namespace {

using namespace weft;
using weft_tests::message_of;

AnyTensor matrix(DType dtype, std::size_t rows, std::size_t columns) {
  return AnyTensor::make(dtype, {rows, columns}, [](std::span<std::byte>) {});
}

// vocab 10, hidden 4, intermediate 6, one layer of 2 heads, 1 key/value head of 2; biases on the attention output
// alone.
CausalLM::Parts parts(bool tied) {
  CausalLM::Parts result{.model_type = "llama", .source = "here"};
  result.config = {.vocab = 10,
                   .hidden = 4,
                   .intermediate = 6,
                   .layers = 1,
                   .heads = 2,
                   .kv_heads = 1,
                   .head_dim = 2,
                   .context = 16,
                   .tied_embeddings = tied};
  DecoderWeights& w = result.weights;
  w.embedding = matrix(DType::bf16, 10, 4);
  w.output = tied ? w.embedding : matrix(DType::f32, 10, 4);
  w.final_norm.gain = Tensor<float, 1>({4});
  DecoderLayerWeights& layer = w.layers.emplace_back();
  layer.attention_norm.gain = Tensor<float, 1>({4});
  layer.mlp_norm.gain = Tensor<float, 1>({4});
  layer.attention.q = matrix(DType::f32, 4, 4);
  layer.attention.k = matrix(DType::f32, 2, 4);
  layer.attention.v = matrix(DType::f32, 2, 4);
  layer.attention.o = matrix(DType::f32, 4, 4);
  layer.attention.o_bias = Tensor<float, 1>({4});
  layer.mlp.gate = matrix(DType::f32, 6, 4);
  layer.mlp.up = matrix(DType::f32, 6, 4);
  layer.mlp.down = matrix(DType::f32, 4, 6);
  return result;
}

constexpr std::size_t layer_elements = 16 + 8 + 8 + 16 + 4 + 3 * 24 + 8;

TEST(CausalLM, CountsWeights) {
  const CausalLM untied(parts(false));
  EXPECT_EQ(untied.parameters(), 40 + 40 + 4 + layer_elements);
  EXPECT_EQ(untied.weight_bytes(), 40 * 2 + (40 + 4 + layer_elements) * 4);
  const CausalLM tied(parts(true));
  EXPECT_EQ(tied.parameters(), 40 + 4 + layer_elements);
  EXPECT_EQ(tied.weight_bytes(), 40 * 2 + (4 + layer_elements) * 4);
}

TEST(CausalLM, DescribesItself) {
  CausalLM::Parts made = parts(true);
  made.kernels = &cpu::kernels_for(cpu::Isa::generic);
  EXPECT_EQ(CausalLM(made).describe(),
            "here: llama, 176 parameters (f32, 12 tensors, 624 bytes)\n"
            "  layers 1, hidden 4, intermediate 6, heads 2, kv_heads 1, head_dim 2, vocab 10, context 16\n"
            "  kernels generic, threads 1\n");
  made.config.window = 7;
  EXPECT_NE(CausalLM(made).describe().find("context 16, window 7\n"), std::string::npos);
}

TEST(CausalLM, CopiesShareTheWeights) {
  const CausalLM model(parts(false));
  const CausalLM copy = model;
  EXPECT_EQ(&copy.weights(), &model.weights());
  EXPECT_EQ(&copy.executor(), &model.executor());
}

TEST(CausalLM, RunsOnTheCallingThreadWhereNothingElseIsSaid) {
  const CausalLM model(parts(false));
  EXPECT_EQ(model.executor().concurrency(), 1u);
  EXPECT_EQ(&model.kernels(), &cpu::best_kernels());
  EXPECT_EQ(model.compute(), Compute::native);
}

TEST(CausalLM, MayHaveNoTokenizer) {
  const CausalLM model(parts(false));
  EXPECT_FALSE(model.has_tokenizer());
  EXPECT_EQ(message_of<TokenizerError>([&] { model.tokenizer(); }),
            "here: the checkpoint was loaded without a tokenizer");
}

}  // namespace
