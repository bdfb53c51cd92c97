#include <weft/cuda/models/device_session.cuh>

#include <limits>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cpu_decoder.hpp"
#include "cpu_sampler.hpp"
#include "device_test.cuh"
#include "near_rows.hpp"

namespace weft {
namespace {

using testing::expect_rows_near;

class Decoders : public testing::DeviceTest, public ::testing::WithParamInterface<std::string> {};

/// The logits after the last tokens of a prompt: `chunk` tokens at once but for the last three, which come one by one:
/// as they are launched, recorded, and from the record. Returns those of the prompt's end and of these tokens.
template <class T>
std::vector<float> last_logits(const CausalLM& host, std::span<const TokenId> ids, std::size_t chunk) {
  const cuda::DeviceCausalLM<T> model(host);
  cuda::DeviceSession<T> session(model, {.context = ids.size(), .chunk = chunk});
  std::vector<float> found;
  const auto append = [&](std::span<const float> row) { found.insert(found.end(), row.begin(), row.end()); };
  append(session.forward(ids.first(ids.size() - 3)));
  for (std::size_t t = ids.size() - 3; t < ids.size(); ++t) append(session.forward(ids.subspan(t, 1)));
  EXPECT_EQ(session.position(), ids.size());
  return found;
}

template <class T>
void expect_as_on_cpu(const CausalLM& host, std::span<const TokenId> ids, std::size_t chunk, double share) {
  const std::size_t vocab = host.config().vocab;
  const std::vector<float> expected = testing::cpu_logits(host, ids);
  expect_rows_near(last_logits<T>(host, ids, chunk), std::span(expected).subspan((ids.size() - 4) * vocab), vocab,
                   share);
}

TEST_P(Decoders, ComputeWhatTheCpuComputes) {
  expect_as_on_cpu<half>(testing::load_decoder(GetParam()), testing::decoder_prompt(GetParam()), 512, 2e-2);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Decoders, ::testing::ValuesIn(testing::decoder_names()), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

class Decoder : public testing::DeviceTest {};

TEST_F(Decoder, TakesPromptsInChunks) {
  const CausalLM host = testing::load_decoder("mistral-window");
  const std::vector<TokenId> prompt = testing::decoder_prompt("mistral-window");
  for (const std::size_t chunk : {1u, 2u, 5u}) expect_as_on_cpu<half>(host, prompt, chunk, 2e-2);
}

TEST_F(Decoder, ComputesInBfloat16) {
  for (const std::string name : {"llama-bf16", "gemma2"})
    expect_as_on_cpu<bfloat16>(testing::load_decoder(name), testing::decoder_prompt(name), 512, 1e-1);
}

TEST_F(Decoder, MultipliesBlocksAsTheyAreStored) {
  const CausalLM host = testing::load_decoder("llama-mha");
  const std::vector<TokenId> prompt = testing::decoder_prompt("llama-mha");
  for (const DType dtype : {DType::q8_0, DType::q4_0, DType::q6_k}) {
    SCOPED_TRACE(name(dtype));
    const CausalLM quantised = testing::with_weights_of(host, dtype);
    expect_as_on_cpu<half>(quantised, prompt, 512, 2e-2);
    std::vector<TokenId> many;  // more than linear_few() takes
    for (std::size_t i = 0; i < 24; ++i) many.push_back(static_cast<TokenId>(i % host.config().vocab));
    expect_as_on_cpu<half>(quantised, many, 512, 2e-2);
  }
}

const std::vector<TokenId> once_upon_a_time{1, 2264, 699, 261, 520};  // in the vocabulary of the model that ships

// Its rows fill blocks of 256 elements, but for those of the down projections.
TEST_F(Decoder, MultipliesBlocksOf256) {
  const CausalLM quantised = testing::with_weights_of(testing::load_decoder(testing::tales()), DType::q4_k);
  expect_as_on_cpu<half>(quantised, once_upon_a_time, 512, 2e-2);
}

// What no token chose is not read: it is NaN.
TEST_F(Decoder, ComputesTheExpertsThatTokensChose) {
  for (const std::string name : {"mixtral", "qwen2-moe"}) {
    SCOPED_TRACE(name);
    const CausalLM loaded = testing::with_first_experts(testing::load_decoder(name));
    for (const CausalLM& host : {loaded, testing::with_weights_of(loaded, DType::q8_0)})
      for (const std::size_t chunk : {1u, 512u})
        expect_as_on_cpu<half>(host, testing::decoder_prompt(name), chunk, 2e-2);
  }
}

TEST_F(Decoder, WritesTheTextThatTheCpuWrites) {
  const CausalLM host = testing::load_decoder(testing::tales());
  const std::size_t count = cuda::device_properties(0).multiprocessors > 2 ? 200 : 24;  // the emulation takes its time
  cuda::DeviceSession<half> session(cuda::DeviceCausalLM<half>(host), {.context = once_upon_a_time.size() + count});
  session.set_sampling({.temperature = 0.f});
  std::vector<TokenId> found{session.draw(once_upon_a_time).id};
  while (found.size() < count) found.push_back(session.draw({&found.back(), 1}).id);
  EXPECT_EQ(found, testing::cpu_greedy(host, once_upon_a_time, count));
}

TEST_F(Decoder, WhatIsTruncatedIsForgotten) {
  const CausalLM host = testing::load_decoder("llama-gqa");
  const std::vector<TokenId> prompt = testing::decoder_prompt("llama-gqa");
  const std::span<const TokenId> ids(prompt);
  cuda::DeviceSession<half> session(cuda::DeviceCausalLM<half>(host), {.context = ids.size()});
  Tensor<float, 2> all({ids.size(), host.config().vocab});
  session.forward_all(ids, all);
  for (std::size_t length = 1; length < 4; ++length) {
    session.truncate(length);
    const std::span<const float> again = session.forward(ids.subspan(length, 1));
    expect_rows_near(again, all.elements().subspan(length * again.size(), again.size()), again.size(), 2e-2);
  }
  EXPECT_THROW(session.truncate(5), ShapeError);
}

TEST_F(Decoder, DrawsWhatTheCpuDrawsFromItsLogits) {
  const CausalLM host = testing::load_decoder("llama-gqa");
  const std::vector<TokenId> prompt = testing::decoder_prompt("llama-gqa");
  const cuda::DeviceCausalLM<half> model(host);
  const SamplingParams params{.temperature = 1.5f, .top_k = 50, .top_p = 0.95f, .seed = 3};
  cuda::DeviceSession<half> logits(model, {.context = prompt.size() + 8});
  cuda::DeviceSession<half> draws(model, {.context = prompt.size() + 8});
  EXPECT_THROW(draws.draw(prompt), ConfigError);
  draws.set_sampling(params);
  const auto on_cpu = testing::cpu_sampler(params, host.config().vocab, 0);
  std::vector<TokenId> next = prompt;
  for (int i = 0; i < 5; ++i) {
    const std::span<const float> row = logits.forward(next);
    const cuda::DeviceDraw draw = draws.draw(next);
    const testing::CpuDraw expected = on_cpu({row.begin(), row.end()});
    ASSERT_EQ(draw.id, expected.id);
    EXPECT_NEAR(draw.probability, expected.probability, 1e-6);
    next = {draw.id};
  }
  EXPECT_EQ(draws.position(), prompt.size() + 4);
}

TEST_F(Decoder, DrawsFromNumbersAlone) {
  const CausalLM host = testing::load_decoder("llama-gqa");
  CausalLM::Parts parts = host.parts();
  for (float& gain : parts.weights.final_norm.gain.elements()) gain = std::numeric_limits<float>::quiet_NaN();
  cuda::DeviceSession<half> session(cuda::DeviceCausalLM<half>(CausalLM(std::move(parts))), {.context = 8});
  session.set_sampling({});
  const std::vector<TokenId> prompt{1, 2};
  EXPECT_THROW(session.draw(prompt), NumericError);
  EXPECT_EQ(session.position(), 0u);
  for (int i = 0; i < 3; ++i) EXPECT_THROW(session.draw(std::vector<TokenId>{1}), NumericError);
  EXPECT_EQ(session.position(), 0u);
}

TEST_F(Decoder, WhatIsRefusedChangesNothing) {
  const CausalLM host = testing::load_decoder("llama-gqa");
  const cuda::DeviceCausalLM<half> model(host);
  cuda::DeviceSession<half> session(model, {.context = 16}), other(model, {.context = 16});
  const SamplingParams params{.temperature = 2.f, .seed = 5};
  session.set_sampling(params);
  other.set_sampling(params);
  std::vector<TokenId> ids{1}, expected{1};
  for (int i = 0; i < 6; ++i) {
    ids = {session.draw(ids).id};
    expected = {other.draw(expected).id};
    ASSERT_EQ(ids, expected);
    EXPECT_THROW(session.set_sampling({.temperature = -1.f}), ConfigError);
    EXPECT_THROW(session.set_sampling({.presence_penalty = 1.f}), ConfigError);
    EXPECT_THROW(session.draw(std::vector<TokenId>(20, 1)), ShapeError);
  }
  session.set_sampling({.temperature = 0.f});  // the record of a step is made again
  other.set_sampling({.temperature = 0.f});
  EXPECT_EQ(session.draw(ids).id, other.draw(ids).id);
}

// A session computes where its model is, whatever the current device is.
TEST_F(Decoder, RunsOnTheDeviceOfItsModel) {
  if (cuda::device_count() < 2) GTEST_SKIP() << "there is one device: several are NOT tested here";
  const CausalLM host = testing::load_decoder("llama-gqa");
  const std::vector<TokenId> prompt = testing::decoder_prompt("llama-gqa");
  std::optional<cuda::DeviceCausalLM<half>> model;
  {
    const cuda::DeviceScope scope(1);
    model.emplace(host);
  }
  EXPECT_EQ(model->device(), 1);
  cuda::DeviceSession<half> session(*model, {.context = prompt.size() + 6, .chunk = 3});
  session.set_sampling({.temperature = 0.f});
  std::vector<TokenId> found{session.draw(prompt).id};
  for (int i = 0; i < 5; ++i) found.push_back(session.draw({&found.back(), 1}).id);
  EXPECT_EQ(found, testing::cpu_greedy(host, prompt, 6));
  Tensor<float, 2> all({1, host.config().vocab});
  session.truncate(0);
  session.forward_all(std::span(prompt).first(1), all);
  session.forward(std::span(prompt).first(2));
  EXPECT_EQ(cuda::current_device(), 0);
}

TEST_F(Decoder, EveryFamilyHasAFixture) {
  std::set<std::string> computed;
  for (const std::string& name : testing::decoder_names()) computed.insert(testing::load_decoder(name).model_type());
  for (const std::string& family : testing::decoder_families()) EXPECT_TRUE(computed.contains(family)) << family;
}

TEST_F(Decoder, RefusesWhatDoesNotFit) {
  const CausalLM host = testing::load_decoder("llama-gqa");
  const cuda::DeviceCausalLM<half> model(host);
  cuda::DeviceSession<half> session(model, {.context = 4});
  const std::vector<TokenId> five(5, 1);
  EXPECT_THROW(session.forward({}), ShapeError);
  EXPECT_THROW(session.forward(five), ShapeError);
  EXPECT_THROW(session.forward(std::vector<TokenId>{1, -1}), ShapeError);
  EXPECT_THROW(session.forward(std::vector<TokenId>{static_cast<TokenId>(host.config().vocab)}), ShapeError);
  EXPECT_EQ(session.position(), 0u);
  EXPECT_THROW(cuda::DeviceSession<half>(model, {.context = host.config().context + 1}), ConfigError);
  EXPECT_THROW(cuda::DeviceSession<half>(model, {.chunk = 0}), ConfigError);
  EXPECT_THROW(session.set_adapters({}), UnsupportedError);
}

TEST_F(Decoder, TooLittleMemoryIsSaidBeforeItIsTaken) {
  const std::size_t much = std::size_t{1} << 60;
  try {
    cuda::require_free_bytes("the model", much);
    FAIL() << "nobody has so much";
  } catch (const CudaError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("the model takes " + std::to_string(much) + " bytes"), std::string::npos) << text;
    EXPECT_NE(text.find("are missing"), std::string::npos) << text;
  }
  const CausalLM host = testing::load_decoder("llama-gqa");
  const std::size_t halves = cuda::DeviceCausalLM<half>::bytes_for(host);
  EXPECT_GE(halves, host.parameters() * sizeof(half) / 2);
  EXPECT_LE(cuda::DeviceCausalLM<half>::bytes_for(testing::with_weights_of(host, DType::q8_0)), halves);
}

#ifndef __CUDACC__
// The emulation counts what is taken.
TEST_F(Decoder, TakesNoMoreMemoryThanIsPlanned) {
  for (const std::string name : {"llama-gqa", "gemma2", "qwen2-moe", "gpt2"})
    for (const DType dtype : {DType::f16, DType::q8_0}) {
      SCOPED_TRACE(name);
      const CausalLM host = testing::with_weights_of(testing::load_decoder(name), dtype);
      using Model = cuda::DeviceCausalLM<half>;
      const auto most_of = [](const auto& work) {
        const std::size_t before = emulation::used_bytes;
        emulation::most_used_bytes = before;
        work();
        return emulation::most_used_bytes - before;
      };
      std::optional<Model> model;
      EXPECT_LE(most_of([&] { model.emplace(host); }), Model::bytes_for(host) + Model::staging_bytes_for(host));
      const std::size_t context = 12;
      const std::size_t chunk = 5;
      EXPECT_LE(most_of([&] {
                  cuda::DeviceSession<half> session(*model, {.context = context, .chunk = chunk});
                  session.set_sampling({});
                  for (const std::size_t count : {5u, 1u, 1u}) session.draw(std::vector<TokenId>(count, 1));
                }),
                cuda::DeviceSession<half>::bytes_for(host, context, chunk));
    }
}
#endif

}  // namespace
}  // namespace weft
