#include <weft/models/encoder_pass.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <numeric>
#include <stop_token>
#include <string>
#include <vector>

#include "encoder_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::HasSubstr;

constexpr float tolerance = 2e-4f;

// -- Every fixture against the reference.

class Encoders : public ::testing::TestWithParam<std::string> {
 protected:
  Encoder load(LoadOptions options = {}) const {
    options.threads = 1;
    options.compute = Compute::f32;
    return load_encoder(encoder_fixture(GetParam()), options);
  }
  void expect_near(const char* name, TensorView<const float, 2> found) const {
    ASSERT_TRUE(found.is_contiguous());
    const AnyTensor expected = reference.tensor(name);
    EXPECT_EQ(found.shape(), expected.shape()) << name;
    EXPECT_LE(max_difference({found.data(), found.size()}, expected.elements<float>()), tolerance) << name;
  }
  /// What a head says: head(y) writes y (rows or sequences, width).
  template <class Head>
  std::size_t expect_head(const char* name, Head&& head) const {
    if (!reference.has(name)) return 0;
    const Shape shape = reference.tensor(name).shape();
    Tensor<float, 2> y({shape[0], shape[1]});
    head(y);
    expect_near(name, y);
    return 1;
  }

  EncoderReference reference{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Fixtures, Encoders, ::testing::ValuesIn(encoder_fixture_names()),
                         [](const auto& name_of) { return test_name(name_of.param); });

TEST_P(Encoders, HiddenStatesAreTheReferences) {
  for (const cpu::Kernels* kernels : all_kernels())
    for (const Load how : {Load::repack, Load::in_place}) {
      const Encoder model = load({.load = how, .kernels = kernels});
      const EncoderConfig& c = model.config();
      std::vector<std::vector<float>> seen;
      EncoderPass pass(model);
      pass.set_tap([&](std::string_view name, TensorView<const float, 2> values) {
        const bool layer = name == detail::tensor_name(c.modules.layer, c.weights_of(seen.size() - 1));
        if (name == c.modules.embedding || (!seen.empty() && layer))
          seen.emplace_back(values.data(), values.data() + values.size());
        if (name == c.modules.norm) seen.back().assign(values.data(), values.data() + values.size());
      });
      const TensorView<const float, 2> last = pass.forward(reference.inputs());
      ASSERT_EQ(seen.size(), c.layers + 1);
      EXPECT_TRUE(same_bits(seen.back(), {last.data(), last.size()}));
      std::size_t compared = 0;
      for (std::size_t i = 0; i <= c.layers; ++i) {
        const std::string name = "hidden_states." + std::to_string(i);
        if (!reference.has(name)) continue;
        EXPECT_LE(max_difference(seen[i], reference.tensor(name).elements<float>()), tolerance)
            << name << " " << kernels->name;
        ++compared;
      }
      EXPECT_GE(compared, 1u);
      expect_near(("hidden_states." + std::to_string(c.layers)).c_str(), last);
    }
}

TEST_P(Encoders, HeadsSayWhatTheReferenceSays) {
  const Encoder model = load();
  EncoderPass pass(model);
  pass.forward(reference.inputs());
  std::vector<std::size_t> rows(reference.rows());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  std::size_t heads = 0;
  heads += expect_head("pooled", [&](auto& y) { pass.pool(y); });
  heads += expect_head("masked_words", [&](auto& y) { pass.predict_words(rows, y); });
  heads += expect_head("pairs", [&](auto& y) { pass.classify_pairs(y); });
  heads += expect_head("sequence_classes", [&](auto& y) { pass.classify_sequences(y); });
  heads += expect_head("token_classes", [&](auto& y) { pass.classify_tokens(y); });
  heads += expect_head("answer_ends", [&](auto& y) { pass.find_answers(y); });
  heads += expect_head("replaced_words", [&](auto& y) { pass.find_replaced_words(y); });
  heads += expect_head("sentences", [&](auto& y) { pass.embed_sentences(y); });
  const EncoderWeights& w = model.weights();
  const bool pooled = reference.has("pooled");
  const std::size_t loaded = std::size_t{pooled} + bool(w.masked_word) + bool(w.next_sentence) +
                             bool(w.sequence_classes) + bool(w.token_classes) + bool(w.answer_ends) +
                             bool(w.replaced_word) + model.sentence().has_value();
  EXPECT_EQ(heads, loaded);
}

/// The fixtures that say what the reference makes of sequences of unequal length that are padded on the left.
std::vector<std::string> left_padded_names() {
  std::vector<std::string> names = encoder_fixture_names();
  std::erase_if(names, [](const std::string& name) { return !EncoderReference(name).has("left_padded"); });
  return names;
}

using LeftPaddedEncoders = Encoders;
INSTANTIATE_TEST_SUITE_P(Fixtures, LeftPaddedEncoders, ::testing::ValuesIn(left_padded_names()),
                         [](const auto& name_of) { return test_name(name_of.param); });

TEST_P(LeftPaddedEncoders, PositionsAreThoseOfThePaddedBatch) {
  EncoderPass pass(load());
  const std::vector<TokenId> padding = reference.numbers("left_padding");
  expect_near("left_padded", pass.forward(reference.inputs(padding)));
}

TEST_P(Encoders, ABatchIsWhatEachSequenceIsAlone) {
  const std::vector<EncoderInput> inputs = reference.inputs();
  for (const cpu::Kernels* kernels : all_kernels())
    for (const std::size_t threads : {1u, 3u}) {
      const Encoder model = load_encoder(encoder_fixture(GetParam()), {.threads = threads, .kernels = kernels});
      EncoderPass batch(model), single(model);
      const TensorView<const float, 2> together = batch.forward(inputs);
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        const TensorView<const float, 2> alone = single.forward({&inputs[i], 1});
        const PackedSequence s = batch.sequences()[i];
        EXPECT_EQ(s.tokens, inputs[i].tokens.size());
        EXPECT_TRUE(same_bits({alone.data(), alone.size()}, {&together(s.begin, 0), alone.size()}))
            << kernels->name << " " << threads << " " << i;
      }
    }
}

