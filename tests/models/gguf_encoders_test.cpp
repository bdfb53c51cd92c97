#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <weft/formats/gguf_writer.hpp>
#include <weft/models/any_model.hpp>

#include "encoder_fixtures.hpp"
#include "seq2seq_fixtures.hpp"

// Encoders and encoder-decoders in GGUF files, as llama.cpp's converter wrote them from the fixtures of these names.
namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::HasSubstr;

const LoadOptions exact{.load = Load::in_place, .threads = 1, .compute = Compute::f32};

std::filesystem::path gguf(const char* folder, const std::string& name = {}) {
  const std::filesystem::path directory = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "gguf" / folder;
  return name.empty() ? directory : directory / (name + ".gguf");
}

std::vector<std::string> names(const char* folder) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(gguf(folder)))
    found.push_back(entry.path().stem().string());
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<float> states_of(const Encoder& model, const EncoderReference& reference) {
  EncoderPass pass(model);
  const TensorView<const float, 2> hidden = pass.forward(reference.inputs());
  return {hidden.data(), hidden.data() + hidden.size()};
}

TEST(GgufEncoders, ComputeWhatTheDirectoryDoes) {
  ASSERT_FALSE(names("encoders").empty());
  for (const std::string& name : names("encoders")) {
    const EncoderReference reference(name);
    const Encoder model = load_encoder(gguf("encoders", name), exact);
    const std::vector<float> states = states_of(model, reference);
    EXPECT_EQ(states, states_of(load_encoder(encoder_fixture(name), exact), reference)) << name;
    const AnyTensor expected = reference.tensor(detail::concat("hidden_states.", model.config().layers));
    EXPECT_LE(max_difference(states, expected.elements<float>()), 2e-4f) << name;
  }
}

TEST(GgufEncoders, SayHowSentencesBecomeVectors) {
  for (const char* name : {"bert-mean", "roberta-pooler"}) {
    const Encoder model = load_encoder(gguf("encoders", name), exact);
    const SentenceEmbedding original = *load_encoder(encoder_fixture(name), exact).sentence();
    ASSERT_TRUE(model.sentence().has_value()) << name;
    EXPECT_EQ(model.sentence()->pooling, original.pooling) << name;
    EXPECT_FALSE(model.sentence()->normalize) << name;  // which the converter does not write
    const EncoderReference reference(name);
    EncoderPass pass(model);
    pass.forward(reference.inputs());
    Tensor<float, 2> vectors({reference.sequences(), model.config().hidden});
    pass.embed_sentences(original, vectors);
    EXPECT_LE(max_difference({vectors.data(), vectors.size()}, reference.tensor("sentences").elements<float>()), 2e-4f);
  }
  EXPECT_FALSE(load_encoder(gguf("encoders", "bert"), exact).sentence().has_value());
}

TEST(GgufEncoders, ClassifySequences) {
  const Encoder model = load_encoder(gguf("encoders", "roberta-sequences"), exact);
  EXPECT_EQ(model.config().labels, (std::vector<std::string>{"bad", "good", "neither", "both"}));
  const EncoderReference reference("roberta-sequences");
  EncoderPass pass(model);
  pass.forward(reference.inputs());
  Tensor<float, 2> classes({reference.sequences(), 4});
  pass.classify_sequences(classes);
  EXPECT_LE(max_difference({classes.data(), classes.size()}, reference.tensor("sequence_classes").elements<float>()),
            2e-4f);
}

/// A copy of a file with other metadata.
template <class T>
void change(const std::filesystem::path& from, const std::filesystem::path& to, const char* key, const T& value) {
  const GgufFile file(from);
  GgufWriter writer;
  for (const GgufValue& kept : file.metadata()) writer.set(kept);
  writer.set(key, value);
  for (const WeightsEntry& entry : file.entries()) writer.add_tensor(entry.name, file.tensor(entry.name));
  writer.write(to);
}

TEST(GgufEncoders, TakeAndRefuseOtherMetadata) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "m.gguf";
  const auto with = [&](const char* key, const auto& value) {
    change(gguf("encoders", "bert-mean"), path, key, value);
    return load_encoder(path, exact).sentence();
  };
  EXPECT_EQ(with("bert.pooling_type", std::uint32_t{3})->pooling, Pooling::last);
  EXPECT_FALSE(with("bert.pooling_type", std::uint32_t{0}).has_value());
  EXPECT_TRUE(with("bert.normalize_embeddings", true)->normalize);
  EXPECT_THAT(message_of<UnsupportedError>([&] { with("bert.pooling_type", std::uint32_t{9}); }),
              HasSubstr("the pooling 9 is not supported"));
  EXPECT_THAT(message_of<UnsupportedError>([&] { with("bert.attention.causal", true); }), HasSubstr("is_decoder"));
  EXPECT_THAT(message_of<UnsupportedError>([&] { with("bert.rope.freq_base", 1e4f); }),
              HasSubstr("the key is not understood"));
}

std::vector<float> logits_of(const Seq2Seq& model, const Seq2SeqReference& reference) {
  SourceEncoder encode(model);
  Session session(model.decoder(), {.context = 200});
  std::vector<float> all;
  for (std::size_t i = 0; i < reference.sources.size(); ++i) {
    session.attend_to(encode.encode(reference.sources[i]));
    Tensor<float, 2> y({reference.targets[i].size(), model.decoder().config().vocab});
    session.forward_all(reference.targets[i], y);
    all.insert(all.end(), y.data(), y.data() + y.size());
  }
  return all;
}

TEST(GgufSeq2Seq, ComputesWhatTheDirectoryDoes) {
  ASSERT_FALSE(names("seq2seq").empty());
  for (const std::string& name : names("seq2seq")) {
    const Seq2Seq model = load_seq2seq(gguf("seq2seq", name), exact);
    const Seq2SeqReference reference(name);
    EXPECT_EQ(logits_of(model, reference), logits_of(load_seq2seq(seq2seq_fixture(name), exact), reference)) << name;
    EXPECT_EQ(model.generation_config().decoder_start, 0) << name;
  }
}

TEST(GgufSeq2Seq, IsFoundByItsArchitecture) {
  EXPECT_TRUE(std::holds_alternative<Encoder>(load(gguf("encoders", "roberta"), exact)));
  EXPECT_TRUE(std::holds_alternative<Encoder>(load(gguf("encoders", "t5-encoder"), exact)));
  EXPECT_TRUE(std::holds_alternative<Seq2Seq>(load(gguf("seq2seq", "t5-gated"), exact)));
}

}  // namespace
