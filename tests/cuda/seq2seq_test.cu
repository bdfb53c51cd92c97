#include <weft/cuda/models/device_seq2seq.cuh>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cpu_models.hpp"
#include "device_test.cuh"
#include "near_rows.hpp"

namespace weft {
namespace {

using testing::expect_rows_near;

/// Sources in one batch, then every target: all but its last two tokens at once, these one by one. The logits after the
/// last three steps.
template <class T>
void expect_as_on_cpu(const std::string& name, std::size_t rows, double share) {
  const Seq2Seq host = testing::load_seq2seq_fixture(name);
  const testing::SourcesAndTargets reference = testing::sources_and_targets(name);
  const cuda::DeviceSeq2Seq<T> model(host);
  std::vector<EncoderInput> inputs;
  for (const std::vector<TokenId>& source : reference.sources) inputs.push_back({.tokens = source});
  const std::vector<cuda::DeviceEncodedSource<T>> sources =
      cuda::DeviceSourceEncoder<T>(model, {.rows = rows}).encode(inputs);
  std::size_t longest = 0;
  for (const std::vector<TokenId>& target : reference.targets) longest = std::max(longest, target.size());
  cuda::DeviceSession<T> session(model.decoder(), {.context = longest});
  const std::size_t vocab = host.decoder().config().vocab;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    SCOPED_TRACE(::testing::Message() << "source " << i);
    const std::span<const TokenId> target(reference.targets[i]);
    const std::vector<float> expected = testing::cpu_logits(host, reference.sources[i], target);
    session.attend_to(sources[i]);
    const std::size_t first = target.size() > 2 ? target.size() - 2 : 1;
    const auto expect_row = [&](std::span<const float> found) {
      expect_rows_near(found, std::span(expected).subspan((session.position() - 1) * vocab, vocab), vocab, share);
    };
    expect_row(session.forward(target.first(first)));
    for (std::size_t t = first; t < target.size(); ++t) expect_row(session.forward(target.subspan(t, 1)));
    EXPECT_EQ(session.position(), target.size());
  }
}

class EncoderDecoders : public testing::DeviceTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(EncoderDecoders, ComputeWhatTheCpuComputes) { expect_as_on_cpu<half>(GetParam(), 256, 2e-2); }

INSTANTIATE_TEST_SUITE_P(Fixtures, EncoderDecoders, ::testing::ValuesIn(testing::fixtures_of("seq2seq")),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

class EncoderDecoder : public testing::DeviceTest {};

TEST_F(EncoderDecoder, EveryFamilyHasAFixture) {
  std::set<std::string> computed;
  for (const std::string& name : testing::fixtures_of("seq2seq"))
    computed.insert(testing::load_seq2seq_fixture(name).model_type());
  for (const std::string& family : testing::seq2seq_families()) EXPECT_TRUE(computed.contains(family)) << family;
}

TEST_F(EncoderDecoder, EncodesSourcesOneAfterTheOther) {
  std::size_t longest = 0;
  for (const std::vector<TokenId>& source : testing::sources_and_targets("bart").sources)
    longest = std::max(longest, source.size());
  expect_as_on_cpu<half>("bart", longest, 2e-2);
}

TEST_F(EncoderDecoder, ComputesInBfloat16) { expect_as_on_cpu<bfloat16>("bart-bf16", 256, 1e-1); }

TEST_F(EncoderDecoder, WritesWhatTheCpuWrites) {
  for (const std::string name : {"marian", "t5"}) {
    SCOPED_TRACE(name);
    const Seq2Seq host = testing::load_seq2seq_fixture(name);
    const std::vector<TokenId> source = testing::sources_and_targets(name).sources[0];
    auto session = std::make_unique<cuda::DeviceSeq2SeqSession<half>>(
        cuda::DeviceSeq2Seq<half>(host), cuda::DeviceSessionOptions{.context = 9}, cuda::DeviceEncoderOptions{64});
    EXPECT_EQ(testing::answer(host, std::move(session), source, 8), testing::answer(host, nullptr, source, 8));
  }
}

TEST_F(EncoderDecoder, OneTableOfEmbeddingsIsStoredOnce) {
  const cuda::DeviceSeq2Seq<half> shared(testing::load_seq2seq_fixture("t5"));
  EXPECT_EQ(shared.encoder().weights().embedding.get(), &shared.decoder().weights().embedding);
  EXPECT_LT(shared.bytes_for(shared.host()), cuda::DeviceEncoder<half>::bytes_for(shared.host().encoder()) +
                                                 cuda::DeviceCausalLM<half>::bytes_for(shared.host().decoder()));
  const cuda::DeviceSeq2Seq<half> separate(testing::load_seq2seq_fixture("marian-separate"));
  EXPECT_NE(separate.encoder().weights().embedding.get(), &separate.decoder().weights().embedding);
}

TEST_F(EncoderDecoder, RunsOnTheDeviceOfItsModel) {
  if (cuda::device_count() < 2) GTEST_SKIP() << "there is one device: several are NOT tested here";
  const Seq2Seq host = testing::load_seq2seq_fixture("t5");
  const std::vector<TokenId> source = testing::sources_and_targets("t5").sources[0];
  std::unique_ptr<cuda::DeviceSeq2SeqSession<half>> session;
  {
    const cuda::DeviceScope scope(1);
    const cuda::DeviceSeq2Seq<half> model(host);
    EXPECT_EQ(model.device(), 1);
    const cuda::DeviceScope back(0);
    session = std::make_unique<cuda::DeviceSeq2SeqSession<half>>(model, cuda::DeviceSessionOptions{.context = 9},
                                                                 cuda::DeviceEncoderOptions{64});
  }
  EXPECT_EQ(testing::answer(host, std::move(session), source, 8), testing::answer(host, nullptr, source, 8));
  EXPECT_EQ(cuda::current_device(), 0);
}

#ifndef __CUDACC__
// The emulation counts what is taken.
TEST_F(EncoderDecoder, TakesNoMoreMemoryThanIsPlanned) {
  for (const std::string name : {"bart", "t5"}) {
    const cuda::DeviceSeq2Seq<half> model(testing::load_seq2seq_fixture(name));
    const std::size_t before = emulation::used_bytes;
    emulation::most_used_bytes = before;
    const cuda::DeviceSourceEncoder<half> encoder(model, {.rows = 64});
    EXPECT_LE(emulation::most_used_bytes - before, cuda::DeviceSourceEncoder<half>::bytes_for(model.host(), 64));
  }
}
#endif

TEST_F(EncoderDecoder, RefusesWhatDoesNotFit) {
  const cuda::DeviceSeq2Seq<half> model(testing::load_seq2seq_fixture("bart"));
  cuda::DeviceSourceEncoder<half> encoder(model, {.rows = 16});
  cuda::DeviceSession<half> session(model.decoder(), {.context = 4});
  const std::vector<TokenId> one{1};
  EXPECT_THROW(session.forward(one), ConfigError);  // there is no source
  EXPECT_THROW(cuda::DeviceSourceEncoder<half>(model, {.rows = std::size_t{1} << 40}), CudaError);
  EXPECT_THROW(session.attend_to(nullptr), ConfigError);
  EXPECT_THROW(encoder.encode(std::span<const TokenId>()), ShapeError);
  EXPECT_THROW(encoder.encode(std::vector<TokenId>{-1}), ShapeError);
  EXPECT_THROW(encoder.encode(std::vector<TokenId>(17, 1)), ShapeError);
  cuda::DeviceSourceEncoder<half> other(cuda::DeviceSeq2Seq<half>(testing::load_seq2seq_fixture("t5")), {.rows = 16});
  EXPECT_THROW(session.attend_to(other.encode(one)), ConfigError);
  session.attend_to(encoder.encode(one));
  EXPECT_EQ(session.forward(one).size(), session.model().config().vocab);
}

}  // namespace
}  // namespace weft