TEST_P(Encoders, HalfPrecisionComputesAlmostTheSame) {
  const Encoder model = load_encoder(encoder_fixture(GetParam()), {.weights = DType::bf16, .threads = 1});
  EncoderPass pass(model);
  const TensorView<const float, 2> last = pass.forward(reference.inputs());
  const AnyTensor reference_last = reference.tensor("hidden_states." + std::to_string(model.config().layers));
  const std::span<const float> expected = reference_last.elements<float>();
  const float largest = max_difference(expected, std::vector<float>(expected.size()));
  EXPECT_LE(max_difference({last.data(), last.size()}, expected), 0.05f * largest);
}

// -- Passes.

TEST(EncoderPass, RunsAgainAndAgain) {
  const EncoderReference reference("bert");
  const Encoder model = load_encoder(encoder_fixture("bert"), {.threads = 1});
  const std::vector<EncoderInput> inputs = reference.inputs();
  EncoderPass pass(model);
  EXPECT_EQ(pass.hidden().extent(0), 0u);
  const auto copy = [](TensorView<const float, 2> x) { return std::vector<float>(x.data(), x.data() + x.size()); };
  const std::vector<float> small = copy(pass.forward({&inputs[1], 1}));
  const std::vector<float> large = copy(pass.forward(inputs));
  EXPECT_EQ(copy(pass.forward({&inputs[1], 1})), small);
  EXPECT_EQ(copy(pass.forward(inputs)), large);
  EXPECT_EQ(copy(pass.hidden()), large);
  EXPECT_EQ(pass.forward({}).extent(0), 0u);
  EXPECT_TRUE(pass.sequences().empty());
}

