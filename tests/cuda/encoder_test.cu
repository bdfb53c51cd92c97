#include <weft/cuda/models/device_encoder_pass.cuh>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cpu_models.hpp"
#include "device_test.cuh"
#include "near_rows.hpp"

namespace weft {
namespace {

using testing::expect_rows_near;

/// The hidden states of sequences, `rows` tokens at once.
template <class T>
std::vector<float> device_hidden(const Encoder& host, std::span<const EncoderInput> inputs, std::size_t rows) {
  cuda::DeviceEncoderPass<T> pass(cuda::DeviceEncoder<T>(host), {.rows = rows});
  const TensorView<const float, 2> hidden = pass.forward(inputs);
  return {hidden.data(), hidden.data() + hidden.size()};
}

class Encoders : public testing::DeviceTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(Encoders, ComputeWhatTheCpuComputes) {
  const Encoder host = testing::load_encoder_fixture(GetParam());
  const testing::EncoderSequences sequences = testing::encoder_sequences(GetParam());
  const std::vector<EncoderInput> inputs = sequences.inputs();
  EncoderPass on_cpu(host);
  const TensorView<const float, 2> expected = on_cpu.forward(inputs);
  cuda::DeviceEncoderPass<half> pass(cuda::DeviceEncoder<half>(host), {.rows = 256});
  const TensorView<const float, 2> found = pass.forward(inputs);
  ASSERT_EQ(found.extents(), expected.extents());
  expect_rows_near({found.data(), found.size()}, {expected.data(), expected.size()}, host.config().hidden, 2e-2);
  const std::vector<std::vector<float>> said = testing::heads_of(pass.heads());
  const std::vector<std::vector<float>> expected_said = testing::heads_of(on_cpu);
  ASSERT_EQ(said.size(), expected_said.size());
  for (std::size_t i = 0; i < said.size(); ++i) {
    SCOPED_TRACE(::testing::Message() << "head " << i);
    expect_rows_near(said[i], expected_said[i], said[i].size(), 2e-2);
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Encoders, ::testing::ValuesIn(testing::fixtures_of("encoders")),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

class EncoderOnDevice : public testing::DeviceTest {};

TEST_F(EncoderOnDevice, EveryFamilyHasAFixture) {
  std::set<std::string> computed;
  for (const std::string& name : testing::fixtures_of("encoders"))
    computed.insert(testing::load_encoder_fixture(name).model_type());
  for (const std::string& family : testing::encoder_families()) EXPECT_TRUE(computed.contains(family)) << family;
}

// As many sequences at once as there is room for; each is computed as if it were alone.
TEST_F(EncoderOnDevice, TakesMoreThanItHasRoomFor) {
  for (const std::string name : {"bert", "mobilebert", "mpnet"}) {
    const Encoder host = testing::load_encoder_fixture(name);
    const testing::EncoderSequences sequences = testing::encoder_sequences(name);
    const std::vector<EncoderInput> inputs = sequences.inputs();
    const std::vector<float> expected = testing::cpu_hidden(host, inputs);
    std::size_t longest = 0;
    for (const EncoderInput& input : inputs) longest = std::max(longest, input.tokens.size());
    expect_rows_near(device_hidden<half>(host, inputs, longest), expected, host.config().hidden, 2e-2);
    EXPECT_THROW(device_hidden<half>(host, inputs, longest - 1), ShapeError);
  }
}

TEST_F(EncoderOnDevice, ComputesInBfloat16) {
  for (const std::string name : {"bert-bf16", "t5-encoder-gated"}) {
    const Encoder host = testing::load_encoder_fixture(name);
    const testing::EncoderSequences sequences = testing::encoder_sequences(name);
    const std::vector<EncoderInput> inputs = sequences.inputs();
    expect_rows_near(device_hidden<bfloat16>(host, inputs, 256), testing::cpu_hidden(host, inputs),
                     host.config().hidden, 1e-1);
  }
}

#ifndef __CUDACC__
// The emulation counts what is taken.
TEST_F(EncoderOnDevice, TakesNoMoreMemoryThanIsPlanned) {
  for (const std::string name : {"bert-masked-word", "mobilebert", "electra-wide"}) {
    const Encoder host = testing::load_encoder_fixture(name);
    const auto most_of = [](const auto& work) {
      const std::size_t before = emulation::used_bytes;
      emulation::most_used_bytes = before;
      work();
      return emulation::most_used_bytes - before;
    };
    using Model = cuda::DeviceEncoder<half>;
    std::optional<Model> model;
    EXPECT_LE(most_of([&] { model.emplace(host); }), Model::bytes_for(host) + Model::staging_bytes_for(host));
    using Pass = cuda::DeviceEncoderPass<half>;
    EXPECT_LE(most_of([&] { Pass(*model, {.rows = 64}); }), Pass::bytes_for(host, 64));
  }
}
#endif

TEST_F(EncoderOnDevice, HeadsRefuseWhatDoesNotFit) {
  cuda::DeviceEncoderPass<half> pass(cuda::DeviceEncoder<half>(testing::load_encoder_fixture("bert-sequences")));
  const std::vector<TokenId> tokens{1, 2, 3};
  const EncoderInput input{.tokens = tokens};
  pass.forward({&input, 1});
  const std::size_t classes = pass.model().config().classes;
  Tensor<float, 2> wide({1, classes + 1}), many({2, classes});
  EXPECT_THROW(pass.heads().classify_sequences(wide), ShapeError);
  EXPECT_THROW(pass.heads().classify_sequences(many), ShapeError);
  EXPECT_THROW(pass.heads().classify_tokens(many), UnsupportedError);
  Tensor<float, 2> apart({1, classes + 2}), together({1, classes});
  pass.heads().classify_sequences(apart.narrow(1, 1, classes));
  pass.heads().classify_sequences(together);
  for (std::size_t i = 0; i < classes; ++i) EXPECT_EQ(apart(0, i + 1), together(0, i));
  EXPECT_EQ(apart(0, 0), 0.f);
}

TEST_F(EncoderOnDevice, PositionsMayBeginLater) {
  for (const std::string name : {"bert", "roberta"}) {
    const Encoder host = testing::load_encoder_fixture(name);
    const testing::EncoderSequences sequences = testing::encoder_sequences(name);
    std::vector<EncoderInput> inputs{sequences.inputs()[0]};
    inputs[0].position = host.config().context - inputs[0].tokens.size();
    expect_rows_near(device_hidden<half>(host, inputs, 64), testing::cpu_hidden(host, inputs), host.config().hidden,
                     2e-2);
  }
}

TEST_F(EncoderOnDevice, RunsOnTheDeviceOfItsModel) {
  if (cuda::device_count() < 2) GTEST_SKIP() << "there is one device: several are NOT tested here";
  const Encoder host = testing::load_encoder_fixture("bert-masked-word");
  const testing::EncoderSequences sequences = testing::encoder_sequences("bert-masked-word");
  const std::vector<EncoderInput> inputs = sequences.inputs();
  std::optional<cuda::DeviceEncoder<half>> model;
  {
    const cuda::DeviceScope scope(1);
    model.emplace(host);
  }
  cuda::DeviceEncoderPass<half> pass(*model, {.rows = 256});
  EncoderPass on_cpu(host);
  on_cpu.forward(inputs);
  pass.forward(inputs);
  const auto found = testing::heads_of(pass.heads()), expected = testing::heads_of(on_cpu);
  for (std::size_t i = 0; i < expected.size(); ++i) expect_rows_near(found[i], expected[i], expected[i].size(), 2e-2);
  EXPECT_EQ(cuda::current_device(), 0);
}

TEST_F(EncoderOnDevice, RefusesWhatDoesNotFit) {
  const Encoder host = testing::load_encoder_fixture("bert");
  const cuda::DeviceEncoder<half> model(host);
  EXPECT_THROW(cuda::DeviceEncoderPass<half>(model, {.rows = 0}), ConfigError);
  EXPECT_THROW(cuda::DeviceEncoderPass<half>(model, {.rows = std::size_t{1} << 50}), CudaError);
  cuda::DeviceEncoderPass<half> pass(model);
  const auto forward = [&](const std::vector<TokenId>& tokens) {
    const EncoderInput input{.tokens = tokens};
    pass.forward({&input, 1});
  };
  EXPECT_THROW(forward({}), ShapeError);
  EXPECT_THROW(forward({-1}), ShapeError);
  EXPECT_THROW(forward({static_cast<TokenId>(host.config().vocab)}), ShapeError);
  EXPECT_THROW(forward(std::vector<TokenId>(host.config().context + 1, 1)), ShapeError);
  EXPECT_EQ(pass.forward({}).extent(0), 0u);
  std::stop_source stop;
  stop.request_stop();
  const std::vector<TokenId> tokens{1, 2};
  const EncoderInput input{.tokens = tokens};
  EXPECT_THROW(pass.forward({&input, 1}, stop.get_token()), Cancelled);
  EXPECT_EQ(pass.heads().hidden().extent(0), 0u);
  EXPECT_GE(cuda::DeviceEncoder<half>::bytes_for(host), host.weights().embedding.size() * sizeof(half));
}

}  // namespace
}  // namespace weft
