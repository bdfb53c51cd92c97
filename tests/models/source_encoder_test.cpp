#include <weft/models/source_encoder.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <stop_token>
#include <string>
#include <vector>

#include <weft/models/batch.hpp>

#include "seq2seq_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

constexpr float tolerance = 2e-4f;

// -- Every fixture against the reference.

class Seq2SeqFixtures : public ::testing::TestWithParam<std::string> {
 protected:
  Seq2Seq load(LoadOptions options = {}) const {
    if (options.threads == 0) options.threads = 1;
    return load_seq2seq(seq2seq_fixture(GetParam()), options);
  }
  /// The rows that the fixture keeps of `all`: the first of the encoder's, the last of the decoder's.
  void expect_near(const std::string& name, const std::vector<float>& all, const std::string& what) const {
    const AnyTensor expected = reference.tensor(name);
    ASSERT_GE(all.size(), expected.size());
    const std::span<const float> found = name[0] == 'e' || name == "left_padded" ? std::span(all).first(expected.size())
                                                                                 : std::span(all).last(expected.size());
    EXPECT_LE(max_difference(found, expected.elements<float>()), tolerance) << name << " " << what;
  }

  Seq2SeqReference reference{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Fixtures, Seq2SeqFixtures, ::testing::ValuesIn(seq2seq_fixture_names()),
                         [](const auto& name_of) { return test_name(name_of.param); });

void append(std::vector<float>& to, TensorView<const float, 2> rows) {
  for (std::size_t t = 0; t < rows.extent(0); ++t) to.insert(to.end(), &rows(t, 0), &rows(t, 0) + rows.extent(1));
}

/// What enters the first layer, and what every layer makes of it, the last after the final norm.
class States {
 public:
  template <class Modules>
  States(const Modules& modules, std::size_t count) : layers(count + 1) {
    names.emplace_back(modules.embedding);
    for (std::size_t i = 0; i < count; ++i) names.push_back(detail::tensor_name(modules.layer, {i, 0}));
    norm = modules.norm;
  }
  Tap tap() {
    return [this](std::string_view name, TensorView<const float, 2> values) {
      if (name == norm) layers.back().resize(layers.back().size() - values.size());
      for (std::size_t i = 0; i < names.size(); ++i)
        if (name == names[i] || (i + 1 == names.size() && name == norm)) append(layers[i], values);
    };
  }
  std::vector<std::vector<float>> layers;