// More sequences than one call of attention takes.
TEST(EncoderPass, ManySequences) {
  const EncoderReference reference("mpnet");
  const Encoder model = load_encoder(encoder_fixture("mpnet"), {.threads = 1});
  const std::vector<EncoderInput> three = reference.inputs();
  std::vector<EncoderInput> many;
  while (many.size() < 40) many.push_back(three[many.size() % 3]);
  EncoderPass pass(model);
  const TensorView<const float, 2> last = pass.forward(many);
  const AnyTensor expected = reference.tensor("hidden_states.2");
  const std::span<const float> once = expected.elements<float>();
  EXPECT_LE(max_difference({last.data(), once.size()}, once), tolerance);
  for (std::size_t i = 3; i < many.size(); ++i) {
    const PackedSequence s = pass.sequences()[i], same = pass.sequences()[i % 3];
    EXPECT_TRUE(
        same_bits({&last(s.begin, 0), s.tokens * last.extent(1)}, {&last(same.begin, 0), s.tokens * last.extent(1)}));
  }
}

TEST(EncoderPass, TapsHaveTheNamesOfTheReference) {
  const Encoder model = load_encoder(encoder_fixture("electra"), {.threads = 1});
  EncoderPass pass(model);
  std::vector<std::string> names;
  pass.set_tap([&](std::string_view name, TensorView<const float, 2> values) {
    names.emplace_back(name);
    EXPECT_EQ(values.extent(1), model.config().hidden);
  });
  pass.forward(EncoderReference("electra").inputs());
  EXPECT_THAT(names,
              ::testing::ElementsAre("electra.embeddings_project", "electra.encoder.layer.0.attention.output.dense",
                                     "electra.encoder.layer.0.output.dense", "electra.encoder.layer.0",
                                     "electra.encoder.layer.1.attention.output.dense",
                                     "electra.encoder.layer.1.output.dense", "electra.encoder.layer.1"));
}

TEST(EncoderPass, PredictsTheWordsThatAreAskedFor) {
  const EncoderReference reference("bert");
  EncoderPass pass(load_encoder(encoder_fixture("bert"), {.threads = 1}));
  pass.forward(reference.inputs());
  const AnyTensor expected = reference.tensor("masked_words");
  Tensor<float, 2> y({2, expected.extent(1)});
  const std::vector<std::size_t> rows{30, 4};
  pass.predict_words(rows, y);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const AnyTensor row = expected.rows(rows[i], rows[i] + 1);
    EXPECT_LE(max_difference({&y(i, 0), y.extent(1)}, row.elements<float>()), tolerance);
  }
  const std::vector<std::size_t> outside{38, 0};
  EXPECT_EQ(message_of<ShapeError>([&] { pass.predict_words(outside, y); }), "predict_words: row 38 of 38");
}

TEST(EncoderPass, EmbedsSentencesAsTheCallerSays) {
  const EncoderReference reference("bert");
  EncoderPass pass(load_encoder(encoder_fixture("bert"), {.threads = 1}));
  const std::vector<EncoderInput> inputs = reference.inputs();
  const TensorView<const float, 2> last = pass.forward(inputs);
  Tensor<float, 2> y({3, last.extent(1)});
  pass.embed_sentences({.pooling = Pooling::last}, y);
  EXPECT_TRUE(same_bits({&y(2, 0), y.extent(1)}, {&last(last.extent(0) - 1, 0), y.extent(1)}));
  Tensor<float, 2> other({2, last.extent(1)});
  EXPECT_THROW(pass.embed_sentences({.pooling = Pooling::last}, other), ShapeError);
}

TEST(EncoderPass, HeadsNameThemselvesWhereTheirAnswersHaveNoRoom) {
  using Answers = TensorView<float, 2>;
  const struct {
    const char* fixture;
    const char* head;
    void (*call)(EncoderPass&, Answers);
  } heads[]{
      {"roberta-pooler", "pool", [](EncoderPass& pass, Answers y) { pass.pool(y); }},
      {"distilbert-sequences", "classify_sequences", [](EncoderPass& p, Answers y) { p.classify_sequences(y); }},
      {"mobilebert-sequences", "pool", [](EncoderPass& pass, Answers y) { pass.pool(y); }},
      {"bert", "predict_words",
       [](EncoderPass& pass, Answers y) {
         pass.predict_words(std::vector<std::size_t>{30, 4}, y);
       }},
      {"bert-next-sentence", "classify_pairs", [](EncoderPass& pass, Answers y) { pass.classify_pairs(y); }},
      {"bert-sequences", "classify_sequences", [](EncoderPass& pass, Answers y) { pass.classify_sequences(y); }},
      {"bert-tokens", "classify_tokens", [](EncoderPass& pass, Answers y) { pass.classify_tokens(y); }},
      {"bert-answers", "find_answers", [](EncoderPass& pass, Answers y) { pass.find_answers(y); }},
      {"electra-discriminator", "find_replaced_words",
       [](EncoderPass& pass, Answers y) { pass.find_replaced_words(y); }},
      {"bert", "embed_sentences", [](EncoderPass& pass, Answers y) { pass.embed_sentences(SentenceEmbedding{}, y); }},
  };
  for (const auto& head : heads) {
    EncoderPass pass(load_encoder(encoder_fixture(head.fixture), {.threads = 1}));
    pass.forward(EncoderReference(head.fixture).inputs());
    Tensor<float, 2> y({9, 9});
    const std::string message = message_of<ShapeError>([&] { head.call(pass, y); });
    EXPECT_THAT(message, ::testing::StartsWith(head.head + std::string(": y has shape (9, 9), expected (")))
        << head.fixture;
  }
  EncoderPass pass(load_encoder(encoder_fixture("bert-answers"), {.threads = 1}));
  const TensorView<const float, 2> last = pass.forward(EncoderReference("bert-answers").inputs());
  Tensor<float, 2> columns({2, last.extent(0)});
  EXPECT_EQ(message_of<ShapeError>([&] { pass.find_answers(columns.transpose(0, 1)); }),
            "find_answers: the elements of a row of y must lie one after the other");
}

TEST(EncoderPass, HeadsMayRunElsewhere) {
  EncoderPass pass(load_encoder(encoder_fixture("bert-sequences"), {.threads = 1}));
  pass.forward(EncoderReference("bert-sequences").inputs());
  const std::size_t sequences = pass.sequences().size(), classes = pass.model().config().classes;
  Tensor<float, 2> expected({sequences, classes}), found(expected.extents());
  pass.classify_sequences(expected);
  std::vector<EncoderHead> asked;
  pass.set_heads([&](EncoderHead head, TensorView<const float, 2> x, TensorView<float, 2> y) {
    asked.push_back(head);
    EXPECT_EQ(x.extents(), (Dims<2>{sequences, pass.model().config().hidden}));
    std::fill_n(y.data(), y.size(), 2.5f);
  });
  pass.classify_sequences(found);
  EXPECT_EQ(asked, (std::vector{EncoderHead::pooler, EncoderHead::sequence_classes}));
  EXPECT_EQ(found(sequences - 1, classes - 1), 2.5f);
  pass.set_heads({});
  pass.classify_sequences(found);
  EXPECT_EQ(max_difference(found.elements(), expected.elements()), 0.f);
}

TEST(EncoderPass, SaysWhichHeadIsMissing) {
  EncoderPass pass(load_encoder(encoder_fixture("distilbert-base"), {.threads = 1}));
  pass.forward(EncoderReference("distilbert-base").inputs());
  Tensor<float, 2> y({3, 2});
  const std::vector<std::size_t> rows{0, 1, 2};
  const std::string prefix = encoder_fixture("distilbert-base").string() + ": the checkpoint has no ";
  EXPECT_EQ(message_of<UnsupportedError>([&] { pass.pool(y); }), prefix + "pooler");
  EXPECT_EQ(message_of<UnsupportedError>([&] { pass.predict_words(rows, y); }), prefix + "head for masked words");
  EXPECT_EQ(message_of<UnsupportedError>([&] { pass.classify_pairs(y); }), prefix + "head for pairs of sentences");
  EXPECT_EQ(message_of<UnsupportedError>([&] { pass.classify_sequences(y); }),
            prefix + "head for classes of sequences");
  EXPECT_EQ(message_of<UnsupportedError>([&] { pass.classify_tokens(y); }), prefix + "head for classes of tokens");
  EXPECT_EQ(message_of<UnsupportedError>([&] { pass.find_answers(y); }), prefix + "head for answers");
  EXPECT_EQ(message_of<UnsupportedError>([&] { pass.find_replaced_words(y); }), prefix + "head for replaced words");
  EncoderPass plain(load_encoder(encoder_fixture("bert"), {.threads = 1}));
  EXPECT_EQ(message_of<UnsupportedError>([&] { plain.embed_sentences(y); }),
            encoder_fixture("bert").string() + ": the checkpoint has no rule for sentence embeddings (modules.json)");
}