 private:
  std::vector<std::string> names;
  std::string norm;
};

TEST_P(Seq2SeqFixtures, HiddenStatesAndLogitsAreTheReferences) {
  for (const cpu::Kernels* kernels : all_kernels())
    for (const Load how : {Load::repack, Load::in_place}) {
      const Seq2Seq model = load({.load = how, .compute = Compute::f32, .kernels = kernels});
      const EncoderConfig& e = model.encoder().config();
      const DecoderConfig& d = model.decoder().config();
      States encoder(e.modules, e.layers), decoder(d.modules, d.layers);
      SourceEncoder encode(model);
      encode.set_tap(encoder.tap());
      const std::vector<EncodedSource> sources = encode.encode(reference.inputs());
      std::vector<float> logits;
      Session session(model.decoder(), {.context = 200 < d.context ? 200 : d.context});
      session.set_tap(decoder.tap());
      for (std::size_t i = 0; i < sources.size(); ++i) {
        session.attend_to(sources[i]);
        Tensor<float, 2> y({reference.targets[i].size(), d.vocab});
        session.forward_all(reference.targets[i], y);
        append(logits, y);
      }
      std::size_t compared = 0;
      const auto compare = [&](const char* half, const States& states) {
        for (std::size_t i = 0; i < states.layers.size(); ++i) {
          const std::string name = std::string(half) + "_states." + std::to_string(i);
          if (!reference.has(name)) continue;
          expect_near(name, states.layers[i], std::string(kernels->name));
          ++compared;
        }
      };
      compare("encoder", encoder);
      compare("decoder", decoder);
      expect_near("logits", logits, std::string(kernels->name));
      EXPECT_GE(compared, 2u);
      EXPECT_TRUE(same_bits(encoder.layers.back(), {encode.hidden().data(), encode.hidden().size()}));
    }
}

// What the reference implementation makes of sources that are padded on the left.
TEST_P(Seq2SeqFixtures, PositionsAfterPaddingAreThoseOfThePaddedBatch) {
  if (!reference.has("left_padded")) GTEST_SKIP() << "padding does not move the positions of this family";
  const Seq2Seq model = load({.compute = Compute::f32});
  SourceEncoder encode(model);
  const std::vector<EncodedSource> sources = encode.encode(reference.inputs(true));
  std::vector<float> hidden, logits;
  append(hidden, encode.hidden());
  expect_near("left_padded", hidden, "");
  Session session(model.decoder());
  for (std::size_t i = 0; i < sources.size(); ++i) {
    session.attend_to(sources[i]);
    Tensor<float, 2> y({reference.targets[i].size(), model.decoder().config().vocab});
    session.forward_all(reference.targets[i], y);
    append(logits, y);
  }
  expect_near("left_logits", logits, "");
}

// One token after the other, several sequences at once: each as if it were alone and given all at once.
TEST_P(Seq2SeqFixtures, ABatchIsWhatEachSourceIsAlone) {
  const std::vector<EncoderInput> inputs = reference.inputs();
  for (const std::size_t threads : {1u, 3u})
    for (const DType cache : {DType::f32, DType::bf16}) {
      const Seq2Seq model = load({.threads = threads});
      SourceEncoder encode(model, cache), encode_alone(model, cache);
      const std::vector<EncodedSource> sources = encode.encode(inputs);
      std::vector<Session> sessions;
      for (const EncodedSource& source : sources) {
        sessions.emplace_back(model.decoder(), SessionOptions{.context = 32, .cache = cache});
        sessions.back().attend_to(source);
      }
      Batch batch(model.decoder(), {.sequences = 4, .context = 32, .rows = 3});
      for (std::size_t step = 0; step < 3; ++step) {
        std::vector<BatchEntry> entries;
        for (std::size_t i = 0; i < sources.size(); ++i)
          entries.push_back({&sessions[i], std::span(reference.targets[i]).subspan(step, 1)});
        const TensorView<const float, 2> together = batch.forward(entries);
        for (std::size_t i = 0; i < sources.size(); ++i) {
          Session alone(model.decoder(), {.context = 32, .cache = cache});
          alone.attend_to(encode_alone.encode(inputs[i].tokens));
          const std::span<const float> logits = alone.forward(std::span(reference.targets[i]).first(step + 1));
          EXPECT_TRUE(same_bits(logits, {&together(i, 0), logits.size()})) << threads << " " << step << " " << i;
        }
      }
    }
}

TEST_P(Seq2SeqFixtures, HalfPrecisionComputesAlmostTheSame) {
  const Seq2Seq model = load({.weights = DType::bf16});
  SourceEncoder encode(model);
  encode.encode(reference.inputs());
  std::vector<float> hidden;
  append(hidden, encode.hidden());
  const AnyTensor expected = reference.tensor("encoder_states." + std::to_string(model.encoder().config().layers));
  EXPECT_LE(max_difference(std::span(hidden).first(expected.size()), expected.elements<float>()), 0.2f);
}

// -- Sources.

TEST(SourceEncoder, TapsHaveTheNamesOfTheReference) {
  const Seq2Seq model = load_seq2seq(seq2seq_fixture("t5-gated"), {.threads = 1});
  SourceEncoder encode(model);
  std::vector<std::string> names;
  const Tap tap = [&](std::string_view name, TensorView<const float, 2>) { names.emplace_back(name); };
  encode.set_tap(tap);
  Session session(model.decoder());
  session.set_tap(tap);
  const std::vector<TokenId> ids{5, 6, 1};
  session.attend_to(encode.encode(ids));
  session.forward(std::vector<TokenId>{0});
  EXPECT_THAT(names, ::testing::ElementsAre(
                         "encoder.embed_tokens", "encoder.block.0.layer.0.SelfAttention",
                         "encoder.block.0.layer.1.DenseReluDense", "encoder.block.0", "encoder.final_layer_norm",
                         "decoder.embed_tokens", "decoder.block.0.layer.0.SelfAttention",
                         "decoder.block.0.layer.1.EncDecAttention", "decoder.block.0.layer.2.DenseReluDense",
                         "decoder.block.0", "decoder.final_layer_norm", "lm_head"));
}

TEST(SourceEncoder, ManySessionsReadOneSource) {
  const Seq2Seq model = load_seq2seq(seq2seq_fixture("bart"), {.threads = 1});
  const Seq2SeqReference reference("bart");
  EncodedSource source;
  EXPECT_FALSE(source);
  {
    SourceEncoder encode(model);
    source = encode.encode(reference.sources[0]);
    encode.encode(reference.sources[1]);
  }
  EXPECT_TRUE(source);
  EXPECT_EQ(source.tokens(), reference.sources[0].size());
  Session first(model.decoder()), second(model.decoder());
  first.attend_to(source);
  second.attend_to(source);
  const std::span<const float> logits = first.forward(reference.targets[0]);
  for (const TokenId id : reference.targets[0]) second.forward(std::span(&id, 1));
  second.truncate(reference.targets[0].size() - 1);
  EXPECT_TRUE(same_bits(logits, second.forward(std::span(reference.targets[0]).last(1))));
  first.attend_to(source);
  EXPECT_EQ(first.position(), 0u);
}

TEST(SourceEncoder, ChecksItsInput) {
  const Seq2Seq model = load_seq2seq(seq2seq_fixture("bart"), {.threads = 1});
  SourceEncoder encode(model);
  EXPECT_TRUE(encode.encode(std::span<const EncoderInput>()).empty());
  EXPECT_EQ(message_of<ShapeError>([&] { encode.encode(std::span<const TokenId>()); }),
            "forward: sequence 0 has no tokens");
  EXPECT_EQ(message_of<ShapeError>([&] { encode.encode(std::vector<TokenId>{48}); }),
            "forward: token id 48 at index 0 of sequence 0 is outside [0, 48)");
  EXPECT_THROW(encode.encode(some_ids(33, 48)), ShapeError);
  EXPECT_THROW(SourceEncoder(model, DType::q4_0), UnsupportedError);
  EXPECT_THROW(SourceEncoder(model, DType::q8_0), UnsupportedError);  // heads of 6 elements
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(encode.encode(some_ids(3, 48), stop.get_token()), Cancelled);
}

TEST(SourceEncoder, SessionsNeedASourceOfTheirModel) {
  const Seq2Seq model = load_seq2seq(seq2seq_fixture("bart"), {.threads = 1});
  const Seq2Seq other = load_seq2seq(seq2seq_fixture("t5"), {.threads = 1});
  Session session(model.decoder());
  const std::vector<TokenId> ids{2, 5};
  EXPECT_EQ(message_of<ConfigError>([&] { session.forward(ids); }),
            "forward: a bart model reads a source, and there is none");
  EXPECT_EQ(message_of<ConfigError>([&] { session.attend_to({}); }),
            "attend_to: the source is none, or one of another model");
  EXPECT_THROW(session.attend_to(SourceEncoder(other).encode(ids)), ConfigError);
  const EncodedSource of_same_sizes =
      SourceEncoder(load_seq2seq(seq2seq_fixture("bart"), {.threads = 1})).encode(ids);  // whose model is gone
  EXPECT_THROW(session.attend_to(of_same_sizes), ConfigError);
  const CausalLM copy = model.decoder();
  EXPECT_NO_THROW(Session(copy).attend_to(SourceEncoder(model).encode(ids)));
  Session llama(load_causal_lm(fixture("llama-mha"), {.threads = 1}));
  EXPECT_EQ(message_of<ConfigError>([&] { llama.attend_to(SourceEncoder(model).encode(ids)); }),
            "attend_to: a llama model reads no source");
}

TEST(SourceEncoder, SourcesKeepNoModelAlive) {
  EncodedSource source;
  std::weak_ptr<const void> model;
  {
    const Seq2Seq loaded = load_seq2seq(seq2seq_fixture("bart"), {.threads = 1});
    source = SourceEncoder(loaded).encode(std::vector<TokenId>{2, 5});
    model = loaded.decoder().identity();
    EXPECT_TRUE(source.is_of(loaded.decoder()));
    EXPECT_FALSE(EncodedSource().is_of(loaded.decoder()));
  }
  EXPECT_TRUE(model.expired());
  for (int i = 0; i < 3; ++i)  // whatever memory the next ones get
    EXPECT_FALSE(source.is_of(load_seq2seq(seq2seq_fixture("bart"), {.threads = 1}).decoder()));
}

TEST(SourceEncoder, SourcesOfABatchHaveOneType) {
  const Seq2Seq model = load_seq2seq(seq2seq_fixture("bart"), {.threads = 1});
  const std::vector<TokenId> ids{2, 5};
  Session first(model.decoder()), second(model.decoder());
  first.attend_to(SourceEncoder(model).encode(ids));
  second.attend_to(SourceEncoder(model, DType::f16).encode(ids));
  Batch batch(model.decoder());
  const std::vector<BatchEntry> entries{{&first, ids}, {&second, ids}};
  EXPECT_EQ(message_of<ConfigError>([&] { batch.forward(entries); }),
            "Batch: the source of entry 1 is of type f16, that of entry 0 of type f32");
}

}  // namespace