TEST(EncoderPass, ChecksItsInput) {
  EncoderPass pass(load_encoder(encoder_fixture("bert"), {.threads = 1}));
  const std::vector<TokenId> ids{5, 6, 7};
  const auto message = [&](EncoderInput input) {
    const std::vector<EncoderInput> inputs{{.tokens = ids}, input};
    return message_of<ShapeError>([&] { pass.forward(inputs); });
  };
  EXPECT_EQ(message({.tokens = {}}), "forward: sequence 1 has no tokens");
  EXPECT_EQ(message({.tokens = std::vector<TokenId>{5, 48}}),
            "forward: token id 48 at index 1 of sequence 1 is outside [0, 48)");
  EXPECT_EQ(message({.tokens = std::vector<TokenId>{-1}}),
            "forward: token id -1 at index 0 of sequence 1 is outside [0, 48)");
  EXPECT_EQ(message({.tokens = ids, .types = std::vector<TokenId>{0, 1, 2}}),
            "forward: token type 2 at index 2 of sequence 1 is outside [0, 2)");
  EXPECT_THAT(message({.tokens = ids, .types = std::vector<TokenId>{0, 1}}), HasSubstr("the number of token types"));
  EXPECT_EQ(message({.tokens = some_ids(25, 48)}),
            "forward: sequence 1 has 25 tokens from position 0 on, the model has 24 positions");
  EXPECT_EQ(message({.tokens = ids, .position = 22}),
            "forward: sequence 1 has 3 tokens from position 22 on, the model has 24 positions");
  EXPECT_EQ(message({.tokens = ids, .position = std::size_t(-1)}),
            "forward: sequence 1 has 3 tokens from position 18446744073709551615 on, the model has 24 positions");
}

TEST(EncoderPass, AWrongInputLeavesThePassUsable) {
  EncoderPass pass(load_encoder(encoder_fixture("bert"), {.threads = 1}));
  const std::vector<TokenId> ids{5, 6, 7}, wrong{99};
  const EncoderInput right{.tokens = ids};
  pass.forward({&right, 1});
  const EncoderInput bad{.tokens = wrong};
  EXPECT_THROW(pass.forward({&bad, 1}), ShapeError);
  EXPECT_EQ(pass.hidden().extent(0), 3u);
}

TEST(EncoderPass, HeadsSayWhatFollowsFromAPassThatIsComputedElsewhere) {
  const Encoder model = load_encoder(encoder_fixture("bert"), {.threads = 1});
  const EncoderReference reference("bert");
  EncoderPass pass(model), elsewhere(model);
  const TensorView<const float, 2> hidden = elsewhere.forward(reference.inputs());
  const TensorView<float, 2> received = pass.receive(reference.inputs());
  ASSERT_EQ(received.extents(), hidden.extents());
  std::copy_n(hidden.data(), hidden.size(), received.data());
  Tensor<float, 2> found({reference.sequences(), model.config().hidden}), expected(found.extents());
  pass.pool(found);
  elsewhere.pool(expected);
  EXPECT_TRUE(same_bits(found.elements(), expected.elements()));
  const EncoderInput none{};
  EXPECT_THROW(pass.receive({&none, 1}), ShapeError);
}

TEST(EncoderPass, StopsWhenAskedTo) {
  EncoderPass pass(load_encoder(encoder_fixture("bert"), {.threads = 1}));
  const EncoderReference reference("bert");
  std::stop_source stop;
  pass.set_tap([&](std::string_view name, TensorView<const float, 2>) {
    if (name == "bert.encoder.layer.0") stop.request_stop();
  });
  EXPECT_EQ(message_of<Cancelled>([&] { pass.forward(reference.inputs(), stop.get_token()); }),
            "forward: stopped before layer 1");
  EXPECT_EQ(pass.hidden().extent(0), 0u);
}

}  // namespace
